"""The roster: candidates with their schools and batches, from a file; access codes are made here and told once."""

from collections.abc import Sequence
from typing import Any

import msgspec

from exam.auth import hash_code, new_code, normal_registration
from exam.db import Connection, load
from exam.imports.candidates import CandidateRow
from exam.imports.report import Report

(
    list_district_names,
    add_schools,
    add_batches,
    find_registered,
    add_candidates,
    add_credentials,
    change_candidates,
) = load(
    "roster",
    "list_district_names",
    "add_schools",
    "add_batches",
    "find_registered",
    "add_candidates",
    "add_credentials",
    "change_candidates",
)


class Enrolled(msgspec.Struct, frozen=True):
    """What an import of candidates did; `codes` are (registration, name, access code) of the new, told here only."""

    new: int
    changed: int
    same: int
    codes: list[tuple[str, str, str]]


async def fit(connection: Connection, rows: Sequence[CandidateRow], report: Report, source: str) -> list[CandidateRow]:
    """The rows that can be enrolled here; the others are moved to the report's refusals with their reason."""
    districts = await _districts(connection)
    registered = {
        row["registration"]: row["district_id"]
        for row in await find_registered.many(
            connection, registrations=[normal_registration(row.registration_no) for row in rows]
        )
    }
    fitting = []
    refusals: dict[str, list[str]] = {}
    for row in rows:
        district = districts.get(row.district.casefold())
        elsewhere = registered.get(normal_registration(row.registration_no), district)
        if district is None:
            reason = f'There is no district called "{row.district}".'
        elif elsewhere != district:
            reason = f"{row.registration_no} is registered in another district."
        else:
            fitting.append(row)
            continue
        refusals[f"{source}:{row.line}"] = [reason]
    report.withdraw(refusals)
    return fitting


async def _districts(connection: Connection) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in await list_district_names.many(connection):
        for name in (row["code"], *row["name"].values()):
            found[name.casefold()] = row["district_id"]
    return found


async def enrol(connection: Connection, rows: Sequence[CandidateRow], code_key: bytes) -> Enrolled:
    """Enrols candidates inside the caller's transaction: new ones with a new code, others get the new particulars.

    `rows` have passed `fit`. Repeating it changes nothing and makes no second code.
    """
    districts = await _districts(connection)
    place = [districts[row.district.casefold()] for row in rows]
    schools = await _named(connection, add_schools, "school_id", place, [row.school for row in rows])
    batches = await _named(connection, add_batches, "batch_id", place, [row.batch for row in rows])
    numbers = [normal_registration(row.registration_no) for row in rows]
    known = {
        row["registration"]: row["candidate_id"]
        for row in await find_registered.many(connection, registrations=numbers)
    }

    def columns(of: Sequence[int]) -> dict[str, Any]:
        return {
            "districts": [place[i] for i in of],
            "names": [rows[i].name for i in of],
            "languages": [rows[i].language for i in of],
            "schools": [schools[i] for i in of],
            "batches": [batches[i] for i in of],
            "extra_times": [rows[i].extra_time_pct for i in of],
        }

    new = [i for i in range(len(rows)) if numbers[i] not in known]
    old = [i for i in range(len(rows)) if numbers[i] in known]
    added = await add_candidates.many(connection, registrations=[numbers[i] for i in new], **columns(new))
    codes = {row["registration"]: new_code() for row in added}
    await add_credentials.run(
        connection,
        registrations=[row["registration"] for row in added],
        districts=[row["district_id"] for row in added],
        candidates=[row["candidate_id"] for row in added],
        hashes=[hash_code(code_key, row["registration"], codes[row["registration"]]) for row in added],
    )
    changed = await change_candidates.run(connection, candidates=[known[numbers[i]] for i in old], **columns(old))
    told = [(numbers[i], rows[i].name, codes[numbers[i]]) for i in new]
    return Enrolled(len(new), changed, len(old) - changed, told)


async def _named(
    connection: Connection, statement: Any, column: str, districts: list[int], names: list[str]
) -> list[int | None]:
    wanted = [(district, name) for district, name in zip(districts, names, strict=True) if name]
    rows = await statement.many(
        connection, districts=[district for district, _ in wanted], names=[name for _, name in wanted]
    )
    ids = {(row["district_id"], row["name"]): row[column] for row in rows}
    return [ids.get((district, name)) for district, name in zip(districts, names, strict=True)]
