-- name: save_answers
-- Takes the rows that count: their attempt runs, in this epoch, they arrived in time (where sections have their own time: in that
-- of theirs; section 0 is none), and the row before each request is held.
-- There are no gaps, so whatever is not above the highest row in quarantine is held: it is no new row, even if time was given
-- since, and needs no look for the one before.
-- Locked attempts are skipped and come again. The share lock keeps a submit, a seal or a take-over from committing in
-- between. Returns a line per attempt that could be looked at (seq 0, with its deadline and the ends of sections that have their own
-- time) and a line per row taken.
WITH req AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :epochs::smallint[], :firsts::int[], :ages::real[],
                       :seqs::int[], :items::smallint[], :sections::smallint[], :responses::text[], :flags::boolean[],
                       :client_ms::bigint[])
    AS r(district_id, attempt_id, epoch, first, age, seq, item, section, response, flag, client_ms)
), held AS MATERIALIZED (
  SELECT r.*, statement_timestamp() - r.age * interval '1 second' AS arrived_at,
         a.state, a.epoch AS open_epoch, a.deadline, a.grace_s, a.section_ends
  FROM req r
  JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
  FOR SHARE OF a SKIP LOCKED
), taken AS (
  INSERT INTO answer (district_id, exam_day, attempt_id, epoch, seq, item, response, flag, client_ms, arrived_at)
  SELECT h.district_id, :day, h.attempt_id, h.epoch, h.seq, h.item, h.response, h.flag, h.client_ms, h.arrived_at
  FROM held h
  CROSS JOIN LATERAL (
    SELECT coalesce(max(q.seq), 0) AS kept FROM quarantine q WHERE q.district_id = h.district_id AND q.exam_day = :day
      AND q.attempt_id = h.attempt_id AND q.epoch = h.epoch
  ) k
  WHERE h.state = 'started' AND h.epoch = h.open_epoch
    AND h.arrived_at <= coalesce(h.section_ends[h.section], h.deadline) + h.grace_s * interval '1 second'
    AND coalesce(h.arrived_at >= h.section_ends[h.section - 1], true)
    AND h.seq > k.kept
    AND (h.first <= k.kept + 1
      OR EXISTS (SELECT FROM answer p WHERE p.district_id = h.district_id AND p.exam_day = :day
                   AND p.attempt_id = h.attempt_id AND p.epoch = h.epoch AND p.seq = h.first - 1))
  ON CONFLICT DO NOTHING
  RETURNING attempt_id, seq
)
SELECT attempt_id, 0 AS seq, deadline, section_ends FROM held WHERE seq = first
UNION ALL
SELECT attempt_id, seq, NULL, NULL FROM taken

-- name: hold_attempts
-- Holds attempts as they are until the end of the transaction, and waits for those who are taking rows of them: of two copies of a
-- row one may have come in time and the other too late, and no row may count and be kept. A statement of its own: whoever waits for a lock and looks in
-- the same statement looks with eyes from before the wait, and PostgreSQL 18 then finds nothing at all in a table that is
-- partitioned twice (its recheck of the changed row spoils the choice of partitions for the rest of a generic plan).
SELECT a.attempt_id
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
ORDER BY a.attempt_id
FOR NO KEY UPDATE OF a

