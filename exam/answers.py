"""The answer log: what a candidate answered, append-only, acknowledged after its commit and never before.

The save path, top to bottom: `exam.web.candidate.save` checks and decodes, `AnswerLog.save` puts the request into the
round that is forming, `_round` writes a round in one statement, `_look_again` says what became of the rows that were
not taken. Nothing is judged here by a clock of ours: the statement compares the database's time, less the age that the
request has reached on its way, with the deadline in the attempt's row, and holds that row while it does.
"""

import asyncio
import datetime as dt
import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec

from exam.db import BAD_DATA, Again, Connection, Database, Group, Row, Stuck, load
from exam.errors import Conflict, Gap, Malformed, NotStarted, TooManyKept, UnknownEpoch
from exam.metrics import Metrics

save_answers, hold_attempts, look_again, final_answers, list_quarantine = load(
    "answers", "save_answers", "hold_attempts", "look_again", "final_answers", "list_quarantine"
)

log = logging.getLogger("exam.answers")

MOST_KEPT: Final = 2000
"""Rows of one attempt in quarantine: enough for every honest cause, a bound for the others."""
OLDEST: Final = 30.0
"""Seconds: nobody can claim to have been under way for longer inside the service."""
SICK_SECONDS: Final = 5.0
"""For how long after its last trouble a district that could not be written keeps a lane of its own."""
SICK_PATIENCE: Final = 0.7
"""Seconds for which a save waits in such a lane before it is put off: whoever waits wants to be told."""

LAG_FADES: Final = 2.0
"""Seconds after which a round no longer says how things are."""

Verdict = tuple[int, str]


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One event: the state of one item. `response` is canonical JSON, `client_ms` evidence and never judged.

    `section` counts from 1 where sections have their own time, by which the row is judged; else it is 0.
    """

    seq: int
    item: int
    response: str
    flag: bool
    client_ms: int
    section: int = 0


class Save(msgspec.Struct, frozen=True):
    """The lines of one request, consecutive; `stamp` is the Unix time of the arrival by which they are judged.

    `came` is when the load balancer had this very request: later than `stamp` for one that was put off before.
    """

    district_id: int
    exam_day: dt.date
    attempt_id: int
    epoch: int
    lines: list[Line]
    stamp: float
    came: float


class Saved(msgspec.Struct, frozen=True):
    """What is durable now: everything up to `watermark`; `kept` rows (seq, reason) are held but do not count."""

    watermark: int
    deadline: dt.datetime
    kept: list[Verdict]
    section_ends: list[dt.datetime] | None = None
    """When the sections end, where they have their own time."""


class _Sick(Exception):
    """This district cannot be written just now; its saves go on in its own lane."""


class _Lane(msgspec.Struct):
    """A sick district's own rounds; `since` is when it was last stuck, by the monotonic clock."""

    group: Group[Save, Saved]
    since: float
    well: bool = False


def age_of(stamp: float) -> float:
    """Seconds from the stamp to now, within 0 and OLDEST."""
    return min(max(time.time() - stamp, 0.0), OLDEST)


