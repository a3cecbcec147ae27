-- What the migrations give; written by `make schema`, compared by tests/test_sql.py.
CREATE FUNCTION public.count_overlapping(opens timestamp with time zone, ends timestamp with time zone) RETURNS bigint
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  SELECT count(*)
  FROM public.attempt a
  -- Nobody sits for three days: 12 hours to start, 10 of exam, twice that again as an allowance, some grants.
  WHERE a.exam_day BETWEEN (opens AT TIME ZONE 'UTC')::date - 3 AND (ends AT TIME ZONE 'UTC')::date + 1
    AND a.state IN ('prepared', 'started')
    AND a.opens_at < ends
    AND coalesce(a.ends_at, a.closes_at + a.duration_s * interval '1 second') + a.grant_s * interval '1 second' > opens
$$;
CREATE FUNCTION public.create_partitions(district smallint, first_month date, months integer) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE
  noun text;
  month date;
BEGIN
  FOREACH noun IN ARRAY ARRAY['candidate', 'booking'] LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.%I FOR VALUES IN (%s)',
                   noun || '_d' || district, noun, district);
  END LOOP;
  FOREACH noun IN ARRAY ARRAY['attempt', 'answer', 'quarantine', 'event', 'submission', 'result'] LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.%I FOR VALUES IN (%s) PARTITION BY RANGE (exam_day)',
                   noun || '_d' || district, noun, district);
    EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.%I DEFAULT',
                   noun || '_d' || district || '_default', noun || '_d' || district);
    FOR step IN 0 .. months - 1 LOOP
      month := date_trunc('month', first_month)::date + make_interval(months => step);
      EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.%I FOR VALUES FROM (%L) TO (%L)',
                     noun || '_d' || district || to_char(month, '_YYYY_MM'), noun || '_d' || district,
                     month, (month + interval '1 month')::date);
    END LOOP;
  END LOOP;
END $$;
CREATE FUNCTION public.freeze_form_key(frozen bytea) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
DECLARE fixed int;
BEGIN
  INSERT INTO form_key (form_hash, key_version, item_no, key)
  SELECT f.form_hash, 1, f.item_no, k.key
  FROM form_item f JOIN item_key k USING (item_id, version)
  WHERE f.form_hash = frozen;
  GET DIAGNOSTICS fixed = ROW_COUNT;
  RETURN fixed;
END $$;
CREATE FUNCTION public.missing_partitions(district smallint, on_day date) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'public', 'pg_temp'
    AS $$
  SELECT noun || '_d' || district || to_char(on_day, '_YYYY_MM')
  FROM unnest(ARRAY['attempt', 'answer', 'quarantine', 'event', 'submission', 'result']) AS noun
  WHERE to_regclass('public.' || noun || '_d' || district || to_char(on_day, '_YYYY_MM')) IS NULL
$$;
CREATE FUNCTION public.scope() RETURNS smallint[]
    LANGUAGE sql STABLE
    AS $$
  SELECT string_to_array(nullif(current_setting('exam.scope', true), ''), ',')::smallint[]
$$;
CREATE FUNCTION public.share_out(begins timestamp with time zone, ends timestamp with time zone, section_s integer[]) RETURNS timestamp with time zone[]
    LANGUAGE sql STABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
  SELECT array_agg(CASE WHEN n.place = cardinality(section_s) THEN ends
                        ELSE begins + make_interval(secs => date_part('epoch', ends - begins) * n.until / n.whole) END ORDER BY n.place)
  FROM (SELECT s.place, sum(s.seconds) OVER (ORDER BY s.place) AS until, sum(s.seconds) OVER () AS whole
        FROM unnest(section_s) WITH ORDINALITY AS s(seconds, place)) n
