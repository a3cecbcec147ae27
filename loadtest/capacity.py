"""How much machine an exam day needs: `python -m loadtest.capacity --candidates 1000000 --slot-minutes 120 …`.

From the costs that the bench has measured to cores, memory, network, WAL, disk and money for each tier, with the time
that requests wait in the busiest second. `--check RUN.json …` holds the costs against measured runs.
Everything but `main` is pure.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import msgspec
from msgspec import Meta

from loadtest.assumptions import Assumptions, Prices
from loadtest.costs import TIERS, CostError, Costs, Miss, compare, cost, read_bench, read_run
from loadtest.queueing import Stream, Waiting, mixed, waiting

DEFAULT_BENCH: Final = Path(__file__).with_name("bench.json")
GIB: Final = 2**30
PAGE: Final = 8192
MOST_POSTGRES_CORES: Final = 64
MOST_CONNECTIONS: Final = 500

T = TypeVar("T")
Bench = Mapping[str, Costs]
Rates = Mapping[str, float]
"""Operations a second, by name."""


class Phase(msgspec.Struct, frozen=True):
    """A part of the biggest slot's day with even rates, and its seconds."""

    name: str
    seconds: float
    rates: dict[str, float]


class Moment(msgspec.Struct, frozen=True):
    """The busiest second of a phase: requests, the fullest tier, the waits in all tiers together, bytes a second."""

    name: str
    requests: float
    fullest: str
    load: float
    wait_ms: float
    wait_p99_ms: float
    received: float
    sent: float
    wal: float


class Tier(msgspec.Struct, frozen=True):
    """What one tier needs. `busy`: cores at work in its busiest second; `network`: bytes a second; `money`: a day."""

    name: str
    busiest: str
    busy: float
    cores: int
    load: float
    headroom: float
    wait_ms: float
    wait_p99_ms: float
    memory_gib: float
    network: float
    disk_gib: float
    money: float | None


class Plan(msgspec.Struct, frozen=True):
    """The whole answer: bytes of WAL for the day, and what a person has to decide about in `notes`."""

    at_once: float
    rows: float
    wal_day: float
    connections: int
    tiers: list[Tier]
    moments: list[Moment]
    money: float | None
    notes: list[str]


# The day ------------------------------------------------------------------------------------------------------------


def phases(given: Assumptions) -> list[Phase]:
    """The parts of the biggest slot's day."""
    slot = given.candidates * given.biggest_share
    saves = slot / given.save_interval
    submits = slot * given.submit_share / given.submit_seconds
    login, grading = given.login_minutes * 60, given.grading_minutes * 60
    starts = {"start": slot / given.start_seconds, "paper": slot / given.paper_seconds}
    return [
        Phase("log-in", login, {"login": slot / login}),
        Phase("barrier", max(given.start_seconds, given.paper_seconds), starts),
        Phase("sitting", given.slot_minutes * 60, {"save": saves}),
        Phase("submitting", given.submit_seconds, {"save": saves, "submit": submits}),
        Phase("end", given.end_seconds, {"save": slot / given.end_seconds}),
        Phase("grading", grading, {"grade": slot / grading}),
    ]


def busiest(phase: Phase, given: Assumptions) -> dict[str, float]:
    """The rates of a phase in its busiest second: the mean of Poisson's and so many of its standard deviations."""
    return {name: rate + given.sigmas * math.sqrt(rate) for name, rate in phase.rates.items()}


def demand(bench: Bench, tier: str, rates: Rates, given: Assumptions, workers: int) -> Stream:
    """What these rates ask of a tier, with so many web workers; `rate` × `service` is the cores at work."""
    kinds = ((rate, cost(bench, name, tier, given, rate / workers)) for name, rate in rates.items())
    return mixed([Stream(rate, service, given.service_scv) for rate, service in kinds if service])


def count_workers(bench: Bench, given: Assumptions) -> int:
    """Web workers, one for each core; with more of them rounds are emptier, so that each request costs more."""
    peaks = [busiest(phase, given) for phase in phases(given)]
    workers, wanted = 0, 1
    while wanted > workers:
        workers = wanted
        streams = [demand(bench, "web", rates, given, workers) for rates in peaks]
        wanted = max(math.ceil(stream.rate * stream.service / given.max_load) for stream in streams)
    return workers


# What is written and sent -------------------------------------------------------------------------------------------


