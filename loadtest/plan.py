"""The plan of a run: who does what when, and how many processes it takes."""

import itertools
import math
import resource
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

SPARE_FILES: Final = 500
"""Of a process's open files, how many are not for connections."""
UNEVEN: Final = 0.8
"""Connections are dealt to nginx's processes by chance: so full the average one may be."""


class Plan(msgspec.Struct, frozen=True):
    """What one process does. Moments are Unix times."""

    port: int
    numbers: list[int]
    log_in_from: float
    log_in_to: float
    opens_at: float
    """The start barrier: everybody presses Start in the second after it."""
    ends_at: float
    """The common deadline."""
    submit_from: float
    """From here to the deadline those who submit do so."""
    submit_share: float = 0.25
    early_every: int = 20
    """One candidate in so many starts as soon as they have logged in; 0 for nobody."""
    thinks: tuple[float, float] = (20.0, 40.0)
    press_seconds: float = 1.0
    seated: bool = False
    """Everybody has a session and a running attempt beforehand: what is measured is the sitting alone."""
    look_after: float = 60.0
    """Seconds after which somebody who waits reads the sitting again, as the page does."""


def is_early(number: int, every: int) -> bool:
    """Whether this candidate's attempt opens before the barrier, so that somebody saves while it lasts."""
    # Another remainder in each hundred, so that every district has its share of them.
    return every > 0 and number % every == number // 100 % every


def open_files() -> int:
    """The hard limit of open files of this process."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_000_000 if limit == resource.RLIM_INFINITY else limit


def processes_for(connections: int, limit: int) -> int:
    """How many processes of `limit` open files each hold so many connections; at least one."""
    return max(1, math.ceil(connections / max(1, limit - SPARE_FILES)))


def shares(numbers: Sequence[int], processes: int) -> list[list[int]]:
    """The candidates of each process: every one in exactly one, districts spread evenly."""
    return [list(numbers[place::processes]) for place in range(processes)]


def dealt(first: int, candidates: int, place: int, workers: int) -> Iterator[int]:
    """The candidates of one of so many workers, mixed: the first few already are from every district and slot."""
    mixed = (100 * (turn // 100) + turn % 100 * 37 % 100 for turn in range(candidates + 99))
    numbers = (first + number for number in mixed if number < candidates)
    return itertools.islice(numbers, place, None, workers)


class Processes(msgspec.Struct, frozen=True):
    """How many processes of each kind a run takes, from the limit of open files."""

    limit: int
    driver: int
    locust: int
    nginx: int
    web: int


def count_processes(driven: int, locusts: int, web: int, limit: int) -> Processes:
    """For so many driven candidates, Locust's users and web workers.

    nginx holds a connection for each candidate. Those to the web workers are few: starts queue in nginx.
    """
    nginx = max(2, math.ceil((driven + locusts) / (UNEVEN * max(1, limit - SPARE_FILES))))
    # A user of Locust's has two connections for moments: when it changes its device, and when it loses one.
    return Processes(limit, processes_for(driven, limit), processes_for(2 * locusts, limit), nginx, web)
