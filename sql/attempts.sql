-- name: start_attempts
-- Starts prepared attempts whose slot is open; one conditional update for all that wait. Time runs from the arrival of the
-- request, or from the opening for those who began by code. Locked attempts are skipped and come again.
WITH req AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :writers::bytea[], :ages::real[], :by_codes::boolean[])
    AS r(district_id, attempt_id, writer, age, by_code)
), held AS MATERIALIZED (
  SELECT r.*, a.state, a.opens_at, a.closes_at,
    CASE WHEN r.by_code THEN a.opens_at ELSE statement_timestamp() - r.age * interval '1 second' END AS start_at
  FROM req r
  JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
  FOR NO KEY UPDATE OF a SKIP LOCKED
), done AS (
  UPDATE attempt a
  SET state = 'started', epoch = 1, writer = h.writer, started_at = h.start_at,
      deadline = coalesce(a.ends_at, h.start_at + a.duration_s * interval '1 second') + a.grant_s * interval '1 second'
  FROM held h
  WHERE a.district_id = h.district_id AND a.exam_day = :day AND a.attempt_id = h.attempt_id
    AND h.state = 'prepared' AND h.start_at BETWEEN h.opens_at AND h.closes_at
    AND statement_timestamp() >= h.opens_at
  RETURNING a.attempt_id
)
SELECT h.attempt_id, d.attempt_id IS NOT NULL AS started FROM held h LEFT JOIN done d USING (attempt_id)

-- name: attempts_now
-- The attempts as they are now, with the present watermark of their epoch.
SELECT a.attempt_id, a.state, a.epoch, a.writer, a.started_at, a.deadline, a.grace_s, a.form_hash, a.seed,
  a.opens_at, a.closes_at, a.slot_id, a.takeovers_left,
  greatest(coalesce((SELECT max(m.seq) FROM answer m WHERE m.district_id = a.district_id AND m.exam_day = :day
                       AND m.attempt_id = a.attempt_id AND m.epoch = a.epoch), 0),
           coalesce((SELECT max(m.seq) FROM quarantine m WHERE m.district_id = a.district_id AND m.exam_day = :day
                       AND m.attempt_id = a.attempt_id AND m.epoch = a.epoch), 0)) AS watermark
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id

-- name: take_over
-- Makes a session the writer under the next epoch: the writer itself at any time, another one while changes are left.
UPDATE attempt
SET epoch = epoch + 1, writer = :writer,
    takeovers_left = takeovers_left - CASE WHEN writer = :writer THEN 0 ELSE 1 END
WHERE district_id = :district_id AND exam_day = :day AND attempt_id = :attempt_id AND state = 'started'
  AND epoch < 1000 AND (writer = :writer OR takeovers_left > 0)

-- name: lock_to_submit
-- The attempt, locked until its submission is written; saves wait or come before.
SELECT state, epoch, writer, deadline, form_hash, slot_id FROM attempt
WHERE district_id = :district_id AND exam_day = :day AND attempt_id = :attempt_id
FOR NO KEY UPDATE

-- name: end_attempt
-- Ends a running attempt by its candidate, now.
UPDATE attempt SET state = 'submitted', ended_at = statement_timestamp()
WHERE district_id = :district_id AND exam_day = :day AND attempt_id = :attempt_id AND state = 'started'

-- name: add_submission
-- The one submission of an attempt, with its receipt.
INSERT INTO submission (district_id, exam_day, attempt_id, slot_id, form_hash, ended_by, ended_at, salt, digest, signature,
                        key_id, answered)
VALUES (:district_id, :day, :attempt_id, :slot_id, :form_hash, 'candidate', statement_timestamp(), :salt, :digest, :signature,
        :key_id, :answered)

-- name: seal_due
-- Ends by the clock what has run out: deadline, grace and the greatest age a save in time can still have. At most :most.
WITH due AS MATERIALIZED (
  SELECT district_id, exam_day, attempt_id FROM attempt
  WHERE state = 'started' AND deadline < now() - grace_s * interval '1 second' - :oldest * interval '1 second'
  LIMIT :most
  FOR NO KEY UPDATE SKIP LOCKED
), sealed AS (
  UPDATE attempt a SET state = 'sealed', ended_at = a.deadline
  FROM due WHERE a.district_id = due.district_id AND a.exam_day = due.exam_day AND a.attempt_id = due.attempt_id
    AND a.state = 'started'
  RETURNING a.district_id, a.exam_day, a.attempt_id, a.slot_id, a.form_hash, a.ended_at
)
INSERT INTO submission (district_id, exam_day, attempt_id, slot_id, form_hash, ended_by, ended_at)
SELECT district_id, exam_day, attempt_id, slot_id, form_hash, 'clock', ended_at FROM sealed

-- name: claim_unreceipted
-- Submissions that were sealed in bulk and have no receipt yet, locked for this transaction; all of one day, at most :most.
SELECT s.district_id, s.exam_day, s.attempt_id, s.form_hash, s.salt FROM submission s
WHERE s.digest IS NULL
  AND s.exam_day = (SELECT u.exam_day FROM submission u WHERE u.digest IS NULL ORDER BY u.attempt_id LIMIT 1)
ORDER BY s.attempt_id
LIMIT :most
FOR NO KEY UPDATE SKIP LOCKED

-- name: write_receipts
-- The receipts of sealed submissions.
UPDATE submission s
SET digest = r.digest, signature = r.signature, key_id = :key_id, answered = r.answered
FROM unnest(:districts::smallint[], :attempts::bigint[], :digests::bytea[], :signatures::bytea[], :answered::smallint[])
  AS r(district_id, attempt_id, digest, signature, answered)
WHERE s.district_id = r.district_id AND s.exam_day = :day AND s.attempt_id = r.attempt_id AND s.digest IS NULL

-- name: find_receipt
-- The receipt of an attempt that has ended, null fields while it is being made.
SELECT form_hash, ended_by, ended_at, salt, digest, signature, key_id, answered FROM submission
WHERE district_id = :district_id AND exam_day = :day AND attempt_id = :attempt_id

-- name: find_booked
-- What the waiting room shows: the candidate, the exam and the slot.
SELECT c.name, c.registration, c.language, d.name AS district, e.title, e.duration_s, s.opens_at, s.closes_at, s.hall,
  s.slot_id, b.extra_time_pct, s.exam_day, coalesce(f.items, 0) AS questions
FROM booking b
JOIN candidate c ON c.district_id = b.district_id AND c.candidate_id = b.candidate_id
JOIN district d ON d.district_id = b.district_id
JOIN slot s ON s.slot_id = b.slot_id AND s.district_id = b.district_id
JOIN exam e ON e.exam_id = s.exam_id
LEFT JOIN form f ON f.form_hash = :form_hash
WHERE b.district_id = :district_id AND b.candidate_id = :candidate_id AND b.slot_id = :slot_id

-- name: find_released
-- The released result of an attempt under its newest key; no row before the release.
SELECT total, maximum, sections FROM released_result
WHERE district_id = :district_id AND exam_day = :day AND attempt_id = :attempt_id
ORDER BY key_version DESC LIMIT 1

-- name: list_notices
-- The announcements for a slot above a number, oldest first.
SELECT announcement_id, announced_at, text FROM announcement
WHERE slot_id = :slot_id AND announcement_id > :after
ORDER BY announcement_id LIMIT 50

-- name: latest_notices
-- The number of the latest announcement of each slot of these days.
SELECT slot_id, max(announcement_id) AS latest FROM announcement
WHERE announced_at > now() - interval '2 days' GROUP BY slot_id
