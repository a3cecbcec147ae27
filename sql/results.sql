-- name: claim_submissions
-- Leases submissions that are to be graded, the longest waiting first, all of one form and day.
-- What was tried before comes in ever smaller rounds, so that an attempt that kills its grader is soon alone.
WITH next AS (
  SELECT s.form_hash, s.exam_day, s.tries FROM submission s
  WHERE s.digest IS NOT NULL AND s.graded_at IS NULL AND s.tries < :most_tries
    AND (s.leased_until IS NULL OR s.leased_until < now())
  ORDER BY s.tries, s.ended_at LIMIT 1
), claimed AS MATERIALIZED (
  SELECT s.district_id, s.exam_day, s.attempt_id
  FROM submission s JOIN next n ON n.form_hash = s.form_hash AND n.exam_day = s.exam_day AND n.tries = s.tries
  WHERE s.digest IS NOT NULL AND s.graded_at IS NULL AND (s.leased_until IS NULL OR s.leased_until < now())
  ORDER BY s.ended_at
  LIMIT greatest(1, :most::int >> 3 * (SELECT tries FROM next))
  FOR NO KEY UPDATE OF s SKIP LOCKED
)
UPDATE submission s
SET lease = :lease, leased_until = now() + :seconds * interval '1 second', tries = s.tries + 1
FROM claimed c
WHERE s.district_id = c.district_id AND s.exam_day = c.exam_day AND s.attempt_id = c.attempt_id
RETURNING s.district_id, s.exam_day, s.attempt_id, s.form_hash, s.salt, s.digest, s.tries

-- name: find_form_to_grade
-- A form's paper, the newest version of its key, item by item, and the exam's marking scheme.
SELECT f.paper, e.scheme, k.key_version, array_agg(k.key ORDER BY k.item_no) AS keys
FROM form f JOIN exam e USING (exam_id) JOIN form_key k USING (form_hash)
WHERE f.form_hash = :form_hash AND k.key_version = (SELECT max(key_version) FROM form_key WHERE form_hash = :form_hash)
GROUP BY f.form_hash, f.paper, e.scheme, k.key_version

-- name: store_results
-- Stores results and closes their submissions, but only where the lease is still ours: a grader that was given up for dead
-- changes nothing. How many.
WITH graded AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :totals::numeric[], :maxima::numeric[], :details::jsonb[])
    AS r(district_id, attempt_id, total, maximum, detail)
), ours AS (
  UPDATE submission s SET graded_at = now(), lease = NULL, leased_until = NULL, failure = NULL
  FROM graded g
  WHERE s.district_id = g.district_id AND s.exam_day = :day AND s.attempt_id = g.attempt_id AND s.lease = :lease
    AND s.graded_at IS NULL
  RETURNING s.district_id, s.attempt_id
)
INSERT INTO result (district_id, exam_day, attempt_id, key_version, total, maximum, detail)
SELECT g.district_id, :day, g.attempt_id, :key_version, g.total, g.maximum, g.detail
FROM graded g JOIN ours o USING (district_id, attempt_id)
ON CONFLICT (district_id, exam_day, attempt_id, key_version)
DO UPDATE SET total = excluded.total, maximum = excluded.maximum, detail = excluded.detail, graded_at = now()

-- name: close_graded
-- Calls attempts graded whose results are stored. In the transaction of store_results but a statement of its own: where that
-- one met a row that somebody had changed, PostgreSQL 18 finds no partition for the rest of it.
UPDATE attempt a SET state = 'graded'
FROM unnest(:districts::smallint[], :attempts::bigint[]) AS r(district_id, attempt_id)
JOIN submission s ON s.district_id = r.district_id AND s.exam_day = :day AND s.attempt_id = r.attempt_id
WHERE a.district_id = r.district_id AND a.exam_day = :day AND a.attempt_id = r.attempt_id
  AND a.state IN ('submitted', 'sealed') AND s.graded_at IS NOT NULL

-- name: give_up
-- Notes why a submission could not be graded; it is tried again until its tries are used up, then a person has to look.
UPDATE submission SET failure = :failure, lease = NULL, leased_until = now() + tries * interval '5 seconds'
WHERE district_id = :district_id AND exam_day = :day AND attempt_id = :attempt_id AND lease = :lease

-- name: grading_ages
-- How many submissions wait for their grade and for how many seconds the oldest has; those that need a person apart.
SELECT count(*) FILTER (WHERE tries < :most_tries) AS waiting,
  coalesce(extract(epoch FROM now() - min(ended_at) FILTER (WHERE tries < :most_tries)), 0)::float8 AS oldest,
  count(*) FILTER (WHERE tries >= :most_tries) AS needs_attention
FROM submission WHERE graded_at IS NULL

-- name: count_overdue
-- How many attempts run on although the sweeper should have ended them; the same condition as in seal_due.
SELECT count(*) AS attempts FROM attempt
WHERE state = 'started' AND deadline < now() - grace_s * interval '1 second' - :oldest * interval '1 second'

-- name: count_states
-- How many attempts of these days are in which state.
SELECT state, count(*) AS attempts FROM attempt WHERE exam_day >= :since GROUP BY state

-- name: list_results
-- The results of a slot with their candidates, by registration; after a registration, at most :most. While people have
-- something to mark (`unmarked`) there is no total.
SELECT c.registration, c.name, a.state, CASE WHEN r.detail -> 'unmarked' IS NULL THEN r.total END AS total, r.maximum,
  r.detail -> 'unmarked' IS NOT NULL AS unmarked, r.detail -> 'sections' AS sections, s.ended_by, s.ended_at
FROM attempt a
JOIN candidate c ON c.district_id = a.district_id AND c.candidate_id = a.candidate_id
LEFT JOIN submission s ON s.district_id = a.district_id AND s.exam_day = a.exam_day AND s.attempt_id = a.attempt_id
LEFT JOIN LATERAL (
  SELECT total, maximum, detail FROM result r
  WHERE r.district_id = a.district_id AND r.exam_day = a.exam_day AND r.attempt_id = a.attempt_id
  ORDER BY r.key_version DESC LIMIT 1
) r ON true
WHERE a.district_id = :district_id AND a.exam_day = :day AND a.slot_id = :slot_id AND c.registration > :after
ORDER BY c.registration
LIMIT :most

-- name: find_slot_day
-- The district and day of a slot.
SELECT district_id, exam_day FROM slot WHERE slot_id = :slot_id
