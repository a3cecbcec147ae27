-- name: has_migrations
-- Whether this database was ever migrated.
SELECT to_regclass('public.migration') IS NOT NULL AS exists

-- name: list_applied
-- The migrations that were applied.
SELECT name FROM migration ORDER BY name

-- name: add_migration
-- Remembers a migration.
INSERT INTO migration (name) VALUES (:name)

-- name: list_partition_districts
-- The districts that need partitions.
SELECT district_id FROM district ORDER BY district_id

-- name: add_partitions
-- Makes the partitions of a district for some months, as far as they are missing.
SELECT create_partitions(:district_id, :first_month, :months)

-- name: find_missing
-- The tables that have no partition of their own for a district and day.
SELECT missing FROM missing_partitions(:district_id, :on_day) AS missing