-- name: look_again
-- Under the lock of hold_attempts: says what became of rows that were not taken, and keeps in quarantine those that came too late, from a device that is
-- no longer the writer, outside the time of their section, or after the end. Rows of epoch 0, written by code before any start was heard of, never count: they wait
-- for a start while time runs, and are kept. Run until it changes nothing it gives the same verdicts: counted, kept, conflict, gap,
-- not_started, unknown_epoch, too_many_kept, or again for a row that should count after all. While one row of a request is to come
-- again none of them is kept: what is below the highest row in quarantine passes for held.
WITH req AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :epochs::smallint[], :firsts::int[], :ages::real[],
                       :seqs::int[], :items::smallint[], :sections::smallint[], :responses::text[], :flags::boolean[],
                       :client_ms::bigint[])
    AS r(district_id, attempt_id, epoch, first, age, seq, item, section, response, flag, client_ms)
), held AS MATERIALIZED (
  SELECT r.*, statement_timestamp() - r.age * interval '1 second' AS arrived_at,
         a.state, a.epoch AS open_epoch, a.grace_s, a.section_ends, coalesce(a.deadline, coalesce(a.ends_at,
           a.opens_at + a.duration_s * interval '1 second') + a.grant_s * interval '1 second') AS deadline
  FROM req r
  JOIN attempt a ON a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
), known AS MATERIALIZED (
  SELECT h.*,
    p.seq IS NOT NULL AS is_answer,
    q.reason AS kept_for,
    CASE WHEN p.seq IS NOT NULL THEN (p.item, p.response, p.flag) = (h.item, h.response, h.flag)
         ELSE (q.item, q.response, q.flag) = (h.item, h.response, h.flag) END AS same,
    greatest(coalesce((SELECT max(m.seq) FROM answer m WHERE m.district_id = h.district_id AND m.exam_day = :day
                         AND m.attempt_id = h.attempt_id AND m.epoch = h.epoch), 0),
             coalesce((SELECT max(m.seq) FROM quarantine m WHERE m.district_id = h.district_id AND m.exam_day = :day
                         AND m.attempt_id = h.attempt_id AND m.epoch = h.epoch), 0)) AS watermark,
    (SELECT count(*) FROM quarantine m WHERE m.district_id = h.district_id AND m.exam_day = :day
       AND m.attempt_id = h.attempt_id) AS kept_rows
  FROM held h
  LEFT JOIN answer p ON p.district_id = h.district_id AND p.exam_day = :day AND p.attempt_id = h.attempt_id
    AND p.epoch = h.epoch AND p.seq = h.seq
  LEFT JOIN quarantine q ON q.district_id = h.district_id AND q.exam_day = :day AND q.attempt_id = h.attempt_id
    AND q.epoch = h.epoch AND q.seq = h.seq
), verdict AS MATERIALIZED (
  SELECT k.*, CASE
    WHEN is_answer AND same THEN 'counted'
    WHEN kept_for IS NOT NULL AND same THEN 'kept'
    WHEN is_answer OR kept_for IS NOT NULL THEN 'conflict'
    WHEN state = 'prepared' AND (epoch > 0 OR arrived_at <= deadline + grace_s * interval '1 second') THEN 'not_started'
    WHEN epoch > open_epoch THEN 'unknown_epoch'
    WHEN first > watermark + 1 THEN 'gap'
    WHEN state = 'started' AND epoch = open_epoch
      AND arrived_at <= coalesce(section_ends[section], deadline) + grace_s * interval '1 second'
      AND coalesce(arrived_at >= section_ends[section - 1], true) THEN 'again'
    WHEN kept_rows >= :most_kept::int THEN 'too_many_kept'
    ELSE 'keep' END AS verdict,
    CASE WHEN kept_for IS NOT NULL THEN kept_for
         WHEN state = 'prepared' THEN 'late'
         WHEN epoch < open_epoch THEN 'stale_device'
         WHEN state <> 'started' THEN 'closed'
         WHEN arrived_at > deadline + grace_s * interval '1 second' THEN 'late'
         ELSE 'section' END AS reason
  FROM known k
), kept AS (
  INSERT INTO quarantine (district_id, exam_day, attempt_id, epoch, seq, item, response, flag, client_ms, arrived_at, reason)
  SELECT district_id, :day, attempt_id, epoch, seq, item, response, flag, client_ms, arrived_at, reason
  FROM verdict v
  WHERE verdict = 'keep' AND NOT EXISTS (SELECT FROM verdict o WHERE o.attempt_id = v.attempt_id AND o.verdict = 'again')
  ON CONFLICT DO NOTHING
  RETURNING attempt_id, seq
)
SELECT v.attempt_id, v.seq, v.deadline, v.section_ends, v.watermark, v.reason,
  CASE WHEN v.verdict <> 'keep' THEN v.verdict
       WHEN EXISTS (SELECT FROM kept k WHERE k.attempt_id = v.attempt_id AND k.seq = v.seq) THEN 'kept'
       ELSE 'again' END AS verdict
FROM verdict v

-- name: final_answers
-- What counts of each attempt: for every item the row with the highest epoch and seq, by attempt and item.
SELECT r.attempt_id, f.item, f.epoch, f.seq, f.response, f.flag
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
CROSS JOIN LATERAL (
  SELECT DISTINCT ON (a.item) a.item, a.epoch, a.seq, a.response, a.flag
  FROM answer a
  WHERE a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id AND a.item > 0
  ORDER BY a.item, a.epoch DESC, a.seq DESC
) f

-- name: list_quarantine
-- The rows of a slot that do not count, newest first, with what arrived when and whose they are; at most 500.
SELECT q.attempt_id, c.registration, c.name, q.epoch, q.seq, q.item, q.response, q.reason, q.arrived_at, q.client_ms
FROM quarantine q
JOIN attempt a USING (district_id, exam_day, attempt_id)
JOIN candidate c ON c.district_id = a.district_id AND c.candidate_id = a.candidate_id
WHERE q.district_id = :district_id AND q.exam_day = :day AND a.slot_id = :slot_id
ORDER BY q.arrived_at DESC, q.attempt_id, q.epoch, q.seq
LIMIT 500
