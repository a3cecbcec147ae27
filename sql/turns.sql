-- name: hold_turn
-- Waits until no other transaction has this turn; the end of the transaction gives it back.
SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))