$$;
CREATE TABLE public.analysis (
    exam_id integer NOT NULL,
    district_id smallint NOT NULL,
    wanted_at timestamp with time zone DEFAULT now() NOT NULL,
    tries smallint DEFAULT 0 NOT NULL,
    leased_until timestamp with time zone,
    made_at timestamp with time zone,
    failure text,
    figures jsonb,
    options jsonb,
    CONSTRAINT analysis_check CHECK ((((made_at IS NULL) = (figures IS NULL)) AND ((made_at IS NULL) = (options IS NULL))))
);
CREATE TABLE public.announcement (
    announcement_id integer NOT NULL,
    district_id smallint NOT NULL,
    slot_id integer NOT NULL,
    text jsonb NOT NULL,
    staff_id integer NOT NULL,
    announced_at timestamp with time zone DEFAULT now() NOT NULL
);
ALTER TABLE public.announcement ALTER COLUMN announcement_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.announcement_announcement_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.answer (
    district_id smallint NOT NULL,
    exam_day date NOT NULL,
    attempt_id bigint NOT NULL,
    epoch smallint NOT NULL,
    seq integer NOT NULL,
    item smallint NOT NULL,
    response text NOT NULL,
    flag boolean NOT NULL,
    client_ms bigint NOT NULL,
    arrived_at timestamp with time zone NOT NULL,
    CONSTRAINT answer_item_check CHECK ((item >= 0)),
    CONSTRAINT answer_seq_check CHECK ((seq > 0))
)
PARTITION BY LIST (district_id);
CREATE TABLE public.answer_default (
    district_id smallint CONSTRAINT answer_district_id_not_null NOT NULL,
    exam_day date CONSTRAINT answer_exam_day_not_null NOT NULL,
    attempt_id bigint CONSTRAINT answer_attempt_id_not_null NOT NULL,
    epoch smallint CONSTRAINT answer_epoch_not_null NOT NULL,
    seq integer CONSTRAINT answer_seq_not_null NOT NULL,
    item smallint CONSTRAINT answer_item_not_null NOT NULL,
    response text CONSTRAINT answer_response_not_null NOT NULL,
    flag boolean CONSTRAINT answer_flag_not_null NOT NULL,
    client_ms bigint CONSTRAINT answer_client_ms_not_null NOT NULL,
    arrived_at timestamp with time zone CONSTRAINT answer_arrived_at_not_null NOT NULL,
    CONSTRAINT answer_item_check CHECK ((item >= 0)),
    CONSTRAINT answer_seq_check CHECK ((seq > 0))
);
CREATE SEQUENCE public.attempt_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
CREATE TABLE public.attempt (
    district_id smallint NOT NULL,
    exam_day date NOT NULL,
    attempt_id bigint DEFAULT nextval('public.attempt_id_seq'::regclass) NOT NULL,
    slot_id integer NOT NULL,
    candidate_id bigint NOT NULL,
    form_hash bytea NOT NULL,
    seed bigint NOT NULL,
    opens_at timestamp with time zone NOT NULL,
    closes_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    duration_s integer NOT NULL,
    section_s integer[],
    grace_s smallint NOT NULL,
    grant_s integer DEFAULT 0 NOT NULL,
    delay_s real DEFAULT 0 NOT NULL,
    takeovers_left smallint NOT NULL,
    state text DEFAULT 'prepared'::text NOT NULL,
    epoch smallint DEFAULT 0 NOT NULL,
    writer bytea,
    started_at timestamp with time zone,
    by_code boolean DEFAULT false NOT NULL,
    deadline timestamp with time zone,
    section_ends timestamp with time zone[],
    ended_at timestamp with time zone,
    CONSTRAINT attempt_check CHECK (((state = 'prepared'::text) = (epoch = 0))),
    CONSTRAINT attempt_check1 CHECK (((state = 'prepared'::text) OR ((started_at IS NOT NULL) AND (deadline IS NOT NULL) AND (writer IS NOT NULL)))),
    CONSTRAINT attempt_check2 CHECK (((state = ANY (ARRAY['prepared'::text, 'started'::text])) = (ended_at IS NULL))),
    CONSTRAINT attempt_check3 CHECK (((section_ends IS NULL) = ((section_s IS NULL) OR (state = 'prepared'::text)))),
    CONSTRAINT attempt_check4 CHECK (((cardinality(section_ends) = cardinality(section_s)) AND (section_ends[cardinality(section_ends)] = deadline))),
    CONSTRAINT attempt_check5 CHECK (((NOT by_code) OR ((state <> 'prepared'::text) AND (started_at = opens_at) AND (delay_s = (0)::double precision)))),
    CONSTRAINT attempt_delay_s_check CHECK (((delay_s >= (0)::double precision) AND (delay_s <= (30)::double precision))),
    CONSTRAINT attempt_duration_s_check CHECK ((duration_s > 0)),
    CONSTRAINT attempt_grace_s_check CHECK ((grace_s >= 0)),
    CONSTRAINT attempt_grant_s_check CHECK ((grant_s >= 0)),
    CONSTRAINT attempt_section_s_check CHECK (((cardinality(section_s) > 0) AND (0 < ALL (section_s)))),
    CONSTRAINT attempt_seed_check CHECK (((seed >= 0) AND (seed <= '4294967295'::bigint))),
    CONSTRAINT attempt_state_check CHECK ((state = ANY (ARRAY['prepared'::text, 'started'::text, 'submitted'::text, 'sealed'::text, 'graded'::text, 'released'::text]))),
    CONSTRAINT attempt_takeovers_left_check CHECK ((takeovers_left >= 0))
)
PARTITION BY LIST (district_id);
CREATE TABLE public.attempt_default (
    district_id smallint CONSTRAINT attempt_district_id_not_null NOT NULL,
    exam_day date CONSTRAINT attempt_exam_day_not_null NOT NULL,
    attempt_id bigint DEFAULT nextval('public.attempt_id_seq'::regclass) CONSTRAINT attempt_attempt_id_not_null NOT NULL,
    slot_id integer CONSTRAINT attempt_slot_id_not_null NOT NULL,
    candidate_id bigint CONSTRAINT attempt_candidate_id_not_null NOT NULL,
    form_hash bytea CONSTRAINT attempt_form_hash_not_null NOT NULL,
    seed bigint CONSTRAINT attempt_seed_not_null NOT NULL,
    opens_at timestamp with time zone CONSTRAINT attempt_opens_at_not_null NOT NULL,
    closes_at timestamp with time zone CONSTRAINT attempt_closes_at_not_null NOT NULL,
    ends_at timestamp with time zone,
    duration_s integer CONSTRAINT attempt_duration_s_not_null NOT NULL,
    section_s integer[],
    grace_s smallint CONSTRAINT attempt_grace_s_not_null NOT NULL,
    grant_s integer DEFAULT 0 CONSTRAINT attempt_grant_s_not_null NOT NULL,
    delay_s real DEFAULT 0 CONSTRAINT attempt_delay_s_not_null NOT NULL,
    takeovers_left smallint CONSTRAINT attempt_takeovers_left_not_null NOT NULL,
    state text DEFAULT 'prepared'::text CONSTRAINT attempt_state_not_null NOT NULL,
    epoch smallint DEFAULT 0 CONSTRAINT attempt_epoch_not_null NOT NULL,
    writer bytea,
    started_at timestamp with time zone,
    by_code boolean DEFAULT false CONSTRAINT attempt_by_code_not_null NOT NULL,
    deadline timestamp with time zone,
    section_ends timestamp with time zone[],
    ended_at timestamp with time zone,
    CONSTRAINT attempt_check CHECK (((state = 'prepared'::text) = (epoch = 0))),
    CONSTRAINT attempt_check1 CHECK (((state = 'prepared'::text) OR ((started_at IS NOT NULL) AND (deadline IS NOT NULL) AND (writer IS NOT NULL)))),
    CONSTRAINT attempt_check2 CHECK (((state = ANY (ARRAY['prepared'::text, 'started'::text])) = (ended_at IS NULL))),
    CONSTRAINT attempt_check3 CHECK (((section_ends IS NULL) = ((section_s IS NULL) OR (state = 'prepared'::text)))),
    CONSTRAINT attempt_check4 CHECK (((cardinality(section_ends) = cardinality(section_s)) AND (section_ends[cardinality(section_ends)] = deadline))),
    CONSTRAINT attempt_check5 CHECK (((NOT by_code) OR ((state <> 'prepared'::text) AND (started_at = opens_at) AND (delay_s = (0)::double precision)))),
    CONSTRAINT attempt_delay_s_check CHECK (((delay_s >= (0)::double precision) AND (delay_s <= (30)::double precision))),
    CONSTRAINT attempt_duration_s_check CHECK ((duration_s > 0)),
    CONSTRAINT attempt_grace_s_check CHECK ((grace_s >= 0)),
    CONSTRAINT attempt_grant_s_check CHECK ((grant_s >= 0)),
    CONSTRAINT attempt_section_s_check CHECK (((cardinality(section_s) > 0) AND (0 < ALL (section_s)))),
    CONSTRAINT attempt_seed_check CHECK (((seed >= 0) AND (seed <= '4294967295'::bigint))),
    CONSTRAINT attempt_state_check CHECK ((state = ANY (ARRAY['prepared'::text, 'started'::text, 'submitted'::text, 'sealed'::text, 'graded'::text, 'released'::text]))),
    CONSTRAINT attempt_takeovers_left_check CHECK ((takeovers_left >= 0))
);
CREATE TABLE public.audit (
    audit_id bigint NOT NULL,
    acted_at timestamp with time zone DEFAULT now() NOT NULL,
    district_id smallint,
    staff_id integer,
    candidate_id bigint,
    act text NOT NULL,
    detail jsonb DEFAULT '{}'::jsonb NOT NULL
);
ALTER TABLE public.audit ALTER COLUMN audit_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.bank (
    bank_id integer NOT NULL,
    district_id smallint,
    name text NOT NULL,
    sections jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT bank_name_check CHECK ((name <> ''::text))
);
ALTER TABLE public.bank ALTER COLUMN bank_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.bank_bank_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.batch (
    batch_id integer NOT NULL,
    district_id smallint NOT NULL,
    name text NOT NULL,
    CONSTRAINT batch_name_check CHECK ((name <> ''::text))
);
ALTER TABLE public.batch ALTER COLUMN batch_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.batch_batch_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.booking (
    district_id smallint NOT NULL,
    slot_id integer NOT NULL,
    candidate_id bigint NOT NULL,
    extra_time_pct smallint DEFAULT 0 NOT NULL,
    CONSTRAINT booking_extra_time_pct_check CHECK (((extra_time_pct >= 0) AND (extra_time_pct <= 200)))
)
PARTITION BY LIST (district_id);
CREATE TABLE public.booking_default (
    district_id smallint CONSTRAINT booking_district_id_not_null NOT NULL,
    slot_id integer CONSTRAINT booking_slot_id_not_null NOT NULL,
    candidate_id bigint CONSTRAINT booking_candidate_id_not_null NOT NULL,
    extra_time_pct smallint DEFAULT 0 CONSTRAINT booking_extra_time_pct_not_null NOT NULL,
    CONSTRAINT booking_extra_time_pct_check CHECK (((extra_time_pct >= 0) AND (extra_time_pct <= 200)))
);
CREATE TABLE public.candidate (
    district_id smallint NOT NULL,
    candidate_id bigint NOT NULL,
    registration text NOT NULL,
    name text NOT NULL,
    language text DEFAULT 'mr'::text NOT NULL,
    school_id integer,
    batch_id integer,
    extra_time_pct smallint DEFAULT 0 NOT NULL,
    CONSTRAINT candidate_extra_time_pct_check CHECK (((extra_time_pct >= 0) AND (extra_time_pct <= 200))),
    CONSTRAINT candidate_name_check CHECK ((name <> ''::text))
)
PARTITION BY LIST (district_id);
ALTER TABLE public.candidate ALTER COLUMN candidate_id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.candidate_candidate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.candidate_default (
    district_id smallint CONSTRAINT candidate_district_id_not_null NOT NULL,
    candidate_id bigint CONSTRAINT candidate_candidate_id_not_null NOT NULL,
    registration text CONSTRAINT candidate_registration_not_null NOT NULL,
    name text CONSTRAINT candidate_name_not_null NOT NULL,
    language text DEFAULT 'mr'::text CONSTRAINT candidate_language_not_null NOT NULL,
    school_id integer,
    batch_id integer,
    extra_time_pct smallint DEFAULT 0 CONSTRAINT candidate_extra_time_pct_not_null NOT NULL,
    CONSTRAINT candidate_extra_time_pct_check CHECK (((extra_time_pct >= 0) AND (extra_time_pct <= 200))),
    CONSTRAINT candidate_name_check CHECK ((name <> ''::text))
);
CREATE TABLE public.credential (
    registration text NOT NULL,
    district_id smallint NOT NULL,
    candidate_id bigint NOT NULL,
    code_hash bytea NOT NULL,
    CONSTRAINT credential_code_hash_check CHECK ((length(code_hash) = 32)),
    CONSTRAINT credential_registration_check CHECK (((registration = upper(registration)) AND ((length(registration) >= 1) AND (length(registration) <= 64))))
);
CREATE TABLE public.district (
    district_id smallint NOT NULL,
    code text NOT NULL,
    name jsonb NOT NULL,
    CONSTRAINT district_code_check CHECK ((code ~ '^[A-Z]{2,8}$'::text))
);
CREATE TABLE public.envelope (
    district_id smallint NOT NULL,
    slot_id integer NOT NULL,
    form_hash bytea NOT NULL,
    salt bytea NOT NULL,
    rounds integer NOT NULL,
    sealed bytea NOT NULL,
    CONSTRAINT envelope_rounds_check CHECK ((rounds >= 600000)),
    CONSTRAINT envelope_salt_check CHECK ((length(salt) = 16)),
    CONSTRAINT envelope_sealed_check CHECK ((length(sealed) = 48))
);
CREATE TABLE public.event (
    district_id smallint NOT NULL,
    exam_day date NOT NULL,
    attempt_id bigint NOT NULL,
    page integer NOT NULL,
    event_no integer NOT NULL,
    kind text NOT NULL,
    arrived_at timestamp with time zone NOT NULL,
    age_ms integer NOT NULL,
    span_ms integer,
    item smallint,
    characters integer,
    CONSTRAINT event_age_ms_check CHECK ((age_ms >= 0)),
    CONSTRAINT event_characters_check CHECK ((characters >= 0)),
    CONSTRAINT event_check CHECK (((kind = 'paste'::text) = (characters IS NOT NULL))),
    CONSTRAINT event_event_no_check CHECK ((event_no > 0)),
    CONSTRAINT event_item_check CHECK ((item > 0)),
    CONSTRAINT event_kind_check CHECK ((kind = ANY (ARRAY['away'::text, 'hidden'::text, 'windowed'::text, 'paste'::text, 'offline'::text, 'device'::text]))),
    CONSTRAINT event_page_check CHECK ((page >= 0)),
    CONSTRAINT event_span_ms_check CHECK ((span_ms >= 0))
)
PARTITION BY LIST (district_id);
CREATE TABLE public.event_default (
    district_id smallint CONSTRAINT event_district_id_not_null NOT NULL,
    exam_day date CONSTRAINT event_exam_day_not_null NOT NULL,
    attempt_id bigint CONSTRAINT event_attempt_id_not_null NOT NULL,
    page integer CONSTRAINT event_page_not_null NOT NULL,
    event_no integer CONSTRAINT event_event_no_not_null NOT NULL,
    kind text CONSTRAINT event_kind_not_null NOT NULL,
    arrived_at timestamp with time zone CONSTRAINT event_arrived_at_not_null NOT NULL,
    age_ms integer CONSTRAINT event_age_ms_not_null NOT NULL,
    span_ms integer,
    item smallint,
    characters integer,
    CONSTRAINT event_age_ms_check CHECK ((age_ms >= 0)),
    CONSTRAINT event_characters_check CHECK ((characters >= 0)),
    CONSTRAINT event_check CHECK (((kind = 'paste'::text) = (characters IS NOT NULL))),
    CONSTRAINT event_event_no_check CHECK ((event_no > 0)),
    CONSTRAINT event_item_check CHECK ((item > 0)),
    CONSTRAINT event_kind_check CHECK ((kind = ANY (ARRAY['away'::text, 'hidden'::text, 'windowed'::text, 'paste'::text, 'offline'::text, 'device'::text]))),
    CONSTRAINT event_page_check CHECK ((page >= 0)),
    CONSTRAINT event_span_ms_check CHECK ((span_ms >= 0))
);
CREATE TABLE public.exam (
    exam_id integer NOT NULL,
    district_id smallint,
    title jsonb NOT NULL,
    bank_id integer NOT NULL,
    duration_s integer NOT NULL,
    grace_s smallint DEFAULT 20 NOT NULL,
    device_changes smallint DEFAULT 2 NOT NULL,
    tools text[] DEFAULT '{}'::text[] NOT NULL,
    records text[] DEFAULT '{focus,paste,network,device}'::text[] NOT NULL,
    config_keys text[] DEFAULT '{}'::text[] NOT NULL,
    browser_keys text[] DEFAULT '{}'::text[] NOT NULL,
    blueprint jsonb NOT NULL,
    scheme jsonb DEFAULT '{}'::jsonb NOT NULL,
    frozen_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT exam_browser_keys_check CHECK (((cardinality(browser_keys) <= 20) AND (array_to_string(browser_keys, ','::text, '?'::text) ~ '^([0-9a-f]{64}(,[0-9a-f]{64})*)?$'::text))),
    CONSTRAINT exam_config_keys_check CHECK (((cardinality(config_keys) <= 20) AND (array_to_string(config_keys, ','::text, '?'::text) ~ '^([0-9a-f]{64}(,[0-9a-f]{64})*)?$'::text))),
    CONSTRAINT exam_device_changes_check CHECK (((device_changes >= 0) AND (device_changes <= 100))),
    CONSTRAINT exam_duration_s_check CHECK (((duration_s >= 60) AND (duration_s <= 36000))),
    CONSTRAINT exam_grace_s_check CHECK (((grace_s >= 0) AND (grace_s <= 300))),
    CONSTRAINT exam_records_check CHECK ((records <@ ARRAY['focus'::text, 'fullscreen'::text, 'paste'::text, 'network'::text, 'device'::text])),
    CONSTRAINT exam_tools_check CHECK ((tools <@ ARRAY['calculator'::text, 'notes'::text]))
);
ALTER TABLE public.exam ALTER COLUMN exam_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.exam_exam_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.form (
    form_hash bytea NOT NULL,
    exam_id integer NOT NULL,
    form_no smallint NOT NULL,
    paper bytea NOT NULL,
    packed bytea NOT NULL,
    items smallint NOT NULL,
    CONSTRAINT form_check CHECK ((sha256(paper) = form_hash)),
    CONSTRAINT form_form_hash_check CHECK ((length(form_hash) = 32)),
    CONSTRAINT form_form_no_check CHECK ((form_no > 0)),
    CONSTRAINT form_items_check CHECK ((items > 0))
);
CREATE TABLE public.form_item (
    form_hash bytea NOT NULL,
    item_no smallint NOT NULL,
    item_id bigint NOT NULL,
    version integer NOT NULL,
    CONSTRAINT form_item_item_no_check CHECK ((item_no > 0))
);
CREATE TABLE public.form_key (
    form_hash bytea NOT NULL,
    key_version smallint NOT NULL,
    item_no smallint NOT NULL,
    key jsonb NOT NULL,
    CONSTRAINT form_key_key_version_check CHECK ((key_version > 0))
);
CREATE TABLE public.item (
    item_id bigint NOT NULL,
    bank_id integer NOT NULL,
    code text NOT NULL,
    section text NOT NULL,
    version integer NOT NULL,
    CONSTRAINT item_version_check CHECK ((version > 0))
);
ALTER TABLE public.item ALTER COLUMN item_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.item_item_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.item_key (
    item_id bigint NOT NULL,
    version integer NOT NULL,
    key jsonb NOT NULL
);
CREATE TABLE public.item_version (
    item_id bigint NOT NULL,
    version integer NOT NULL,
    body jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.media (
    media_hash bytea NOT NULL,
    content_type text NOT NULL,
    bytes bytea NOT NULL,
    CONSTRAINT media_content_type_check CHECK ((content_type = ANY (ARRAY['image/png'::text, 'image/jpeg'::text, 'image/gif'::text, 'image/webp'::text]))),
    CONSTRAINT media_media_hash_check CHECK ((length(media_hash) = 32))
);
CREATE TABLE public.migration (
    name text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE public.submission (
    district_id smallint NOT NULL,
    exam_day date NOT NULL,
    attempt_id bigint NOT NULL,
    slot_id integer NOT NULL,
    form_hash bytea NOT NULL,
    ended_by text NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    salt bytea DEFAULT decode(replace((gen_random_uuid())::text, '-'::text, ''::text), 'hex'::text) NOT NULL,
    digest bytea,
    signature bytea,
    key_id text,
    answered smallint,
    lease uuid,
    leased_until timestamp with time zone,
    tries smallint DEFAULT 0 NOT NULL,
    failure text,
    graded_at timestamp with time zone,
    CONSTRAINT submission_check CHECK ((((digest IS NULL) = (signature IS NULL)) AND ((digest IS NULL) = (key_id IS NULL)) AND ((digest IS NULL) = (answered IS NULL)))),
    CONSTRAINT submission_check1 CHECK (((graded_at IS NULL) OR (digest IS NOT NULL))),
    CONSTRAINT submission_ended_by_check CHECK ((ended_by = ANY (ARRAY['candidate'::text, 'clock'::text, 'staff'::text]))),
    CONSTRAINT submission_salt_check CHECK ((length(salt) = 16))
)
PARTITION BY LIST (district_id);
CREATE VIEW public.public_receipt AS
 SELECT digest,
    answered,
    ended_at
   FROM public.submission
  WHERE (digest IS NOT NULL);
CREATE TABLE public.quarantine (
    district_id smallint NOT NULL,
    exam_day date NOT NULL,
    attempt_id bigint NOT NULL,
    epoch smallint NOT NULL,
    seq integer NOT NULL,
    item smallint NOT NULL,
    response text NOT NULL,
    flag boolean NOT NULL,
    client_ms bigint NOT NULL,
    arrived_at timestamp with time zone NOT NULL,
    reason text NOT NULL,
    CONSTRAINT quarantine_item_check CHECK ((item >= 0)),
    CONSTRAINT quarantine_reason_check CHECK ((reason = ANY (ARRAY['late'::text, 'stale_device'::text, 'closed'::text, 'section'::text]))),
    CONSTRAINT quarantine_seq_check CHECK ((seq > 0))
)
PARTITION BY LIST (district_id);
CREATE TABLE public.quarantine_default (
    district_id smallint CONSTRAINT quarantine_district_id_not_null NOT NULL,
    exam_day date CONSTRAINT quarantine_exam_day_not_null NOT NULL,
    attempt_id bigint CONSTRAINT quarantine_attempt_id_not_null NOT NULL,
    epoch smallint CONSTRAINT quarantine_epoch_not_null NOT NULL,
    seq integer CONSTRAINT quarantine_seq_not_null NOT NULL,
    item smallint CONSTRAINT quarantine_item_not_null NOT NULL,
    response text CONSTRAINT quarantine_response_not_null NOT NULL,
    flag boolean CONSTRAINT quarantine_flag_not_null NOT NULL,
    client_ms bigint CONSTRAINT quarantine_client_ms_not_null NOT NULL,
    arrived_at timestamp with time zone CONSTRAINT quarantine_arrived_at_not_null NOT NULL,
    reason text CONSTRAINT quarantine_reason_not_null NOT NULL,
    CONSTRAINT quarantine_item_check CHECK ((item >= 0)),
    CONSTRAINT quarantine_reason_check CHECK ((reason = ANY (ARRAY['late'::text, 'stale_device'::text, 'closed'::text, 'section'::text]))),
    CONSTRAINT quarantine_seq_check CHECK ((seq > 0))
);
CREATE TABLE public.result (
    district_id smallint NOT NULL,
    exam_day date NOT NULL,
    attempt_id bigint NOT NULL,
    key_version smallint NOT NULL,
    total numeric NOT NULL,
    maximum numeric NOT NULL,
    detail jsonb NOT NULL,
    graded_at timestamp with time zone DEFAULT now() NOT NULL
)
PARTITION BY LIST (district_id);
CREATE VIEW public.released_result WITH (security_barrier='true') AS
 SELECT r.district_id,
    r.exam_day,
    r.attempt_id,
    r.key_version,
    r.total,
    r.maximum,
    (r.detail -> 'sections'::text) AS sections
   FROM (public.result r
     JOIN public.attempt a USING (district_id, exam_day, attempt_id))
  WHERE (a.state = 'released'::text);
CREATE TABLE public.result_default (
    district_id smallint CONSTRAINT result_district_id_not_null NOT NULL,
    exam_day date CONSTRAINT result_exam_day_not_null NOT NULL,
    attempt_id bigint CONSTRAINT result_attempt_id_not_null NOT NULL,
    key_version smallint CONSTRAINT result_key_version_not_null NOT NULL,
    total numeric CONSTRAINT result_total_not_null NOT NULL,
    maximum numeric CONSTRAINT result_maximum_not_null NOT NULL,
    detail jsonb CONSTRAINT result_detail_not_null NOT NULL,
    graded_at timestamp with time zone DEFAULT now() CONSTRAINT result_graded_at_not_null NOT NULL
);
CREATE TABLE public.school (
    school_id integer NOT NULL,
    district_id smallint NOT NULL,
    name text NOT NULL,
    CONSTRAINT school_name_check CHECK ((name <> ''::text))
);
ALTER TABLE public.school ALTER COLUMN school_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.school_school_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.session (
    token_hash bytea NOT NULL,
    district_id smallint,
    candidate_id bigint,
    exam_day date,
    attempt_id bigint,
    slot_id integer,
    form_hash bytea,
    staff_id integer,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT session_check CHECK (((candidate_id IS NULL) <> (staff_id IS NULL))),
    CONSTRAINT session_check1 CHECK (((candidate_id IS NULL) OR (district_id IS NOT NULL))),
    CONSTRAINT session_check2 CHECK (((attempt_id IS NULL) = (exam_day IS NULL))),
    CONSTRAINT session_token_hash_check CHECK ((length(token_hash) = 32))
);
CREATE TABLE public.slot (
    slot_id integer NOT NULL,
    district_id smallint NOT NULL,
    exam_id integer NOT NULL,
    hall text NOT NULL,
    opens_at timestamp with time zone NOT NULL,
    closes_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone,
    exam_day date NOT NULL,
    capacity integer NOT NULL,
    booked integer DEFAULT 0 NOT NULL,
    pinned_at timestamp with time zone,
    released_at timestamp with time zone,
    CONSTRAINT slot_capacity_check CHECK ((capacity > 0)),
    CONSTRAINT slot_check CHECK (((booked >= 0) AND (booked <= capacity))),
    CONSTRAINT slot_check1 CHECK ((closes_at >= opens_at)),
    CONSTRAINT slot_check2 CHECK (((ends_at IS NULL) OR (ends_at > closes_at))),
    CONSTRAINT slot_hall_check CHECK ((hall <> ''::text))
);
ALTER TABLE public.slot ALTER COLUMN slot_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.slot_slot_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.staff (
    staff_id integer NOT NULL,
    district_id smallint,
    email text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    CONSTRAINT staff_check CHECK (((district_id IS NULL) = (role = 'platform_admin'::text))),
    CONSTRAINT staff_email_check CHECK ((email = lower(email))),
    CONSTRAINT staff_role_check CHECK ((role = ANY (ARRAY['invigilator'::text, 'author'::text, 'marker'::text, 'district_admin'::text, 'platform_admin'::text])))
);
ALTER TABLE public.staff ALTER COLUMN staff_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.staff_staff_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.submission_default (
    district_id smallint CONSTRAINT submission_district_id_not_null NOT NULL,
    exam_day date CONSTRAINT submission_exam_day_not_null NOT NULL,
    attempt_id bigint CONSTRAINT submission_attempt_id_not_null NOT NULL,
    slot_id integer CONSTRAINT submission_slot_id_not_null NOT NULL,
    form_hash bytea CONSTRAINT submission_form_hash_not_null NOT NULL,
    ended_by text CONSTRAINT submission_ended_by_not_null NOT NULL,
    ended_at timestamp with time zone CONSTRAINT submission_ended_at_not_null NOT NULL,
    salt bytea DEFAULT decode(replace((gen_random_uuid())::text, '-'::text, ''::text), 'hex'::text) CONSTRAINT submission_salt_not_null NOT NULL,
    digest bytea,
    signature bytea,
    key_id text,
    answered smallint,
    lease uuid,
    leased_until timestamp with time zone,
    tries smallint DEFAULT 0 CONSTRAINT submission_tries_not_null NOT NULL,
    failure text,
    graded_at timestamp with time zone,
    CONSTRAINT submission_check CHECK ((((digest IS NULL) = (signature IS NULL)) AND ((digest IS NULL) = (key_id IS NULL)) AND ((digest IS NULL) = (answered IS NULL)))),
    CONSTRAINT submission_check1 CHECK (((graded_at IS NULL) OR (digest IS NOT NULL))),
    CONSTRAINT submission_ended_by_check CHECK ((ended_by = ANY (ARRAY['candidate'::text, 'clock'::text, 'staff'::text]))),
    CONSTRAINT submission_salt_check CHECK ((length(salt) = 16))
);
CREATE TABLE public.time_grant (
    grant_id integer NOT NULL,
    district_id smallint NOT NULL,
    slot_id integer NOT NULL,
    attempt_id bigint,
    seconds integer NOT NULL,
    reason text NOT NULL,
    staff_id integer NOT NULL,
    granted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT time_grant_reason_check CHECK ((reason <> ''::text)),
    CONSTRAINT time_grant_seconds_check CHECK (((seconds >= 1) AND (seconds <= 14400)))
);
ALTER TABLE public.time_grant ALTER COLUMN grant_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.time_grant_grant_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE ONLY public.answer ATTACH PARTITION public.answer_default DEFAULT;
ALTER TABLE ONLY public.attempt ATTACH PARTITION public.attempt_default DEFAULT;
ALTER TABLE ONLY public.booking ATTACH PARTITION public.booking_default DEFAULT;
ALTER TABLE ONLY public.candidate ATTACH PARTITION public.candidate_default DEFAULT;
ALTER TABLE ONLY public.event ATTACH PARTITION public.event_default DEFAULT;
ALTER TABLE ONLY public.quarantine ATTACH PARTITION public.quarantine_default DEFAULT;
ALTER TABLE ONLY public.result ATTACH PARTITION public.result_default DEFAULT;
ALTER TABLE ONLY public.submission ATTACH PARTITION public.submission_default DEFAULT;
ALTER TABLE ONLY public.analysis
    ADD CONSTRAINT analysis_pkey PRIMARY KEY (exam_id, district_id);
ALTER TABLE ONLY public.announcement
    ADD CONSTRAINT announcement_pkey PRIMARY KEY (announcement_id);
ALTER TABLE ONLY public.answer
    ADD CONSTRAINT answer_pkey PRIMARY KEY (district_id, exam_day, attempt_id, epoch, seq);
ALTER TABLE ONLY public.answer_default
    ADD CONSTRAINT answer_default_pkey PRIMARY KEY (district_id, exam_day, attempt_id, epoch, seq);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_district_id_exam_day_slot_id_candidate_id_key UNIQUE (district_id, exam_day, slot_id, candidate_id);
ALTER TABLE ONLY public.attempt_default
    ADD CONSTRAINT attempt_default_district_id_exam_day_slot_id_candidate_id_key UNIQUE (district_id, exam_day, slot_id, candidate_id);
ALTER TABLE ONLY public.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (district_id, exam_day, attempt_id);
ALTER TABLE ONLY public.attempt_default
    ADD CONSTRAINT attempt_default_pkey PRIMARY KEY (district_id, exam_day, attempt_id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (audit_id);
ALTER TABLE ONLY public.bank
    ADD CONSTRAINT bank_name_key UNIQUE (name);
ALTER TABLE ONLY public.bank
    ADD CONSTRAINT bank_pkey PRIMARY KEY (bank_id);
ALTER TABLE ONLY public.batch
    ADD CONSTRAINT batch_district_id_name_key UNIQUE (district_id, name);
ALTER TABLE ONLY public.batch
    ADD CONSTRAINT batch_pkey PRIMARY KEY (batch_id);
ALTER TABLE ONLY public.booking
    ADD CONSTRAINT booking_pkey PRIMARY KEY (district_id, slot_id, candidate_id);
ALTER TABLE ONLY public.booking_default
    ADD CONSTRAINT booking_default_pkey PRIMARY KEY (district_id, slot_id, candidate_id);
ALTER TABLE ONLY public.candidate
    ADD CONSTRAINT candidate_pkey PRIMARY KEY (district_id, candidate_id);
ALTER TABLE ONLY public.candidate_default
    ADD CONSTRAINT candidate_default_pkey PRIMARY KEY (district_id, candidate_id);
ALTER TABLE ONLY public.credential
    ADD CONSTRAINT credential_pkey PRIMARY KEY (registration);
ALTER TABLE ONLY public.district
    ADD CONSTRAINT district_code_key UNIQUE (code);
ALTER TABLE ONLY public.district
    ADD CONSTRAINT district_pkey PRIMARY KEY (district_id);
ALTER TABLE ONLY public.envelope
    ADD CONSTRAINT envelope_pkey PRIMARY KEY (slot_id, form_hash);
ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (district_id, exam_day, attempt_id, page, event_no);
ALTER TABLE ONLY public.event_default
    ADD CONSTRAINT event_default_pkey PRIMARY KEY (district_id, exam_day, attempt_id, page, event_no);
ALTER TABLE ONLY public.exam
    ADD CONSTRAINT exam_pkey PRIMARY KEY (exam_id);
ALTER TABLE ONLY public.form
    ADD CONSTRAINT form_exam_id_form_no_key UNIQUE (exam_id, form_no);
ALTER TABLE ONLY public.form_item
    ADD CONSTRAINT form_item_pkey PRIMARY KEY (form_hash, item_no);
ALTER TABLE ONLY public.form_key
    ADD CONSTRAINT form_key_pkey PRIMARY KEY (form_hash, key_version, item_no);
ALTER TABLE ONLY public.form
    ADD CONSTRAINT form_pkey PRIMARY KEY (form_hash);
ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_bank_id_code_key UNIQUE (bank_id, code);
ALTER TABLE ONLY public.item_key
    ADD CONSTRAINT item_key_pkey PRIMARY KEY (item_id, version);
ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (item_id);
ALTER TABLE ONLY public.item_version
    ADD CONSTRAINT item_version_pkey PRIMARY KEY (item_id, version);
ALTER TABLE ONLY public.media
    ADD CONSTRAINT media_pkey PRIMARY KEY (media_hash);
ALTER TABLE ONLY public.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.quarantine
    ADD CONSTRAINT quarantine_pkey PRIMARY KEY (district_id, exam_day, attempt_id, epoch, seq);
ALTER TABLE ONLY public.quarantine_default
    ADD CONSTRAINT quarantine_default_pkey PRIMARY KEY (district_id, exam_day, attempt_id, epoch, seq);
ALTER TABLE ONLY public.result
    ADD CONSTRAINT result_pkey PRIMARY KEY (district_id, exam_day, attempt_id, key_version);
ALTER TABLE ONLY public.result_default
    ADD CONSTRAINT result_default_pkey PRIMARY KEY (district_id, exam_day, attempt_id, key_version);
ALTER TABLE ONLY public.school
    ADD CONSTRAINT school_district_id_name_key UNIQUE (district_id, name);
ALTER TABLE ONLY public.school
    ADD CONSTRAINT school_pkey PRIMARY KEY (school_id);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_pkey PRIMARY KEY (token_hash);
ALTER TABLE ONLY public.slot
    ADD CONSTRAINT slot_pkey PRIMARY KEY (slot_id);
ALTER TABLE ONLY public.slot
    ADD CONSTRAINT slot_slot_id_district_id_key UNIQUE (slot_id, district_id);
ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_email_key UNIQUE (email);
ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_pkey PRIMARY KEY (staff_id);
ALTER TABLE ONLY public.submission
    ADD CONSTRAINT submission_pkey PRIMARY KEY (district_id, exam_day, attempt_id);
ALTER TABLE ONLY public.submission_default
    ADD CONSTRAINT submission_default_pkey PRIMARY KEY (district_id, exam_day, attempt_id);
ALTER TABLE ONLY public.time_grant
    ADD CONSTRAINT time_grant_pkey PRIMARY KEY (grant_id);
CREATE INDEX announcement_slot ON public.announcement USING btree (slot_id, announcement_id);
CREATE INDEX attempt_candidate ON ONLY public.attempt USING btree (district_id, candidate_id);
CREATE INDEX attempt_due ON ONLY public.attempt USING btree (deadline) WHERE (state = 'started'::text);
CREATE INDEX attempt_default_deadline_idx ON public.attempt_default USING btree (deadline) WHERE (state = 'started'::text);
CREATE INDEX attempt_default_district_id_candidate_id_idx ON public.attempt_default USING btree (district_id, candidate_id);
CREATE INDEX audit_district ON public.audit USING btree (district_id, audit_id);
CREATE INDEX booking_candidate ON ONLY public.booking USING btree (district_id, candidate_id);
CREATE INDEX booking_default_district_id_candidate_id_idx ON public.booking_default USING btree (district_id, candidate_id);
CREATE INDEX candidate_batch ON ONLY public.candidate USING btree (district_id, batch_id);
CREATE INDEX candidate_default_district_id_batch_id_idx ON public.candidate_default USING btree (district_id, batch_id);
CREATE INDEX item_section ON public.item USING btree (bank_id, section);
CREATE INDEX session_candidate ON public.session USING btree (candidate_id) WHERE ((candidate_id IS NOT NULL) AND (revoked_at IS NULL));
CREATE INDEX session_revoked ON public.session USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);
CREATE INDEX slot_district ON public.slot USING btree (district_id, opens_at);
CREATE INDEX slot_exam ON public.slot USING btree (exam_id);
CREATE INDEX submission_unreceipted ON ONLY public.submission USING btree (attempt_id) WHERE (digest IS NULL);
CREATE INDEX submission_default_attempt_id_idx ON public.submission_default USING btree (attempt_id) WHERE (digest IS NULL);
CREATE INDEX submission_digest ON ONLY public.submission USING btree (digest) WHERE (digest IS NOT NULL);
CREATE INDEX submission_default_digest_idx ON public.submission_default USING btree (digest) WHERE (digest IS NOT NULL);
CREATE INDEX submission_ungraded ON ONLY public.submission USING btree (ended_at) WHERE ((digest IS NOT NULL) AND (graded_at IS NULL));
CREATE INDEX submission_default_ended_at_idx ON public.submission_default USING btree (ended_at) WHERE ((digest IS NOT NULL) AND (graded_at IS NULL));
CREATE INDEX time_grant_slot ON public.time_grant USING btree (slot_id);
ALTER INDEX public.answer_pkey ATTACH PARTITION public.answer_default_pkey;
ALTER INDEX public.attempt_due ATTACH PARTITION public.attempt_default_deadline_idx;
ALTER INDEX public.attempt_candidate ATTACH PARTITION public.attempt_default_district_id_candidate_id_idx;
ALTER INDEX public.attempt_district_id_exam_day_slot_id_candidate_id_key ATTACH PARTITION public.attempt_default_district_id_exam_day_slot_id_candidate_id_key;
ALTER INDEX public.attempt_pkey ATTACH PARTITION public.attempt_default_pkey;
ALTER INDEX public.booking_candidate ATTACH PARTITION public.booking_default_district_id_candidate_id_idx;
ALTER INDEX public.booking_pkey ATTACH PARTITION public.booking_default_pkey;
ALTER INDEX public.candidate_batch ATTACH PARTITION public.candidate_default_district_id_batch_id_idx;
ALTER INDEX public.candidate_pkey ATTACH PARTITION public.candidate_default_pkey;
ALTER INDEX public.event_pkey ATTACH PARTITION public.event_default_pkey;
ALTER INDEX public.quarantine_pkey ATTACH PARTITION public.quarantine_default_pkey;
ALTER INDEX public.result_pkey ATTACH PARTITION public.result_default_pkey;
ALTER INDEX public.submission_unreceipted ATTACH PARTITION public.submission_default_attempt_id_idx;
ALTER INDEX public.submission_digest ATTACH PARTITION public.submission_default_digest_idx;
ALTER INDEX public.submission_ungraded ATTACH PARTITION public.submission_default_ended_at_idx;
ALTER INDEX public.submission_pkey ATTACH PARTITION public.submission_default_pkey;
ALTER TABLE ONLY public.analysis
    ADD CONSTRAINT analysis_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE ONLY public.analysis
    ADD CONSTRAINT analysis_exam_id_fkey FOREIGN KEY (exam_id) REFERENCES public.exam(exam_id);
ALTER TABLE ONLY public.announcement
    ADD CONSTRAINT announcement_slot_id_district_id_fkey FOREIGN KEY (slot_id, district_id) REFERENCES public.slot(slot_id, district_id);
ALTER TABLE ONLY public.announcement
    ADD CONSTRAINT announcement_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id);
ALTER TABLE ONLY public.bank
    ADD CONSTRAINT bank_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE ONLY public.batch
    ADD CONSTRAINT batch_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE public.booking
    ADD CONSTRAINT booking_district_id_candidate_id_fkey FOREIGN KEY (district_id, candidate_id) REFERENCES public.candidate(district_id, candidate_id);
ALTER TABLE public.booking
    ADD CONSTRAINT booking_slot_id_district_id_fkey FOREIGN KEY (slot_id, district_id) REFERENCES public.slot(slot_id, district_id);
ALTER TABLE public.candidate
    ADD CONSTRAINT candidate_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.batch(batch_id);
ALTER TABLE public.candidate
    ADD CONSTRAINT candidate_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE public.candidate
    ADD CONSTRAINT candidate_school_id_fkey FOREIGN KEY (school_id) REFERENCES public.school(school_id);
ALTER TABLE ONLY public.credential
    ADD CONSTRAINT credential_district_id_candidate_id_fkey FOREIGN KEY (district_id, candidate_id) REFERENCES public.candidate(district_id, candidate_id);
ALTER TABLE ONLY public.envelope
    ADD CONSTRAINT envelope_form_hash_fkey FOREIGN KEY (form_hash) REFERENCES public.form(form_hash);
ALTER TABLE ONLY public.envelope
    ADD CONSTRAINT envelope_slot_id_district_id_fkey FOREIGN KEY (slot_id, district_id) REFERENCES public.slot(slot_id, district_id);
ALTER TABLE ONLY public.exam
    ADD CONSTRAINT exam_bank_id_fkey FOREIGN KEY (bank_id) REFERENCES public.bank(bank_id);
ALTER TABLE ONLY public.exam
    ADD CONSTRAINT exam_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE ONLY public.form
    ADD CONSTRAINT form_exam_id_fkey FOREIGN KEY (exam_id) REFERENCES public.exam(exam_id);
ALTER TABLE ONLY public.form_item
    ADD CONSTRAINT form_item_form_hash_fkey FOREIGN KEY (form_hash) REFERENCES public.form(form_hash);
ALTER TABLE ONLY public.form_item
    ADD CONSTRAINT form_item_item_id_version_fkey FOREIGN KEY (item_id, version) REFERENCES public.item_version(item_id, version);
ALTER TABLE ONLY public.form_key
    ADD CONSTRAINT form_key_form_hash_item_no_fkey FOREIGN KEY (form_hash, item_no) REFERENCES public.form_item(form_hash, item_no);
ALTER TABLE ONLY public.item
    ADD CONSTRAINT item_bank_id_fkey FOREIGN KEY (bank_id) REFERENCES public.bank(bank_id);
ALTER TABLE ONLY public.item_key
    ADD CONSTRAINT item_key_item_id_version_fkey FOREIGN KEY (item_id, version) REFERENCES public.item_version(item_id, version);
ALTER TABLE ONLY public.item_version
    ADD CONSTRAINT item_version_item_id_fkey FOREIGN KEY (item_id) REFERENCES public.item(item_id);
ALTER TABLE ONLY public.school
    ADD CONSTRAINT school_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE ONLY public.session
    ADD CONSTRAINT session_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id);
