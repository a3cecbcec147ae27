-- name: find_analysed_exam
-- A frozen exam of some districts or a shared one, with how many attempts of a district are graded, and its analysis without
-- anything that tells a key; null fields where nobody has asked for one yet. What was asked for long ago is lost, no worker ran.
SELECT e.exam_id, e.title, a.wanted_at, a.made_at, a.failure, a.figures,
  a.wanted_at IS NOT NULL AND (a.made_at IS NULL OR a.made_at < a.wanted_at) AND a.failure IS NULL
    AND a.wanted_at > now() - interval '30 minutes' AS waits,
  (SELECT count(*) FROM slot s JOIN attempt t ON t.district_id = s.district_id AND t.exam_day = s.exam_day AND t.slot_id = s.slot_id
   WHERE s.exam_id = e.exam_id AND s.district_id = :district_id AND t.state IN ('graded', 'released')) AS graded
FROM exam e
LEFT JOIN analysis a ON a.exam_id = e.exam_id AND a.district_id = :district_id
WHERE e.exam_id = :exam_id AND e.frozen_at IS NOT NULL AND (e.district_id IS NULL OR e.district_id = :district_id)

-- name: list_analysed_exams
-- The frozen exams that have a slot in a district, newest first, with when their analysis was made; at most 200.
SELECT e.exam_id, e.title, a.made_at
FROM exam e
LEFT JOIN analysis a ON a.exam_id = e.exam_id AND a.district_id = :district_id
WHERE e.frozen_at IS NOT NULL AND (e.district_id IS NULL OR e.district_id = :district_id)
  AND EXISTS (SELECT FROM slot s WHERE s.exam_id = e.exam_id AND s.district_id = :district_id)
ORDER BY e.exam_id DESC
LIMIT 200

-- name: want_analysis
-- Asks for an analysis, or for a new one some seconds after the last was asked for, if that was made, given up or lost.
INSERT INTO analysis AS a (exam_id, district_id) VALUES (:exam_id, :district_id)
ON CONFLICT (exam_id, district_id) DO UPDATE SET wanted_at = now(), tries = 0, failure = NULL
WHERE a.wanted_at < now() - :seconds * interval '1 second' AND (a.made_at >= a.wanted_at OR a.failure IS NOT NULL OR a.wanted_at < now() - interval '30 minutes')

-- name: list_asked_items
-- The items of all forms of an exam as candidates see them, each once.
SELECT DISTINCT ON (v.item_id, v.version) v.item_id, v.version, i.code, v.body
FROM form f
JOIN form_item m USING (form_hash)
JOIN item_version v ON v.item_id = m.item_id AND v.version = m.version
JOIN item i ON i.item_id = m.item_id
WHERE f.exam_id = :exam_id
ORDER BY v.item_id, v.version

-- name: find_option_figures
-- What was chosen in the items of an exam, and what is right; for the author's role.
SELECT a.options FROM analysis a WHERE a.exam_id = :exam_id AND a.district_id = :district_id AND a.options IS NOT NULL