class AnswerLog:
    """Group commit of answers, one for each worker. A stuck district gets a lane of its own until it is well."""

    def __init__(self, db: Database, metrics: Metrics) -> None:
        self._db = db
        self._metrics = metrics
        # Whoever comes here has waited for company already, where the session was looked up.
        self._lane: Group[Save, Saved] = Group(self._round, key=lambda save: save.attempt_id, gather=0.001)
        db.saves.warm = _plan
        self._sick: dict[int, _Lane] = {}
        self._planned: set[tuple[int, int]] = set()
        """Which database process has planned the statements for which district alone."""
        self._lag, self._lag_at = 0.0, 0.0

    def __len__(self) -> int:
        return len(self._lane) + sum(len(lane.group) for lane in self._sick.values())

    async def save(self, save: Save) -> Saved:
        """Writes the lines of one request; returns once they are committed.

        Raises Gap, Conflict, NotStarted, UnknownEpoch, or TooManyKept, and Unavailable where it could not
        be found out: then nothing was acknowledged and the same request may be sent again.
        """
        sick = self._sick.get(save.district_id)
        if sick is not None and sick.well and not sick.group:
            del self._sick[save.district_id]
            sick = None
        if sick is None:
            try:
                return await self._lane.add(save)
            except _Sick:
                sick = self._sick[save.district_id]
        return await sick.group.add(save)

    @property
    def lag(self) -> float:
        """Seconds from the arrival of the slowest save of the last round to its commit; 0 after a while without any.

        What overload does to those inside, wherever it queues: before this process, in it, or in the database.
        """
        waiting = self._lane.oldest()
        recent = self._lag if time.monotonic() - self._lag_at < LAG_FADES else 0.0
        return max(recent, waiting)

    async def drain(self) -> None:
        """Waits until every request that was accepted has been answered."""
        await asyncio.gather(self._lane.drain(), *(lane.group.drain() for lane in self._sick.values()))

    # One round ------------------------------------------------------------------------------------------------

    async def _round(self, saves: list[Save], *, alone: bool = False) -> list[Saved | BaseException | Again]:
        days = {save.exam_day for save in saves}
        if len(days) > 1:  # the day is a plain parameter, so that only its partitions are opened
            return await self._split(saves, lambda save: save.exam_day)
        if self._sick and not alone:  # a statement for several districts would wait for the sick one's locks, too
            return await self._split(saves, lambda save: save.district_id)
        try:
            return await self._write(saves, alone=alone)
        except Stuck as stuck:
            if not alone:
                log.warning("a round is stuck (%s); trying each district alone", stuck.why)
                return await self._split(saves, lambda save: save.district_id)
            district = saves[0].district_id
            if district not in self._sick:
                log.warning("district %s is stuck (%s); it gets a lane of its own", district, stuck.why)
                group = Group(self._sick_round, key=lambda save: save.attempt_id, patience=SICK_PATIENCE)
                self._sick[district] = _Lane(group, 0.0)
            self._sick[district].since, self._sick[district].well = time.monotonic(), False
            return [_Sick() for _ in saves]
        except BAD_DATA as bad:
            if len(saves) == 1:  # everything was checked before; what is left is a defect, and it fails alone
                log.error("a request could not be written: %s", type(bad).__name__)
                return [Malformed()]
            half = len(saves) // 2
            return [*await self._round(saves[:half], alone=alone), *await self._round(saves[half:], alone=alone)]

    async def _sick_round(self, saves: list[Save]) -> list[Saved | BaseException | Again]:
        """A round of a sick district: who cannot be written yet waits on, within the lane's patience."""
        lane = self._sick[saves[0].district_id]
        outcomes = await self._round(saves, alone=True)
        if not any(isinstance(outcome, _Sick) for outcome in outcomes):
            lane.well = time.monotonic() - lane.since > SICK_SECONDS
        return [Again() if isinstance(outcome, _Sick) else outcome for outcome in outcomes]

    async def _split(self, saves: list[Save], by: Any) -> list[Saved | BaseException | Again]:
        outcomes: dict[int, Saved | BaseException | Again] = {}
        groups: dict[object, list[tuple[int, Save]]] = defaultdict(list)
        for index, save in enumerate(saves):
            groups[by(save)].append((index, save))

        async def apart(group: list[tuple[int, Save]]) -> None:
            chosen = [save for _, save in group]
            try:
                found = await self._round(chosen, alone=len({save.district_id for save in chosen}) == 1)
            except Exception as failure:
                found = [failure] * len(group)
            outcomes.update(zip((index for index, _ in group), found, strict=True))

        await asyncio.gather(*map(apart, groups.values()))
        return [outcomes[index] for index in range(len(saves))]

    async def _write(self, saves: list[Save], *, alone: bool) -> list[Saved | BaseException | Again]:
        began = time.perf_counter()
        statement = save_answers.within(saves[0].district_id) if alone else save_answers
        async with self._db.saves.connection() as connection:
            planned = connection.get_server_pid(), saves[0].district_id
            if alone and planned not in self._planned:
                await _plan(connection, saves[0].district_id)
                self._planned.add(planned)
            rows = await statement.many(connection, **_arrays(saves))
            deadlines: dict[int, dt.datetime] = {}
            section_ends: dict[int, list[dt.datetime] | None] = {}
            taken: dict[int, int] = defaultdict(int)
            for attempt_id, seq, deadline, ends in rows:
                if seq:
                    taken[attempt_id] += 1
                else:
                    deadlines[attempt_id], section_ends[attempt_id] = deadline, ends
            outcomes: list[Saved | BaseException | Again] = []
            doubtful: list[Save] = []
            for save in saves:
                if taken[save.attempt_id] == len(save.lines):
                    deadline, ends = deadlines[save.attempt_id], section_ends[save.attempt_id]
                    outcomes.append(Saved(save.lines[-1].seq, deadline, [], ends))
                    continue
                outcomes.append(Again())
                if save.attempt_id in deadlines:  # else somebody held a lock on it: it simply joins the next round
                    doubtful.append(save)
            if doubtful:
                found = await self._look_again(connection, doubtful, alone=alone)
                outcomes = [
                    found.get(save.attempt_id, outcome) if isinstance(outcome, Again) else outcome
                    for save, outcome in zip(saves, outcomes, strict=True)
                ]
        self._count(saves, outcomes, time.perf_counter() - began)
        return outcomes

    def _count(self, saves: list[Save], outcomes: Sequence[object], seconds: float) -> None:
        metrics, now = self._metrics, time.time()
        self._lag, self._lag_at = now - min(save.came for save in saves), time.monotonic()
        metrics.round_rows.observe(sum(len(save.lines) for save in saves))
        metrics.round_seconds.observe(seconds)
        for save, outcome in zip(saves, outcomes, strict=True):
            if isinstance(outcome, Saved):
                metrics.saves += 1
                metrics.save_seconds.observe(now - save.came)

    async def _look_again(
        self, connection: Any, saves: list[Save], *, alone: bool = False
    ) -> dict[int, Saved | BaseException | Again]:
        hold, look = hold_attempts, look_again
        if alone:
            hold, look = (statement.within(saves[0].district_id) for statement in (hold, look))
        verdicts: dict[int, list[Row]] = defaultdict(list)
        async with connection.transaction():
            held = await hold.many(
                connection,
                day=saves[0].exam_day,
                districts=[save.district_id for save in saves],
                attempts=[save.attempt_id for save in saves],
            )
            known = {row["attempt_id"] for row in held}
            looking = [save for save in saves if save.attempt_id in known]
            for row in await look.many(connection, most_kept=MOST_KEPT, **_arrays(looking)) if looking else ():
                verdicts[row["attempt_id"]].append(row)
        return {save.attempt_id: _outcome(save, verdicts[save.attempt_id]) for save in saves}


