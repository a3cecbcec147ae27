"""Migrations: the files of sql/migrations in the order of their names, each once, and partitions ahead of time."""

import datetime as dt
from collections.abc import Sequence
from typing import Final

from exam.db import SQL_FOLDER, Connection, load

list_applied, has_migrations, add_migration, add_partitions, list_partition_districts, find_missing, list_lacking = (
    load(
        "migrations",
        "list_applied",
        "has_migrations",
        "add_migration",
        "add_partitions",
        "list_partition_districts",
        "find_missing",
        "list_lacking",
    )
)

_LOCK: Final = 4_011_918_240  # one number for all who migrate: the second waits until the first is done


def names() -> list[str]:
    """The migrations of this version of the code, in order."""
    return sorted(path.stem for path in (SQL_FOLDER / "migrations").glob("*.sql"))


async def migrate(connection: Connection) -> list[str]:
    """Applies what is missing, in one transaction, as the owner of the schema; the names applied."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        missing = await pending(connection)
        for name in missing:
            await connection.execute((SQL_FOLDER / "migrations" / f"{name}.sql").read_text("utf-8"))
            await add_migration.run(connection, name=name)
    return missing


async def pending(connection: Connection) -> list[str]:
    """The migrations that this database lacks."""
    applied: set[str] = set()
    if (await has_migrations.one(connection))["exists"]:
        applied = {row["name"] for row in await list_applied.many(connection)}
    return [name for name in names() if name not in applied]


async def make_partitions(connection: Connection, today: dt.date, months: int) -> None:
    """Makes every district's partitions for the last month, this one and `months` to come."""
    first = (today.replace(day=1) - dt.timedelta(days=1)).replace(day=1)
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        for row in await list_partition_districts.many(connection):
            await add_partitions.one(connection, district_id=row["district_id"], first_month=first, months=months + 2)


async def missing_partitions(connection: Connection, district_id: int, on_day: dt.date) -> list[str]:
    """The tables that have no partition of their own for a district and day."""
    rows = await find_missing.many(connection, district_id=district_id, on_day=on_day)
    return [row["missing"] for row in rows]


async def lacking_partitions(connection: Connection, days: Sequence[dt.date]) -> list[str]:
    """The tables without a partition for any district on these days or for what is scheduled from the first one on."""
    return [row["missing"] for row in await list_lacking.many(connection, days=days)]
