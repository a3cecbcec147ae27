"""What one request costs: `python -m loadtest.bench [--json FILE]`, on a whole hall of real processes on this machine.

Each operation is driven to saturation through nginx by wrk, round after round, and its CPU is read from the processes'
own accounting. Beside it stands its floor in the same run: a bare ASGI echo on the same server, the same rows inserted
in batches without any guard, a bare pipelined GET. So the figures are ratios, and the medians of several rounds.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from exam import db, migrations
from exam.children import Child, free_port, leave_sockets
from exam.local import Postgres, Valkey
from exam.results import Grader
from exam.settings import Settings
from exam.stack import balancer, create_database, server_urls, web_worker
from loadtest import floors
from loadtest.day import add_old_answers
from loadtest.machine import describe, usage_of
from loadtest.seeding import QUESTIONS, Hall, fill, token_of

WEBS: Final = 2
PARTS: Final = ("web", "postgres", "valkey", "nginx")


class Figures(msgspec.Struct):
    """One operation: medians over the rounds. CPU in milliseconds for one operation, of the server's processes only."""

    per_second: float
    p50_ms: float
    p99_ms: float
    server_cpu_ms: float
    web_cpu_ms: float
    postgres_cpu_ms: float
    valkey_cpu_ms: float
    nginx_cpu_ms: float
    floor_cpu_ms: float
    failed: int = 0


class Report(msgspec.Struct):
    """A run: the machine, when, and the operations."""

    machine: str
    at: dt.datetime
    rounds: int
    seconds: int
    connections: int
    answers_before: int
    operations: dict[str, Figures]


