"""What is wrong with a set-up, in plain words: for `exam check` before the day, and for /health/ready on it."""

import asyncio
import datetime as dt
import resource
from typing import Final
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from exam import migrations
from exam.cache import Store
from exam.db import OUTAGES, Connection, connect, explains, load
from exam.settings import Settings

read_setting, read_clock, list_all_districts, count_in_default, reads_keys = load(
    "checks", "read_setting", "read_clock", "list_all_districts", "count_in_default", "reads_keys"
)

MOST_SKEW: Final = 2.0
"""Seconds by which a web worker's clock may differ from the database's; half of it can be a slow answer."""
FEWEST_FILES: Final = 4096


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: whether it is well, and a sentence."""

    part: str
    well: bool
    sentence: str


async def check_all(settings: Settings) -> list[Finding]:
    """Everything `exam check` looks at."""
    found = [
        *await _check_database(settings),
        *await _check_redis(settings.redis_state_url, "state Redis", state=True),
        *await _check_redis(settings.redis_cache_url, "cache Redis", state=False),
    ]
    if settings.debug:
        found.append(Finding("debug", False, "DEBUG is on: errors would show internals. Turn it off."))
    if not settings.tls and not settings.public_origin.startswith(("http://127.", "http://localhost")):
        found.append(Finding("TLS", False, "PUBLIC_ORIGIN is not https: sessions could be stolen on the way."))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < FEWEST_FILES:
        found.append(
            Finding("open files", False, f"A process may open {files} files only; raise it to {FEWEST_FILES} or more.")
        )
    return found


async def _check_database(settings: Settings) -> list[Finding]:
    try:
        connection = await connect(settings.database_url)
    except (*OUTAGES, asyncpg.PostgresError) as outage:
        return [Finding("PostgreSQL", False, f"PostgreSQL does not let us in: {explains(outage)}")]
    try:
        found = [Finding("PostgreSQL", True, "PostgreSQL answers.")]
        found += await _check_durability(connection)
        missing = await migrations.pending(connection)
        if missing:
            found.append(Finding("migrations", False, f"Not migrated yet: {', '.join(missing)}. Run `exam migrate`."))
            return found
        found.append(Finding("migrations", True, "All migrations are applied."))
        found += await _check_partitions(connection, settings)
    finally:
        await connection.close()
    return found + await _check_roles(settings)


async def _check_durability(connection: Connection) -> list[Finding]:
    wanted = {
        "synchronous_commit": ("on", "remote_apply", "remote_write", "local"),
        "fsync": ("on",),
        "full_page_writes": ("on",),
    }
    found = []
    for name, good in wanted.items():
        value = (await read_setting.one(connection, name=name))["value"]
        if value in good:
            found.append(Finding(name, True, f"{name} is {value}."))
        else:
            found.append(
                Finding(
                    name, False, f"{name} is {value}: an answer called safe could be lost in a crash. Set it to on."
                )
            )
    before = dt.datetime.now(dt.UTC)
    now: dt.datetime = (await read_clock.one(connection))["now"]
    middle = before + (dt.datetime.now(dt.UTC) - before) / 2
    skew = (now - middle).total_seconds()
    found.append(
        Finding("clock", True, f"The database's clock differs from this machine's by {skew:+.3f} s.")
        if abs(skew) <= MOST_SKEW
        else Finding("clock", False, f"The database's clock differs by {skew:+.1f} s. Set both by NTP.")
    )
    return found


async def _check_partitions(connection: Connection, settings: Settings) -> list[Finding]:
    today = dt.datetime.now(ZoneInfo(settings.time_zone)).date()
    lacking = await migrations.lacking_partitions(connection, [today])
    if lacking:
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        found = [Finding("partitions", False, f"Missing: {', '.join(lacking[:3])}{more}. Run `exam migrate`.")]
    else:
        found = [Finding("partitions", True, "Every district has its partitions for today and for what is scheduled.")]
    stray = (await count_in_default.one(connection))["attempts"]
    if stray:
        found.append(Finding("partitions", False, f"{stray} attempts lie in a default partition."))
    return found


async def _check_roles(settings: Settings) -> list[Finding]:
    try:
        connection = await connect(settings.url_of("web"), role="exam_web")
    except (*OUTAGES, asyncpg.PostgresError) as outage:
        return [Finding("roles", False, f"The delivery role exam_web cannot log in: {explains(outage)}")]
    try:
        if (await reads_keys.one(connection))["reads"]:
            return [Finding("roles", False, "The delivery role can read keys. Take that right away.")]
        try:
            await connection.execute("SET ROLE NONE")
            may_become_owner = (await reads_keys.one(connection))["reads"]
        except asyncpg.PostgresError:
            may_become_owner = False
        if may_become_owner:
            return [
                Finding("roles", True, "The delivery role cannot read keys; give it a log-in of its own "
                        "(DATABASE_WEB_URL) so that it could not even become another role.")
            ]  # fmt: skip
        return [Finding("roles", True, "The delivery role cannot read keys.")]
    finally:
        await connection.close()


async def _check_redis(url: str, part: str, *, state: bool) -> list[Finding]:
    store = Store(url, part)
    try:
        if not await store.ping():
            return [Finding(part, False, f"The {part} does not answer within 0.2 s.")]
        policy = await store.policy()
        if state and policy is not None and policy != "noeviction":
            return [
                Finding(part, False, f"The {part} may throw keys away ({policy}): people would be logged out in "
                        "mid-exam. Set maxmemory-policy to noeviction.")
            ]  # fmt: skip
        return [Finding(part, True, f"The {part} answers; its policy is {policy or 'not told'}.")]
    finally:
        await store.close()


async def readiness(connection: Connection, state: Store, cache: Store, time_zone: str) -> dict[str, str]:
    """What /health/ready says of each part: "ok", "away", or what is missing."""
    pending = await migrations.pending(connection)
    today = dt.datetime.now(ZoneInfo(time_zone)).date()
    lacking: list[str] = []
    if not pending:
        for row in await list_all_districts.many(connection):
            lacking += await migrations.missing_partitions(connection, row["district_id"], today)
    state_well, cache_well = await asyncio.gather(state.ping(), cache.ping())
    return {
        "postgresql": "ok",
        "migrations": "ok" if not pending else f"missing: {', '.join(pending)}",
        "partitions": "ok" if not lacking else f"missing: {', '.join(lacking[:5])}",
        "redis_state": "ok" if state_well else "away",
        "redis_cache": "ok" if cache_well else "away",
    }
