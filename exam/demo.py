"""The demo: everything of the exam hall on this machine, on real servers, until Ctrl-C."""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from exam import migrations
from exam.children import ChildError, free_port, leave_sockets, listening, stop_orphans
from exam.db import connect
from exam.local import Postgres, Valkey
from exam.seed import Seeded, seed
from exam.settings import Settings
from exam.stack import balancer, create_database, grading_worker, server_urls, web_worker
from exam.supervisor import Supervisor

WORKERS: Final = 2
SERVERS: Final = (
    "DATABASE_URL",
    "DATABASE_WEB_URL",
    "DATABASE_STAFF_URL",
    "DATABASE_AUTHOR_URL",
    "DATABASE_GRADING_URL",
    "REDIS_STATE_URL",
    "REDIS_CACHE_URL",
)
"""Servers of one's own, in place of children."""


class Secrets(msgspec.Struct):
    """What a demo keeps between its runs: keys, the staff's password and the access codes it has told."""

    secret_key: str
    receipt_key: str
    password: str
    codes: dict[str, str] = {}


def run_demo(folder: Path, port: int, say: Callable[[str], None]) -> None:
    """Starts, fills and supervises the demo in `folder` at 127.0.0.1:`port`; returns after Ctrl-C or SIGTERM."""
    began = time.monotonic()
    for name in stop_orphans(folder):
        say(f"{name}: stopped one that a run cut off earlier had left behind.")
    if listening(port):
        raise ChildError(f"Port {port} of this machine is taken. Choose another: make demo PORT={free_port()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = _read_secrets(folder)
    with Supervisor(say) as house:
        say("Starting PostgreSQL and Valkey …")
        settings = _start_servers(house, folder, kept, port)
        say("Preparing the database and the demo's data …")
        seeded = asyncio.run(_prepare(settings, kept))
        kept.codes = seeded.codes
        _write_secrets(folder, kept)
        say("Starting the web workers, the grading worker and nginx …")
        metrics = [free_port(9101 + number) for number in range(WORKERS + 1)]
        webs = [web_worker(folder, number + 1, settings, metrics[number]) for number in range(WORKERS)]
        house.start(*webs, grading_worker(folder, settings, metrics_port=metrics[-1]))
        house.start(balancer(folder, port, WORKERS))
        _tell(say, settings, seeded, metrics, time.monotonic() - began)
        house.run()
    leave_sockets(folder)


def _start_servers(house: Supervisor, folder: Path, kept: Secrets, port: int) -> Settings:
    """PostgreSQL and Valkey as children, as far as the environment does not name servers of one's own."""
    given = {name.lower(): os.environ[name] for name in SERVERS if os.environ.get(name)}
    postgres = valkey = None
    if "database_url" not in given:
        postgres = Postgres(folder / "postgres", shared_buffers="256MB")
        house.start(postgres)
        create_database(postgres)
    if not {"redis_state_url", "redis_cache_url"} <= given.keys():
        valkey = Valkey(folder / "valkey")
        house.start(valkey)
    more = {
        "secret_key": kept.secret_key,
        "receipt_key": kept.receipt_key,
        "public_origin": f"http://127.0.0.1:{port}",
    }
    return msgspec.convert({**server_urls(postgres, valkey), **given, **more}, Settings)


async def _prepare(settings: Settings, kept: Secrets) -> Seeded:
    connection = await connect(settings.database_url)
    try:
        await migrations.migrate(connection)
        return await seed(connection, settings, kept.codes, kept.password)
    finally:
        await connection.close()


def _read_secrets(folder: Path) -> Secrets:
    path = folder / "secrets.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    made = Secrets(secrets.token_hex(32), secrets.token_hex(32), secrets.token_urlsafe(9))
    _write_secrets(folder, made)
    return made


def _write_secrets(folder: Path, kept: Secrets) -> None:
    path = folder / "secrets.json"
    fresh = path.with_suffix(".new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(kept)))
    fresh.replace(path)


def _tell(say: Callable[[str], None], settings: Settings, seeded: Seeded, metrics: list[int], seconds: float) -> None:
    say("")
    say(f"The exam hall is open at {settings.public_origin}   (ready in {seconds:.0f} s; Ctrl-C stops everything)")
    say("")
    say("Candidates: registration number and access code")
    for what, registration, code in seeded.candidates:
        say(f"    {registration}    {code}    {what}")
    say("")
    say(f"Staff, at {settings.public_origin}/staff: e-mail and password")
    for role, email, password in seeded.staff:
        say(f"    {email:24} {password}    {role.replace('_', ' ')}")
    say("")
    say(f"Prometheus figures: http://127.0.0.1:{{{','.join(map(str, metrics))}}}/metrics")
    say("")