def rows_of(given: Assumptions) -> float:
    """Answer rows of an attempt."""
    return given.slot_minutes * 60 / given.save_interval * given.rows_per_save


def page_images(given: Assumptions, rows: float) -> float:
    """WAL that the first save after a checkpoint adds for an attempt with so many rows: images of pages it touches.

    Index entries of an attempt lie together and only the newest page of them is written to, so it is one page at most.
    """
    return (min(PAGE, rows * given.index_row_bytes) + given.attempt_page_bytes) * given.image_share


def wal_of_attempt(given: Assumptions) -> float:
    """WAL of an attempt from its start to its result, in bytes."""
    between = rows_of(given) * given.checkpoint_minutes / given.slot_minutes
    checkpoints = math.ceil(given.slot_minutes / given.checkpoint_minutes)
    images = sum(page_images(given, between * number) for number in range(checkpoints))
    ends = given.wal_start_bytes + given.wal_end_bytes + given.wal_grade_bytes
    return rows_of(given) * given.wal_row_bytes + images + ends


def wal_rate(given: Assumptions, rates: Rates) -> float:
    """WAL in bytes a second, right after a checkpoint late in the slot."""
    save = given.rows_per_save * given.wal_row_bytes + page_images(given, rows_of(given))
    each = {"save": save, "start": given.wal_start_bytes, "submit": given.wal_end_bytes, "grade": given.wal_grade_bytes}
    return sum(rate * each.get(name, 0.0) for name, rate in rates.items())


def traffic(given: Assumptions, rates: Rates) -> tuple[float, float]:
    """Bytes from the candidates and to them for so many operations; of grading they hear nothing."""
    asked = {name: rate for name, rate in rates.items() if name != "grade"}
    sent = sum(asked.values()) * given.response_bytes
    sent += asked.get("login", 0.0) * given.handshake_bytes + asked.get("paper", 0.0) * given.paper_kib * 1024
    return sum(asked.values()) * given.request_bytes, sent


def sent_day(given: Assumptions) -> float:
    """Bytes sent to all candidates on the day."""
    saves = rows_of(given) / given.rows_per_save
    each = {"login": 1.0, "start": 1.0, "paper": 1.0, "save": saves, "submit": given.submit_share}
    return given.candidates * traffic(given, each)[1]


def memory(given: Assumptions, cores: Mapping[str, int], connections: int) -> dict[str, float]:
    """GiB by tier. PostgreSQL holds the biggest slot's answers; the state Redis may double while it copies itself."""
    slot = given.candidates * given.biggest_share
    hot = slot * (rows_of(given) * (given.heap_row_bytes + given.index_row_bytes) + given.attempt_bytes)
    return {
        "nginx": 0.25 + slot * given.connection_kib * 1024 / GIB,
        "web": cores["web"] * given.web_mib / 1024,
        "postgres": 1 + hot / GIB + connections * given.connection_mib / 1024,
        "valkey": 0.125 + 2 * given.candidates * given.valkey_kib * 1024 / GIB,
        "graders": cores["graders"] * given.web_mib / 1024,
    }


def disk(given: Assumptions) -> float:
    """GiB of PostgreSQL's disk: the days that stay, and the WAL of so many hours of the biggest slot."""
    day = given.candidates * (rows_of(given) * (given.heap_row_bytes + given.index_row_bytes) + given.attempt_bytes)
    wal = given.candidates * given.biggest_share * wal_of_attempt(given) * given.wal_hours * 60 / given.slot_minutes
    return (day * given.days_kept + wal) / GIB


# The plan -----------------------------------------------------------------------------------------------------------


