"""The history checker: `python -m loadtest.history [--seconds N --candidates N --seed S --long --json FILE]`.

Candidates sit short exams in a whole hall while a nemesis strikes it; then the database is held against what they were
told and what the witness saw. Exit code 0: every rule held; 1: at least one did not. The seed is printed: with it a run
meets much the same trouble again. `--defect NAME` plants a defect on purpose (see loadtest.defects), `--defect
scene:NAME` only its surroundings: that is how the checker itself is checked.
"""

import argparse
import asyncio
import contextlib
import logging
import resource
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import uvloop

from exam.db import OUTAGES, Connection
from exam.receipts import Signer
from loadtest import defects
from loadtest.checks import EPSILON, Check, History, Ledger, check_attempt, check_skews, table
from loadtest.clients import Party, seat
from loadtest.device import read_log
from loadtest.faulty_hall import FaultyHall, Grants, open_hall, set_scene
from loadtest.held import Held, read_forms, read_held
from loadtest.nemesis import ACTS, Done, Nemesis, schedule
from loadtest.proxy import Crossing

SEALING: Final = 32.0
"""Seconds from the end of the grace to the seal by the clock: the greatest age of a save, and a round of the worker."""


class Plan(msgspec.Struct, frozen=True):
    """A run to come: how long, how many at once, which faults how often, and how the candidates end."""

    seed: int
    seconds: float
    candidates: int
    kinds: tuple[str, ...]
    every: float
    endings: dict[str, float]
    durations: tuple[int, int]
    grace_s: int
    think: float
    patience: float
    """Seconds in which, after the last fault, everything has to be sealed, receipted and graded."""
    defect: str | None = None


class Outcome(msgspec.Struct):
    """A run that was."""

    seed: int
    seconds: float
    attempts: int
    requests: int
    acknowledged_saves: int
    acknowledged_rows: int
    faults: int
    kinds: dict[str, int]
    longest_silence_s: float
    skew_ms: dict[str, float]
    epsilon_ms: float
    violations: int
    checks: dict[str, Check]


def plan_of(options: argparse.Namespace) -> Plan:
    """What the command line asks for."""
    seed = options.seed if options.seed is not None else secrets.randbelow(2**31)
    if options.defect:
        scene = defects.scene_of(options.defect)
        seconds, candidates = options.seconds or 10.0, options.candidates or 16
        # The scene alone comes to an end by itself; a defect may leave something for ever.
        patience = 30.0 if options.defect.startswith("scene:") else 10.0
        endings = dict(scene.endings)
        return Plan(
            seed, seconds, candidates, scene.kinds, scene.every, endings, (2, 4), 1, 0.04, patience, options.defect
        )
    seconds = options.seconds or (1800.0 if options.long else 200.0)
    endings = {"submit": 40.0, "edge": 25.0, "clock": 20.0, "race": 15.0}
    if seconds < 60:
        endings.pop("clock")
    return Plan(seed, seconds, options.candidates or 40, tuple(ACTS), 3.5, endings, (6, 18), 2, 0.12, 60.0)


async def sit(hall: FaultyHall, plan: Plan, folder: Path) -> tuple[Nemesis, Party]:
    """The run itself: candidates, invigilators and the nemesis, until nobody sits any more."""
    random = Random(f"scene/{plan.seed}")
    people = round(plan.candidates * (plan.seconds / plan.durations[0] + 2))
    owner = await hall.owner()
    try:
        booked, admin = await set_scene(owner, hall.settings, people, plan.durations, plan.grace_s, random)
        for statement in defects.statements_of(plan.defect) if plan.defect else ():
            await owner.execute(statement)
    finally:
        await owner.close()
    party = Party(plan.seed, hall.port, folder, plan.think, plan.endings, asyncio.Event(), plan.patience * 0.7)  # type: ignore[arg-type]
    nemesis = Nemesis(hall, folder.parent / "nemesis.jsonl")
    grants = asyncio.create_task(Grants(hall.settings, admin, booked, random).run(party.sitting, party.stop))
    waiting = booked[::-1]
    seats = [asyncio.create_task(seat(party, client, waiting)) for client in range(plan.candidates)]
    began = time.monotonic()
    # The last faults are over some seconds before the end, so that there is an end to look at.
    await nemesis.run(schedule(plan.seed, plan.seconds - min(5.0, plan.seconds / 5), plan.every, plan.kinds))
    await asyncio.sleep(max(0.0, plan.seconds - (time.monotonic() - began)))
    party.stopped_at = time.time()
    party.stop.set()
    await asyncio.gather(grants, *seats)
    await _quiet(hall, plan)
    await asyncio.gather(*(sitter.come_back() for sitter in party.absent))
    await nemesis.mend()
    return nemesis, party


async def _quiet(hall: FaultyHall, plan: Plan) -> None:
    """Waits until every attempt that was started is graded, or the time for that is over."""
    question = (
        "SELECT count(*) FILTER (WHERE state = 'started') AS open, "
        "max(deadline) FILTER (WHERE state = 'started') AS last, "
        "(SELECT count(*) FROM submission WHERE graded_at IS NULL) AS waiting FROM attempt"
    )
    patient_until = time.time() + plan.patience
    owner: Connection | None = None
    while True:
        with contextlib.suppress(*OUTAGES):
            owner = owner or await hall.owner()
            row = await owner.fetchrow(question)
            assert row is not None
            if not row["open"] and not row["waiting"]:
                break
            if row["open"] and "clock" in plan.endings:
                patient_until = max(patient_until, row["last"].timestamp() + plan.grace_s + SEALING + plan.patience)
        if time.time() > patient_until:
            break
        await asyncio.sleep(0.2)
    if owner is not None:
        await owner.close()


