"""What cannot be undercut: the bench's floors, and the scenes its operations begin in.

`python -m loadtest.floors SOCKET` is the bare echo server itself.
"""

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any, Final

import uvloop
from redis.asyncio import Redis

from exam import db, submissions
from exam.app import Server
from exam.children import Child, free_port, socket_folder
from exam.nginx import Nginx, nginx_config
from exam.receipts import Signer
from exam.settings import Settings
from exam.stack import STATIC
from grading.scoring import FormItem, FormScorer, Scheme
from loadtest.machine import usage_of
from loadtest.seeding import bank

ROUND: Final = 100

# Scenes: SQL by the owner that puts the candidates back, whatever a round has done. Old answers belong to others.
NEXT_EPOCH: Final = (
    "UPDATE attempt SET state = 'started', epoch = {epoch}, started_at = now(), ended_at = NULL, "
    "deadline = now() + interval '2 hours', writer = coalesce(writer, sha256('x')) WHERE attempt_id <= 1000000"
)
BEGIN: Final = NEXT_EPOCH.format(epoch=1)
PREPARE: Final = (
    "UPDATE attempt SET state = 'prepared', epoch = 0, writer = NULL, started_at = NULL, deadline = NULL, "
    "ended_at = NULL WHERE attempt_id <= 1000000"
)
TWENTY_ANSWERS: Final = (
    "DELETE FROM submission; DELETE FROM answer WHERE attempt_id <= 1000000; "
    + BEGIN
    + "; INSERT INTO answer SELECT district_id, exam_day, attempt_id, 1, n, n, '\"b\"', false, 0, now() "
    "FROM attempt, generate_series(1, 20) n WHERE attempt_id <= 1000000; VACUUM ANALYZE attempt"
)
SEALED: Final = (
    "DELETE FROM submission; DELETE FROM answer WHERE attempt_id <= 1000000; "
    + BEGIN
    + "; INSERT INTO answer SELECT district_id, exam_day, attempt_id, 1, n, (n - 1) % {questions} + 1, "
    'CASE (n - 1) % {questions} % 10 WHEN 9 THEN \'"answer"\' WHEN 4 THEN \'"3.14"\' WHEN 6 THEN \'["a","c"]\' '
    "ELSE '\"' || substr('abcd', (attempt_id + n)::int % 4 + 1, 1) || '\"' END, false, 0, now() "
    "FROM attempt, generate_series(1, 75) n WHERE attempt_id <= 1000000; "
    "UPDATE attempt SET deadline = now() - interval '5 minutes' WHERE attempt_id <= 1000000"
)
TO_GRADE: Final = "UPDATE submission SET graded_at = NULL, tries = 0, lease = NULL, leased_until = NULL"
FORGET_RESULTS: Final = (
    "DELETE FROM result; UPDATE attempt SET state = 'sealed' WHERE state = 'graded'; VACUUM ANALYZE submission"
)


async def seal_all(settings: Settings) -> tuple[int, float, float]:
    """Seals everything that is due and makes the receipts; how many, and the seconds of each."""
    database = db.Database(settings)
    await database.open("grading")
    try:
        began = time.monotonic()
        sealed = await submissions.seal(database)
        middle = time.monotonic()
        await submissions.receipt_sealed(database, Signer(settings.receipt_key))
        return sealed, middle - began, time.monotonic() - middle
    finally:
        await database.close()


def bare_scoring() -> float:
    """CPU milliseconds to score 50 answers in memory, without a database."""
    scorer = FormScorer([FormItem("main", item.interaction, key, "2") for item, key in bank()], Scheme())
    sheets = [{number: "abcd"[(number + shift) % 4] for number in range(1, 5)} for shift in range(4)]
    began = time.process_time()
    for turn in range(5000):
        scorer.score(sheets[turn % 4])
    return (time.process_time() - began) / 5


def echo(bench: Any, workers: int) -> float:
    """Server CPU in milliseconds for one PUT that is only read and answered, through the same nginx and server."""
    folder: Path = bench.folder / "echo"
    folder.mkdir()
    sockets = [socket_folder(bench.folder) / f"echo{number}.sock" for number in range(workers)]
    with contextlib.ExitStack() as running:
        children = [
            Child(f"echo{number}", folder, [sys.executable, "-m", "loadtest.floors", str(path)], socket=path)
            for number, path in enumerate(sockets)
        ]
        port = free_port()
        config = nginx_config(listen=[f"127.0.0.1:{port}"], upstreams=sockets, static=STATIC, temp=folder)
        nginx = Nginx(folder, config)
        for child in (*children, nginx):
            running.enter_context(child)
        before = sum(usage_of(child.pid).cpu for child in (*children, nginx))
        script = """
function request() return wrk.format("PUT", "/api/answers", headers(next_one()), string.rep("x", 90)) end
"""
        found = bench.drive(script, f"http://127.0.0.1:{port}", 5)
        spent = sum(usage_of(child.pid).cpu for child in (*children, nginx)) - before
    return 1000 * spent / float(found["done"])


def batched_insert(bench: Any) -> float:
    """PostgreSQL's CPU in milliseconds for one answer that is inserted in batches of 100, without any guard."""

    async def run() -> float:
        owner = await db.connect(bench.settings.database_url)
        try:
            rounds = 300
            before = usage_of(bench.postgres.pid).cpu
            for turn in range(rounds):
                await owner.execute(
                    "INSERT INTO answer SELECT $1, $2, a, 1, $3, 1, '\"b\"', false, 0, now() "
                    "FROM unnest($4::bigint[]) a",
                    1,
                    bench.hall.exam_day,
                    turn + 1,
                    [5_000_000 + number * 7 for number in range(ROUND)],
                )
            return 1000 * (usage_of(bench.postgres.pid).cpu - before) / (rounds * ROUND)
        finally:
            await owner.close()

    return asyncio.run(run())


def pipelined_get(bench: Any) -> float:
    """Valkey's CPU in milliseconds for one value of a hundred that are asked for together."""

    async def run() -> float:
        redis = Redis.from_url(bench.settings.redis_cache_url)
        keys = [f"floor{number}" for number in range(ROUND)]
        await redis.mset(dict.fromkeys(keys, b"x" * 60))
        before = usage_of(bench.valkey.pid).cpu
        for _ in range(1000):
            await redis.mget(keys)
        spent = usage_of(bench.valkey.pid).cpu - before
        await redis.delete(*keys)
        await redis.aclose()
        return 1000 * spent / (1000 * ROUND)

    return asyncio.run(run())


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for phase in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{phase}.complete"})
        return
    await receive()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}", "more_body": False})


def serve_echo(path: Path) -> None:
    """The bare echo on a unix socket, until it is killed."""
    uvloop.run(Server(_echo, path).serve())


if __name__ == "__main__":
    serve_echo(Path(sys.argv[1]))