def plan(bench: Bench, given: Assumptions, prices: Prices | None = None) -> Plan:
    """What an exam day needs, tier by tier, and how its busiest seconds go."""
    workers = count_workers(bench, given)
    peaks = {phase.name: busiest(phase, given) for phase in phases(given)}
    cores: dict[str, int] = {}
    streams: dict[str, dict[str, Stream]] = {}
    waits: dict[str, dict[str, Waiting]] = {}
    for tier in TIERS:
        streams[tier] = {name: demand(bench, tier, rates, given, workers) for name, rates in peaks.items()}
        most = max(stream.rate * stream.service for stream in streams[tier].values())
        cores[tier] = workers if tier == "web" else max(1, math.ceil(most / given.max_load))
        waits[tier] = {n: waiting(stream, cores[tier], given.arrivals_scv) for n, stream in streams[tier].items()}

    moments = []
    for name, rates in peaks.items():
        loads = {tier: streams[tier][name].rate * streams[tier][name].service / cores[tier] for tier in TIERS}
        fullest = max(loads, key=lambda tier: loads[tier])
        received, sent = traffic(given, rates)
        mean, p99 = (1000 * sum(getattr(waits[tier][name], part) for tier in TIERS) for part in ("mean", "p99"))
        requests = sum(rates.values())
        moments.append(
            Moment(name, requests, fullest, loads[fullest], mean, p99, received, sent, wal_rate(given, rates))
        )

    connections = cores["web"] * given.connections_per_web + cores["graders"] * given.connections_per_grader
    gib = memory(given, cores, connections)
    network = {
        "nginx": max(max(moment.received, moment.sent) for moment in moments),
        "postgres": given.standbys * max(moment.wal for moment in moments),
    }
    tiers = []
    for tier in TIERS:
        name, stream = max(streams[tier].items(), key=lambda one: one[1].rate * one[1].service)
        busy = stream.rate * stream.service
        on_disk = disk(given) if tier == "postgres" else 0.0
        tiers.append(
            Tier(
                name=tier,
                busiest=name,
                busy=busy,
                cores=cores[tier],
                load=busy / cores[tier],
                headroom=cores[tier] / busy if busy else math.inf,
                wait_ms=1000 * waits[tier][name].mean,
                wait_p99_ms=1000 * waits[tier][name].p99,
                memory_gib=gib[tier],
                network=network.get(tier, 0.0),
                disk_gib=on_disk,
                money=None if prices is None else money(given, prices, tier, cores[tier], gib[tier], on_disk),
            )
        )
    slot = given.candidates * given.biggest_share
    total = sum(tier.money or 0.0 for tier in tiers) if prices else None
    wal_day = given.candidates * wal_of_attempt(given)
    return Plan(slot, rows_of(given), wal_day, connections, tiers, moments, total, notes(cores, connections))


def money(given: Assumptions, prices: Prices, tier: str, cores: int, gib: float, on_disk: float) -> float:
    """What a tier costs on the day; standbys of PostgreSQL are as dear as it, and nginx sends what is sent."""
    hourly = cores * prices.core_hour + gib * prices.memory_gib_hour
    one = hourly * given.paid_hours + on_disk * prices.disk_gib_month * given.disk_months
    if tier == "postgres":
        return one * (1 + given.standbys)
    return one + (sent_day(given) / GIB * prices.traffic_gib if tier == "nginx" else 0.0)


def notes(cores: Mapping[str, int], connections: int) -> list[str]:
    """What the numbers do not decide by themselves."""
    found = []
    if cores["valkey"] > 1:
        found.append(
            f"Valkey works in one thread: its {cores['valkey']} cores are as many servers, each with districts."
        )
    if cores["postgres"] > MOST_POSTGRES_CORES:
        found.append(
            f"PostgreSQL needs {cores['postgres']} cores. Beyond some {MOST_POSTGRES_CORES} give districts to clusters "
            "of their own; the schema allows it."
        )
    if connections > MOST_CONNECTIONS:
        found.append(
            f"There will be {connections} connections to PostgreSQL: lower SAVE_, WEB_ and STAFF_CONNECTIONS, or give "
            "districts to clusters of their own."
        )
    return found


# The command --------------------------------------------------------------------------------------------------------


