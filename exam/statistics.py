"""Makes the analyses that were asked for: results stream from PostgreSQL into the tally of `grading.statistics`.

For workers alone: a web worker never loads numpy.
"""

import asyncio
import logging
from typing import Final

import msgspec

from exam.analyses import Choices, Figures, GroupFigures
from exam.db import Connection, Database, Row, load
from exam.papers import Paper
from grading.findings import Report
from grading.items import Response
from grading.keys import Key
from grading.statistics import Entry, Sitting, Tally

claim_analysis, list_forms_with_keys, list_graded, store_analysis, give_up_analysis = load(
    "statistics", "claim_analysis", "list_forms_with_keys", "list_graded", "store_analysis", "give_up_analysis"
)

log = logging.getLogger("exam.statistics")

BATCH: Final = 250
"""Attempts that are read at once: some 20 ms of work, in which nothing else of this process goes on."""
LEASE_SECONDS: Final = 600
MOST_TRIES: Final = 3

_response = msgspec.json.Decoder(Response)


async def analyse(db: Database) -> int:
    """Makes every analysis that is wanted, one after the other; how many."""
    made = 0
    while True:
        async with db.grading.connection() as connection:
            row = await claim_analysis.one_or_none(connection, seconds=LEASE_SECONDS, most_tries=MOST_TRIES)
            if row is None:
                return made
            which = {"exam_id": row["exam_id"], "district_id": row["district_id"]}
            try:
                tally, unmarked = await _tally(connection, row)
                figures, options = await asyncio.to_thread(_figures, tally, unmarked)
            except (ValueError, KeyError, TypeError) as defect:
                # An exam whose results make no sense fails alone; the reason is a class, never a candidate's words.
                log.exception("the analysis of exam %s could not be made", row["exam_id"])
                await give_up_analysis.run(connection, **which, failure=type(defect).__name__)
                continue
            await store_analysis.run(connection, **which, figures=figures, options=options)
            made += 1


async def _tally(connection: Connection, row: Row) -> tuple[Tally, int]:
    """All graded attempts of a district at an exam; and how many wait for people to mark something."""
    forms: dict[str, list[Entry]] = {}
    names: dict[bytes, str] = {}
    for form in await list_forms_with_keys.many(connection, exam_id=row["exam_id"]):
        names[form["form_hash"]] = str(form["form_no"])
        forms[str(form["form_no"])] = _entries(form)
    tally, unmarked = Tally(forms, ["language"]), 0
    async with connection.transaction():
        batches = list_graded.batches(connection, BATCH, exam_id=row["exam_id"], district_id=row["district_id"])
        async for rows in batches:
            tally.add(_sitting(one, names[one["form_hash"]]) for one in rows if not one["unmarked"])
            unmarked += sum(one["unmarked"] for one in rows)
    return tally, unmarked


def _entries(form: Row) -> list[Entry]:
    paper = msgspec.json.decode(form["paper"], type=Paper)
    spans = {no: span for span, section in enumerate(paper.sections) if section.minutes for no in section.items}
    return [
        Entry(name, item.interaction, msgspec.convert(key, Key), item.marks, spans.get(item.no, 0))
        for name, item, key in zip(form["names"], paper.items, form["keys"], strict=True)
    ]


def _sitting(row: Row, form: str) -> Sitting:
    responses = {
        place: _response.decode(response) for place, response in zip(row["places"], row["responses"], strict=True)
    }
    return Sitting(form, row["total"], [item[0] for item in row["items"]], responses, (row["language"],))


def _figures(tally: Tally, unmarked: int) -> tuple[Figures, dict[str, Choices]]:
    """What everybody may see, and what authors may."""
    whole = tally.report()
    groups = [("form", form, tally.report(form=form)) for form in tally.forms]
    groups += [("language", language, tally.report(language=language)) for language in tally.labels("language")]
    items = [
        msgspec.structs.replace(
            item,
            options=[],
            findings=[msgspec.structs.replace(one, part="", option="") for one in item.findings],
        )
        for item in whole.items
    ]
    figures = Figures(whole.totals, unmarked, items, [_group(*group) for group in groups])
    return figures, {item.item: Choices(item.options, item.findings) for item in whole.items}


def _group(by: str, name: str, report: Report) -> GroupFigures:
    return GroupFigures(by, name, report.totals, {item.item: item.facility for item in report.items if item.attempts})
