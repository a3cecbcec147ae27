"""The exam hall: delivery, planning, sealing and grading of exams on PostgreSQL, Valkey and Litestar."""
