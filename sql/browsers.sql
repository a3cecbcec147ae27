-- name: list_locked
-- The slots of these days whose exams ask for Safe Exam Browser, with the keys of which one has to be shown.
SELECT s.slot_id, x.config_keys, x.browser_keys
FROM exam x
JOIN slot s ON s.exam_id = x.exam_id
WHERE (x.config_keys <> '{}' OR x.browser_keys <> '{}') AND s.exam_day > current_date - 7
