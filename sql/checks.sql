-- name: read_setting
-- A setting of the database server as this connection sees it.
SELECT current_setting(:name) AS value

-- name: read_clock
-- The database's time.
SELECT clock_timestamp() AS now

-- name: list_all_districts
-- The districts by code.
SELECT district_id, code FROM district ORDER BY code

-- name: count_in_default
-- How many attempts lie in a partition that is nobody's.
SELECT count(*) AS attempts FROM attempt a JOIN pg_class c ON c.oid = a.tableoid WHERE c.relname LIKE '%\_default'

-- name: reads_keys
-- Whether the role of this connection could read a key.
SELECT has_table_privilege('item_key', 'SELECT') OR has_table_privilege('form_key', 'SELECT') AS reads
