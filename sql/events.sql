-- name: add_events
-- Notes what pages tell of attempts that run, or have ended within the last minutes, as far as their exams record it and within
-- the bound. What is held stays as it is; only how long it lasted, once that is known, is added. A line per attempt that was found.
WITH told AS (
  SELECT * FROM unnest(:districts::smallint[], :attempts::bigint[], :pages::int[], :numbers::int[], :kinds::text[], :records::text[],
                       :ages_ms::int[], :spans_ms::int[], :items::smallint[], :characters::int[])
    AS t(district_id, attempt_id, page, event_no, kind, record, age_ms, span_ms, item, characters)
), found AS MATERIALIZED (
  SELECT a.district_id, a.attempt_id, a.state, x.records,
    a.state <> 'prepared' AND coalesce(a.ended_at, statement_timestamp()) > statement_timestamp() - :after_s::int * interval '1 second' AS open,
    (SELECT count(*) FROM event v WHERE v.district_id = a.district_id AND v.exam_day = :day AND v.attempt_id = a.attempt_id) AS held
  FROM (SELECT DISTINCT district_id, attempt_id FROM told) t
  JOIN attempt a ON a.district_id = t.district_id AND a.exam_day = :day AND a.attempt_id = t.attempt_id
  JOIN slot s ON s.slot_id = a.slot_id
  JOIN exam x ON x.exam_id = s.exam_id
), placed AS (
  SELECT t.*, f.held + row_number() OVER (PARTITION BY t.attempt_id ORDER BY t.page, t.event_no) AS place
  FROM told t JOIN found f ON f.district_id = t.district_id AND f.attempt_id = t.attempt_id
  WHERE f.open AND t.record = ANY (f.records)
), noted AS (
  INSERT INTO event AS held (district_id, exam_day, attempt_id, page, event_no, kind, arrived_at, age_ms, span_ms, item, characters)
  SELECT p.district_id, :day, p.attempt_id, p.page, p.event_no, p.kind, statement_timestamp(), p.age_ms, p.span_ms, p.item, p.characters
  FROM placed p
  WHERE p.place <= :most::int
    OR EXISTS (SELECT FROM event v WHERE v.district_id = p.district_id AND v.exam_day = :day AND v.attempt_id = p.attempt_id
                 AND v.page = p.page AND v.event_no = p.event_no)
  ON CONFLICT (district_id, exam_day, attempt_id, page, event_no)
    DO UPDATE SET span_ms = excluded.span_ms WHERE held.span_ms IS NULL AND excluded.span_ms IS NOT NULL
)
SELECT attempt_id, state, open FROM found

-- name: list_events
-- What was noted of an attempt, in the order in which it began.
SELECT v.kind, v.arrived_at - v.age_ms * interval '1 millisecond' AS began_at, v.span_ms, v.item, v.characters
FROM event v
WHERE v.district_id = :district_id AND v.exam_day = :day AND v.attempt_id = :attempt_id
ORDER BY began_at, v.page, v.event_no
LIMIT 1000