async def _plan(connection: Connection, district_id: int | None = None) -> None:
    """Has a connection plan the statements of a save, or those for one district only, on no rows."""
    # Else the first save after an outage waits for that, a tenth of a second on a busy server, between the moment in
    # which its age is measured and the one from which it is subtracted: it would have come that much later.
    day = dt.date.today()
    empty: dict[str, Any] = {name: [] for name in save_answers.names if name != "day"}
    save, hold, look = (
        statement if district_id is None else statement.within(district_id)
        for statement in (save_answers, hold_attempts, look_again)
    )
    await save.many(connection, day=day, **empty)
    await hold.many(connection, day=day, districts=[], attempts=[])
    await look.many(connection, day=day, most_kept=MOST_KEPT, **empty)


def _arrays(saves: Sequence[Save]) -> dict[str, Any]:
    """The parameters of a round: one element per line, what belongs to the request repeated."""
    lines = list(chain.from_iterable(save.lines for save in saves))
    per_line = [save for save in saves for _ in save.lines]
    ages = {save.attempt_id: age_of(save.stamp) for save in saves}
    return {
        "day": saves[0].exam_day,
        "districts": [save.district_id for save in per_line],
        "attempts": [save.attempt_id for save in per_line],
        "epochs": [save.epoch for save in per_line],
        "firsts": [save.lines[0].seq for save in per_line],
        "ages": [ages[save.attempt_id] for save in per_line],
        "seqs": [line.seq for line in lines],
        "items": [line.item for line in lines],
        "sections": [line.section for line in lines],
        "responses": [line.response for line in lines],
        "flags": [line.flag for line in lines],
        "client_ms": [line.client_ms for line in lines],
    }


def _outcome(save: Save, rows: Sequence[Row]) -> Saved | BaseException | Again:
    """One request's answer from the verdicts of its rows; the gravest decides."""
    if not rows:
        return Again()
    found = {row["verdict"] for row in rows}
    watermark: int = rows[0]["watermark"]
    if "conflict" in found:
        return Conflict(watermark=watermark)
    if "not_started" in found:
        return NotStarted()
    if "unknown_epoch" in found:
        return UnknownEpoch()
    if "gap" in found:
        return Gap(watermark=watermark)
    if "too_many_kept" in found:
        return TooManyKept()
    if "again" in found:
        return Again()
    kept = sorted((row["seq"], row["reason"]) for row in rows if row["verdict"] == "kept")
    return Saved(max(watermark, save.lines[-1].seq), rows[0]["deadline"], kept, rows[0]["section_ends"])
