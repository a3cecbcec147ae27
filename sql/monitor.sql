-- name: list_sitters
-- The attempts of a slot by registration, of at most 2,000, with the last save, what is held and what the end was.
SELECT a.attempt_id, c.registration, c.name, a.state, a.started_at, a.by_code, a.deadline, a.ended_at, a.grant_s, a.takeovers_left,
  a.epoch, h.last_save, h.saved, q.kept, v.noted, u.answered, u.ended_by, u.digest
FROM attempt a
JOIN candidate c ON c.district_id = :district_id AND c.candidate_id = a.candidate_id
CROSS JOIN LATERAL (
  SELECT max(p.arrived_at) AS last_save, count(*)::int AS saved FROM answer p
  WHERE p.district_id = :district_id AND p.exam_day = :day AND p.attempt_id = a.attempt_id
) h
CROSS JOIN LATERAL (
  SELECT count(*)::int AS kept FROM quarantine k
  WHERE k.district_id = :district_id AND k.exam_day = :day AND k.attempt_id = a.attempt_id
) q
CROSS JOIN LATERAL (
  SELECT count(*)::int AS noted FROM event e
  WHERE e.district_id = :district_id AND e.exam_day = :day AND e.attempt_id = a.attempt_id
) v
LEFT JOIN LATERAL (
  SELECT s.answered, s.ended_by, s.digest FROM submission s
  WHERE s.district_id = :district_id AND s.exam_day = :day AND s.attempt_id = a.attempt_id
  LIMIT 1  -- keeps the planner at one look-up per attempt, also before the table's first statistics
) u ON true
WHERE a.district_id = :district_id AND a.exam_day = :day AND a.slot_id = :slot_id
ORDER BY c.registration
LIMIT 2000

-- name: count_returns
-- How many answers of an attempt were changed or given after one to a later question. What was sent again under other numbers has
-- the time of the device that it had before, and is the same answer.
SELECT count(*)::int AS returns
FROM (
  SELECT f.item, max(f.item) OVER (ORDER BY f.epoch, f.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS furthest
  FROM (
    SELECT DISTINCT ON (p.item, p.client_ms) p.item, p.epoch, p.seq FROM answer p
    WHERE p.district_id = :district_id AND p.exam_day = :day AND p.attempt_id = :attempt_id AND p.item > 0
    ORDER BY p.item, p.client_ms, p.epoch, p.seq
  ) f
) g
WHERE g.item < g.furthest

-- name: count_sitters
-- How many are booked into a slot, and its attempts by state.
SELECT s.booked,
  count(a.attempt_id) FILTER (WHERE a.state = 'prepared') AS prepared,
  count(a.attempt_id) FILTER (WHERE a.state = 'started') AS started,
  count(a.attempt_id) FILTER (WHERE a.state = 'submitted') AS submitted,
  count(a.attempt_id) FILTER (WHERE a.state = 'sealed') AS sealed,
  count(a.attempt_id) FILTER (WHERE a.state = 'graded') AS graded,
  count(a.attempt_id) FILTER (WHERE a.state = 'released') AS released
FROM slot s
LEFT JOIN attempt a ON a.district_id = :district_id AND a.exam_day = :day AND a.slot_id = :slot_id
WHERE s.district_id = :district_id AND s.slot_id = :slot_id
GROUP BY s.slot_id
