"""From what was seen to the table: the figures of a rush, each beside what is wanted of it, and the charts."""

import math
from itertools import pairwise
from typing import Final

import msgspec

from loadtest import protocol
from loadtest.driver import QUESTION_1
from loadtest.histogram import Histogram
from loadtest.ledger import Reckoning
from loadtest.report import Chart, Curve
from loadtest.tally import Tally
from loadtest.thresholds import AT_T0, Figure, Thresholds, judge_failures, judge_figure, judge_operations
from loadtest.watch import Sample, Span, between

SERVERS: Final = ("web", "PostgreSQL", "Valkey", "nginx")
"""Whose CPU a save costs."""
BARRIER_OPERATIONS: Final = (protocol.START, protocol.PAPER, QUESTION_1)


class Seen(msgspec.Struct):
    """Everything that a run has brought to light. Seconds count from the opening."""

    candidates: int
    starters: int
    """Candidates who pressed Start at the barrier."""
    driver: Tally
    locust: Tally
    samples: list[Sample]
    barrier: Span
    steady: Span
    steady_seconds: tuple[int, int]
    opens_at: float
    sealed_s: float
    receipts_s: float
    graded_s: float
    reckoning: Reckoning
    paper_bytes: int
    valkey_bytes: int
    largest_web_mb: float
    dead: list[str]


def operations_of(tally: Tally) -> dict[str, Histogram]:
    """The driver's latencies by name; what belongs to the start barrier under a name of its own."""
    found = {}
    for name in tally.timeline.seconds:
        if name in BARRIER_OPERATIONS:
            found[name] = tally.timeline.between(name, end=0)
            found[name + AT_T0] = tally.timeline.between(name, first=0)
        else:
            found[name] = tally.timeline.between(name)
    return {name: histogram for name, histogram in found.items() if histogram.total}


def driver_cpu_ms(tally: Tally, first: int, last: int) -> float:
    """Milliseconds of the drivers' CPU for an answered request between two seconds; 0 if nothing was."""
    inside = [second for second in tally.seconds if first <= second.at <= last]
    if len(inside) < 2 or inside[-1].answered == inside[0].answered:
        return 0.0
    return (inside[-1].cpu - inside[0].cpu) / (inside[-1].answered - inside[0].answered) * 1000


def judge(thresholds: Thresholds, seen: Seen) -> list[Figure]:
    """The whole table."""
    driven = operations_of(seen.driver)
    swarmed = {
        name: seen.locust.timeline.between(name)
        for name in seen.locust.timeline.seconds
        if not name.endswith(", put off")
    }
    first_questions = [found.get(QUESTION_1 + AT_T0, Histogram()) for found in (driven, swarmed)]
    came = sum(histogram.total for histogram in first_questions)
    server = sum(seen.steady.cpu[part] for part in SERVERS)
    saves = max(1, seen.steady.saved)
    nothing = math.inf  # what was not measured is not reached
    values = {
        "save, server-side p50": seen.steady.percentile(0.5) if seen.steady.saved else nothing,
        "save, server-side p99": seen.steady.percentile(0.99) if seen.steady.saved else nothing,
        "save in the barrier, server-side p99": seen.barrier.percentile(0.99),
        "saves per second, committed": seen.steady.saved / seen.steady.seconds,
        "server CPU per save": server / saves * 1000,
        **{f"CPU per save, {part}": seen.steady.cpu[part] / saves * 1000 for part in SERVERS},
        "server CPU for a start with its paper": sum(seen.barrier.cpu[part] for part in SERVERS)
        / max(1, seen.starters)
        * 1000,
        "driver CPU per request": driver_cpu_ms(seen.driver, *seen.steady_seconds),
        "cores of the generators": (seen.steady.cpu["driver"] + seen.steady.cpu["Locust"]) / seen.steady.seconds,
        "cores of the servers": server / seen.steady.seconds,
        "question 1 for everybody": max(histogram.largest for histogram in first_questions) / 1e6 if came else nothing,
        "all sealed after they were due": seen.sealed_s,
        "receipts for all after they were due": seen.receipts_s,
        "all graded after they were due": seen.graded_s,
        "state Valkey per candidate": seen.valkey_bytes / seen.candidates / 1024,
        "largest web worker": seen.largest_web_mb,
        "paper, compressed": seen.paper_bytes / 1024,
    }
    figures = [judge_figure(thresholds, name, value, seen.candidates) for name, value in values.items()]
    reckoning = seen.reckoning
    told = ", ".join(f"{count:,} {kind}" for kind, count in reckoning.wrong.items())
    figures += [
        _exactly("candidates with question 1 after the barrier", came, seen.starters),
        _exactly("attempts started", reckoning.started, seen.candidates),
        Figure(
            f"promises: {reckoning.acknowledged:,} acknowledged answers, {reckoning.started:,} ends",
            f"broken: {told}" if told else "all kept",
            "all kept",
            not reckoning.wrong and reckoning.acknowledged > 0,
        ),
        Figure("processes that died", ", ".join(seen.dead) or "none", "none", not seen.dead),
        Figure("put off (asked to come again)", _put_off(seen.driver, seen.locust), "", None),
        Figure("how late the driver itself sent, p99", f"{seen.driver.lag.percentile(0.99):.1f} ms", "", None),
        *judge_operations(thresholds, driven, "driver"),
        judge_failures(thresholds, seen.driver.failures, "driver"),
    ]
    if seen.locust.accounts or seen.locust.failures:
        figures += [
            *judge_operations(thresholds, swarmed, "Locust"),
            judge_failures(thresholds, seen.locust.failures, "Locust"),
        ]
    return figures


