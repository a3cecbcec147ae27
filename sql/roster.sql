-- name: list_district_names
-- The districts with their codes and names.
SELECT district_id, code, name FROM district ORDER BY district_id

-- name: add_schools
-- Schools of these districts, once each; their ids.
WITH added AS (
  INSERT INTO school (district_id, name)
  SELECT DISTINCT n.district_id, n.name FROM unnest(:districts::smallint[], :names::text[]) AS n(district_id, name)
  ON CONFLICT (district_id, name) DO NOTHING
  RETURNING school_id, district_id, name
)
SELECT school_id, district_id, name FROM added
UNION
SELECT s.school_id, s.district_id, s.name FROM school s
JOIN unnest(:districts::smallint[], :names::text[]) AS n(district_id, name) ON n.district_id = s.district_id AND n.name = s.name

-- name: add_batches
-- Batches of these districts, once each; their ids.
WITH added AS (
  INSERT INTO batch (district_id, name)
  SELECT DISTINCT n.district_id, n.name FROM unnest(:districts::smallint[], :names::text[]) AS n(district_id, name)
  ON CONFLICT (district_id, name) DO NOTHING
  RETURNING batch_id, district_id, name
)
SELECT batch_id, district_id, name FROM added
UNION
SELECT b.batch_id, b.district_id, b.name FROM batch b
JOIN unnest(:districts::smallint[], :names::text[]) AS n(district_id, name) ON n.district_id = b.district_id AND n.name = b.name

-- name: find_registered
-- Who has these registration numbers already.
SELECT c.registration, c.district_id, c.candidate_id FROM credential c WHERE c.registration = ANY (:registrations::text[])

-- name: add_candidates
-- New candidates; their ids by registration number.
INSERT INTO candidate (district_id, registration, name, language, school_id, batch_id, extra_time_pct)
SELECT * FROM unnest(:districts::smallint[], :registrations::text[], :names::text[], :languages::text[], :schools::int[],
                     :batches::int[], :extra_times::smallint[])
RETURNING registration, district_id, candidate_id

-- name: add_credentials
-- The access codes' hashes of new candidates.
INSERT INTO credential (registration, district_id, candidate_id, code_hash)
SELECT * FROM unnest(:registrations::text[], :districts::smallint[], :candidates::bigint[], :hashes::bytea[])

-- name: change_candidates
-- What the roster now says of candidates who were there; how many differ from before.
UPDATE candidate c
SET name = n.name, language = n.language, school_id = n.school_id, batch_id = n.batch_id, extra_time_pct = n.extra_time_pct
FROM unnest(:districts::smallint[], :candidates::bigint[], :names::text[], :languages::text[], :schools::int[],
            :batches::int[], :extra_times::smallint[])
  AS n(district_id, candidate_id, name, language, school_id, batch_id, extra_time_pct)
WHERE c.district_id = n.district_id AND c.candidate_id = n.candidate_id
  AND (c.name, c.language, c.school_id, c.batch_id, c.extra_time_pct)
    IS DISTINCT FROM (n.name, n.language, n.school_id, n.batch_id, n.extra_time_pct)
