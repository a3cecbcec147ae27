"""Hand-overs: sealed rows of a journal, brought by whoever has found them, or by the staff in a rescue file.

Who brings them does not matter: only the candidate's own page can have sealed them, each under its own number. They go
the way of every save and are judged by the moment at which they were brought, never by what is written in them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from exam.answers import AnswerLog, Line, Save, Saved
from exam.audit import only, record
from exam.auth import StaffSession
from exam.db import Database, Row, load
from exam.errors import Malformed, NothingHere, Refusal, Unavailable
from exam.journals import Owner, journal_of, owner_of, unseal
from exam.papers import Papers
from grading.items import Response, canonical

(find_brought,) = load("handovers", "find_brought")

LARGEST_FILE: Final = 8 * 1024 * 1024
"""Bytes of a rescue file: some twenty thousand short answers, or an hour of an essay that grows by the second."""
MOST_FILES: Final = 20
LARGEST_UPLOAD: Final = 25 * 1024 * 1024
"""Bytes of all files that are brought at once; nginx.conf.j2 lets as much through."""
MOST_ROWS: Final = 20_000
ROWS_AT_ONCE: Final = 100
BYTES_AT_ONCE: Final = 110 * 1024

Seq = Annotated[int, Meta(ge=1, le=1_000_000)]
AnyEpoch = Annotated[int, Meta(ge=0, le=1000)]
"""Also 0, under which a page writes that began by code until the service has heard of it."""


class SealedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row as the journal keeps it; `iv` (12 bytes) and `sealed` in base64."""

    seq: Seq
    iv: Annotated[str, Meta(min_length=16, max_length=16)]
    sealed: Annotated[str, Meta(max_length=125_000)]


class RescueRow(SealedRow, frozen=True, forbid_unknown_fields=True):
    epoch: AnyEpoch


class RescueFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rescue file; its rows are looked at one by one, so that one that is damaged does not hide the others."""

    format: Literal["exam-rescue-1"]
    journal: Annotated[str, Meta(max_length=16)]
    handover: Annotated[str, Meta(max_length=200)]
    rows: Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=MOST_ROWS)]


class JournalRow(msgspec.Struct, frozen=True):
    """What a journal holds of a row; what is only the page's own business is not looked at."""

    item: Annotated[int, Meta(ge=0, le=1000)]
    response: Response
    flag: bool = False
    at: Annotated[int, Meta(ge=0, le=2**52)] = 0
    void: bool = False


class Handed(msgspec.Struct, frozen=True):
    """What became of rows: as of a save, and the `unfit` ones (seq), which hold their places without an answer."""

    saved: Saved
    unfit: list[int]


class Brought(msgspec.Struct):
    """What became of a rescue file. The numbers are of rows, and each of its `rows` is in one of them."""

    refused: str = ""
    """Why nothing was looked for in it: too_large, not_a_rescue_file, broken, changed or foreign."""
    person: Row | None = None
    attempt_id: int = 0
    rows: int = 0
    counted: int = 0
    already: int = 0
    """Counted before."""
    kept: dict[str, int] = {}
    """Reason of the quarantine to rows."""
    unfit: int = 0
    damaged: list[int] = []
    """Places in the file, from 1."""
    left: dict[str, int] = {}
    """Error of a refusal to the rows that met it: gap, conflict, too_many_kept, unavailable and so on."""


Placed = tuple[int, RescueRow]

_file = msgspec.json.Decoder(RescueFile)
_row = msgspec.json.Decoder(RescueRow)
_journal_row = msgspec.json.Decoder(JournalRow)


