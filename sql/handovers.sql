-- name: find_brought
-- Whose an attempt of a slot in some districts is, with the highest row held in each of its epochs, counted or kept.
SELECT a.candidate_id, c.registration, c.name, h.held
FROM attempt a
JOIN candidate c ON c.district_id = a.district_id AND c.candidate_id = a.candidate_id
CROSS JOIN LATERAL (
  SELECT coalesce(jsonb_object_agg(m.epoch, m.seq), '{}') AS held
  FROM (
    SELECT r.epoch, max(r.seq) AS seq
    FROM (
      SELECT p.epoch, p.seq FROM answer p
      WHERE p.district_id = :district_id AND p.exam_day = :day AND p.attempt_id = :attempt_id
      UNION ALL
      SELECT q.epoch, q.seq FROM quarantine q
      WHERE q.district_id = :district_id AND q.exam_day = :day AND q.attempt_id = :attempt_id
    ) r
    GROUP BY r.epoch
  ) m
) h
WHERE a.district_id = :district_id AND a.exam_day = :day AND a.attempt_id = :attempt_id AND a.slot_id = :slot_id
  AND a.district_id = ANY (:scope::smallint[])
