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

-- name: list_lacking
-- The tables that have no partition of their own for what is scheduled from the first of some days on, or for any district
-- on one of the days.
SELECT DISTINCT missing
FROM (
  SELECT district_id, exam_day FROM slot WHERE exam_day >= (:days::date[])[1]
  UNION
  SELECT district_id, exam_day FROM district CROSS JOIN unnest(:days::date[]) AS exam_day
) AS needed
CROSS JOIN LATERAL missing_partitions(needed.district_id, needed.exam_day) AS missing
ORDER BY missing