class Bench:
    """A hall with everything filled in, and wrk before it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.port = free_port()
        self.postgres = Postgres(
            folder / "postgres",
            shared_buffers="1GB",
            settings={"max_wal_size": "8GB", "checkpoint_timeout": "30min", "checkpoint_completion_target": "0.9"},
        )
        self.valkey = Valkey(folder / "valkey")
        self.parts: dict[str, list[Child]] = {}

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        with contextlib.ExitStack() as running:
            running.enter_context(self.postgres)
            running.enter_context(self.valkey)
            create_database(self.postgres)
            more = {"secret_key": "11" * 32, "receipt_key": "22" * 32, "partition_months": 0}
            self.settings = msgspec.convert(
                {**server_urls(self.postgres, self.valkey), **more, "public_origin": f"http://127.0.0.1:{self.port}"},
                Settings,
            )
            self.hall = asyncio.run(self._fill())
            webs = [web_worker(self.folder, number, self.settings) for number in range(1, WEBS + 1)]
            # What starts and log-ins cost is asked here, not how they queue.
            nginx = balancer(self.folder, self.port, WEBS, starts_per_second=1_000_000)
            for child in (*webs, nginx):
                running.enter_context(child)
            self.parts = {"web": list(webs), "postgres": [self.postgres], "valkey": [self.valkey], "nginx": [nginx]}
            yield
        leave_sockets(self.folder)

    async def _fill(self) -> Hall:
        owner = await db.connect(self.settings.database_url)
        try:
            await migrations.migrate(owner)
            hall = await fill(owner, self.settings, self.options.candidates, codes=True)
            if self.options.answers:
                print(f"Filling in {self.options.answers:,} answers …", flush=True)
                await add_old_answers(owner, hall, self.options.answers)
            await owner.execute("VACUUM ANALYZE")
            await owner.execute("CHECKPOINT")
        finally:
            await owner.close()
        return hall

    def sql(self, *statements: str) -> Any:
        """Runs statements as the owner; what the last one says."""

        async def run() -> Any:
            owner = await db.connect(self.settings.database_url)
            try:
                for statement in statements[:-1]:
                    await owner.execute(statement)
                return await owner.fetchval(statements[-1])
            finally:
                await owner.close()

        return asyncio.run(run())

    def cpu(self) -> dict[str, float]:
        return {part: sum(usage_of(child.pid).cpu for child in children) for part, children in self.parts.items()}

    def drive(self, script: str, address: str = "", seconds: int | None = None) -> dict[str, float]:
        """One round of wrk: operations, failures, latencies, and the CPU of each part."""
        path = self.folder / "wrk.lua"
        path.write_text(PRELUDE.format(tokens=self.folder / "tokens") + script + DONE)
        seconds = seconds or self.options.seconds
        words = ["wrk", "-t1", f"-c{self.options.connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(path)]
        before, began = self.cpu(), time.monotonic()
        wrk = subprocess.Popen([*words, address or f"http://127.0.0.1:{self.port}"], stdout=subprocess.PIPE, text=True)
        if not address:
            time.sleep(seconds / 2)
            self.sql("SELECT 1", "CHECKPOINT")  # what a checkpoint costs belongs to what a save costs
        told, _ = wrk.communicate(timeout=seconds + 30)
        after = self.cpu()
        line = next((line for line in told.splitlines() if line.startswith("FIGURES ")), None)
        if line is None:
            raise SystemExit(f"wrk did not say what it did:\n{told}")
        done, failed, p50, p99, duration = map(float, line.split()[1:])
        if failed:
            print(told)
        found = {
            "done": done,
            "failed": failed,
            "p50": p50,
            "p99": p99,
            "seconds": duration or time.monotonic() - began,
        }
        return found | {part: after[part] - before[part] for part in PARTS}

    def measure(self, name: str, script: str, floor: float, before: str, *, once: bool = False) -> Figures:
        """Several rounds of one operation, medians; `before` is SQL that puts the scene back before each round.

        EPOCH in both is the number of the round; with `once` nobody's turn comes twice in a round.
        """
        rounds = []
        seconds = max(2, min(self.options.seconds, self.options.candidates // 12_000)) if once else self.options.seconds
        for turn in range(1, self.options.rounds + 1):
            time.sleep(1)  # what the round before had under way when it ended is done
            self.sql(*before.replace("EPOCH", str(turn)).split("; "), "SELECT 1")
            rounds.append(self.drive(script.replace("EPOCH", str(turn)), seconds=seconds))

        def median(of: Any) -> float:
            return float(statistics.median(of(one) for one in rounds))

        figures = Figures(
            per_second=median(lambda one: one["done"] / one["seconds"]),
            p50_ms=median(lambda one: one["p50"]),
            p99_ms=median(lambda one: one["p99"]),
            server_cpu_ms=median(lambda one: 1000 * sum(one[part] for part in PARTS) / one["done"]),
            **{f"{part}_cpu_ms": median(lambda one, part=part: 1000 * one[part] / one["done"]) for part in PARTS},
            floor_cpu_ms=floor,
            failed=int(sum(one["failed"] for one in rounds)),
        )
        tell(name, figures)
        return figures

    def grading(self, floor: float) -> Figures:
        """Sealed attempts with 75 answers each, graded by one process: this one."""
        rounds = []
        for _ in range(self.options.rounds):
            self.sql(floors.TO_GRADE, *floors.FORGET_RESULTS.split("; "), "SELECT 1")

            async def grade() -> tuple[int, float, float, float]:
                database = db.Database(self.settings)
                await database.open("grading")
                before, cpu, began = usage_of(self.postgres.pid).cpu, time.process_time(), time.monotonic()
                graded = await Grader(database).grade_all()
                spent = time.monotonic() - began, time.process_time() - cpu, usage_of(self.postgres.pid).cpu - before
                await database.close()
                return (graded, *spent)

            rounds.append(asyncio.run(grade()))
        middle = sorted(rounds, key=lambda one: one[1])[len(rounds) // 2]
        graded, seconds, own, postgres = middle
        each = 1000 / graded
        figures = Figures(graded / seconds, 0, 0, (own + postgres) * each, own * each, postgres * each, 0, 0, floor)
        tell("grade", figures)
        return figures


PRELUDE: Final = """
local tokens = {{}}
for line in io.lines("{tokens}") do tokens[#tokens + 1] = line end
local failed, at, seq = 0, 0, {{}}
local function next_one() at = at + 1; if at > #tokens then at = 1 end; return at end
local function headers(n) return {{["Cookie"] = "exam=" .. tokens[n], ["Content-Type"] = "application/json"}} end
function response(status, _, body)
  if status ~= 200 and status ~= 304 then
    failed = failed + 1
    if failed < 4 then print(status, body) end
  end
end
"""
DONE: Final = """
function done(summary, latency, _)
  local errors = summary.errors
  local bad = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("FIGURES %d %d %.3f %.3f %.3f\\n", summary.requests, bad,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, summary.duration / 1e6))
