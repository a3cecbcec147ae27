"""The generators of a rush as child processes: lean drivers for the mass, Locust for a cohort, and what they saw."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from loadtest.plan import Plan
from loadtest.tally import Tally
from loadtest.thresholds import NOT_REACHED

ROOT: Final = Path(__file__).resolve().parent.parent
LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")


class Cohort(msgspec.Struct, frozen=True):
    """What one process of Locust's does."""

    first: int
    candidates: int
    staff: int
    staff_password: str
    spawn_rate: float
    longest: float
    """Seconds after which it ends in any case."""
    thresholds: Path | None


class Generators:
    """Starts them, and gathers what they have seen. Their output lies in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.driver: list[subprocess.Popen[bytes]] = []
        self.locust: list[subprocess.Popen[bytes]] = []

    def drive(self, plan: Plan) -> None:
        """Starts a driver process."""
        name = f"driver{len(self.driver) + 1}"
        path = self._folder / f"{name}.plan"
        path.write_bytes(msgspec.json.encode(plan))
        with path.open("rb") as plan_file:
            self.driver.append(self._start(name, [sys.executable, "-m", "loadtest.driver"], plan_file.fileno()))

    def swarm(self, plan: Plan, cohort: Cohort) -> None:
        """Starts a Locust process; times and port are those of the drivers' plan."""
        name = f"locust{len(self.locust) + 1}"
        options: dict[str, object] = {
            "host": f"http://127.0.0.1:{plan.port}",
            "users": cohort.candidates + cohort.staff,
            "spawn-rate": f"{cohort.spawn_rate:.2f}",
            "run-time": f"{cohort.longest:.0f}s",
            "loglevel": "WARNING",
            "candidates": cohort.candidates,
            "first": cohort.first,
            "submit-share": plan.submit_share,
            "staff": cohort.staff,
            "quit-after": cohort.candidates,
            "epoch": plan.opens_at,
            "tally": self._folder / f"{name}.out.json",
        }
        if cohort.thresholds:
            options["thresholds"] = cohort.thresholds
        words = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
        words += [word for option, value in options.items() for word in (f"--{option}", str(value))]
        words += ["--think", *map(str, plan.thinks)]
        # Not a word of the command line: everybody on the machine can read that.
        secret = {"EXAM_STAFF_PASSWORD": cohort.staff_password}
        self.locust.append(self._start(name, words, subprocess.DEVNULL, secret))

    def _start(
        self, name: str, words: Sequence[str], stdin: int, env: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self._folder / f"{name}.out").open("wb") as out, (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                words, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=stdin, stdout=out, stderr=log
            )

    def wait(self, seconds: float) -> None:
        """Waits until all have ended, at most so long."""
        deadline = time.monotonic() + seconds
        for process in (*self.driver, *self.locust):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))

    def stop(self) -> None:
        """Ends what still runs."""
        running = [process for process in (*self.driver, *self.locust) if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def driven(self) -> Tally:
        """What the drivers have seen, added up; a driver that did not say is a failure."""
        whole = Tally()
        for place, process in enumerate(self.driver, start=1):
            self._gather(whole, f"driver{place}", self._folder / f"driver{place}.out", process.poll())
        return whole

    def swarmed(self) -> Tally:
        """The same of Locust's processes, whose exit code their own thresholds set."""
        whole = Tally()
        for place, process in enumerate(self.locust, start=1):
            self._gather(whole, f"locust{place}", self._folder / f"locust{place}.out.json", process.poll())
        return whole

    def _gather(self, whole: Tally, name: str, path: Path, code: int | None) -> None:
        try:
            whole.merge(msgspec.json.decode(path.read_bytes(), type=Tally))
        except (OSError, msgspec.MsgspecError) as wrong:
            whole.fail(name, f"no result: {type(wrong).__name__}")
        if code is None:
            whole.fail(name, "did not end")
        elif code:
            lines = (self._folder / f"{name}.log").read_text("utf-8", "replace").strip().splitlines()
            told = [line.partition(NOT_REACHED)[2] for line in lines if NOT_REACHED in line] or lines[-2:]
            whole.fail(name, f"exit code {code}: {' / '.join(told)[:400]}")