ALTER TABLE ONLY public.slot
    ADD CONSTRAINT slot_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE ONLY public.slot
    ADD CONSTRAINT slot_exam_id_fkey FOREIGN KEY (exam_id) REFERENCES public.exam(exam_id);
ALTER TABLE ONLY public.staff
    ADD CONSTRAINT staff_district_id_fkey FOREIGN KEY (district_id) REFERENCES public.district(district_id);
ALTER TABLE ONLY public.time_grant
    ADD CONSTRAINT time_grant_slot_id_district_id_fkey FOREIGN KEY (slot_id, district_id) REFERENCES public.slot(slot_id, district_id);
ALTER TABLE ONLY public.time_grant
    ADD CONSTRAINT time_grant_staff_id_fkey FOREIGN KEY (staff_id) REFERENCES public.staff(staff_id);
ALTER TABLE public.analysis ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.announcement ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.answer ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.attempt ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.audit ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.bank ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.batch ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.booking ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.candidate ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.envelope ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.exam ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.form ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.form_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.item ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.item_version ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.quarantine ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.result ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.school ENABLE ROW LEVEL SECURITY;
CREATE POLICY scoped ON public.analysis TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.announcement TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.answer TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.attempt TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.audit TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.bank TO exam_staff USING (((district_id IS NULL) OR (array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL))) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.batch TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.booking TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.candidate TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.envelope TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.event TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.exam TO exam_staff USING (((district_id IS NULL) OR (array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL))) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.form TO exam_staff USING ((EXISTS ( SELECT
   FROM public.exam e
  WHERE (e.exam_id = form.exam_id)))) WITH CHECK ((EXISTS ( SELECT
   FROM public.exam e
  WHERE ((e.exam_id = form.exam_id) AND (array_position(( SELECT public.scope() AS scope), e.district_id) IS NOT NULL)))));
