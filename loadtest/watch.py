"""What the servers say of themselves during a run: the save histogram of the web workers' /metrics, CPU from /proc."""

import time
import urllib.request
from collections.abc import Mapping, Sequence

import msgspec

from loadtest.costs import Run
from loadtest.machine import usage_of

SAVE_SECONDS = "exam_save_seconds"


class Sample(msgspec.Struct, frozen=True):
    """Everything at one moment: Unix time, CPU seconds and resident megabytes by group, saves by upper bound."""

    at: float
    cpu: dict[str, float]
    rss: dict[str, float]
    saves: dict[float, int]
    """Saves of at most so many seconds, cumulative, as Prometheus has it; the last bound is infinite."""

    @property
    def saved(self) -> int:
        """Saves committed so far."""
        return self.saves.get(float("inf"), 0)


class Span(msgspec.Struct, frozen=True):
    """What lies between two samples."""

    seconds: float
    cpu: dict[str, float]
    saves: dict[float, int]

    @property
    def saved(self) -> int:
        """Saves committed meanwhile."""
        return self.saves.get(float("inf"), 0)

    def run(self, workers: int) -> Run:
        """The span as a measured run, by which the planner's prediction can be checked: nothing but saves."""
        names = {"web": "web", "PostgreSQL": "postgres", "Valkey": "valkey", "nginx": "nginx"}
        spent = {tier: self.cpu[part] for part, tier in names.items() if self.cpu.get(part)}
        return Run(seconds=self.seconds, workers=workers, operations={"save": float(self.saved)}, cpu_seconds=spent)

    def percentile(self, share: float) -> float:
        """Milliseconds from arrival to commit below which this share lies, interpolated in its bucket; 0 for none.

        Infinite where it lies above the largest bound.
        """
        wanted = share * self.saved
        below, lower = 0, 0.0
        for bound in sorted(self.saves):
            upto = self.saves[bound]
            if upto >= wanted and upto > below:
                if bound == float("inf"):
                    return bound
                return (lower + (bound - lower) * (wanted - below) / (upto - below)) * 1000
            below, lower = upto, bound
        return 0.0


def between(first: Sample, last: Sample) -> Span:
    """The difference of two samples."""
    return Span(
        last.at - first.at,
        {group: max(0.0, cpu - first.cpu.get(group, 0.0)) for group, cpu in last.cpu.items()},
        {bound: count - first.saves.get(bound, 0) for bound, count in last.saves.items()},
    )


class Watch:
    """Looks at groups of processes and at the metrics ports of web workers."""

    def __init__(self, groups: Mapping[str, Sequence[int]], ports: Sequence[int]) -> None:
        """`groups`: the pids whose families belong together; more may be added to the mapping later."""
        self.groups, self._ports = groups, ports
        self.samples: list[Sample] = []
        self._spent: dict[int, float] = {}

    def look(self) -> Sample:
        """A sample of now, which is also kept in `samples`."""
        cpu: dict[str, float] = {}
        rss: dict[str, float] = {}
        for group, pids in self.groups.items():
            usages = {pid: usage_of(pid) for pid in pids}
            for pid, usage in usages.items():
                # A process that has ended has no accounting any more; what it had spent stays spent.
                self._spent[pid] = max(usage.cpu, self._spent.get(pid, 0.0))
            cpu[group] = sum(self._spent[pid] for pid in pids)
            rss[group] = sum(usage.rss for usage in usages.values())
        saves: dict[float, int] = {}
        for port in self._ports:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                for bound, count in read_histogram(answer.read().decode(), SAVE_SECONDS).items():
                    saves[bound] = saves.get(bound, 0) + count
        sample = Sample(time.time(), cpu, rss, saves)
        self.samples.append(sample)
        return sample


def read_histogram(text: str, name: str) -> dict[float, int]:
    """A histogram without labels from Prometheus' text format: cumulative counts by upper bound."""
    found: dict[float, int] = {}
    prefix = f'{name}_bucket{{le="'
    for line in text.splitlines():
        if line.startswith(prefix):
            bound, _, count = line.removeprefix(prefix).partition('"} ')
            found[float(bound)] = int(float(count))
    return found
