-- name: lock_to_submit
-- The attempts of a round, locked until their submissions are written; those that a save holds just now come again.
SELECT a.attempt_id, a.state, a.epoch, a.form_hash, a.slot_id
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
FOR NO KEY UPDATE OF a SKIP LOCKED

-- name: watermarks_of
-- The highest seq held in these epochs, counted or kept; 0 where there is none. To be asked under the lock, in a statement
-- of its own: only that sees what was committed just before the lock was had.
SELECT r.attempt_id, greatest(
  (SELECT coalesce(max(m.seq), 0) FROM answer m WHERE m.district_id = r.district_id AND m.exam_day = :day
     AND m.attempt_id = r.attempt_id AND m.epoch = r.epoch),
  (SELECT coalesce(max(m.seq), 0) FROM quarantine m WHERE m.district_id = r.district_id AND m.exam_day = :day
     AND m.attempt_id = r.attempt_id AND m.epoch = r.epoch)) AS watermark
FROM unnest(:districts::smallint[], :attempts::bigint[], :epochs::smallint[]) AS r(district_id, attempt_id, epoch)

-- name: submit_attempts
-- Ends locked attempts by their candidates, now, and writes the one submission of each with its receipt.
WITH r AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :salts::bytea[], :digests::bytea[], :signatures::bytea[],
                       :answered::smallint[])
    AS r(district_id, attempt_id, salt, digest, signature, answered)
), ended AS (
  UPDATE attempt a SET state = 'submitted', ended_at = statement_timestamp()
  FROM r
  WHERE a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id AND a.state = 'started'
  RETURNING a.district_id, a.attempt_id, a.slot_id, a.form_hash, a.ended_at, r.salt, r.digest, r.signature, r.answered
)
INSERT INTO submission (district_id, exam_day, attempt_id, slot_id, form_hash, ended_by, ended_at, salt, digest, signature,
                        key_id, answered)
SELECT district_id, :day, attempt_id, slot_id, form_hash, 'candidate', ended_at, salt, digest, signature, :key_id, answered
FROM ended
RETURNING attempt_id, form_hash, ended_by, ended_at, salt, digest, signature, key_id, answered

-- name: find_receipts
-- The submissions of attempts that have ended; null fields while a receipt is being made.
SELECT s.attempt_id, s.form_hash, s.ended_by, s.ended_at, s.salt, s.digest, s.signature, s.key_id, s.answered
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN submission s ON s.district_id = r.district_id AND s.exam_day = :day AND s.attempt_id = r.attempt_id

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

-- name: find_public_receipt
-- What anybody may be told of the receipt whose digest lies between two others, bounds included; no line where there is none.
SELECT p.answered, p.ended_at FROM public_receipt p
WHERE p.digest BETWEEN :lowest::bytea AND :highest::bytea
LIMIT 1
