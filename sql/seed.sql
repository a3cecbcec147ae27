-- name: add_district
-- A district, once.
INSERT INTO district (district_id, code, name) VALUES (:district_id, :code, :name) ON CONFLICT DO NOTHING

-- name: add_staff
-- A member of staff with a log-in; one who is there gets the new password.
INSERT INTO staff (district_id, email, name, role, password_hash) VALUES (:district_id, :email, :name, :role, :password_hash)
ON CONFLICT (email) DO UPDATE SET password_hash = excluded.password_hash, active = true
RETURNING staff_id

-- name: add_shared_exam
-- An exam that every district may schedule.
INSERT INTO exam (title, bank_id, duration_s, blueprint) VALUES (:title, :bank_id, :duration_s, :blueprint) RETURNING exam_id

-- name: find_shared_exam
-- The newest frozen exam that every district may schedule, and the bank's number.
SELECT exam_id FROM exam WHERE district_id IS NULL AND frozen_at IS NOT NULL ORDER BY exam_id DESC LIMIT 1

-- name: find_bank
-- A bank by its name.
SELECT bank_id FROM bank WHERE name = :name

-- name: find_open_slot
-- A pinned slot of a district that can still be started for an hour and has somebody who has not.
SELECT s.slot_id FROM slot s
WHERE s.district_id = :district_id AND s.pinned_at IS NOT NULL AND s.opens_at <= now() AND s.closes_at > now() + interval '1 hour'
  AND EXISTS (SELECT FROM attempt a WHERE a.district_id = s.district_id AND a.exam_day = s.exam_day
                AND a.slot_id = s.slot_id AND a.state = 'prepared')
ORDER BY s.slot_id DESC LIMIT 1

-- name: list_waiting
-- The registration numbers of a slot's candidates who have not started.
SELECT c.registration, c.name FROM attempt a JOIN slot s ON s.slot_id = a.slot_id AND s.exam_day = a.exam_day
JOIN candidate c ON c.district_id = a.district_id AND c.candidate_id = a.candidate_id
WHERE a.slot_id = :slot_id AND a.district_id = :district_id AND a.state = 'prepared'
ORDER BY c.registration

-- name: find_batch_named
-- A batch by its name.
SELECT batch_id FROM batch WHERE district_id = :district_id AND name = :name

-- name: count_candidates
-- How many candidates a district has.
SELECT count(*) AS candidates FROM candidate WHERE district_id = :district_id