def read_witness(path: Path) -> dict[str, list[Crossing]]:
    """The witness's log by request."""
    crossings: dict[str, list[Crossing]] = defaultdict(list)
    decoder = msgspec.json.Decoder(Crossing)
    for line in path.read_bytes().splitlines():
        crossing = decoder.decode(line)
        crossings[crossing.request].append(crossing)
    return crossings


def judge(
    folder: Path, held: dict[int, Held], forms: dict[str, Any], witness: dict[str, list[Crossing]], public: bytes
) -> tuple[Ledger, Counter[str], list[float]]:
    """All checks over all logs; what was counted, and the moments of acknowledgement."""
    ledger, counts, moments = Ledger(), Counter[str](), list[float]()
    for attempt_id, one in held.items():
        path = folder / f"{attempt_id}.jsonl"
        events = read_log(path)[1] if path.exists() else []
        counts["attempts"] += bool(events)
        counts["requests"] += sum(event.kind == "invoke" for event in events)
        history = History(events, witness)
        for ack in history.acks("save"):
            counts["saves"] += 1
            counts["rows"] += len(history.asked[ack.request].rows)
            moments.append(ack.wall)
        check_attempt(ledger, one, history, forms[one.form], public)
    check_skews(ledger)
    return ledger, counts, moments


def outcome_of(plan: Plan, ledger: Ledger, counts: Counter[str], moments: list[float], done: list[Done]) -> Outcome:
    """The figures of a run."""
    skews = sorted(abs(skew) * 1000 for skew in ledger.skews) or [0.0]
    moments.sort()
    return Outcome(
        plan.seed,
        plan.seconds,
        counts["attempts"],
        counts["requests"],
        counts["saves"],
        counts["rows"],
        len(done),
        dict(Counter(one.kind for one in done)),
        round(max((b - a for a, b in pairwise(moments)), default=0.0), 2),
        {
            "p50": round(skews[len(skews) // 2], 1),
            "p99": round(skews[len(skews) * 99 // 100], 1),
            "max": round(skews[-1], 1),
            "beyond_epsilon": sum(skew > EPSILON * 1000 for skew in skews),
        },
        EPSILON * 1000,
        ledger.violations,
        ledger.checks,
    )


def run(plan: Plan, folder: Path) -> Outcome:
    """One run in an empty folder, from the first process to the verdict."""
    logs = folder / "logs"
    logs.mkdir(parents=True)
    settings = dict(defects.scene_of(plan.defect).postgres) if plan.defect else None
    with open_hall(folder, plan.defect, settings) as hall:
        nemesis, party = uvloop.run(sit(hall, plan, logs))
        held, forms = uvloop.run(_read(hall))
        public = Signer(hall.settings.receipt_key).public
        hall.proxy.stop()  # its log is whole only then
        witness = read_witness(hall.witness)
    ledger, counts, moments = judge(logs, held, forms, witness, public)
    ledger.look("live", not nemesis.fallen, f"ended by themselves: {nemesis.fallen}")
    for attempt_id in party.unfinished:
        ledger.look("live", False, f"attempt {attempt_id}: its candidate had to give up")
    return outcome_of(plan, ledger, counts, moments, nemesis.done)


async def _read(hall: FaultyHall) -> tuple[dict[int, Held], dict[str, Any]]:
    owner = await hall.owner()
    try:
        return await read_held(owner), await read_forms(owner)
    finally:
        await owner.close()


def report(outcome: Outcome) -> Iterator[str]:
    """A run as lines of text."""
    yield (
        f"{outcome.attempts} attempts, {outcome.requests} requests, {outcome.acknowledged_saves} saves acknowledged "
        f"({outcome.acknowledged_rows} rows), {outcome.faults} faults of {len(outcome.kinds)} kinds; "
        f"longest time without an acknowledgement {outcome.longest_silence_s:.1f} s"
    )
    skew = outcome.skew_ms
    yield (
        f"arrival as judged, against the witness: p50 {skew['p50']} ms, p99 {skew['p99']} ms, most {skew['max']} ms; "
        f"epsilon {outcome.epsilon_ms:.0f} ms, beyond it {skew['beyond_epsilon']:.0f}"
    )
    yield from table(outcome.checks)
    yield f"seed {outcome.seed}: " + (
        "every rule held" if not outcome.violations else f"{outcome.violations} VIOLATIONS"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest.history", description="The history checker.")
    parser.add_argument("--seconds", type=float, help="length of the run; 200, with --long 1800")
    parser.add_argument("--candidates", type=int, help="how many sit at once; 40")
    parser.add_argument("--seed", type=int, help="that of an earlier run; otherwise a new one")
    parser.add_argument("--long", action="store_true", help="half an hour")
    parser.add_argument("--defect", help=f"plant one: {', '.join(defects.DEFECTS)}, or scene:NAME")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--keep", type=Path, help="an empty folder in which everything stays: logs, database")
    options = parser.parse_args()
    logging.getLogger("exam").setLevel(logging.ERROR)  # the invigilators' own connections fall with the rest
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))  # many logs stay open till the end
    plan = plan_of(options)
    print(f"seed {plan.seed}, {plan.seconds:.0f} s, {plan.candidates} candidates at once", flush=True)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="history-"))
    try:
        outcome = run(plan, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for line in report(outcome):
        print(line)
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1))
    sys.exit(1 if outcome.violations else 0)


if __name__ == "__main__":
    main()
