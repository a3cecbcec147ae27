-- name: add_announcement
-- An announcement to a slot; its number.
INSERT INTO announcement (district_id, slot_id, text, staff_id)
VALUES (:district_id, :slot_id, :text, :staff_id)
RETURNING announcement_id

-- name: list_slot_announcements
-- The announcements to a slot, newest first, with who made them; of at most 200.
SELECT n.announcement_id, n.announced_at, n.text, t.name AS staff_name
FROM announcement n
JOIN staff t USING (staff_id)
WHERE n.district_id = :district_id AND n.slot_id = :slot_id
ORDER BY n.announcement_id DESC
LIMIT 200
