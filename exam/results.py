"""Grading: from submission rows to results, in bulk, with leases. arq only knocks; the rows say what is to be done."""

import asyncio
import datetime as dt
import logging
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

import msgspec

from exam.db import Connection, Database, Row, load
from exam.papers import Paper
from exam.receipts import digest_of
from exam.submissions import Claimed, finals_of
from grading.items import Response
from grading.keys import Key
from grading.scoring import FormItem, FormScorer, Scheme, Score, rounded

(
    claim_submissions,
    find_form_to_grade,
    store_results,
    close_graded,
    give_up,
    grading_ages,
    count_overdue,
    count_states,
    list_results,
    find_slot_day,
) = load(
    "results",
    "claim_submissions",
    "find_form_to_grade",
    "store_results",
    "close_graded",
    "give_up",
    "grading_ages",
    "count_overdue",
    "count_states",
    "list_results",
    "find_slot_day",
)

log = logging.getLogger("exam.results")

ROUND: Final = 512
LEASE_SECONDS: Final = 20
MOST_TRIES: Final = 5
"""After so many tries a submission waits for a person; `exam check` and the metrics name it."""


class Mismatch(Exception):
    """The answers in the database are not those the receipt was made over."""


class Grader:
    """Grades submissions; keeps the scorers of the forms it met."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._scorers: OrderedDict[tuple[bytes, int], FormScorer] = OrderedDict()

    async def grade_all(self) -> int:
        """Grades until nothing is left that can be graded now; how many results were stored.

        Two rounds go side by side: while one is scored here, PostgreSQL reads the other.
        """
        return sum(await asyncio.gather(self._rounds(), self._rounds()))

    async def _rounds(self) -> int:
        graded = 0
        while True:
            claimed, stored = await self.grade_round()
            graded += stored
            if not claimed:
                return graded

    async def grade_round(self) -> tuple[int, int]:
        """One round: claims under a lease of its own, scores, stores. How many it claimed, and how many it stored."""
        lease = uuid.uuid4()
        async with self._db.grading.connection() as connection:
            claimed = await claim_submissions.many(
                connection, lease=lease, seconds=LEASE_SECONDS, most=ROUND, most_tries=MOST_TRIES
            )
            if not claimed:
                return 0, 0
            day: dt.date = claimed[0]["exam_day"]
            finals = await finals_of(
                connection, day, [Claimed(row["district_id"], row["attempt_id"]) for row in claimed]
            )
            key_version, scorer = await self._scorer(connection, claimed[0]["form_hash"])
            scored: list[tuple[Row, Score]] = []
            for row in claimed:
                try:
                    scored.append((row, score_of(row, finals[row["attempt_id"]], scorer)))
                except Exception as failure:
                    # One bad attempt fails alone. Its reason is a class and our own words, never a candidate's.
                    why = str(failure) if isinstance(failure, Mismatch) else type(failure).__name__
                    log.error("attempt %s could not be graded (try %s): %s", row["attempt_id"], row["tries"], why)
                    which = {"district_id": row["district_id"], "day": day, "attempt_id": row["attempt_id"]}
                    await give_up.run(connection, **which, lease=lease, failure=why)
            which_ones = {
                "day": day,
                "districts": [row["district_id"] for row, _ in scored],
                "attempts": [row["attempt_id"] for row, _ in scored],
            }
            async with connection.transaction():
                stored = await store_results.run(
                    connection,
                    **which_ones,
                    lease=lease,
                    key_version=key_version,
                    totals=[Decimal(score.rounded) for _, score in scored],
                    maxima=[_numeric(score.maximum, like=score.rounded) for _, score in scored],
                    details=[_detail(score) for _, score in scored],
                )
                await close_graded.run(connection, **which_ones)
        return len(claimed), stored

    async def _scorer(self, connection: Connection, form_hash: bytes) -> tuple[int, FormScorer]:
        form = await find_form_to_grade.one(connection, form_hash=form_hash)
        name = (form_hash, form["key_version"])
        if name not in self._scorers:
            paper = msgspec.json.decode(form["paper"], type=Paper)
            sections = {number: section.section for section in paper.sections for number in section.items}
            items = [
                FormItem(sections[item.no], item.interaction, msgspec.convert(key, Key), item.marks)
                for item, key in zip(paper.items, form["keys"], strict=True)
            ]
            self._scorers[name] = FormScorer(items, msgspec.convert(form["scheme"], Scheme))
            while len(self._scorers) > 64:
                self._scorers.popitem(last=False)
        return form["key_version"], self._scorers[name]


_response = msgspec.json.Decoder(Response)


def score_of(submission: Mapping[str, Any], finals: Sequence[Mapping[str, Any]], scorer: FormScorer) -> Score:
    """The score of one attempt from what counted. Mismatch where that is not what its receipt was made over."""
    if digest_of(submission["form_hash"], submission["salt"], finals) != submission["digest"]:
        raise Mismatch("the answers differ from the receipt")
    return scorer.score({row["item"]: _response.decode(row["response"]) for row in finals})


def _numeric(exact: str, like: str) -> Decimal:
    """An exact number ("7.5", "32/3") for the table; one that never ends with the decimals that `like` has."""
    if "/" not in exact:
        return Decimal(exact)
    return Decimal(rounded(Fraction(exact), len(like.partition(".")[2])))


def _detail(score: Score) -> dict[str, Any]:
    # "unmarked" is there only while something is: sql/slots.sql releases no result that has it.
    waits = {"unmarked": score.unmarked} if score.unmarked else {}
    return waits | {
        "total": score.total,
        "items": [[item.awarded, item.maximum, item.answered] for item in score.items],
        "sections": [
            {"section": section.section, "total": section.awarded, "maximum": section.maximum}
            for section in score.sections
        ],
    }
