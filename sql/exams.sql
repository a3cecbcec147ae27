-- name: list_usable_banks
-- The banks of some districts and the shared ones, or one of them, with how many items each section has.
SELECT b.bank_id, b.district_id, b.name, b.sections,
  coalesce((SELECT jsonb_object_agg(n.section, n.items)
            FROM (SELECT i.section, count(*) AS items FROM item i WHERE i.bank_id = b.bank_id GROUP BY i.section) n),
           '{}') AS counts
FROM bank b
WHERE (b.district_id IS NULL OR b.district_id = ANY (:scope::smallint[])) AND (:bank_id::int IS NULL OR b.bank_id = :bank_id)
ORDER BY b.name
LIMIT 200

-- name: add_exam
-- A new exam, not frozen yet; its number.
INSERT INTO exam (district_id, title, bank_id, duration_s, grace_s, device_changes, tools, records, blueprint, scheme)
VALUES (:district_id, :title, :bank_id, :duration_s, :grace_s, :device_changes, :tools, :records, :blueprint, :scheme)
RETURNING exam_id

-- name: list_newest_exams
-- The exams of some districts and the shared ones, newest first, of at most 200.
SELECT e.exam_id, e.district_id, e.title, e.duration_s, e.frozen_at, e.created_at, b.name AS bank,
  (SELECT count(*) FROM form f WHERE f.exam_id = e.exam_id) AS forms,
  (SELECT count(*) FROM slot s WHERE s.exam_id = e.exam_id AND s.district_id = ANY (:scope)) AS slots
FROM exam e
JOIN bank b USING (bank_id)
WHERE e.district_id IS NULL OR e.district_id = ANY (:scope::smallint[])
ORDER BY e.exam_id DESC
LIMIT 200

-- name: set_keys
-- Makes these the keys of Safe Exam Browser that an exam of a district asks for.
UPDATE exam SET config_keys = :config_keys::text[], browser_keys = :browser_keys::text[]
WHERE exam_id = :exam_id AND district_id = :district_id

-- name: find_exam
-- An exam of some districts or a shared one, with its bank.
SELECT e.exam_id, e.district_id, e.title, e.bank_id, e.duration_s, e.grace_s, e.device_changes, e.tools, e.records, e.blueprint,
  e.config_keys, e.browser_keys, e.scheme, e.frozen_at, e.created_at, b.name AS bank, b.sections,
  (SELECT count(*) FROM form f WHERE f.exam_id = e.exam_id) AS forms,
  (SELECT count(*) FROM slot s WHERE s.exam_id = e.exam_id AND s.district_id = ANY (:scope)) AS slots
FROM exam e
JOIN bank b USING (bank_id)
WHERE e.exam_id = :exam_id AND (e.district_id IS NULL OR e.district_id = ANY (:scope::smallint[]))
