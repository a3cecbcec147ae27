-- name: start_attempts
-- Starts prepared attempts whose slot is open; one conditional update for all that wait. Time runs from the arrival of the
-- request, or from the opening for those who began by code; what a start then waited for the service, if it was a second or
-- more, is added to the deadline. Sections with their own time share what lies between. Who has proved to have opened the envelope may come after the last moment for a start, too:
-- that time has been running, whether or not there is any left. Locked attempts are skipped and come again. Returns a line for each that was started, and a
-- line of nulls for each that could be looked at.
WITH req AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :writers::bytea[], :ages::real[], :by_codes::boolean[],
                       :proved::boolean[])
    AS r(district_id, attempt_id, writer, age, by_code, proved)
), held AS MATERIALIZED (
  SELECT r.*, a.state, a.opens_at, a.closes_at, a.ends_at, a.duration_s, a.grant_s, a.section_s,
    statement_timestamp() - r.age * interval '1 second' AS arrived_at,
    CASE WHEN r.by_code THEN a.opens_at ELSE statement_timestamp() - r.age * interval '1 second' END AS start_at,
    CASE WHEN r.by_code OR r.age < 1 THEN 0 ELSE r.age END AS delay_s
  FROM req r
  JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
  FOR NO KEY UPDATE OF a SKIP LOCKED
), due AS (
  SELECT h.*, coalesce(h.ends_at, h.start_at + h.duration_s * interval '1 second')
    + (h.grant_s + h.delay_s) * interval '1 second' AS deadline
  FROM held h
), done AS (
  UPDATE attempt a
  SET state = 'started', epoch = 1, writer = h.writer, started_at = h.start_at, by_code = h.by_code, delay_s = h.delay_s,
      deadline = h.deadline, section_ends = share_out(h.start_at, h.deadline, h.section_s)
  FROM due h
  WHERE a.district_id = h.district_id AND a.exam_day = :day AND a.attempt_id = h.attempt_id
    AND h.state = 'prepared' AND h.start_at >= h.opens_at AND statement_timestamp() >= h.opens_at
    AND (h.arrived_at <= h.closes_at OR h.by_code AND h.proved)
  RETURNING a.attempt_id, a.epoch, a.started_at, a.deadline, a.section_ends, a.grace_s, a.form_hash, a.seed, a.slot_id
)
SELECT attempt_id, epoch, started_at, deadline, section_ends, grace_s, form_hash, seed, slot_id FROM done
UNION ALL
SELECT attempt_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM held

-- name: attempts_now
-- The attempts as they are now, with the present watermark of their epoch, and the deadline and section ends of a start by code.
SELECT a.attempt_id, a.state, a.epoch, a.writer, a.started_at, a.deadline, a.section_ends, a.grace_s, a.form_hash, a.seed,
  a.opens_at, a.closes_at, a.slot_id, a.takeovers_left, code.deadline AS code_deadline,
  share_out(a.opens_at, code.deadline, a.section_s) AS code_section_ends,
  greatest(coalesce((SELECT max(m.seq) FROM answer m WHERE m.district_id = a.district_id AND m.exam_day = :day
                       AND m.attempt_id = a.attempt_id AND m.epoch = a.epoch), 0),
           coalesce((SELECT max(m.seq) FROM quarantine m WHERE m.district_id = a.district_id AND m.exam_day = :day
                       AND m.attempt_id = a.attempt_id AND m.epoch = a.epoch), 0)) AS watermark
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
CROSS JOIN LATERAL (
  SELECT coalesce(a.ends_at, a.opens_at + a.duration_s * interval '1 second') + a.grant_s * interval '1 second' AS deadline
) code

-- name: note_takeover
-- Notes, for an exam that records it, the change of device that the take-over in this transaction makes.
INSERT INTO event (district_id, exam_day, attempt_id, page, event_no, kind, arrived_at, age_ms)
SELECT a.district_id, a.exam_day, a.attempt_id, 0, a.epoch + 1, 'device', statement_timestamp(), 0
FROM attempt a
JOIN slot s ON s.slot_id = a.slot_id
JOIN exam x ON x.exam_id = s.exam_id
WHERE a.district_id = :district_id AND a.exam_day = :day AND a.attempt_id = :attempt_id AND a.state = 'started'
  AND a.writer <> :writer AND 'device' = ANY (x.records)
ON CONFLICT DO NOTHING

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
