"""What a run has to reach: thresholds.json, read strictly, and the judgement by which a run's exit code is set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from loadtest.histogram import Histogram

AT_T0: Final = " at T0"
"""Ends the names of what happens at the start barrier."""
NOT_REACHED: Final = "not reached: "
"""Begins Locust's log line of a threshold that was missed."""
FILE: Final = Path(__file__).with_name("thresholds.json")


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one operation, in milliseconds, as the client sees it."""

    p95_ms: float
    p99_ms: float


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one figure of the rush; with no limit, or fewer than `from_candidates`, it is told and not judged."""

    unit: str
    at_most: float | None = None
    at_least: float | None = None
    from_candidates: int = 0


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of them; `required` operations must have happened at least once, at the barrier or outside it."""

    failures: int
    required: list[str]
    operations: dict[str, Limits]
    figures: dict[str, Bound]


class Figure(msgspec.Struct, frozen=True):
    """One line of the table: what was found and wanted; `passed` is None where nothing is wanted."""

    name: str
    found: str
    wanted: str
    passed: bool | None


def read_thresholds(path: Path = FILE) -> Thresholds:
    """The thresholds of a file; a msgspec error for anything that is not of this form."""
    return msgspec.json.decode(path.read_bytes(), type=Thresholds)


def judge_operations(thresholds: Thresholds, found: Mapping[str, Histogram], who: str) -> list[Figure]:
    """A line for each operation that happened or had to; without limits in the file an operation fails."""
    figures = []
    missing = [name for name in thresholds.required if not {name, name + AT_T0} & found.keys()]
    for name in sorted({*found, *missing}):
        histogram = found.get(name, Histogram())
        limits = thresholds.operations.get(name)
        p95, p99 = histogram.percentile(0.95), histogram.percentile(0.99)
        if not histogram.total:
            figures.append(Figure(f"{who}: {name}", "did not happen", "has to happen", False))
        elif limits is None:
            figures.append(Figure(f"{who}: {name}", f"p95 {p95:.1f}, p99 {p99:.1f} ms", "has no threshold", False))
        else:
            figures.append(
                Figure(
                    f"{who}: {name}",
                    f"{histogram.total:,} · p50 {histogram.percentile(0.5):.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms",
                    f"p95 ≤ {limits.p95_ms:g}, p99 ≤ {limits.p99_ms:g} ms",
                    p95 <= limits.p95_ms and p99 <= limits.p99_ms,
                )
            )
    return figures


def judge_failures(thresholds: Thresholds, failures: Mapping[str, Mapping[str, int]], who: str) -> Figure:
    """The line of the failures, with the kinds of the largest."""
    kinds = sorted(((n, f"{name}: {why}") for name, whys in failures.items() for why, n in whys.items()), reverse=True)
    count = sum(n for n, _ in kinds)
    told = "; ".join(f"{n} × {what}" for n, what in kinds[:3])
    return Figure(f"{who}: failures", f"{count:,}{f' ({told})' if told else ''}", f"≤ {thresholds.failures}",
                  count <= thresholds.failures)  # fmt: skip


def judge_figure(thresholds: Thresholds, name: str, value: float, candidates: int) -> Figure:
    """The line of one figure of the rush."""
    bound = thresholds.figures.get(name, Bound(""))
    most, least = bound.at_most, bound.at_least
    found = f"{value:,.0f} {bound.unit}" if value >= 100 else f"{value:.3g} {bound.unit}"
    wanted = " and ".join(f"{sign} {limit:,g}" for sign, limit in (("≤", most), ("≥", least)) if limit is not None)
    if not wanted:
        return Figure(name, found, "", None)
    if candidates < bound.from_candidates:
        return Figure(name, found, f"{wanted} {bound.unit} (from {bound.from_candidates:,} candidates on)", None)
    passed = (most is None or value <= most) and (least is None or value >= least)
    return Figure(name, found, f"{wanted} {bound.unit}", passed)
