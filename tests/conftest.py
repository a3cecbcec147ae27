"""Real PostgreSQL and Valkey for every test process; a database of its own for every test.

Fixtures, from the ground up:
* `servers` (session): `.postgres` and `.valkey` (exam.local), started once for each test process.
* `settings` (each test): exam.settings.Settings of a fresh, migrated database with five districts and partitions, and
  empty Valkey databases.
* `owner` (each test): an asyncpg connection as the owner of that database, for looking and for building.
* `cast` (each test): tests.cast.Cast, the named people and short ways to an exam, a slot, an attempt.
* `hall`: an opened exam.hall.Hall; `app`: the Litestar application around it, running.
* `client`: a factory of httpx.AsyncClients that speak to `app` in process, each with cookies of its own (a device).
Test functions are `async def` and need no mark.
"""

import asyncio
import datetime as dt
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from exam import db, migrations
from exam.app import create_app
from exam.children import leave_sockets
from exam.hall import Hall
from exam.local import Postgres, Valkey
from exam.settings import Settings
from tests.cast import Cast

DISTRICTS = [(1, "MUM", "Mumbai", "मुंबई"), (2, "PUN", "Pune", "पुणे"), (3, "NAG", "Nagpur", "नागपूर"),
             (4, "NAS", "Nashik", "नाशिक"), (5, "AUR", "Aurangabad", "औरंगाबाद")]  # fmt: skip
TEMPLATE = "exam_template"
_numbers = itertools.count(1)


@dataclass
class Servers:
    postgres: Postgres
    valkey: Valkey


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("servers")
    # No test outlives a crash of the machine; those that kill the server kill its processes, which loses no write.
    quick = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}
    with (
        Postgres(folder / "postgres", shared_buffers="64MB", settings=quick) as postgres,
        Valkey(folder / "valkey", appendonly=False) as valkey,
    ):
        asyncio.run(_make_template(postgres))
        yield Servers(postgres, valkey)
    for name in ("postgres", "valkey"):
        leave_sockets(folder / name)


async def _make_template(postgres: Postgres) -> None:
    await _run(postgres, f"CREATE DATABASE {TEMPLATE}")
    connection = await db.connect(postgres.url("postgres", TEMPLATE))
    try:
        await migrations.migrate(connection)
        for district in DISTRICTS:
            await connection.execute(
                "INSERT INTO district VALUES ($1, $2, jsonb_build_object('en', $3::text, 'mr', $4::text))", *district
            )
        await migrations.make_partitions(connection, dt.date.today(), 0)
    finally:
        await connection.close()


async def _run(postgres: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.url("postgres", "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
async def settings(servers: Servers) -> AsyncIterator[Settings]:
    name = f"exam_{next(_numbers)}"
    await _run(servers.postgres, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    redis = Redis.from_url(servers.valkey.url())
    await redis.flushall()
    await redis.aclose()
    made = Settings(
        database_url=servers.postgres.url("postgres", name),
        database_web_url=servers.postgres.url("exam_web", name),
        database_staff_url=servers.postgres.url("exam_staff", name),
        database_author_url=servers.postgres.url("exam_author", name),
        database_grading_url=servers.postgres.url("exam_grading", name),
        redis_state_url=servers.valkey.url(0),
        redis_cache_url=servers.valkey.url(1),
        secret_key="11" * 32,
        receipt_key="22" * 32,
        public_origin="http://hall.test",
        partition_months=0,
    )
    yield made
    await _run(servers.postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[db.Connection]:
    connection = await db.connect(settings.database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def cast(settings: Settings, owner: db.Connection) -> Cast:
    return Cast(settings, owner)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[object]:
    made = create_app(settings)
    hall: Hall = made.state.hall  # as the lifespan does, but in the test's own task
    await hall.open()
    yield made
    await hall.close()


@pytest.fixture
async def hall(app: object) -> Hall:
    made: Hall = app.state.hall  # type: ignore[attr-defined]
    await made.db.open("author", "grading")  # a worker process opens these; tests play both parts
    return made


@pytest.fixture
async def client(app: object) -> AsyncIterator[Callable[[], httpx.AsyncClient]]:
    made: list[httpx.AsyncClient] = []

    def device() -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        made.append(httpx.AsyncClient(transport=transport, base_url="http://hall.test"))
        return made[-1]

    yield device
    for one in made:
        await one.aclose()


REPOSITORY = Path(__file__).resolve().parent.parent