class Handovers:
    """Takes what was handed over; a part of each web worker."""

    def __init__(self, db: Database, answers: AnswerLog, papers: Papers, secret: bytes) -> None:
        """`secret`: what the keys of journals are derived from, 32 bytes."""
        self._db, self._answers, self._papers, self._secret = db, answers, papers, secret

    def owner(self, token: str) -> Owner:
        """The attempt that a hand-over names. NothingHere for a token that is not ours."""
        whose = owner_of(self._secret, token)
        if whose is None:
            raise NothingHere
        return whose

    async def hand_over(self, whose: Owner, epoch: int, rows: Sequence[SealedRow], stamp: float) -> Handed:
        """Takes 1 to 100 consecutive rows of an epoch that arrived at `stamp` (Unix time).

        Malformed, with the seqs of the wrong ones in `rows`, unless the candidate's own page has sealed them all under
        these numbers; else as a save is refused.
        """
        paper = await self._papers.get(whose.form_hash)
        lines, broken, unfit = [], [], []
        for place, one in enumerate(rows):
            if one.seq != rows[0].seq + place:
                raise Malformed("The rows of one hand-over have to follow each other without a gap.")
            plain = unseal(self._secret, whose, epoch, one.seq, one.iv, one.sealed)
            try:
                row = _journal_row.decode(plain or b"")
            except msgspec.DecodeError:
                broken.append(one.seq)
                continue
            if row.void or not paper.takes(row.item, row.response):
                # Nobody is there who could answer a refusal: what does not fit the paper only holds its place.
                unfit.append(one.seq)
                lines.append(Line(one.seq, 0, "null", False, 0))
            else:
                section = paper.section_of(row.item)
                lines.append(Line(one.seq, row.item, canonical(row.response), row.flag, row.at, section))
        if broken:
            raise Malformed("This was not sealed by the candidate's own page, or was damaged.", rows=broken)
        save = Save(whose.district_id, whose.exam_day, whose.attempt_id, epoch, lines, stamp, stamp)
        return Handed(await self._answers.save(save), unfit)

    # Rescue files -------------------------------------------------------------------------------------------------

    async def bring(self, staff: StaffSession, slot: Row, bodies: Sequence[bytes], stamp: float) -> list[Brought]:
        """Takes the rescue files of a slot that the staff brought at `stamp`; what became of each, in their order.

        Whatever is brought again changes nothing. `slot` as of exam.slots.one_slot, in the staff's scope.
        """
        only(staff, "invigilator", "district_admin")
        told = [Brought() for _ in bodies]
        read = [(one, *self._read(one, body)) for one, body in zip(told, bodies, strict=True)]
        # What was saved in several files is taken in the order in which it was written.
        for one, whose, rows in sorted(read, key=lambda each: [(row.epoch, row.seq) for _, row in each[2][:1]]):
            about = {"staff": staff, "district_id": slot["district_id"], "slot_id": slot["slot_id"]}
            async with self._db.staff.transaction(scope=staff.scope) as connection:
                if whose is not None:
                    one.person = await find_brought.one_or_none(
                        connection,
                        scope=staff.scope,
                        slot_id=slot["slot_id"],
                        district_id=whose.district_id,
                        day=whose.exam_day,
                        attempt_id=whose.attempt_id,
                    )
                    one.refused = "" if one.person else "foreign"
                if whose is None or one.person is None:
                    await record(connection, "rescue.refused", **about, why=one.refused)
                    continue
                about |= {"candidate_id": one.person["candidate_id"], "attempt_id": whose.attempt_id}
                await record(connection, "rescue.brought", **about, rows=one.rows)
            await self._take(one, whose, rows, stamp)
            async with self._db.staff.transaction(scope=staff.scope) as connection:
                await record(connection, "rescue.taken", **about, **_figures(one))
        return told

    def _read(self, told: Brought, body: bytes) -> tuple[Owner | None, list[Placed]]:
        """The attempt and the rows of a rescue file in the order of their numbers; what is wrong goes into `told`."""
        if len(body) > LARGEST_FILE:
            told.refused = "too_large"
            return None, []
        try:
            file = _file.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told.refused = "broken" if body.startswith(b'{"format":"exam-rescue-1"') else "not_a_rescue_file"
            return None, []
        whose = owner_of(self._secret, file.handover)
        if whose is None or journal_of(self._secret, whose).name != file.journal:
            told.refused = "changed"
            return None, []
        told.rows, told.attempt_id = len(file.rows), whose.attempt_id
        found: dict[tuple[int, int], Placed] = {}
        for place, raw in enumerate(file.rows, start=1):
            try:
                row = _row.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                told.damaged.append(place)
                continue
            if found.setdefault((row.epoch, row.seq), (place, row))[0] != place:
                told.damaged.append(place)
        return whose, [found[number] for number in sorted(found)]

    async def _take(self, told: Brought, whose: Owner, rows: list[Placed], stamp: float) -> None:
        assert told.person is not None
        held = {int(epoch): seq for epoch, seq in told.person["held"].items()}
        for part in _parts(rows):
            await self._take_part(told, whose, part, held, stamp)
        told.damaged.sort()

    async def _take_part(
        self, told: Brought, whose: Owner, part: list[Placed], held: Mapping[int, int], stamp: float
    ) -> None:
        """Takes what can be taken of consecutive rows; a wrong one among them costs the others nothing."""
        epoch = part[0][1].epoch
        try:
            if "unavailable" in told.left:
                raise Unavailable
            handed = await self.hand_over(whose, epoch, [row for _, row in part], stamp)
        except Refusal as refusal:
            broken = refusal.extra.get("rows")
            if isinstance(broken, list):
                told.damaged += [place for place, row in part if row.seq in broken]
                for rest in _parts([(place, row) for place, row in part if row.seq not in broken]):
                    await self._take_part(told, whose, rest, held, stamp)
            elif refusal.error == "conflict" and len(part) > 1:  # look for the row that is held otherwise
                middle = len(part) // 2
                await self._take_part(told, whose, part[:middle], held, stamp)
                await self._take_part(told, whose, part[middle:], held, stamp)
            else:
                told.left[refusal.error] = told.left.get(refusal.error, 0) + len(part)
        else:
            kept = dict(handed.saved.kept)
            for _, row in part:
                if row.seq in kept:
                    told.kept[kept[row.seq]] = told.kept.get(kept[row.seq], 0) + 1
                elif row.seq in handed.unfit:
                    told.unfit += 1
                elif row.seq <= held.get(epoch, 0):
                    told.already += 1
                else:
                    told.counted += 1


def _parts(rows: Sequence[Placed]) -> Iterator[list[Placed]]:
    """Consecutive rows of one epoch, as many as go over at once."""
    part: list[Placed] = []
    size = 0
    for place, row in rows:
        size += len(row.sealed)
        if part:
            before = part[-1][1]
            if (
                (row.epoch, row.seq) != (before.epoch, before.seq + 1)
                or len(part) == ROWS_AT_ONCE
                or size > BYTES_AT_ONCE
            ):
                yield part
                part, size = [], len(row.sealed)
        part.append((place, row))
    if part:
        yield part


def _figures(told: Brought) -> dict[str, Any]:
    """What the log of acts remembers of a file: numbers of rows, and only those that are not nought."""
    named = {
        "counted": told.counted,
        "already": told.already,
        **told.kept,
        "unfit": told.unfit,
        "damaged": len(told.damaged),
        **told.left,
    }
    return {name: number for name, number in named.items() if number}
