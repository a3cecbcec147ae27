"""Events for the record: what a page noticed while its candidate sat, of the kinds that the exam says are noted.

People may look at them; nothing is decided by them. They are the service's least work and stand back first when it is
overloaded: a page keeps them and comes again minutes later, or lets them go.
"""

import datetime as dt
from typing import Final, Literal

import msgspec

from exam.attempts import by_day, sat
from exam.auth import CandidateSession
from exam.db import Again, Database, Group, load
from exam.errors import Ended, NotStarted

add_events, list_events = load("events", "add_events", "list_events")

Kind = Literal["away", "hidden", "windowed", "paste", "offline"]
RECORD: Final[dict[Kind, str]] = {
    "away": "focus",
    "hidden": "focus",
    "windowed": "fullscreen",
    "paste": "paste",
    "offline": "network",
}
"""Under which of an exam's records each kind falls; take-overs ("device") the service notes by itself."""
MOST_EVENTS: Final = 500
"""Of one attempt; a few more where several workers write at the same moment."""
AFTER_SECONDS: Final = 900
"""For how long after the end of an attempt its page may still tell what it noticed."""


class Event(msgspec.Struct, frozen=True):
    """One thing noticed; milliseconds. `span_ms` is None for a moment and for what is not over."""

    number: int
    kind: Kind
    age_ms: int
    span_ms: int | None
    item: int | None
    characters: int | None


class Told(msgspec.Struct, frozen=True):
    """The events of one request, by ascending numbers; `page` is what the page calls itself, above 0."""

    district_id: int
    exam_day: dt.date
    attempt_id: int
    page: int
    events: list[Event]


class Events:
    """Writes events in rounds. Nobody waits for them, so they wait for company."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._group: Group[Told, None] = Group(self._round, key=lambda told: told.attempt_id, gather=0.05, bound=1000)

    async def tell(self, session: CandidateSession, page: int, events: list[Event]) -> None:
        """Notes what the exam records of these events, each once. NotStarted, Ended or Unavailable."""
        key = sat(session)
        await self._group.add(Told(key.district_id, key.exam_day, key.attempt_id, page, events))

    async def drain(self) -> None:
        """Waits until everything that was accepted has been answered."""
        await self._group.drain()

    async def _round(self, told: list[Told]) -> list[BaseException | Again | None]:
        states: dict[int, tuple[str, bool]] = {}
        async with self._db.web.connection() as connection:
            for day, group in by_day(told).items():
                rows = [(one, event) for one in group for event in one.events]
                found = await add_events.many(
                    connection,
                    day=day,
                    districts=[one.district_id for one, _ in rows],
                    attempts=[one.attempt_id for one, _ in rows],
                    pages=[one.page for one, _ in rows],
                    numbers=[event.number for _, event in rows],
                    kinds=[event.kind for _, event in rows],
                    records=[RECORD[event.kind] for _, event in rows],
                    ages_ms=[event.age_ms for _, event in rows],
                    spans_ms=[event.span_ms for _, event in rows],
                    items=[event.item for _, event in rows],
                    characters=[event.characters for _, event in rows],
                    after_s=AFTER_SECONDS,
                    most=MOST_EVENTS,
                )
                states |= {row["attempt_id"]: (row["state"], row["open"]) for row in found}
        return [_outcome(*states.get(one.attempt_id, ("prepared", False))) for one in told]


def _outcome(state: str, is_open: bool) -> BaseException | None:
    if is_open:
        return None
    return NotStarted() if state == "prepared" else Ended()
