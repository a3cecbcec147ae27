"""The rush: `python -m loadtest.rush --candidates N --minutes M [--locust K] [--report FILE.html] [--json FILE]`.

Brings a whole hall up on ports of its own, fills it, lets N candidates log in, wait, press Start in the same second,
sit and end together, and grades them. Lean drivers carry the mass, Locust a cohort of K in the same run. Then every
promise is looked for in the tables, and everything is held against thresholds.json, which sets the exit code. `--hold`
only brings the hall up, with three slots of 60, 30 and 10 %, for a Locust of one's own.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import math
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from redis import Redis

from loadtest import ledger, verdict
from loadtest.day import set_times, split_into_slots
from loadtest.generators import ROOT, Cohort, Generators
from loadtest.ledger import Reckoning
from loadtest.machine import describe, usage_of
from loadtest.plan import Plan, Processes, count_processes, is_early, open_files, shares
from loadtest.report import page, table
from loadtest.stage import Stage
from loadtest.tally import Tally
from loadtest.thresholds import Figure, read_thresholds
from loadtest.verdict import Seen, charts
from loadtest.watch import Sample, Watch, between

GRACE: Final = 20.0
OLDEST: Final = 30.0
"""Seconds after deadline and grace at which an attempt is due for sealing: so old a save in time can still be."""
LOOK_EVERY: Final = 5.0
LONGEST_GRADING: Final = 300.0


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser("python -m loadtest.rush", description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--candidates", type=int, default=2000)
    add("--minutes", type=float, default=2.0, help="From the opening to the common deadline.")
    add("--locust", type=int, help="Candidates in Locust's cohort; default 5 %%, 50 to 2,500.")
    add("--staff", type=int, default=6, help="Members of staff who look at their pages, in Locust.")
    add("--every", type=float, nargs=2, default=(20.0, 40.0), metavar=("FROM", "TO"), help="Seconds between two saves.")
    add("--submit", type=float, default=0.25, help="Share of candidates who submit; the clock seals the others.")
    add("--early", type=int, default=20, help="One in so many starts before the barrier; 0 for nobody.")
    add("--log-in-seconds", type=float, help="Default: 300 log-ins a second.")
    add("--wait-seconds", type=float, default=10.0, help="From the last log-in to the opening.")
    add("--answers", type=int, default=0, help="Answers of earlier attempts that lie in the tables already.")
    add("--web", type=int, default=2, help="Web workers.")
    add("--thresholds", type=Path, help="Another file than loadtest/thresholds.json.")
    add("--report", type=Path, help="Where the HTML report goes.")
    add("--json", type=Path, help="Where the figures go.")
    add("--hold", action="store_true", help="Bring the hall up, and wait for a Locust of your own until Ctrl-C.")
    options = parser.parse_args(words)
    if options.locust is None:
        options.locust = min(options.candidates, max(50, min(2500, math.ceil(options.candidates * 0.05))))
    if not 0 <= options.locust <= options.candidates or options.candidates < 1 or options.minutes <= 0:
        parser.error("--candidates, --locust and --minutes do not fit together")
    if options.log_in_seconds is None:
        options.log_in_seconds = max(5.0, options.candidates / 300)
    return options


class Rush:
    """One run on an open stage."""

    def __init__(self, stage: Stage, generators: Generators, options: argparse.Namespace) -> None:
        self.stage, self.generators, self.options = stage, generators, options
        self.began = time.time() + 5 + options.candidates / 8_000
        logged_in = self.began + options.log_in_seconds
        self.opens_at = logged_in + options.wait_seconds
        length = options.minutes * 60
        self.ends_at = self.opens_at + length
        self.barrier_to = self.opens_at + min(15.0, length / 4)
        self.steady_from = self.opens_at + min(20.0, length / 3)
        self.submit_from = self.ends_at - min(60.0, length / 10)
        self.due_at = self.ends_at + GRACE + OLDEST
        driven = options.candidates - options.locust
        self.early = [number for number in range(driven) if is_early(number, options.early)]
        self.plan = Plan(
            port=stage.port,
            numbers=list(range(driven)),
            log_in_from=self.began,
            log_in_to=logged_in,
            opens_at=self.opens_at,
            ends_at=self.ends_at,
            submit_from=self.submit_from,
            submit_share=options.submit,
            early_every=options.early,
            thinks=tuple(options.every),
        )
        self.watch = Watch(stage.pids(), stage.metrics)
        self.marks: dict[str, Sample] = {}

    def run(self) -> Seen:
        """Everything from the first log-in to the reckoning."""
        asyncio.run(self._set_times())
        empty = self._valkey_bytes()
        self._start()
        largest_web = valkey = 0.0
        for name, moment in (
            ("log-in", self.began),
            ("barrier", self.opens_at),
            ("after the barrier", self.barrier_to),
            ("steady", self.steady_from),
            ("checkpoint", (self.steady_from + self.submit_from) / 2),
            ("submitting", self.submit_from),
            ("end", self.ends_at),
        ):
            self._until(moment, name)
            self.marks[name] = self.watch.look()
            if name == "checkpoint":
                # At least one inside each run: what a checkpoint costs belongs to what a save costs.
                asyncio.run(self._execute("CHECKPOINT"))
                valkey = self._valkey_bytes() - empty
            if name == "submitting":
                largest_web = max(usage_of(pid).rss for pid in self.watch.groups["web"])
        # What a start had waited for us was added to its deadline.
        self.due_at += asyncio.run(self._ask("SELECT coalesce(max(delay_s), 0)::float8 FROM attempt"))
        self._until(self.due_at - 0.5, "sealing")
        sealed, receipts, graded = asyncio.run(self._see_the_end())
        self.generators.wait(60)
        self.generators.stop()
        self.watch.look()
        driver, locust = self.generators.driven(), self.generators.swarmed()
        reckoning, paper_bytes = asyncio.run(self._reckon(driver, locust))
        return Seen(
            candidates=self.options.candidates,
            starters=self.options.candidates - len(self.early),
            driver=driver,
            locust=locust,
            samples=self.watch.samples,
            barrier=between(self.marks["barrier"], self.marks["after the barrier"]),
            steady=between(self.marks["steady"], self.marks["submitting"]),
            steady_seconds=(
                math.ceil(self.steady_from - self.opens_at),
                math.floor(self.submit_from - self.opens_at),
            ),
            opens_at=self.opens_at,
            sealed_s=sealed,
            receipts_s=receipts,
            graded_s=graded,
            reckoning=reckoning,
            paper_bytes=paper_bytes,
            valkey_bytes=int(valkey),
            largest_web_mb=largest_web,
            dead=self.stage.dead(),
        )

    def _start(self) -> None:
        options, processes = self.options, self.stage.processes
        for numbers in shares(self.plan.numbers, processes.driver):
            self.generators.drive(msgspec.structs.replace(self.plan, numbers=numbers))
        first, left = len(self.plan.numbers), options.locust
        for place in range(processes.locust if options.locust else 0):
            candidates = math.ceil(left / (processes.locust - place))
            self.generators.swarm(
                self.plan,
                Cohort(
                    first=first,
                    candidates=candidates,
                    staff=options.staff if place == 0 else 0,
                    staff_password=self.stage.staff_password,
                    spawn_rate=(candidates + options.staff) / (self.options.log_in_seconds * 0.8),
                    longest=self.due_at + LONGEST_GRADING - time.time(),
                    thresholds=options.thresholds and options.thresholds.resolve(),
                ),
            )
            first, left = first + candidates, left - candidates
        self.watch.groups = {
            **self.stage.pids(),
            "driver": [process.pid for process in self.generators.driver],
            "Locust": [process.pid for process in self.generators.locust],
        }

    def _until(self, moment: float, name: str) -> None:
        """Waits for a moment, looking every few seconds and saying what goes on."""
        while (left := moment - time.time()) > 0:
            time.sleep(min(left, LOOK_EVERY))
            if moment - time.time() > 1:
                self._say(f"waiting for: {name}")

    def _say(self, what: str) -> None:
        before = self.watch.samples[-1] if self.watch.samples else None
        sample = self.watch.look()
        rate = p99 = 0.0
        if before is not None:
            span = between(before, sample)
            rate, p99 = span.saved / span.seconds, span.percentile(0.99)
        print(f"{time.time() - self.opens_at:+7.0f} s  {rate:6,.0f} saves/s, p99 {p99:5.1f} ms  {what}", flush=True)

    async def _set_times(self) -> None:
        def moment(at: float) -> dt.datetime:
            return dt.datetime.fromtimestamp(at, dt.UTC)

        async with self.stage.owner() as owner:
            await set_times(owner, moment(self.opens_at), moment(self.ends_at), self.early)
            await owner.execute("VACUUM ANALYZE attempt")

    async def _execute(self, statement: str) -> None:
        async with self.stage.owner() as owner:
            await owner.execute(statement)

    async def _ask(self, question: str) -> float:
        async with self.stage.owner() as owner:
            return float(await owner.fetchval(question))

    async def _see_the_end(self) -> tuple[float, float, float]:
        """Seconds after they were due until all were sealed, had receipts, were graded; infinite for never."""
        questions = (
            "SELECT count(*) FROM attempt WHERE state = 'started'",
            "SELECT count(*) FROM submission WHERE digest IS NULL",
            "SELECT count(*) FROM submission WHERE graded_at IS NULL",
        )
        found = [math.inf] * len(questions)
        async with self.stage.owner() as owner:
            while time.time() < self.due_at + LONGEST_GRADING:
                for place, question in enumerate(questions):
                    if found[place] == math.inf and not await owner.fetchval(question):
                        found[place] = max(0.0, time.time() - self.due_at)
                        continue
                    if found[place] == math.inf:
                        break
                if found[-1] < math.inf:
                    break
                self.watch.look()
                await asyncio.sleep(0.25)
        return found[0], found[1], found[2]

    async def _reckon(self, driver: Tally, locust: Tally) -> tuple[Reckoning, int]:
        async with self.stage.owner() as owner:
            sheet, paper_bytes = await ledger.read_sheet(owner)
            accounts = [*driver.accounts, *locust.accounts]
            return await ledger.reckon(owner, self.stage.hall.exam_day, accounts, sheet), paper_bytes

    def _valkey_bytes(self) -> float:
        with Redis.from_url(self.stage.settings.redis_state_url) as redis:
            told: dict[str, Any] = redis.info("memory")
            return float(told["used_memory"])


def hold(stage: Stage, options: argparse.Namespace) -> None:
    """Says where the hall is and how Locust is started, and waits for Ctrl-C."""
    first = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=2)
    opens = [first + dt.timedelta(minutes=place * (options.minutes + 1)) for place in range(3)]

    async def split() -> None:
        async with stage.owner() as owner:
            await split_into_slots(owner, stage.hall, opens, options.minutes)

    asyncio.run(split())
    print(
        f"The hall is at http://127.0.0.1:{stage.port}, for {options.candidates:,} candidates. Slots open at", end=" "
    )
    print(", ".join(f"{moment:%H:%M:%S} UTC" for moment in opens), f"and last {options.minutes:g} minutes.")
    print(f"  locust -f loadtest/locustfile.py --host http://127.0.0.1:{stage.port} --candidates {options.candidates}")
    print(f"  --staff-password {stage.staff_password}   (add --headless --users N --spawn-rate R for no web page)")
    print("Ctrl-C ends and removes the hall.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def commit() -> str:
    """The commit that runs, with a word if files differ from it."""
    with contextlib.suppress(OSError):
        words = ["git", "describe", "--always", "--dirty=, with changes"]
        told = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        return told.stdout.strip() or "unknown"
    return "unknown"


def write(options: argparse.Namespace, processes: Processes, seen: Seen, figures: list[Figure]) -> None:
    """The table, the HTML report and the JSON."""
    facts = [
        f"{describe()}; commit {commit()}; {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC.",
        f"{options.candidates:,} candidates, {options.locust:,} of them Locust's; {options.minutes:g} minutes, a save "
        f"every {options.every[0]:g} to {options.every[1]:g} s; {options.answers:,} answers in the tables before.",
        f"Processes: {processes.web} web, {processes.nginx} nginx, {processes.driver} driver, "
        f"{processes.locust} Locust ({processes.limit:,} open files each).",
    ]
    print("", *facts, "", table(figures), "", sep="\n", flush=True)
    title = f"Rush of {options.candidates:,} candidates"
    if options.report:
        options.report.write_text(page(title, facts, figures, charts(seen)), "utf-8")
    if options.json:
        told = {
            "facts": facts,
            "figures": figures,
            "failures": [seen.driver.failures, seen.locust.failures],
            "run": seen.steady.run(processes.web),
        }
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(told)))


def main(words: Sequence[str] | None = None) -> int:
    """Runs the rush; 0 if everything that is wanted was reached."""
    options = parse(words)
    thresholds = read_thresholds(options.thresholds) if options.thresholds else read_thresholds()
    limit = open_files()
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    processes = count_processes(options.candidates - options.locust, options.locust, options.web, limit)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped on the way out
    print(f"Filling a hall for {options.candidates:,} candidates …", flush=True)
    with Stage(processes, options.candidates, options.answers) as stage:
        if options.hold:
            hold(stage, options)
            return 0
        with contextlib.ExitStack() as running:
            generators = Generators(stage.folder)
            running.callback(generators.stop)
            seen = Rush(stage, generators, options).run()
    figures = verdict.judge(thresholds, seen)
    write(options, processes, seen, figures)
    missed = sum(figure.passed is False for figure in figures)
    print("Everything was reached." if not missed else f"{missed} not reached.")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
