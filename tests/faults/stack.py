"""A whole exam hall of real processes for the fault tests, and clients that keep account of what was acknowledged."""

import asyncio
import contextlib
import datetime as dt
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import msgspec

from exam import db, migrations
from exam.children import Child, free_port, leave_sockets
from exam.local import Postgres, Valkey
from exam.settings import Settings
from exam.stack import DATABASE, balancer, grading_worker, server_urls, web_worker
from tests.cast import Candidate, Cast, Slot, row

WEBS = 2


@dataclass
class Stack:
    """nginx, two web workers, a grading worker, PostgreSQL and Valkey; each can be killed and started again."""

    folder: Path
    postgres: Postgres
    valkey: Valkey
    settings: Settings
    webs: list[Child]
    worker: Child
    nginx: Child
    address: str

    async def owner(self) -> asyncpg.Connection:
        return await db.connect(self.settings.database_url)


@contextlib.asynccontextmanager
async def stack(folder: Path, *, durable: bool = True) -> AsyncIterator[Stack]:
    """A running hall with a migrated, empty database."""
    port = free_port()
    with contextlib.ExitStack() as running:
        postgres = running.enter_context(Postgres(folder / "postgres", shared_buffers="64MB"))
        valkey = running.enter_context(Valkey(folder / "valkey", appendonly=durable))
        connection = await asyncpg.connect(postgres.url("postgres", "postgres"))
        await connection.execute(f"CREATE DATABASE {DATABASE}")
        await connection.close()
        settings = Settings(
            **server_urls(postgres, valkey),
            secret_key="11" * 32,
            receipt_key="22" * 32,
            public_origin=f"http://127.0.0.1:{port}",
            partition_months=0,
        )
        connection = await db.connect(settings.database_url)
        await migrations.migrate(connection)
        for district_id, code, name in ((1, "MUM", "Mumbai"), (2, "PUN", "Pune")):
            await connection.execute("INSERT INTO district VALUES ($1, $2, $3)", district_id, code, {"en": name})
        await migrations.make_partitions(connection, dt.date.today(), 0)
        await connection.close()
        webs = [web_worker(folder, number, settings) for number in range(1, WEBS + 1)]
        worker = grading_worker(folder, settings)
        nginx = balancer(folder, port, WEBS)
        for child in (*webs, worker, nginx):
            running.enter_context(child)
        yield Stack(folder, postgres, valkey, settings, webs, worker, nginx, settings.public_origin)
    for one in (folder, folder / "postgres", folder / "valkey"):
        leave_sockets(one)


async def scene(hall: Stack, candidates: int) -> tuple[list[Candidate], Slot]:
    """Candidates in one open slot."""
    owner = await hall.owner()
    try:
        cast = Cast(hall.settings, owner)
        people = [await cast.candidate(f"c{number}") for number in range(candidates)]
        return people, await cast.slot(*people)
    finally:
        await owner.close()


@dataclass
class Sitter:
    """A candidate's page in small: answers, repeats what was not acknowledged, and remembers what was."""

    hall: Stack
    candidate: Candidate
    seed: int
    acknowledged: dict[tuple[int, int], tuple[int, object]] = field(default_factory=dict)
    kept: set[tuple[int, int]] = field(default_factory=set)
    troubles: list[str] = field(default_factory=list)
    epoch: int = 1
    seq: int = 0
    receipt: dict[str, object] | None = None
    longest: float = 0.0
    requests: list[tuple[float, float, int]] = field(default_factory=list)
    """Each single request: when it was sent, how many seconds it took, and the status (0 for no answer)."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.http = httpx.AsyncClient(base_url=self.hall.address, timeout=5)

    async def asked(self, method: str, path: str, body: dict[str, object]) -> httpx.Response:
        """One request, repeated through every outage until it is answered."""
        began = asyncio.get_running_loop().time()
        while True:
            sent = asyncio.get_running_loop().time()
            try:
                answer = await self.http.request(method, path, json=body)
                self.requests.append((sent, asyncio.get_running_loop().time() - sent, answer.status_code))
                if answer.status_code not in (500, 502, 503, 504):
                    self.longest = max(self.longest, asyncio.get_running_loop().time() - began)
                    return answer
                self.troubles.append(str(answer.status_code))
                if answer.status_code == 503:
                    assert int(answer.headers["retry-after"]) >= 1, "a 503 says when to come again"
            except httpx.HTTPError as failure:
                self.requests.append((sent, asyncio.get_running_loop().time() - sent, 0))
                self.troubles.append(type(failure).__name__)
            assert asyncio.get_running_loop().time() - began < 60, (path, self.troubles[-5:])
            await asyncio.sleep(self.random.uniform(0.05, 0.3))

    async def begin(self) -> None:
        body: dict[str, object] = {"registration": self.candidate.registration, "code": self.candidate.code}
        answer = await self.asked("POST", "/api/login", body)
        assert answer.status_code == 200, answer.text
        answer = await self.asked("POST", "/api/start", {})
        assert answer.status_code == 200, answer.text

    async def answer(self) -> None:
        """One change, sent until it is acknowledged."""
        self.seq += 1
        response = self.random.choice(["a", "b", "c", None])
        body: dict[str, object] = {"epoch": self.epoch, "answers": [row(self.seq, 1, response)]}
        answer = await self.asked("PUT", "/api/answers", body)
        assert answer.status_code == 200, answer.text
        ack = answer.json()
        assert ack["watermark"] >= self.seq
        kept = {entry["seq"] for entry in ack.get("kept", [])}
        if self.seq in kept:
            self.kept.add((self.epoch, self.seq))
        else:
            self.acknowledged[self.epoch, self.seq] = (1, response)

    async def sit(self, until: asyncio.Event, pause: float = 0.08) -> None:
        """Answers until told to stop, somewhat slower than a session may at most."""
        while not until.is_set():
            await self.answer()
            await asyncio.sleep(self.random.uniform(0, 2 * pause))

    async def submit(self) -> None:
        answer = await self.asked("POST", "/api/submit", {"epoch": self.epoch, "last_seq": self.seq})
        assert answer.status_code == 200, answer.text
        self.receipt = answer.json()["receipt"]


async def lost(hall: Stack, slot: Slot, sitters: list[Sitter]) -> list[str]:
    """Everything that was acknowledged and is not in the database just so; every row that nobody sent twice or more."""
    owner = await hall.owner()
    try:
        rows = await owner.fetch("SELECT attempt_id, epoch, seq, item, response FROM answer")
        doubles = await owner.fetchval(
            "SELECT count(*) FROM (SELECT 1 FROM answer GROUP BY attempt_id, epoch, seq HAVING count(*) > 1) d"
        )
    finally:
        await owner.close()
    held = {(r["attempt_id"], r["epoch"], r["seq"]): (r["item"], msgspec.json.decode(r["response"])) for r in rows}
    found = [f"{doubles} rows stand twice"] if doubles else []
    for sitter in sitters:
        attempt_id = slot.attempts[sitter.candidate.name]
        for (epoch, seq), sent in sitter.acknowledged.items():
            stands = held.get((attempt_id, epoch, seq))
            if stands != sent:
                found.append(f"{sitter.candidate.name} {epoch}/{seq}: sent {sent}, held {stands}")
    return found
