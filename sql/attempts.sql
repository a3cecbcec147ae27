-- name: start_attempts
-- Starts prepared attempts whose slot is open; one conditional update for all that wait. Time runs from the arrival of the
-- request, or from the opening for those who began by code; what a start then waited for the service, if it was a second or
-- more, is added to the deadline. Locked attempts are skipped and come again. Returns a line for each that was started, and a
-- line of nulls for each that could be looked at.
WITH req AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :writers::bytea[], :ages::real[], :by_codes::boolean[])
    AS r(district_id, attempt_id, writer, age, by_code)
), held AS MATERIALIZED (
  SELECT r.*, a.state, a.opens_at, a.closes_at,
    CASE WHEN r.by_code THEN a.opens_at ELSE statement_timestamp() - r.age * interval '1 second' END AS start_at,
    CASE WHEN r.by_code OR r.age < 1 THEN 0 ELSE r.age END AS delay_s
  FROM req r
  JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
  FOR NO KEY UPDATE OF a SKIP LOCKED
), done AS (
  UPDATE attempt a
  SET state = 'started', epoch = 1, writer = h.writer, started_at = h.start_at, delay_s = h.delay_s,
      deadline = coalesce(a.ends_at, h.start_at + a.duration_s * interval '1 second')
        + (a.grant_s + h.delay_s) * interval '1 second'
  FROM held h
  WHERE a.district_id = h.district_id AND a.exam_day = :day AND a.attempt_id = h.attempt_id
    AND h.state = 'prepared' AND h.start_at BETWEEN h.opens_at AND h.closes_at
    AND statement_timestamp() >= h.opens_at
  RETURNING a.attempt_id, a.epoch, a.started_at, a.deadline, a.grace_s, a.form_hash, a.seed, a.slot_id
)
SELECT attempt_id, epoch, started_at, deadline, grace_s, form_hash, seed, slot_id FROM done
UNION ALL
SELECT attempt_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM held

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

-- name: find_begun
-- Which of these attempts have been started, whatever has become of them.
SELECT a.attempt_id
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
WHERE a.state <> 'prepared'
