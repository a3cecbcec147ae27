-- name: claim_analysis
-- Leases the analysis that has waited longest; none where nobody waits for one. What was tried too often is left alone.
UPDATE analysis a SET leased_until = now() + :seconds * interval '1 second', tries = a.tries + 1
FROM (
  SELECT exam_id, district_id FROM analysis
  WHERE (made_at IS NULL OR made_at < wanted_at) AND failure IS NULL AND tries < :most_tries
    AND (leased_until IS NULL OR leased_until < now())
  ORDER BY wanted_at LIMIT 1
  FOR NO KEY UPDATE SKIP LOCKED
) next
WHERE a.exam_id = next.exam_id AND a.district_id = next.district_id
RETURNING a.exam_id, a.district_id, a.tries

-- name: list_forms_with_keys
-- The forms of an exam, each with its paper, and the names of its items and their newest keys, place by place.
SELECT f.form_hash, f.form_no, f.paper,
  array_agg(m.item_id || '.' || m.version ORDER BY m.item_no) AS names,
  array_agg(k.key ORDER BY m.item_no) AS keys
FROM form f
JOIN form_item m USING (form_hash)
JOIN form_key k ON k.form_hash = m.form_hash AND k.item_no = m.item_no
WHERE f.exam_id = :exam_id AND k.key_version = (SELECT max(n.key_version) FROM form_key n WHERE n.form_hash = f.form_hash)
GROUP BY f.form_hash, f.form_no, f.paper
ORDER BY f.form_no

-- name: list_graded
-- The graded attempts of a district at an exam: their newest result, what counted of their answers, their candidate's
-- language. To be read through a cursor.
SELECT t.form_hash, c.language, r.detail ->> 'total' AS total, r.detail -> 'items' AS items,
  r.detail -> 'unmarked' IS NOT NULL AS unmarked, f.places, f.responses
FROM slot s
JOIN attempt t ON t.district_id = s.district_id AND t.exam_day = s.exam_day AND t.slot_id = s.slot_id
JOIN candidate c ON c.district_id = t.district_id AND c.candidate_id = t.candidate_id
CROSS JOIN LATERAL (
  SELECT n.detail FROM result n
  WHERE n.district_id = t.district_id AND n.exam_day = t.exam_day AND n.attempt_id = t.attempt_id
  ORDER BY n.key_version DESC LIMIT 1
) r
CROSS JOIN LATERAL (
  SELECT coalesce(array_agg(n.item), '{}') AS places, coalesce(array_agg(n.response), '{}') AS responses
  FROM (
    SELECT DISTINCT ON (w.item) w.item, w.response FROM answer w
    WHERE w.district_id = t.district_id AND w.exam_day = t.exam_day AND w.attempt_id = t.attempt_id AND w.item > 0
    ORDER BY w.item, w.epoch DESC, w.seq DESC
  ) n
) f
WHERE s.exam_id = :exam_id AND s.district_id = :district_id AND t.state IN ('graded', 'released')

-- name: store_analysis
-- The analysis that was asked for.
UPDATE analysis SET figures = :figures, options = :options, made_at = now(), leased_until = NULL, failure = NULL
WHERE exam_id = :exam_id AND district_id = :district_id

-- name: give_up_analysis
-- Notes why an analysis could not be made; it is tried again when somebody asks again.
UPDATE analysis SET failure = :failure, leased_until = NULL WHERE exam_id = :exam_id AND district_id = :district_id
