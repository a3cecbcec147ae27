-- name: add_time
-- Gives time to those of a slot (or one of them) who have not ended: what they have been given grows, and so does the
-- deadline of those who run. Where sections have their own time it goes to the one that is open now: what has ended stays
-- so, what is to come begins later and lasts as long. Locked in order, so that two grants, or a grant and a save, never wait for each other in a
-- ring; whoever is sealed or submits meanwhile is left out. How many there are, how many it changed, and who it is.
WITH held AS MATERIALIZED (
  SELECT a.attempt_id, a.candidate_id FROM attempt a
  WHERE a.district_id = :district_id AND a.exam_day = :day AND a.slot_id = :slot_id
    AND (:attempt_id::bigint IS NULL OR a.attempt_id = :attempt_id)
  ORDER BY a.attempt_id
  FOR NO KEY UPDATE
), given AS (
  UPDATE attempt a
  SET grant_s = a.grant_s + :seconds::int, deadline = a.deadline + :seconds::int * interval '1 second',
      section_ends = (
        SELECT array_agg(CASE WHEN n.ends > statement_timestamp() OR n.place = cardinality(a.section_ends)
                              THEN n.ends + :seconds::int * interval '1 second' ELSE n.ends END ORDER BY n.place)
        FROM unnest(a.section_ends) WITH ORDINALITY AS n(ends, place)
      )
  FROM held h
  WHERE a.district_id = :district_id AND a.exam_day = :day AND a.attempt_id = h.attempt_id
    AND a.state IN ('prepared', 'started')
  RETURNING a.attempt_id
)
SELECT (SELECT count(*) FROM held) AS found, (SELECT count(*) FROM given) AS changed,
  (SELECT min(h.candidate_id) FROM held h) AS candidate_id

-- name: add_grant
-- Remembers time given to one attempt, or to a whole slot.
INSERT INTO time_grant (district_id, slot_id, attempt_id, seconds, reason, staff_id)
VALUES (:district_id, :slot_id, :attempt_id, :seconds, :reason, :staff_id)

-- name: allow_takeover
-- One more change of device for a running attempt, up to a number that may lie open.
UPDATE attempt SET takeovers_left = takeovers_left + 1
WHERE district_id = :district_id AND exam_day = :day AND slot_id = :slot_id AND attempt_id = :attempt_id
  AND state = 'started' AND takeovers_left < :most
RETURNING candidate_id, takeovers_left

-- name: find_sitter
-- The state of an attempt of a slot.
SELECT state, takeovers_left FROM attempt
WHERE district_id = :district_id AND exam_day = :day AND slot_id = :slot_id AND attempt_id = :attempt_id

-- name: list_slot_grants
-- The time given in a slot, newest first, with to whom, by whom and why; of at most 500.
SELECT g.grant_id, g.granted_at, g.seconds, g.reason, g.attempt_id, c.registration, c.name, t.name AS staff_name
FROM time_grant g
JOIN staff t USING (staff_id)
LEFT JOIN attempt a ON a.district_id = g.district_id AND a.exam_day = :day AND a.attempt_id = g.attempt_id
LEFT JOIN candidate c ON c.district_id = a.district_id AND c.candidate_id = a.candidate_id
WHERE g.district_id = :district_id AND g.slot_id = :slot_id
ORDER BY g.grant_id DESC
LIMIT 500
