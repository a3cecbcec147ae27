"""How many can sit at once: `python -m loadtest.hold --connections 1000,40000 [--rate R | --every A B] [--drain N]`.

Everybody has an attempt that runs and a connection of their own, and saves an answer every so often; nothing else
happens, so that what a save costs is seen alone. Several numbers of connections follow each other in one hall, so that
their costs are a ratio. With `--drain` so many submissions are given to the graders meanwhile. At the end every
acknowledged answer is looked for in the tables.
"""

import argparse
import asyncio
import contextlib
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from loadtest import floors, ledger
from loadtest.costs import Run
from loadtest.driver import PATIENCE
from loadtest.generators import Generators
from loadtest.machine import describe, usage_of
from loadtest.plan import Plan, Processes, count_processes, open_files, shares
from loadtest.seeding import QUESTIONS
from loadtest.stage import Stage
from loadtest.tally import Tally
from loadtest.verdict import SERVERS, driver_cpu_ms
from loadtest.watch import Sample, Span, Watch, between

SEATED_PER_SECOND: Final = 700
"""So many make their connection each second: this is no barrier."""
LOOK_EVERY: Final = 5.0
LONGEST_DRAIN: Final = 120.0


class Held(msgspec.Struct):
    """One number of connections. CPU in milliseconds a save; memory in megabytes; latencies in milliseconds."""

    connections: int
    seconds: float
    saves_per_second: float
    p50_ms: float
    p99_ms: float
    seen_p50_ms: float
    """As the candidates see it, the driver's own lateness included."""
    seen_p99_ms: float
    server_cpu_ms: float
    cpu_ms: dict[str, float]
    driver_cpu_ms: float
    cores: float
    """Of servers and generator together."""
    largest_web_mb: float
    nginx_mb: float
    failed: int
    put_off: int
    failures: dict[str, dict[str, int]]
    run: Run
    """For `python -m loadtest.capacity --check`."""
    drained_per_second: float = 0.0
    p99_while_draining_ms: float = 0.0


class Hold:
    """Numbers of connections, one after another, on an open stage."""

    def __init__(self, stage: Stage, folder: Path, options: argparse.Namespace) -> None:
        self.stage, self.folder, self.options = stage, folder, options
        self.first = 0
        self.tallies: list[Tally] = []

    def measure(self, connections: int, processes: Processes, *, drain: int = 0) -> Held:
        """One number of connections: seated, warm, then measured."""
        numbers = list(range(self.first, self.first + connections))
        self.first += connections
        thinks: tuple[float, float] = (self.options.every[0], self.options.every[1])
        if self.options.rate:
            thinks = (connections / self.options.rate * 2 / 3, connections / self.options.rate * 4 / 3)
        began = time.time() + 2 + connections / 20_000
        seated = began + connections / SEATED_PER_SECOND
        steady = seated + max(10.0, thinks[1] * 1.05)
        ends = steady + self.options.minutes * 60
        plan = Plan(
            port=self.stage.port,
            numbers=numbers,
            log_in_from=began,
            log_in_to=seated,
            opens_at=steady,
            ends_at=ends,
            submit_from=ends,
            submit_share=0.0,
            early_every=0,
            thinks=thinks,
            seated=True,
        )
        generators = Generators(self.folder)
        watch = Watch(self.stage.pids("grading"), self.stage.metrics)
        try:
            for part in shares(numbers, processes.driver):
                generators.drive(msgspec.structs.replace(plan, numbers=part))
            watch.groups = {**self.stage.pids("grading"), "driver": [process.pid for process in generators.driver]}
            self._until(steady, watch, connections)
            first = watch.look()
            drained = (0.0, 0.0)
            middle_at = (steady + ends) / 2
            if drain:
                self._until(steady + 5, watch, connections)
                drained = self._drain(drain, watch)
            self._until(middle_at, watch, connections)
            # At least one inside each run: what a checkpoint costs belongs to what a save costs.
            asyncio.run(self._execute("CHECKPOINT"))
            self._until(ends - 1, watch, connections)
            last = watch.look()
            webs = [usage_of(pid).rss for pid in watch.groups["web"]]
            generators.wait(PATIENCE + 15)
        finally:
            generators.stop()
        tally = generators.driven()
        self.tallies.append(tally)
        run = between(first, last).run(self.options.web)
        return _held(connections, between(first, last), last, max(webs), tally, run, drained)

    def _until(self, moment: float, watch: Watch, connections: int) -> None:
        while (left := moment - time.time()) > 0:
            time.sleep(min(left, LOOK_EVERY))
            before = watch.samples[-1] if watch.samples else None
            sample = watch.look()
            if before is not None:
                span = between(before, sample)
                cores = "  ".join(f"{part} {cpu / span.seconds:.2f}" for part, cpu in span.cpu.items())
                rate, p99 = span.saved / span.seconds, span.percentile(0.99)
                print(f"{connections:7,}  {rate:6,.0f} saves/s  p99 {p99:6.1f} ms  {cores}", flush=True)

    def _drain(self, count: int, watch: Watch) -> tuple[float, float]:
        """Lets a grader at the submissions; how many a second were graded, and the saves' p99 meanwhile."""
        (grader,) = self.stage.children["grading"]
        grader.start()
        began, first = time.time(), watch.look()
        while time.time() < began + LONGEST_DRAIN:
            time.sleep(0.5)
            if not asyncio.run(self._ask("SELECT count(*) FROM submission WHERE graded_at IS NULL")):
                span = between(first, watch.look())
                return count / span.seconds, span.percentile(0.99)
        return 0.0, float("inf")

    async def _execute(self, statement: str) -> None:
        async with self.stage.owner() as owner:
            await owner.execute(statement)

    async def _ask(self, question: str) -> int:
        async with self.stage.owner() as owner:
            return int(await owner.fetchval(question))

    async def wait_for_graders(self, first: int) -> None:
        """Ends the attempts from this number on, with receipts, while no grader is there."""
        (grader,) = self.stage.children["grading"]
        grader.stop()
        async with self.stage.owner() as owner:
            for statement in floors.SEALED.format(questions=QUESTIONS).split("; "):
                chosen = statement.replace("attempt_id <= 1000000", f"attempt_id BETWEEN {first + 1} AND 1000000")
                if not chosen.startswith("DELETE"):
                    await owner.execute(chosen)
            await owner.execute("ANALYZE answer")
        sealed, _, _ = await floors.seal_all(self.stage.settings)
        print(f"{sealed:,} submissions wait for the graders.", flush=True)

    async def reckon(self) -> ledger.Reckoning:
        """Every acknowledged answer, looked for in the tables."""
        async with self.stage.owner() as owner:
            sheet, _ = await ledger.read_sheet(owner)
            accounts = [account for tally in self.tallies for account in tally.accounts]
            return await ledger.reckon(owner, self.stage.hall.exam_day, accounts, sheet, ended=False)


