-- name: add_slot
-- A new slot; its number.
INSERT INTO slot (district_id, exam_id, hall, opens_at, closes_at, ends_at, exam_day, capacity)
VALUES (:district_id, :exam_id, :hall, :opens_at, :closes_at, :ends_at, :exam_day, :capacity)
RETURNING slot_id

-- name: list_slots_from
-- The slots of some districts from a day on, or all where there is none, by their opening; of at most 500.
SELECT s.slot_id, s.district_id, d.name AS district, s.exam_id, e.title, s.hall, s.opens_at, s.closes_at, s.ends_at,
  s.exam_day, s.capacity, s.booked, s.pinned_at, s.released_at
FROM slot s
JOIN exam e USING (exam_id)
JOIN district d ON d.district_id = s.district_id
WHERE s.district_id = ANY (:scope::smallint[]) AND (:day::date IS NULL OR s.exam_day >= :day)
ORDER BY s.opens_at, s.slot_id
LIMIT 500

-- name: find_slot
-- A slot of some districts with its exam's title and rules; `timed` is whether the sections have their own time.
SELECT s.slot_id, s.district_id, d.name AS district, s.exam_id, e.title, e.duration_s, e.grace_s, e.device_changes,
  coalesce(e.blueprint ->> 'navigation', 'free') AS navigation, e.blueprint #>> '{sections,0,minutes}' IS NOT NULL AS timed,
  s.hall, s.opens_at, s.closes_at, s.ends_at, s.exam_day, s.capacity, s.booked, s.pinned_at, s.released_at
FROM slot s
JOIN exam e USING (exam_id)
JOIN district d ON d.district_id = s.district_id
WHERE s.slot_id = :slot_id AND s.district_id = ANY (:scope::smallint[])

-- name: count_slot
-- A slot of some districts with its exam, its forms and its attempts by state.
SELECT s.slot_id, s.district_id, d.name AS district, s.exam_id, e.title, e.duration_s, e.grace_s, e.device_changes,
  s.hall, s.opens_at, s.closes_at, s.ends_at, s.exam_day, s.capacity, s.booked, s.pinned_at, s.released_at,
  (SELECT count(*) FROM form f WHERE f.exam_id = s.exam_id) AS forms, n.prepared, n.states, n.by_code
FROM slot s
JOIN exam e USING (exam_id)
JOIN district d ON d.district_id = s.district_id
CROSS JOIN LATERAL (
  SELECT coalesce(sum(g.attempts), 0)::int AS prepared, coalesce(jsonb_object_agg(g.state, g.attempts), '{}') AS states,
    coalesce(sum(g.by_code), 0)::int AS by_code
  FROM (SELECT a.state, count(*) AS attempts, count(*) FILTER (WHERE a.by_code) AS by_code FROM attempt a
        WHERE a.district_id = s.district_id AND a.exam_day = s.exam_day AND a.slot_id = s.slot_id
        GROUP BY a.state) g
) n
WHERE s.slot_id = :slot_id AND s.district_id = ANY (:scope::smallint[])

-- name: list_district_batches
-- The batches of some districts with how many candidates are in each; at most 2,000.
SELECT b.batch_id, b.district_id, b.name,
  (SELECT count(*) FROM candidate c WHERE c.district_id = b.district_id AND c.batch_id = b.batch_id) AS candidates
FROM batch b
WHERE b.district_id = ANY (:scope::smallint[])
ORDER BY b.district_id, b.name
LIMIT 2000

-- name: lock_slot
-- A slot of some districts, locked: bookings, the pin and the release of a slot follow each other.
SELECT s.slot_id, s.district_id, s.exam_id, s.opens_at, s.closes_at, s.ends_at, s.exam_day, s.capacity, s.booked,
  s.pinned_at, s.released_at, e.duration_s, s.closes_at <= now() AS over,
  (SELECT count(*) FROM form f WHERE f.exam_id = s.exam_id) AS forms
FROM slot s
JOIN exam e USING (exam_id)
WHERE s.slot_id = :slot_id AND s.district_id = ANY (:scope::smallint[])
FOR NO KEY UPDATE OF s

-- name: find_batch
-- A batch of a district.
SELECT name FROM batch WHERE batch_id = :batch_id AND district_id = :district_id

-- name: lock_batch
-- The candidates of a batch, locked in the order of their numbers.
SELECT candidate_id, registration, name, extra_time_pct FROM candidate
WHERE district_id = :district_id AND batch_id = :batch_id
ORDER BY candidate_id
FOR NO KEY UPDATE

-- name: list_engagements
-- Where some candidates are booked in slots that open within two days of a moment.
SELECT b.candidate_id, b.extra_time_pct, s.slot_id, s.hall, s.opens_at, s.closes_at, s.ends_at, e.duration_s
FROM booking b
JOIN slot s ON s.slot_id = b.slot_id AND s.district_id = b.district_id
JOIN exam e USING (exam_id)
WHERE b.district_id = :district_id AND b.candidate_id = ANY (:candidates::bigint[])
  AND s.opens_at BETWEEN :opens_at::timestamptz - interval '2 days' AND :opens_at + interval '2 days'
ORDER BY b.candidate_id, s.opens_at, s.slot_id

-- name: add_bookings
-- Seats for some candidates; a candidate of another district breaks the foreign key.
INSERT INTO booking (district_id, slot_id, candidate_id)
SELECT :district_id, :slot_id, candidate_id FROM unnest(:candidates::bigint[]) AS candidate_id