def _exactly(name: str, found: int, wanted: int) -> Figure:
    return Figure(name, f"{found:,}", f"{wanted:,}", found == wanted)


def _put_off(*tallies: Tally) -> str:
    counts: dict[str, int] = {}
    for tally in tallies:
        for operation, count in tally.put_off.items():
            counts[operation] = counts.get(operation, 0) + count
    return ", ".join(f"{operation} {count:,}" for operation, count in counts.items()) or "nobody"


def charts(seen: Seen) -> list[Chart]:
    """Rates, latencies, CPU and connections over the run."""
    both = Tally()
    both.timeline.merge(seen.driver.timeline)
    both.timeline.merge(seen.locust.timeline)
    rates, latencies = [], []
    for name in (protocol.LOGIN, protocol.SITTING, protocol.START, protocol.SAVE, protocol.SUBMIT):
        rows = dict(both.timeline.seconds.get(name, {}))
        for second, histogram in both.timeline.seconds.get(name + AT_T0, {}).items():
            rows.setdefault(second, Histogram()).merge(histogram)
        points = sorted(rows.items())
        seconds = range(min(rows), max(rows) + 1) if rows else range(0)
        asked = [(float(at), float(rows[at].total if at in rows else 0)) for at in seconds]
        rates.append(Curve(f"{name}, asked for", asked))
        for share in (0.5, 0.99):
            if name in (protocol.START, protocol.SAVE):
                latencies.append(
                    Curve(f"{name}, p{share * 100:g}", [(float(at), one.percentile(share)) for at, one in points])
                )
    steps = [(second.at - seen.opens_at, between(first, second)) for first, second in pairwise(seen.samples)]
    steps = [(at, span) for at, span in steps if span.seconds > 0.2]
    rates.append(Curve("saves committed", [(at, span.saved / span.seconds) for at, span in steps]))
    cores = [
        Curve(part, [(at, span.cpu.get(part, 0.0) / span.seconds) for at, span in steps])
        for part in (*SERVERS, "grading", "driver", "Locust")
    ]
    server = [
        Curve(f"save, p{share * 100:g}", [(at, span.percentile(share)) for at, span in steps if span.saved])
        for share in (0.5, 0.99)
    ]
    connections = [Curve("driver", [(float(one.at), float(one.connections)) for one in seen.driver.seconds])]
    return [
        Chart("Requests", "each second", rates),
        Chart("Latency as candidates see it", "ms", latencies, steep=True),
        Chart("Latency in the server, from arrival to commit", "ms", server, steep=True),
        Chart("CPU", "cores", cores),
        Chart("Open connections", "number", connections),
    ]
