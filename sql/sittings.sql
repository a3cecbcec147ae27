-- name: list_booked
-- What the waiting room shows: the candidates, their exams and slots; and the envelopes that the code opens, where there are any.
SELECT r.candidate_id, c.name, c.registration, c.language, d.name AS district, e.title, e.duration_s, e.tools, e.records,
  s.opens_at, s.closes_at, s.hall, b.extra_time_pct, c.extra_time_pct AS candidate_extra_time_pct, f.items AS questions,
  v.slot_id, v.salt, v.rounds, v.sealed
FROM unnest(:districts::smallint[], :candidates::bigint[], :slots::int[], :forms::bytea[]) AS r(district_id, candidate_id, slot_id, form_hash)
JOIN booking b ON b.district_id = r.district_id AND b.slot_id = r.slot_id AND b.candidate_id = r.candidate_id
JOIN candidate c ON c.district_id = r.district_id AND c.candidate_id = r.candidate_id
JOIN district d ON d.district_id = r.district_id
JOIN slot s ON s.slot_id = r.slot_id AND s.district_id = r.district_id
JOIN exam e ON e.exam_id = s.exam_id
LEFT JOIN form f ON f.form_hash = r.form_hash
LEFT JOIN envelope v ON v.slot_id = r.slot_id AND v.district_id = r.district_id AND v.form_hash = r.form_hash

-- name: count_kept
-- How many rows of each attempt are in quarantine; no line where there are none.
SELECT r.attempt_id, k.kept
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
CROSS JOIN LATERAL (
  SELECT count(*) AS kept FROM quarantine q
  WHERE q.district_id = r.district_id AND q.exam_day = :day AND q.attempt_id = r.attempt_id
) k
WHERE k.kept > 0

-- name: find_released
-- The released results of attempts under their newest key; no line before the release.
SELECT DISTINCT ON (v.attempt_id) v.attempt_id, v.total, v.maximum, v.sections
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN released_result v ON v.district_id = r.district_id AND v.exam_day = :day AND v.attempt_id = r.attempt_id
ORDER BY v.attempt_id, v.key_version DESC

-- name: list_notices
-- The announcements for a slot above a number, oldest first.
SELECT announcement_id, announced_at, text FROM announcement
WHERE slot_id = :slot_id AND announcement_id > :after
ORDER BY announcement_id LIMIT 50

-- name: latest_notices
-- The number of the latest announcement of each slot of these days.
SELECT slot_id, max(announcement_id) AS latest FROM announcement
WHERE announced_at > now() - interval '2 days' GROUP BY slot_id