def _held(
    connections: int,
    span: Span,
    last: Sample,
    largest_web: float,
    tally: Tally,
    run: Run,
    drained: tuple[float, float],
) -> Held:
    saves = max(1, span.saved)
    seen = tally.timeline.between("save", first=0, end=int(span.seconds))
    spent = {part: span.cpu[part] for part in SERVERS}
    return Held(
        connections=connections,
        seconds=span.seconds,
        saves_per_second=span.saved / span.seconds,
        p50_ms=span.percentile(0.5),
        p99_ms=span.percentile(0.99),
        seen_p50_ms=seen.percentile(0.5),
        seen_p99_ms=seen.percentile(0.99),
        server_cpu_ms=1000 * sum(spent.values()) / saves,
        cpu_ms={part: 1000 * cpu / saves for part, cpu in spent.items()},
        driver_cpu_ms=driver_cpu_ms(tally, 0, int(span.seconds)),
        cores=sum(span.cpu.values()) / span.seconds,
        largest_web_mb=largest_web,
        nginx_mb=last.rss["nginx"],
        failed=tally.failed,
        put_off=sum(tally.put_off.values()),
        failures=tally.failures,
        run=run,
        drained_per_second=drained[0],
        p99_while_draining_ms=drained[1],
    )


def tell(held: Held) -> str:
    """One number of connections in a line or two."""
    parts = "  ".join(f"{part} {cpu:.3f}" for part, cpu in held.cpu_ms.items())
    lines = [
        f"{held.connections:7,} connections  {held.saves_per_second:7,.0f} saves/s  p50 {held.p50_ms:.1f}  "
        f"p99 {held.p99_ms:.1f} ms  (candidates see {held.seen_p50_ms:.1f}, {held.seen_p99_ms:.1f})",
        f"        CPU a save {held.server_cpu_ms:.3f} ms = {parts}   driver {held.driver_cpu_ms:.3f}   "
        f"{held.cores:.2f} cores in all   web ≤ {held.largest_web_mb:.0f} MB   nginx {held.nginx_mb:.0f} MB   "
        f"failed {held.failed}  put off {held.put_off} {held.failures or ''}",
    ]
    if held.drained_per_second:
        lines.append(
            f"        {held.drained_per_second * 60:,.0f} attempts a minute graded meanwhile, "
            f"p99 of saves then {held.p99_while_draining_ms:.1f} ms"
        )
    return "\n".join(lines)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser("python -m loadtest.hold", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--connections", default="1000,40000", help="Numbers of candidates, parted by commas, one after another.")
    add("--minutes", type=float, default=2.0, help="For how long each number is measured.")
    add("--every", type=float, nargs=2, default=(20.0, 40.0), metavar=("FROM", "TO"), help="Seconds between two saves.")
    add("--rate", type=float, help="Saves a second of all together, however many they are; instead of --every.")
    add("--answers", type=int, default=0, help="Answers of earlier attempts that lie in the tables already.")
    add("--drain", type=int, default=0, help="Submissions that are graded during the last number.")
    add("--web", type=int, default=2, help="Web workers.")
    add("--json", type=Path, help="Where the figures go.")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Holds each number; 0 if nothing failed and every acknowledged answer is there."""
    options = parse(words)
    numbers = [int(number) for number in options.connections.split(",")]
    limit = open_files()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped on the way out
    most = count_processes(max(numbers), 0, options.web, limit)
    everybody = sum(numbers)
    print(f"Filling a hall for {everybody:,} candidates …", flush=True)
    with Stage(most, everybody + options.drain, options.answers, seated=True) as stage:
        hold = Hold(stage, stage.folder, options)
        if options.drain:
            asyncio.run(hold.wait_for_graders(everybody))
        found: list[Held] = []
        for number in numbers:
            last = len(found) == len(numbers) - 1
            held = hold.measure(
                number, count_processes(number, 0, options.web, limit), drain=options.drain if last else 0
            )
            print(tell(held), flush=True)
            found.append(held)
        reckoning = asyncio.run(hold.reckon())
        dead = stage.dead()
    print("", f"{describe()}", *(tell(held) for held in found), sep="\n")
    told = ", ".join(f"{count:,} {kind}" for kind, count in reckoning.wrong.items())
    print(f"{reckoning.acknowledged:,} acknowledged answers: {told or 'all there'}; died: {', '.join(dead) or 'none'}")
    if options.json:
        report = {"machine": describe(), "held": found, "run": found[-1].run}
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    return int(bool(reckoning.wrong or dead or any(held.failed for held in found)))


if __name__ == "__main__":
    sys.exit(main())
