-- name: find_or_add_bank
-- The bank of this name, made if it is new; its sections' titles are added to those it has.
INSERT INTO bank (name, sections) VALUES (:name, :sections)
ON CONFLICT (name) DO UPDATE SET sections = bank.sections || excluded.sections
RETURNING bank_id, district_id

-- name: find_bank_called
-- A bank by its number, or by its name where no number is given.
SELECT bank_id, district_id, name FROM bank
WHERE (:bank_id::int IS NULL AND name = :name) OR bank_id = :bank_id

-- name: list_latest
-- The latest version of every item of a bank, with its key.
SELECT i.item_id, i.code, i.version, v.body, k.key
FROM item i JOIN item_version v USING (item_id, version) LEFT JOIN item_key k USING (item_id, version)
WHERE i.bank_id = :bank_id

-- name: add_items
-- New items at version 1; their ids by code.
INSERT INTO item (bank_id, code, section, version)
SELECT :bank_id, n.code, n.section, 1 FROM unnest(:codes::text[], :sections::text[]) AS n(code, section)
RETURNING item_id, code

-- name: raise_versions
-- Items that have changed: the next version is their latest.
UPDATE item i SET version = n.version, section = n.section
FROM unnest(:items::bigint[], :versions::int[], :sections::text[]) AS n(item_id, version, section)
WHERE i.item_id = n.item_id

-- name: add_versions
-- What the items say in these versions.
INSERT INTO item_version (item_id, version, body)
SELECT n.item_id, n.version, n.body FROM unnest(:items::bigint[], :versions::int[], :bodies::jsonb[]) AS n(item_id, version, body)

-- name: add_keys
-- What is right in these versions.
INSERT INTO item_key (item_id, version, key)
SELECT n.item_id, n.version, n.key FROM unnest(:items::bigint[], :versions::int[], :keys::jsonb[]) AS n(item_id, version, key)

-- name: list_pictures
-- Which of these pictures are kept.
SELECT encode(media_hash, 'hex') AS name FROM media WHERE media_hash = ANY (:hashes::bytea[])

-- name: add_picture
-- A picture, once.
INSERT INTO media (media_hash, content_type, bytes) VALUES (:media_hash, :content_type, :bytes) ON CONFLICT DO NOTHING
