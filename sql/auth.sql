-- name: find_credentials
-- Who is behind each of these registration numbers, their code's hash, and the sitting their session will be for.
SELECT c.registration, c.district_id, c.candidate_id, c.code_hash, f.slot_id, f.exam_day, f.attempt_id, f.form_hash
FROM unnest(:registrations::text[]) AS r(registration)
JOIN credential c USING (registration)
LEFT JOIN LATERAL (
  SELECT b.slot_id, s.exam_day, a.attempt_id, a.form_hash
  FROM booking b
  JOIN slot s ON s.slot_id = b.slot_id AND s.district_id = b.district_id
  LEFT JOIN attempt a ON a.district_id = b.district_id AND a.exam_day = s.exam_day AND a.slot_id = b.slot_id
    AND a.candidate_id = b.candidate_id
  WHERE b.district_id = c.district_id AND b.candidate_id = c.candidate_id
  -- The running one, else the next one, else the last one.
  ORDER BY
    CASE WHEN a.state = 'started' THEN 0
         WHEN coalesce(a.state, 'prepared') = 'prepared' AND s.closes_at >= now() THEN 1
         ELSE 2 END,
    CASE WHEN s.closes_at >= now() THEN s.opens_at END,
    s.opens_at DESC
  LIMIT 1
) f ON true

-- name: find_sitting
-- The attempt that has been prepared for a booking since; no row before the pin.
SELECT a.exam_day, a.attempt_id, a.slot_id, a.form_hash
FROM attempt a
WHERE a.district_id = :district_id AND a.candidate_id = :candidate_id AND a.slot_id = :slot_id

-- name: find_booking
-- The next slot that a candidate is booked into, else the last one.
SELECT b.slot_id FROM booking b JOIN slot s ON s.slot_id = b.slot_id AND s.district_id = b.district_id
WHERE b.district_id = :district_id AND b.candidate_id = :candidate_id
ORDER BY s.closes_at < now(), abs(extract(epoch FROM s.opens_at - now())) LIMIT 1

-- name: add_candidate_sessions
-- New sessions of candidates, valid for 12 hours.
INSERT INTO session (token_hash, district_id, candidate_id, exam_day, attempt_id, slot_id, form_hash, expires_at)
SELECT n.token_hash, n.district_id, n.candidate_id, CASE WHEN n.attempt_id IS NOT NULL THEN n.exam_day END, n.attempt_id,
  n.slot_id, n.form_hash, now() + interval '12 hours'
FROM unnest(:token_hashes::bytea[], :districts::smallint[], :candidates::bigint[], :days::date[], :attempts::bigint[],
            :slots::int[], :forms::bytea[])
  AS n(token_hash, district_id, candidate_id, exam_day, attempt_id, slot_id, form_hash)

-- name: attach_session
-- Gives a session that was opened before its slot was pinned the attempt that has been prepared since.
UPDATE session SET exam_day = :exam_day, attempt_id = :attempt_id, slot_id = :slot_id, form_hash = :form_hash
WHERE token_hash = :token_hash AND attempt_id IS NULL

-- name: find_staff
-- A member of staff by e-mail address, active or not.
SELECT staff_id, district_id, name, role, active, password_hash FROM staff WHERE email = :email

-- name: add_staff_session
-- A new session of a member of staff, valid for 10 hours.
INSERT INTO session (token_hash, staff_id, expires_at)
VALUES (:token_hash, :staff_id, now() + interval '10 hours')

-- name: find_candidate_sessions
-- The live candidate sessions among these tokens.
SELECT token_hash, district_id, candidate_id, exam_day, attempt_id, slot_id, form_hash,
  least(300, extract(epoch FROM expires_at - now()))::int AS seconds
FROM session
WHERE token_hash = ANY (:token_hashes::bytea[]) AND candidate_id IS NOT NULL AND revoked_at IS NULL AND expires_at > now()

-- name: find_staff_session
-- A live session of an active member of staff, with what they may do.
SELECT s.staff_id, t.district_id, t.name, t.role
FROM session s JOIN staff t USING (staff_id)
WHERE s.token_hash = :token_hash AND s.revoked_at IS NULL AND s.expires_at > now() AND t.active

-- name: revoke_session
-- Ends a session for good.
UPDATE session SET revoked_at = now() WHERE token_hash = :token_hash AND revoked_at IS NULL

-- name: list_revoked
-- Sessions revoked within the last minutes: their copies, if a Redis that was away still holds any, have to go.
SELECT token_hash FROM session WHERE revoked_at > now() - interval '10 minutes'

-- name: list_districts
-- Every district: the scope of a platform admin.
SELECT district_id FROM district ORDER BY district_id
