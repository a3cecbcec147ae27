"""Locust's side of a run: options, whose turn it is, when the doors open, what was counted, and the exit code."""

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import gevent  # type: ignore[import-untyped]
import msgspec
from gevent.event import Event  # type: ignore[import-untyped]
from locust import events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.histogram import Histogram
from loadtest.plan import dealt
from loadtest.protocol import Unexpected
from loadtest.sitter import Sitter
from loadtest.tally import Tally
from loadtest.thresholds import NOT_REACHED, judge_failures, judge_operations, read_thresholds

log = logging.getLogger("loadtest.crowd")

hooks: Any = events
"""Locust's events; its listeners are untyped."""
PUT_OFF: Final = ", put off"
"""Ends the names of requests that the service asked to repeat later."""
FIRST_PRESS: Final = 0.05
"""Seconds from the opening to the press: clocks of one machine still round differently."""


def add_options(parser: LocustArgumentParser) -> None:
    """What a run may say beyond Locust's own options."""
    # Not in a group of their own: only the parser itself knows secrets.
    parser.add_argument("--candidates", type=int, default=1000, help="How many of the hall's candidates may be used.")
    parser.add_argument("--first", type=int, default=0, help="Number of the first of them.")
    parser.add_argument(
        "--think", type=float, nargs=2, default=[20.0, 40.0], help="Seconds between answers, from and to."
    )
    parser.add_argument("--submit-share", type=float, default=0.25, help="Share of candidates who submit themselves.")
    parser.add_argument(
        "--staff-password",
        default="",
        is_secret=True,
        env_var="EXAM_STAFF_PASSWORD",
        help="Of the hall's staff; without it none come.",
    )
    parser.add_argument("--staff", type=int, default=6, help="How many members of staff look at their pages.")
    parser.add_argument("--quit-after", type=int, default=0, help="Ends a run of one process when so many have ended.")
    parser.add_argument("--thresholds", default="", help="Another file than loadtest/thresholds.json.")
    parser.add_argument(
        "--tally", default="", help="Where latencies and promises go as JSON; workers add their number."
    )
    parser.add_argument("--epoch", type=float, default=0.0, help="Unix time from which the tally counts its seconds.")


class Crowd:
    """Everybody of this process: whose turn it is, when the doors open, and what was counted."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.sitters: list[Sitter] = []
        self.ended = 0
        self.epoch = time.time()
        self.barriers: dict[float, Event] = {}
        self._numbers: Iterator[int] = iter(())

    def deal(self, environment: Environment) -> None:
        """Divides the candidates among Locust's workers, if there are several."""
        options: Any = environment.parsed_options
        runner = environment.runner
        workers, place = 1, 0
        if isinstance(runner, WorkerRunner):
            workers, place = max(1, int(options.processes or options.expect_workers or 1)), runner.worker_index
        self._numbers = dealt(options.first, options.candidates, place, workers)

    def next_number(self) -> int | None:
        """The next candidate's number; None when everybody has come."""
        return next(self._numbers, None)

    def barrier(self, opens_at: float, offset: float) -> Event:
        """The event of an opening (server's Unix time): set at that moment, for all who wait at once."""
        event = self.barriers.get(opens_at)
        if event is None:
            event = self.barriers[opens_at] = Event()
            gevent.spawn_later(max(0.0, opens_at + FIRST_PRESS - offset - time.time()), event.set)
        return event


crowd = Crowd()


def begin(environment: Environment, **_: Any) -> None:
    """A run begins: candidates come from the first one on again."""
    crowd.sitters, crowd.ended, crowd.tally = [], 0, Tally()
    crowd.deal(environment)


def count(name: str, response_time: float, exception: Any, start_time: float, **_: Any) -> None:
    """Every request goes into the tally, too."""
    if exception is None:
        crowd.tally.timeline.add(name, math.floor(start_time - crowd.epoch), response_time / 1000)
    else:
        crowd.tally.fail(name, str(exception))


def scenario_failed(user_instance: Any, exception: Exception, **_: Any) -> None:
    """An exception in a scenario is a failure like any other."""
    fail(user_instance, "scenario", f"{type(exception).__name__}: {exception}")


def judge(environment: Environment, **_: Any) -> None:
    """Sets the exit code by the thresholds, over all workers where there are several; writes the tally."""
    options: Any = environment.parsed_options
    crowd.tally.accounts = [sitter.account() for sitter in crowd.sitters]
    runner = environment.runner
    if options.tally and not isinstance(runner, MasterRunner):
        place = f".{runner.worker_index}" if isinstance(runner, WorkerRunner) else ""
        Path(f"{options.tally}{place}").write_bytes(msgspec.json.encode(crowd.tally))
    if isinstance(runner, WorkerRunner):
        return  # its statistics have gone to the master, who judges
    thresholds = read_thresholds(Path(options.thresholds)) if options.thresholds else read_thresholds()
    found = {entry.name: histogram_of(entry) for entry in environment.stats.entries.values() if entry.num_requests}
    failures: dict[str, dict[str, int]] = {}
    for error in environment.stats.errors.values():
        failures.setdefault(error.name, {})[str(error.error)] = error.occurrences
    judged = [
        *judge_operations(thresholds, {name: h for name, h in found.items() if not name.endswith(PUT_OFF)}, "Locust"),
        judge_failures(thresholds, failures, "Locust"),
    ]
    for figure in judged:
        if figure.passed is False:
            log.error("%s%s: %s, wanted %s", NOT_REACHED, figure.name, figure.found, figure.wanted)
    environment.process_exit_code = int(any(figure.passed is False for figure in judged))


def histogram_of(entry: Any) -> Histogram:
    """Locust's statistics of one name, which it has added up over its workers."""
    histogram = Histogram()
    for milliseconds, times in entry.response_times.items():
        one = Histogram()
        one.add(milliseconds / 1000)
        one.counts = dict.fromkeys(one.counts, times)
        one.total, one.seconds = times, milliseconds / 1000 * times
        histogram.merge(one)
    return histogram


def fail(user: Any, name: str, why: str) -> None:
    """Reports a failure that is not a request's own."""
    user.environment.events.request.fire(
        request_type="", name=name, response_time=0, response_length=0, exception=Unexpected(name, why),
        context={}, start_time=time.time(), url="", response=None,
    )  # fmt: skip


def listen() -> None:
    """Connects all this with Locust's events."""
    hooks.init_command_line_parser.add_listener(add_options)
    hooks.test_start.add_listener(begin)
    hooks.request.add_listener(count)
    hooks.user_error.add_listener(scenario_failed)
    hooks.quitting.add_listener(judge)
