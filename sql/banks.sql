-- name: list_bank_items
-- The items of a bank of some districts or a shared one, as candidates may see them, by code; after a code, at most :most.
SELECT i.item_id, i.code, i.section, i.version, v.body
FROM item i
JOIN bank b USING (bank_id)
JOIN item_version v USING (item_id, version)
WHERE i.bank_id = :bank_id AND (b.district_id IS NULL OR b.district_id = ANY (:scope::smallint[]))
  AND (:section::text IS NULL OR i.section = :section) AND i.code > :after
ORDER BY i.code
LIMIT :most

-- name: find_item
-- An item of a bank of some districts or a shared one, as candidates may see it.
SELECT i.item_id, i.code, i.section, i.version, v.body, v.created_at
FROM item i
JOIN bank b USING (bank_id)
JOIN item_version v USING (item_id, version)
WHERE i.bank_id = :bank_id AND i.item_id = :item_id AND (b.district_id IS NULL OR b.district_id = ANY (:scope::smallint[]))

-- name: find_item_key
-- What is right in the latest version of an item of a bank of some districts or a shared one; for the author's role.
SELECT k.key
FROM item i
JOIN bank b USING (bank_id)
JOIN item_key k USING (item_id, version)
WHERE i.bank_id = :bank_id AND i.item_id = :item_id AND (b.district_id IS NULL OR b.district_id = ANY (:scope::smallint[]))
