-- name: add_act
-- Remembers who did what.
INSERT INTO audit (act, staff_id, district_id, candidate_id, detail)
VALUES (:act, :staff_id, :district_id, :candidate_id, :detail)

-- name: list_newest_acts
-- The newest acts of some districts, of at most 100, below a number if there is one, with who did them.
SELECT a.audit_id, a.acted_at, a.district_id, a.staff_id, t.name AS staff_name, a.candidate_id, a.act, a.detail
FROM audit a
LEFT JOIN staff t ON t.staff_id = a.staff_id
WHERE a.district_id = ANY (:scope::smallint[]) AND (:before::bigint IS NULL OR a.audit_id < :before)
ORDER BY a.audit_id DESC
LIMIT 100