-- name: take_seats
-- Counts seats as taken; more than there are break the table's check.
UPDATE slot SET booked = booked + :seats WHERE district_id = :district_id AND slot_id = :slot_id

-- name: find_longest_allowance
-- The greatest extra time, in percent, of anybody who is booked into a slot; no row where nobody is.
SELECT greatest(b.extra_time_pct, c.extra_time_pct)::int AS extra_time_pct
FROM booking b
JOIN candidate c ON c.district_id = b.district_id AND c.candidate_id = b.candidate_id
WHERE b.district_id = :district_id AND b.slot_id = :slot_id
ORDER BY 1 DESC LIMIT 1

-- name: count_beside
-- How many attempts of all districts are pinned into a span of time.
SELECT count_overlapping(:opens_at, :ends_at) AS attempts

-- name: prepare_attempts
-- An attempt for everybody who is booked: forms dealt round over the candidates in random order, with all that a start
-- needs. The seed only orders options and goes to the browser anyway, so it may come from an ordinary random().
-- An allowance also moves a common end. Parts of a second are rounded up.
WITH dealt AS (
  SELECT b.district_id, b.slot_id, b.candidate_id, greatest(b.extra_time_pct, c.extra_time_pct)::int AS extra,
    row_number() OVER (ORDER BY random()) AS place
  FROM booking b
  JOIN candidate c ON c.district_id = b.district_id AND c.candidate_id = b.candidate_id
  WHERE b.district_id = :district_id AND b.slot_id = :slot_id
), deck AS (
  SELECT f.form_hash, row_number() OVER (ORDER BY f.form_no) - 1 AS place, count(*) OVER () AS forms
  FROM form f
  JOIN slot s USING (exam_id)
  WHERE s.district_id = :district_id AND s.slot_id = :slot_id
), timed AS (
  SELECT array_agg((n.section ->> 'minutes')::int * 60 ORDER BY n.place) AS section_s
  FROM slot s
  JOIN exam e USING (exam_id)
  CROSS JOIN LATERAL jsonb_array_elements(e.blueprint -> 'sections') WITH ORDINALITY AS n(section, place)
  WHERE s.district_id = :district_id AND s.slot_id = :slot_id AND n.section ->> 'minutes' IS NOT NULL
)
INSERT INTO attempt (district_id, exam_day, slot_id, candidate_id, form_hash, seed, opens_at, closes_at, ends_at,
                     duration_s, section_s, grace_s, takeovers_left)
SELECT s.district_id, s.exam_day, s.slot_id, d.candidate_id, deck.form_hash, floor(random() * 4294967296)::bigint,
  s.opens_at, s.closes_at, s.ends_at + ceil(e.duration_s * d.extra / 100.0)::int * interval '1 second',
  ceil(e.duration_s * (100 + d.extra) / 100.0)::int, timed.section_s, e.grace_s, e.device_changes
FROM dealt d
CROSS JOIN timed
JOIN slot s ON s.district_id = d.district_id AND s.slot_id = d.slot_id
JOIN exam e USING (exam_id)
JOIN deck ON deck.place = d.place % deck.forms

-- name: mark_pinned
-- From now on nobody can be booked.
UPDATE slot SET pinned_at = now() WHERE district_id = :district_id AND slot_id = :slot_id AND pinned_at IS NULL

-- name: count_unfinished
-- What keeps the results of a slot back: who is working, what is not graded and how much of that failed, and whose newest
-- result still waits for people to mark something.
SELECT
  count(*) FILTER (WHERE a.state = 'started') AS started,
  count(*) FILTER (WHERE a.state NOT IN ('prepared', 'started') AND u.graded_at IS NULL) AS ungraded,
  count(*) FILTER (WHERE a.state NOT IN ('prepared', 'started') AND u.graded_at IS NULL AND u.failure IS NOT NULL) AS failed,
  count(*) FILTER (WHERE a.state = 'graded' AND r.waits) AS unmarked
FROM attempt a
LEFT JOIN LATERAL (
  SELECT s.graded_at, s.failure FROM submission s
  WHERE s.district_id = :district_id AND s.exam_day = :day AND s.attempt_id = a.attempt_id
  LIMIT 1  -- keeps the planner at one look-up per attempt, also before the table's first statistics
) u ON true
LEFT JOIN LATERAL (
  SELECT r.detail -> 'unmarked' IS NOT NULL AS waits FROM result r
  WHERE r.district_id = :district_id AND r.exam_day = :day AND r.attempt_id = a.attempt_id
  ORDER BY r.key_version DESC LIMIT 1
) r ON true
WHERE a.district_id = :district_id AND a.exam_day = :day AND a.slot_id = :slot_id

-- name: release_graded
-- From now on every candidate of a slot whose attempt is graded sees the result. Not one that waits for people to mark
-- something, should it have come since they were counted.
UPDATE attempt a SET state = 'released'
WHERE a.district_id = :district_id AND a.exam_day = :day AND a.slot_id = :slot_id AND a.state = 'graded'
  AND NOT coalesce((
    SELECT r.detail -> 'unmarked' IS NOT NULL FROM result r
    WHERE r.district_id = :district_id AND r.exam_day = :day AND r.attempt_id = a.attempt_id
    ORDER BY r.key_version DESC LIMIT 1
  ), false)

-- name: mark_released
-- Remembers the first release of a slot.
UPDATE slot SET released_at = coalesce(released_at, now()) WHERE district_id = :district_id AND slot_id = :slot_id