end
"""
# wrk asks for one request that it only looks at; no number may be spent on it, or its candidate would have a gap.
SAVE: Final = """
local looked = false
function request()
  if not looked then looked = true; return wrk.format("GET", "/health/live") end
  local n = next_one()
  seq[n] = (seq[n] or 0) + 1
  return wrk.format("PUT", "/api/answers", headers(n), '{"epoch":EPOCH,"answers":[{"seq":' .. seq[n] .. ',"item":' ..
    (seq[n] % 4 + 1) .. ',"response":"b","flag":false,"at":1790000000000}]}')
end
"""
START: Final = 'function request() return wrk.format("POST", "/api/start", headers(next_one()), "{}") end\n'
SUBMIT: Final = """
function request()
  return wrk.format("POST", "/api/submit", headers(next_one()), '{"epoch":1,"last_seq":20,"answers":[]}')
end
"""
LOGIN: Final = """
function request()
  local n = next_one() - 1
  return wrk.format("POST", "/api/login", {["Content-Type"] = "application/json"},
    '{"registration":"LOAD-' .. n .. '","code":"LOADCODE' .. n .. '"}')
end
"""


def tell(name: str, figures: Figures) -> None:
    parts = "  ".join(f"{part} {getattr(figures, f'{part}_cpu_ms'):.3f}" for part in PARTS)
    print(
        f"{name:7} {figures.per_second:9,.0f}/s   p50 {figures.p50_ms:7.1f}  p99 {figures.p99_ms:7.1f} ms   "
        f"CPU {figures.server_cpu_ms:.3f} ms = {parts}   floor {figures.floor_cpu_ms:.3f}   failed {figures.failed}",
        flush=True,
    )


def run(options: argparse.Namespace) -> Report:
    """The whole bench."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed here (Debian's package: wrk).")
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        bench = Bench(folder, options)
        with bench.open():
            (folder / "tokens").write_text("\n".join(token_of(number).hex() for number in range(options.candidates)))
            echo = floors.echo(bench, WEBS)
            insert = floors.batched_insert(bench)
            get = floors.pipelined_get(bench)
            print(
                f"floors: echo {echo:.4f}  batched insert {insert:.4f}  pipelined GET {get:.4f} ms of CPU each\n",
                flush=True,
            )
            operations: dict[str, Figures] = {}
            wanted = options.only.split(",") if options.only else ["save", "start", "submit", "login", "paper", "grade"]
            if "save" in wanted:
                operations["save"] = bench.measure(
                    "save", SAVE, echo + insert + get, floors.NEXT_EPOCH.format(epoch="EPOCH")
                )
            if "start" in wanted:
                operations["start"] = bench.measure("start", START, echo + get, floors.PREPARE, once=True)
            if "submit" in wanted:
                operations["submit"] = bench.measure("submit", SUBMIT, echo + get, floors.TWENTY_ANSWERS, once=True)
            if "login" in wanted:
                operations["login"] = bench.measure("login", LOGIN, echo, floors.BEGIN)
            if "paper" in wanted:
                script = PAPER.format(form=bench.hall.form.hex())
                operations["paper"] = bench.measure("paper", script, echo + get, floors.BEGIN)
            if "grade" in wanted:
                bench.sql(*floors.SEALED.format(questions=QUESTIONS).split("; "), "SELECT 1")
                sealed, seconds, receipts = asyncio.run(floors.seal_all(bench.settings))
                print(f"sealed {sealed:,} in {seconds:.1f} s, their receipts made in {receipts:.1f} s", flush=True)
                operations["grade"] = bench.grading(floors.bare_scoring())
        return Report(
            describe(),
            dt.datetime.now(dt.UTC),
            options.rounds,
            options.seconds,
            options.connections,
            options.answers,
            operations,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


PAPER: Final = 'function request() return wrk.format("GET", "/api/papers/{form}", headers(next_one())) end\n'


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=40_000)
    parser.add_argument("--answers", type=int, default=10_000_000, help="answers that lie in the tables before")
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--only", default="", help="operations, parted by commas")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    report = run(options)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    failed = {name: figures.failed for name, figures in report.operations.items() if figures.failed}
    if failed:
        sys.exit(f"There were failures: {failed}")


if __name__ == "__main__":
    main()
