"""What the database holds when a run is over, read by SQL past everything that the run has troubled."""

from collections import defaultdict
from typing import Any

import msgspec

from exam.db import Connection
from loadtest.device import digest_of


class HeldRow(msgspec.Struct, frozen=True):
    """A row of `answer`, or with a reason one of `quarantine`; `arrived` and `committed` in Unix seconds."""

    epoch: int
    seq: int
    item: int
    response: str
    digest: str
    arrived: float
    committed: float
    reason: str = ""


class Submission(msgspec.Struct, frozen=True):
    """A row of `submission`, hashes in hex."""

    ended_by: str
    ended_at: float
    salt: str
    digest: str
    signature: bytes
    answered: int
    graded_at: float
    tries: int
    failure: str


class Result(msgspec.Struct, frozen=True):
    """A row of `result`."""

    key_version: int
    total: str
    maximum: str
    items: list[str]
    unmarked: list[int]
    graded_at: float


class Held(msgspec.Struct):
    """Everything about one attempt. `grants`: when and how many seconds, to this attempt or its whole slot."""

    attempt_id: int
    slot_id: int
    form: str
    state: str
    epoch: int
    duration_s: int
    grace_s: int
    grant_s: int
    delay_s: float
    started_at: float
    deadline: float
    rows: list[HeldRow] = []
    submissions: list[Submission] = []
    results: list[Result] = []
    stored: int = 0
    """How often a result was written."""
    grants: list[tuple[float, int, bool]] = []
    """Unix seconds, seconds given, and whether to the whole slot."""
    section_s: list[int] = []
    section_ends: list[float] = []
    """Of sections with their own time: their lengths, and when they end."""
    opens_at: float = 0.0
    by_code: bool = False
    """Whether it was begun by the code that the invigilator read out."""


class Form(msgspec.Struct, frozen=True):
    """A form for the reference grader: its paper, its keys in the paper's order, and the scheme, as plain JSON."""

    paper: dict[str, Any]
    keys: list[dict[str, Any]]
    scheme: dict[str, Any]

    def section_of(self, item: int) -> int | None:
        """The place of an item's section, from 0; None for void rows, and where sections have no time of their own."""
        for place, section in enumerate(self.paper.get("sections", [])):
            if "minutes" in section and item in section["items"]:
                return place
        return None


def _seconds(moment: Any) -> float:
    return 0.0 if moment is None else float(moment.timestamp())


async def read_forms(owner: Connection) -> dict[str, Form]:
    """The forms by their hash, each with its first key."""
    rows = await owner.fetch(
        "SELECT f.form_hash, f.paper, e.scheme, array_agg(k.key ORDER BY k.item_no) AS keys FROM form f "
        "JOIN exam e USING (exam_id) JOIN form_key k USING (form_hash) WHERE k.key_version = 1 "
        "GROUP BY f.form_hash, f.paper, e.scheme"
    )
    return {row["form_hash"].hex(): Form(msgspec.json.decode(row["paper"]), row["keys"], row["scheme"]) for row in rows}


async def read_held(owner: Connection) -> dict[int, Held]:
    """All attempts with what belongs to them, in one snapshot."""
    async with owner.transaction(isolation="repeatable_read", readonly=True):
        attempts = {
            row["attempt_id"]: Held(
                row["attempt_id"],
                row["slot_id"],
                row["form_hash"].hex(),
                row["state"],
                row["epoch"],
                row["duration_s"],
                row["grace_s"],
                row["grant_s"],
                row["delay_s"],
                _seconds(row["started_at"]),
                _seconds(row["deadline"]),
                rows=[],
                submissions=[],
                results=[],
                grants=[],
                opens_at=_seconds(row["opens_at"]),
                by_code=row["by_code"],
                section_s=row["section_s"] or [],
                section_ends=[_seconds(end) for end in row["section_ends"] or []],
            )
            for row in await owner.fetch("SELECT * FROM attempt")
        }
        columns = (
            "attempt_id, epoch, seq, item, response, flag, arrived_at, pg_xact_commit_timestamp(xmin) AS committed"
        )
        for row in await owner.fetch(
            f"SELECT {columns}, '' AS reason FROM answer UNION ALL SELECT {columns}, reason FROM quarantine"
        ):
            attempts[row["attempt_id"]].rows.append(
                HeldRow(
                    row["epoch"],
                    row["seq"],
                    row["item"],
                    row["response"],
                    digest_of(row["item"], row["response"], row["flag"]),
                    _seconds(row["arrived_at"]),
                    _seconds(row["committed"]),
                    row["reason"],
                )
            )
        for row in await owner.fetch("SELECT * FROM submission"):
            attempts[row["attempt_id"]].submissions.append(
                Submission(
                    row["ended_by"],
                    _seconds(row["ended_at"]),
                    row["salt"].hex(),
                    "" if row["digest"] is None else row["digest"].hex(),
                    row["signature"] or b"",
                    row["answered"] or 0,
                    _seconds(row["graded_at"]),
                    row["tries"],
                    row["failure"] or "",
                )
            )
        for row in await owner.fetch("SELECT * FROM result"):
            attempts[row["attempt_id"]].results.append(
                Result(
                    row["key_version"],
                    str(row["total"]),
                    str(row["maximum"]),
                    [item[0] for item in row["detail"]["items"]],
                    row["detail"].get("unmarked", []),
                    _seconds(row["graded_at"]),
                )
            )
        for row in await owner.fetch("SELECT attempt_id, count(*) AS times FROM result_stored GROUP BY attempt_id"):
            attempts[row["attempt_id"]].stored = row["times"]
        slots: dict[int, list[Held]] = defaultdict(list)
        for held in attempts.values():
            slots[held.slot_id].append(held)
        for row in await owner.fetch("SELECT slot_id, attempt_id, seconds, granted_at FROM time_grant"):
            whole = row["attempt_id"] is None
            for held in slots[row["slot_id"]] if whole else [attempts[row["attempt_id"]]]:
                held.grants.append((_seconds(row["granted_at"]), row["seconds"], whole))
    return attempts
