"""What the capacity planner assumes about an exam day and about what things cost; every line is an option of it."""

from typing import Annotated

import msgspec
from msgspec import Meta


class Assumptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One exam day. Bytes of WAL and of tables are those of PostgreSQL 18, measured with rounds of 50 rows."""

    candidates: Annotated[int, Meta(ge=1, description="Candidates on one day.")]
    slot_minutes: Annotated[float, Meta(gt=0, description="Length of a slot.")] = 120
    biggest_share: Annotated[
        float, Meta(gt=0, le=1, description="Share of the day's candidates in the biggest slot.")
    ] = 0.6
    save_interval: Annotated[float, Meta(gt=0, description="Seconds between two saves of a candidate.")] = 30
    rows_per_save: Annotated[float, Meta(ge=1, description="Answer rows in a save.")] = 1
    login_minutes: Annotated[float, Meta(gt=0, description="Minutes over which a slot logs in.")] = 30
    start_seconds: Annotated[float, Meta(gt=0, description="Seconds in which everybody at the barrier is started.")] = (
        15
    )
    paper_seconds: Annotated[float, Meta(gt=0, description="Seconds over which a slot fetches its papers.")] = 15
    submit_share: Annotated[
        float, Meta(ge=0, le=1, description="Share of a slot that submits shortly before the end.")
    ] = 0.25
    submit_seconds: Annotated[float, Meta(gt=0, description="Seconds in which they do so.")] = 60
    end_seconds: Annotated[float, Meta(gt=0, description="Seconds over which everybody's last save arrives.")] = 20
    grading_minutes: Annotated[float, Meta(gt=0, description="Minutes in which a slot is to be graded.")] = 30

    max_load: Annotated[
        float, Meta(gt=0, lt=1, description="Share of a core that may be busy in the busiest second.")
    ] = 0.6
    sigmas: Annotated[float, Meta(ge=0, description="Standard deviations of the busiest second above the mean.")] = 3
    arrivals_scv: Annotated[float, Meta(ge=0, description="Spread of arrivals (1: Poisson), squared variation.")] = 1
    service_scv: Annotated[float, Meta(ge=0, description="Spread of each operation's CPU, squared variation.")] = 1

    bench_workers: Annotated[int, Meta(ge=1, description="Web workers of the bench.")] = 2
    flush_ms: Annotated[
        float, Meta(gt=0, description="Milliseconds from flush to flush of a worker that is not busy.")
    ] = 13
    # Fitted between two measured runs of 1,334 and 1,999 saves a second over two workers (docs/performance.md).
    flush_web_ms: Annotated[float, Meta(ge=0, description="CPU of a web worker for each flush, whatever is in it.")] = (
        1.55
    )
    flush_postgres_ms: Annotated[float, Meta(ge=0, description="CPU of PostgreSQL for each flush.")] = 0.85
    flush_valkey_ms: Annotated[float, Meta(ge=0, description="CPU of Valkey for the look-up before it.")] = 0.2
    flush_nginx_ms: Annotated[float, Meta(ge=0, description="CPU of nginx that requests of the same moment share.")] = (
        0.7
    )

    request_bytes: Annotated[float, Meta(ge=0, description="Bytes of a request on the line, with headers and TLS.")] = (
        1000
    )
    response_bytes: Annotated[float, Meta(ge=0, description="Bytes of its answer.")] = 800
    handshake_bytes: Annotated[float, Meta(ge=0, description="Bytes sent for a new TLS connection.")] = 5000
    paper_kib: Annotated[float, Meta(ge=0, description="KiB of a compressed paper.")] = 25

    heap_row_bytes: Annotated[float, Meta(ge=0, description="Bytes of an answer row in its table.")] = 77
    index_row_bytes: Annotated[float, Meta(ge=0, description="Bytes of an answer row in its index.")] = 55
    attempt_bytes: Annotated[float, Meta(ge=0, description="Bytes of all else that is kept of an attempt.")] = 4000
    wal_row_bytes: Annotated[
        float, Meta(ge=0, description="WAL of an answer row, its lock and its part of the commit.")
    ] = 315
    wal_start_bytes: Annotated[float, Meta(ge=0, description="WAL of a start.")] = 920
    wal_end_bytes: Annotated[float, Meta(ge=0, description="WAL of an end and its receipt.")] = 1760
    wal_grade_bytes: Annotated[float, Meta(ge=0, description="WAL of a result.")] = 2940
    checkpoint_minutes: Annotated[float, Meta(gt=0, description="Minutes between checkpoints.")] = 15
    attempt_page_bytes: Annotated[
        float, Meta(ge=0, description="WAL of an attempt's own page after a checkpoint, shared with its neighbours.")
    ] = 200
    image_share: Annotated[
        float, Meta(ge=0, le=1, description="What wal_compression leaves of page images; pglz 0.3, off 1.")
    ] = 1
    wal_hours: Annotated[float, Meta(ge=0, description="Hours of WAL that have to find room.")] = 4
    days_kept: Annotated[float, Meta(ge=0, description="Such exam days that stay in the database.")] = 10
    standbys: Annotated[int, Meta(ge=0, description="Standbys of PostgreSQL, each as large as the primary.")] = 1

    connection_kib: Annotated[float, Meta(ge=0, description="nginx's memory for a waiting TLS connection.")] = 40
    web_mib: Annotated[float, Meta(ge=0, description="Memory of a web worker or grader.")] = 150
    connections_per_web: Annotated[int, Meta(ge=1, description="Database connections of a web worker, all pools.")] = 13
    connections_per_grader: Annotated[int, Meta(ge=1, description="Database connections of a grader.")] = 5
    connection_mib: Annotated[float, Meta(ge=0, description="PostgreSQL's memory for a connection.")] = 10
    valkey_kib: Annotated[float, Meta(ge=0, description="The state Redis' memory for a candidate.")] = 1.5

    paid_hours: Annotated[float, Meta(ge=0, description="Hours for which machines are paid for an exam day.")] = 8
    disk_months: Annotated[float, Meta(ge=0, description="Months for which the disk is paid.")] = 1


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a provider asks, in one currency: a core and a GiB of memory per hour, disk per month, traffic sent."""

    currency: Annotated[str, Meta(min_length=1, max_length=8)]
    core_hour: Annotated[float, Meta(ge=0)]
    memory_gib_hour: Annotated[float, Meta(ge=0)]
    disk_gib_month: Annotated[float, Meta(ge=0)]
    traffic_gib: Annotated[float, Meta(ge=0)]
