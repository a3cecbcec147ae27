-- name: find_paper
-- The paper of a form, compressed.
SELECT packed FROM form WHERE form_hash = :form_hash

-- name: find_media
-- A picture and its type.
SELECT content_type, bytes FROM media WHERE media_hash = :media_hash

-- name: find_exam_to_freeze
-- An exam with its bank, as far as it is not frozen yet.
SELECT e.exam_id, e.title, e.blueprint, e.bank_id, e.frozen_at, b.sections
FROM exam e JOIN bank b USING (bank_id)
WHERE e.exam_id = :exam_id

-- name: list_items_to_draw
-- The latest version of every item of a bank in these sections, by code.
SELECT i.item_id, i.version, i.code, i.section, v.body
FROM item i JOIN item_version v USING (item_id, version)
WHERE i.bank_id = :bank_id AND i.section = ANY (:sections::text[])
ORDER BY i.section, i.code

-- name: add_form
-- A frozen form with its paper.
INSERT INTO form (form_hash, exam_id, form_no, paper, packed, items)
VALUES (:form_hash, :exam_id, :form_no, :paper, :packed, :items)

-- name: add_form_items
-- Which version of which item stands where in a form.
INSERT INTO form_item (form_hash, item_no, item_id, version)
SELECT :form_hash, n.item_no, n.item_id, n.version
FROM unnest(:numbers::smallint[], :items::bigint[], :versions::int[]) AS n(item_no, item_id, version)

-- name: freeze_key
-- Fixes the first key version of a form; how many keys.
SELECT freeze_form_key(:form_hash) AS fixed

-- name: mark_frozen
-- From now on the exam cannot change.
UPDATE exam SET frozen_at = now() WHERE exam_id = :exam_id AND frozen_at IS NULL

-- name: list_forms
-- The forms of an exam.
SELECT form_hash, form_no, items FROM form WHERE exam_id = :exam_id ORDER BY form_no