CREATE POLICY scoped ON public.form_item TO exam_staff USING ((EXISTS ( SELECT
   FROM public.form f
  WHERE (f.form_hash = form_item.form_hash)))) WITH CHECK ((EXISTS ( SELECT
   FROM (public.form f
     JOIN public.exam e USING (exam_id))
  WHERE ((f.form_hash = form_item.form_hash) AND (array_position(( SELECT public.scope() AS scope), e.district_id) IS NOT NULL)))));
CREATE POLICY scoped ON public.item TO exam_staff USING ((EXISTS ( SELECT
   FROM public.bank b
  WHERE (b.bank_id = item.bank_id))));
CREATE POLICY scoped ON public.item_version TO exam_staff USING ((EXISTS ( SELECT
   FROM public.item i
  WHERE (i.item_id = item_version.item_id))));
CREATE POLICY scoped ON public.quarantine TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.result TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.school TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.slot TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.submission TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
CREATE POLICY scoped ON public.time_grant TO exam_staff USING ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL)) WITH CHECK ((array_position(( SELECT public.scope() AS scope), district_id) IS NOT NULL));
ALTER TABLE public.slot ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.submission ENABLE ROW LEVEL SECURITY;
ALTER TABLE public.time_grant ENABLE ROW LEVEL SECURITY;
CREATE POLICY unscoped ON public.analysis TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.announcement TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.answer TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.attempt TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.audit TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.bank TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.batch TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.booking TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.candidate TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.envelope TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.event TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.exam TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.form TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.form_item TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.item TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.item_version TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.quarantine TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.result TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.school TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.slot TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.submission TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
CREATE POLICY unscoped ON public.time_grant TO exam_web, exam_author, exam_grading USING (true) WITH CHECK (true);
REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO exam_web;
GRANT USAGE ON SCHEMA public TO exam_staff;
GRANT USAGE ON SCHEMA public TO exam_author;
GRANT USAGE ON SCHEMA public TO exam_grading;
REVOKE ALL ON FUNCTION public.count_overlapping(opens timestamp with time zone, ends timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.count_overlapping(opens timestamp with time zone, ends timestamp with time zone) TO exam_staff;
REVOKE ALL ON FUNCTION public.create_partitions(district smallint, first_month date, months integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION public.freeze_form_key(frozen bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.freeze_form_key(frozen bytea) TO exam_staff;
GRANT ALL ON FUNCTION public.missing_partitions(district smallint, on_day date) TO exam_staff;
GRANT ALL ON FUNCTION public.missing_partitions(district smallint, on_day date) TO exam_web;
GRANT ALL ON FUNCTION public.missing_partitions(district smallint, on_day date) TO exam_grading;
GRANT SELECT ON TABLE public.analysis TO exam_grading;
GRANT SELECT(exam_id),INSERT(exam_id) ON TABLE public.analysis TO exam_staff;
GRANT SELECT(exam_id) ON TABLE public.analysis TO exam_author;
GRANT SELECT(district_id),INSERT(district_id) ON TABLE public.analysis TO exam_staff;
GRANT SELECT(district_id) ON TABLE public.analysis TO exam_author;
GRANT SELECT(wanted_at),UPDATE(wanted_at) ON TABLE public.analysis TO exam_staff;
GRANT SELECT(tries),UPDATE(tries) ON TABLE public.analysis TO exam_staff;
GRANT UPDATE(tries) ON TABLE public.analysis TO exam_grading;
GRANT UPDATE(leased_until) ON TABLE public.analysis TO exam_grading;
GRANT SELECT(made_at) ON TABLE public.analysis TO exam_staff;
GRANT UPDATE(made_at) ON TABLE public.analysis TO exam_grading;
GRANT SELECT(failure),UPDATE(failure) ON TABLE public.analysis TO exam_staff;
GRANT UPDATE(failure) ON TABLE public.analysis TO exam_grading;
GRANT SELECT(figures) ON TABLE public.analysis TO exam_staff;
GRANT UPDATE(figures) ON TABLE public.analysis TO exam_grading;
GRANT SELECT(options) ON TABLE public.analysis TO exam_author;
GRANT UPDATE(options) ON TABLE public.analysis TO exam_grading;
GRANT SELECT ON TABLE public.announcement TO exam_web;
GRANT SELECT,INSERT ON TABLE public.announcement TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.answer TO exam_web;
GRANT SELECT ON TABLE public.answer TO exam_grading;
GRANT SELECT(district_id) ON TABLE public.answer TO exam_staff;
GRANT SELECT(exam_day) ON TABLE public.answer TO exam_staff;
GRANT SELECT(attempt_id) ON TABLE public.answer TO exam_staff;
GRANT SELECT(epoch) ON TABLE public.answer TO exam_staff;
GRANT SELECT(seq) ON TABLE public.answer TO exam_staff;
GRANT SELECT(item) ON TABLE public.answer TO exam_staff;
GRANT SELECT(client_ms) ON TABLE public.answer TO exam_staff;
GRANT SELECT(arrived_at) ON TABLE public.answer TO exam_staff;
GRANT USAGE ON SEQUENCE public.attempt_id_seq TO exam_staff;
GRANT SELECT ON TABLE public.attempt TO exam_web;
GRANT SELECT,INSERT ON TABLE public.attempt TO exam_staff;
GRANT SELECT ON TABLE public.attempt TO exam_grading;
GRANT UPDATE(grant_s) ON TABLE public.attempt TO exam_staff;
GRANT UPDATE(delay_s) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(takeovers_left) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(takeovers_left) ON TABLE public.attempt TO exam_staff;
GRANT UPDATE(state) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(state) ON TABLE public.attempt TO exam_staff;
GRANT UPDATE(state) ON TABLE public.attempt TO exam_grading;
GRANT UPDATE(epoch) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(writer) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(started_at) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(by_code) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(deadline) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(deadline) ON TABLE public.attempt TO exam_staff;
GRANT UPDATE(section_ends) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(section_ends) ON TABLE public.attempt TO exam_staff;
GRANT UPDATE(ended_at) ON TABLE public.attempt TO exam_web;
GRANT UPDATE(ended_at) ON TABLE public.attempt TO exam_staff;
GRANT UPDATE(ended_at) ON TABLE public.attempt TO exam_grading;
GRANT INSERT ON TABLE public.audit TO exam_web;
GRANT SELECT,INSERT ON TABLE public.audit TO exam_staff;
GRANT INSERT ON TABLE public.audit TO exam_author;
GRANT INSERT ON TABLE public.audit TO exam_grading;
GRANT SELECT ON TABLE public.bank TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.bank TO exam_author;
GRANT UPDATE(sections) ON TABLE public.bank TO exam_author;
GRANT SELECT ON TABLE public.batch TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.batch TO exam_author;
GRANT SELECT ON TABLE public.booking TO exam_web;
GRANT SELECT,INSERT ON TABLE public.booking TO exam_staff;
GRANT SELECT ON TABLE public.candidate TO exam_web;
GRANT SELECT ON TABLE public.candidate TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.candidate TO exam_author;
GRANT SELECT(district_id) ON TABLE public.candidate TO exam_grading;
GRANT SELECT(candidate_id) ON TABLE public.candidate TO exam_grading;
GRANT UPDATE(name) ON TABLE public.candidate TO exam_staff;
GRANT UPDATE(name) ON TABLE public.candidate TO exam_author;
GRANT UPDATE(language) ON TABLE public.candidate TO exam_author;
GRANT SELECT(language) ON TABLE public.candidate TO exam_grading;
GRANT UPDATE(school_id) ON TABLE public.candidate TO exam_author;
GRANT UPDATE(batch_id) ON TABLE public.candidate TO exam_author;
GRANT UPDATE(extra_time_pct) ON TABLE public.candidate TO exam_author;
GRANT SELECT ON TABLE public.credential TO exam_web;
GRANT SELECT,INSERT ON TABLE public.credential TO exam_author;
GRANT UPDATE(code_hash) ON TABLE public.credential TO exam_author;
GRANT SELECT ON TABLE public.district TO exam_web;
GRANT SELECT ON TABLE public.district TO exam_staff;
GRANT SELECT ON TABLE public.district TO exam_author;
GRANT SELECT ON TABLE public.district TO exam_grading;
GRANT SELECT ON TABLE public.envelope TO exam_web;
GRANT INSERT ON TABLE public.envelope TO exam_staff;
GRANT SELECT(district_id) ON TABLE public.envelope TO exam_staff;
GRANT SELECT(slot_id) ON TABLE public.envelope TO exam_staff;
GRANT SELECT(form_hash) ON TABLE public.envelope TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.event TO exam_web;
GRANT SELECT ON TABLE public.event TO exam_staff;
GRANT UPDATE(span_ms) ON TABLE public.event TO exam_web;
GRANT SELECT ON TABLE public.exam TO exam_web;
GRANT SELECT,INSERT ON TABLE public.exam TO exam_staff;
GRANT SELECT ON TABLE public.exam TO exam_grading;
GRANT UPDATE(config_keys) ON TABLE public.exam TO exam_staff;
GRANT UPDATE(browser_keys) ON TABLE public.exam TO exam_staff;
GRANT UPDATE(frozen_at) ON TABLE public.exam TO exam_staff;
GRANT SELECT ON TABLE public.form TO exam_web;
GRANT INSERT ON TABLE public.form TO exam_staff;
GRANT SELECT ON TABLE public.form TO exam_grading;
GRANT SELECT(form_hash) ON TABLE public.form TO exam_staff;
GRANT SELECT(exam_id) ON TABLE public.form TO exam_staff;
GRANT SELECT(form_no) ON TABLE public.form TO exam_staff;
GRANT SELECT(items) ON TABLE public.form TO exam_staff;
GRANT SELECT ON TABLE public.form_item TO exam_web;
GRANT SELECT,INSERT ON TABLE public.form_item TO exam_staff;
GRANT SELECT ON TABLE public.form_item TO exam_grading;
GRANT SELECT ON TABLE public.form_key TO exam_grading;
GRANT SELECT ON TABLE public.item TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.item TO exam_author;
GRANT UPDATE(section) ON TABLE public.item TO exam_author;
GRANT UPDATE(version) ON TABLE public.item TO exam_author;
GRANT SELECT,INSERT ON TABLE public.item_key TO exam_author;
GRANT SELECT ON TABLE public.item_version TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.item_version TO exam_author;
GRANT SELECT ON TABLE public.media TO exam_web;
GRANT SELECT,INSERT ON TABLE public.media TO exam_author;
GRANT SELECT ON TABLE public.migration TO exam_web;
GRANT SELECT ON TABLE public.migration TO exam_staff;
GRANT SELECT ON TABLE public.migration TO exam_author;
GRANT SELECT ON TABLE public.migration TO exam_grading;
GRANT SELECT,INSERT ON TABLE public.submission TO exam_web;
GRANT SELECT,INSERT ON TABLE public.submission TO exam_grading;
GRANT SELECT(district_id) ON TABLE public.submission TO exam_staff;
GRANT SELECT(exam_day) ON TABLE public.submission TO exam_staff;
GRANT SELECT(attempt_id) ON TABLE public.submission TO exam_staff;
GRANT SELECT(slot_id) ON TABLE public.submission TO exam_staff;
GRANT SELECT(ended_by) ON TABLE public.submission TO exam_staff;
GRANT SELECT(ended_at) ON TABLE public.submission TO exam_staff;
GRANT SELECT(digest) ON TABLE public.submission TO exam_staff;
GRANT UPDATE(digest) ON TABLE public.submission TO exam_grading;
GRANT UPDATE(signature) ON TABLE public.submission TO exam_grading;
GRANT SELECT(key_id) ON TABLE public.submission TO exam_staff;
GRANT UPDATE(key_id) ON TABLE public.submission TO exam_grading;
GRANT SELECT(answered) ON TABLE public.submission TO exam_staff;
GRANT UPDATE(answered) ON TABLE public.submission TO exam_grading;
GRANT UPDATE(lease) ON TABLE public.submission TO exam_grading;
GRANT UPDATE(leased_until) ON TABLE public.submission TO exam_grading;
GRANT SELECT(tries) ON TABLE public.submission TO exam_staff;
GRANT UPDATE(tries) ON TABLE public.submission TO exam_grading;
GRANT SELECT(failure) ON TABLE public.submission TO exam_staff;
GRANT UPDATE(failure) ON TABLE public.submission TO exam_grading;
GRANT SELECT(graded_at) ON TABLE public.submission TO exam_staff;
GRANT UPDATE(graded_at) ON TABLE public.submission TO exam_grading;
GRANT SELECT ON TABLE public.public_receipt TO exam_web;
GRANT SELECT,INSERT ON TABLE public.quarantine TO exam_web;
GRANT SELECT ON TABLE public.quarantine TO exam_staff;
GRANT SELECT ON TABLE public.result TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.result TO exam_grading;
GRANT UPDATE(total) ON TABLE public.result TO exam_grading;
GRANT UPDATE(maximum) ON TABLE public.result TO exam_grading;
GRANT UPDATE(detail) ON TABLE public.result TO exam_grading;
GRANT UPDATE(graded_at) ON TABLE public.result TO exam_grading;
GRANT SELECT ON TABLE public.released_result TO exam_web;
GRANT SELECT ON TABLE public.school TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.school TO exam_author;
GRANT SELECT,INSERT ON TABLE public.session TO exam_web;
GRANT SELECT,INSERT ON TABLE public.session TO exam_staff;
GRANT SELECT ON TABLE public.session TO exam_grading;
GRANT UPDATE(exam_day) ON TABLE public.session TO exam_web;
GRANT UPDATE(exam_day) ON TABLE public.session TO exam_staff;
GRANT UPDATE(attempt_id) ON TABLE public.session TO exam_web;
GRANT UPDATE(attempt_id) ON TABLE public.session TO exam_staff;
GRANT UPDATE(slot_id) ON TABLE public.session TO exam_web;
GRANT UPDATE(slot_id) ON TABLE public.session TO exam_staff;
GRANT UPDATE(form_hash) ON TABLE public.session TO exam_web;
GRANT UPDATE(form_hash) ON TABLE public.session TO exam_staff;
GRANT UPDATE(expires_at) ON TABLE public.session TO exam_web;
GRANT UPDATE(expires_at) ON TABLE public.session TO exam_staff;
GRANT UPDATE(revoked_at) ON TABLE public.session TO exam_web;
GRANT UPDATE(revoked_at) ON TABLE public.session TO exam_staff;
GRANT SELECT ON TABLE public.slot TO exam_web;
GRANT SELECT,INSERT ON TABLE public.slot TO exam_staff;
GRANT SELECT ON TABLE public.slot TO exam_grading;
GRANT UPDATE(booked) ON TABLE public.slot TO exam_staff;
GRANT UPDATE(pinned_at) ON TABLE public.slot TO exam_staff;
GRANT UPDATE(released_at) ON TABLE public.slot TO exam_staff;
GRANT SELECT(staff_id) ON TABLE public.staff TO exam_staff;
GRANT SELECT(district_id) ON TABLE public.staff TO exam_staff;
GRANT SELECT(email) ON TABLE public.staff TO exam_staff;
GRANT SELECT(name) ON TABLE public.staff TO exam_staff;
GRANT SELECT(role) ON TABLE public.staff TO exam_staff;
GRANT SELECT(password_hash) ON TABLE public.staff TO exam_staff;
GRANT SELECT(active) ON TABLE public.staff TO exam_staff;
GRANT SELECT,INSERT ON TABLE public.time_grant TO exam_staff;
