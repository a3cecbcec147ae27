-- name: list_slot_forms
-- The forms of a slot's exam.
SELECT f.form_hash FROM form f JOIN slot s USING (exam_id)
WHERE s.district_id = :district_id AND s.slot_id = :slot_id ORDER BY f.form_no

-- name: add_envelopes
-- What opens the papers of a slot by its code.
INSERT INTO envelope (district_id, slot_id, form_hash, salt, rounds, sealed)
SELECT s.district_id, s.slot_id, e.form_hash, e.salt, :rounds, e.sealed
FROM slot s, unnest(:forms::bytea[], :salts::bytea[], :sealed::bytea[]) AS e(form_hash, salt, sealed)
WHERE s.district_id = :district_id AND s.slot_id = :slot_id

-- name: find_opening
-- Whether a slot is open by now, and how many envelopes its code opens.
SELECT s.opens_at <= now() AS open,
  (SELECT count(*) FROM envelope e WHERE e.district_id = s.district_id AND e.slot_id = s.slot_id) AS envelopes
FROM slot s
WHERE s.district_id = :district_id AND s.slot_id = :slot_id