def render(found: Plan, given: Assumptions, currency: str) -> str:
    """The plan as text."""
    heads = ["tier", "busiest at", "busy", "cores", "load", "could take", "wait", "p99", "memory", "network", "disk"]
    rows = [heads + ([f"{currency} a day"] if currency else [])]
    for tier in found.tiers:
        cells = [tier.name, tier.busiest, f"{tier.busy:.2f}", str(tier.cores), f"{tier.load:.0%}",
                 f"{tier.headroom:.1f} ×", _ms(tier.wait_ms), _ms(tier.wait_p99_ms), f"{tier.memory_gib:,.1f} GiB",
                 _bits(tier.network), f"{tier.disk_gib:,.0f} GiB" if tier.disk_gib else "-"]  # fmt: skip
        rows.append(cells + ([f"{tier.money:,.0f}"] if tier.money is not None else []))
    seconds = [["busiest second of", "requests", "fullest", "load", "wait", "p99", "in", "out", "WAL"]]
    for one in found.moments:
        cells = [one.name, f"{one.requests:,.0f}", one.fullest, f"{one.load:.0%}", _ms(one.wait_ms)]
        cells += [_ms(one.wait_p99_ms), _bits(one.received), _bits(one.sent), f"{one.wal / 1e6:,.1f} MB/s"]
        seconds.append(cells)
    facts = [
        f"{given.candidates:,} candidates, {found.at_once:,.0f} of them at once for {given.slot_minutes:g} minutes; "
        f"{found.rows:,.0f} answer rows each. Cores are {given.max_load:.0%} full at most.",
        f"WAL of the day {found.wal_day / GIB:,.0f} GiB; {found.connections} connections to PostgreSQL"
        + (f"; {given.standbys} standby more of the same size." if given.standbys else "."),
        "Waits are those for a core; a save also waits for its round, "
        f"{given.flush_ms:g} ms where nothing is full. MAX_CANDIDATES={found.at_once:.0f}",
    ]
    if found.money is not None:
        facts.append(f"Together {found.money:,.0f} {currency} a day, {found.money / given.candidates:.3f} a candidate.")
    return "\n".join([*facts, "", *_columns(rows), "", *_columns(seconds), *(f"\n{note}" for note in found.notes)])


def render_misses(name: str, misses: Sequence[Miss]) -> str:
    """A run's predictions beside what was measured."""
    rows = [[name, "predicted", "measured", "error"]]
    rows += [[one.tier, f"{one.predicted:.1f} s", f"{one.measured:.1f} s", f"{one.error:+.0f} %"] for one in misses]
    return "\n".join(_columns(rows))


def _ms(milliseconds: float) -> str:
    return "for ever" if milliseconds == math.inf else f"{milliseconds:.2f} ms"


def _bits(bytes_a_second: float) -> str:
    return f"{bytes_a_second * 8 / 1e6:,.0f} Mbit/s" if bytes_a_second else "-"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{'<' if n == 0 else '>'}{widths[n]}}" for n, cell in enumerate(row)) for row in rows]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtest.capacity", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--bench", type=Path, default=DEFAULT_BENCH, help="What `loadtest.bench --json` has written.")
    parser.add_argument("--prices", type=Path, help="JSON with currency, core_hour, memory_gib_hour, disk_gib_month, "
                        "traffic_gib.")  # fmt: skip
    parser.add_argument("--json", type=Path, help="Where the plan goes as JSON.")
    parser.add_argument("--check", type=Path, nargs="+", metavar="RUN", help="Measured runs to hold the costs against.")
    assumed = parser.add_argument_group("assumptions")
    for field in msgspec.structs.fields(Assumptions):
        about = next(meta.description or "" for meta in get_args(field.type) if isinstance(meta, Meta))
        default = "" if field.required else f" [{field.default:g}]"
        assumed.add_argument(f"--{field.name.replace('_', '-')}", metavar="N", help=about.replace("%", "%%") + default)
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """The command; 2 with a sentence for a file or a value that makes no sense."""
    parser = _parser()
    options = parser.parse_args(words)
    names = [field.name for field in msgspec.structs.fields(Assumptions)]
    given: dict[str, Any] = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.check:
        given.setdefault("candidates", "1")
    elif "candidates" not in given:
        parser.error("say for how many --candidates")
    try:
        assumptions = msgspec.convert(given, Assumptions, strict=False)
        if options.bench == DEFAULT_BENCH and not DEFAULT_BENCH.exists():
            parser.error("nothing was measured yet: run `python -m loadtest.bench --json FILE` and give it as --bench")
        bench = read_bench(options.bench.read_bytes(), options.bench.name)
        if options.check:
            for path in options.check:
                print(
                    render_misses(path.name, compare(bench, read_run(path.read_bytes(), path.name), assumptions)), "\n"
                )
            return 0
        prices = msgspec.json.decode(options.prices.read_bytes(), type=Prices) if options.prices else None
    except (CostError, msgspec.DecodeError, OSError) as wrong:
        parser.error(str(wrong))
    found = plan(bench, assumptions, prices)
    print(render(found, assumptions, prices.currency if prices else ""))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode({"assumptions": assumptions, "plan": found})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
