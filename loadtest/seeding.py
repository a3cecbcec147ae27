"""Fills a hall with candidates by the tens of thousands, in seconds: straight into the tables, as the owner.

Everything is a function of a candidate's number, so that a driver in another process needs no list: the session token
is the start of SHA-256("token/<number>"), the registration LOAD-<number>, the access code LOADCODE<number>.
"""

import datetime as dt
from hashlib import sha256
from typing import Any, Final

import msgspec

from exam import migrations, papers
from exam.auth import hash_code
from exam.db import Connection
from exam.seed import FOLDER, BankSection
from exam.settings import Settings
from exam.timing import local_day
from grading.items import Choice, Item, Numeric, Option, TextEntry
from grading.keys import ChoiceKey, Key, NumericAnswer, NumericKey, TextAnswer, TextKey

SHARES: Final = ((1, "MUM", 30), (2, "PUN", 25), (3, "NAG", 20), (4, "NAS", 15), (5, "AUR", 10))
"""Districts with their share of the candidates, in per cent."""
QUESTIONS: Final = 50


class Hall(msgspec.Struct, frozen=True):
    """What was filled in."""

    candidates: int
    exam_day: dt.date
    form: bytes
    slots: dict[int, int]


def district_of(number: int) -> int:
    """The district of a candidate: shares of 30, 25, 20, 15 and 10 per cent, spread evenly."""
    place = number % 100
    for district_id, _, share in SHARES:
        if place < share:
            return district_id
        place -= share
    raise AssertionError(number)


def token_of(number: int) -> bytes:
    """The session token of a candidate: 16 bytes."""
    return sha256(f"token/{number}".encode()).digest()[:16]


def login_of(number: int) -> tuple[str, str]:
    """Registration number and access code of a candidate."""
    return f"LOAD-{number}", f"LOADCODE{number}"


def bank() -> list[tuple[Item, Key]]:
    """Fifty bilingual questions: real words of real length, and kinds that depend on the number alone."""
    found = [one.item for name in sorted((FOLDER / "bank").glob("*.json"))
             for one in msgspec.json.decode(name.read_bytes(), type=BankSection).items]  # fmt: skip
    prompts = [item.prompt for item in found if not item.media]
    texts = [
        option.text for item in found if isinstance(item.interaction, Choice) for option in item.interaction.options
    ]
    pairs: list[tuple[Item, Key]] = []
    for number in range(1, QUESTIONS + 1):
        prompt = prompts[number % len(prompts)]
        options = [Option(letter, texts[(number * 4 + place) % len(texts)]) for place, letter in enumerate("abcd")]
        code = f"q{number:02}"
        if number % 10 == 0:
            key: Key = TextKey([TextAnswer("answer"), TextAnswer("उत्तर")])
            pairs.append((Item(code, "main", prompt, TextEntry(60)), key))
        elif number % 10 == 5:
            pairs.append((Item(code, "main", prompt, Numeric()), NumericKey([NumericAnswer("3.14", "3.15")])))
        elif number % 10 == 7:
            item = Item(code, "main", prompt, Choice(options, multiple=True))
            pairs.append((item, ChoiceKey({"a": "1/2", "c": "1/2", "b": "-1/2"})))
        else:
            pairs.append((Item(code, "main", prompt, Choice(options)), ChoiceKey({"abcd"[number % 4]: "1"})))
    return pairs


async def fill(
    owner: Connection,
    settings: Settings,
    candidates: int,
    *,
    opens_in: float = -60,
    minutes: int = 120,
    started: bool = True,
    sessions: bool = True,
    codes: bool = False,
) -> Hall:
    """One slot a district, open or opening in `opens_in` seconds, with everybody's attempt prepared or started."""
    now = dt.datetime.now(dt.UTC)
    opens_at = now + dt.timedelta(seconds=opens_in)
    day = local_day(now, settings.time_zone)
    for district_id, code, _ in SHARES:
        await owner.execute(
            "INSERT INTO district VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", district_id, code, {"en": code}
        )
    await migrations.make_partitions(owner, day, 0)
    form = await _form(owner, minutes)
    slots: dict[int, int] = {}
    for district_id, _, _ in SHARES:
        slots[district_id] = await owner.fetchval(
            "INSERT INTO slot (district_id, exam_id, hall, opens_at, closes_at, exam_day, capacity, booked, pinned_at) "
            "SELECT $1, exam_id, 'Hall', $2, $3, $4, 1000000, 0, now() FROM form WHERE form_hash = $5 "
            "RETURNING slot_id",
            district_id,
            opens_at,
            opens_at + dt.timedelta(minutes=minutes),
            day,
            form,
        )
    where = [(number, district_of(number)) for number in range(candidates)]
    await owner.copy_records_to_table(
        "candidate",
        columns=["district_id", "candidate_id", "registration", "name"],
        records=[(district, number + 1, f"LOAD-{number}", f"Candidate {number}") for number, district in where],
    )
    await owner.copy_records_to_table(
        "booking",
        columns=["district_id", "slot_id", "candidate_id"],
        records=[(district, slots[district], number + 1) for number, district in where],
    )
    state: dict[str, Any] = {"state": "prepared", "epoch": 0, "writer": None, "started_at": None, "deadline": None}
    columns = ["district_id", "exam_day", "attempt_id", "slot_id", "candidate_id", "form_hash", "seed", "opens_at",
               "closes_at", "duration_s", "grace_s", "takeovers_left", *state]  # fmt: skip
    closes_at, deadline = opens_at + dt.timedelta(minutes=minutes), now + dt.timedelta(minutes=minutes)

    def attempt(number: int, district: int) -> tuple[Any, ...]:
        writer = sha256(token_of(number)).digest()
        begun = ("started", 1, writer, now, deadline) if started else ("prepared", 0, None, None, None)
        return (district, day, number + 1, slots[district], number + 1, form, number, opens_at, closes_at, minutes * 60,
                20, 2, *begun)  # fmt: skip

    await owner.copy_records_to_table("attempt", columns=columns, records=[attempt(*one) for one in where])
    if sessions:
        await owner.copy_records_to_table(
            "session",
            columns=["token_hash", "district_id", "candidate_id", "exam_day", "attempt_id", "slot_id", "form_hash",
                     "expires_at"],
            records=[
                (sha256(token_of(number)).digest(), district, number + 1, day, number + 1, slots[district], form,
                 now + dt.timedelta(hours=12))
                for number, district in where
            ],
        )  # fmt: skip
    if codes:
        key = settings.derived("access codes")
        await owner.copy_records_to_table(
            "credential",
            columns=["registration", "district_id", "candidate_id", "code_hash"],
            records=[
                (f"LOAD-{number}", district, number + 1, hash_code(key, *login_of(number)))
                for number, district in where
            ],
        )
    await owner.execute("SELECT setval('attempt_id_seq', $1)", candidates + 1)
    await owner.execute("ANALYZE candidate, booking, attempt, session, credential")
    return Hall(candidates, day, form, slots)


async def _form(owner: Connection, minutes: int) -> bytes:
    pairs = bank()
    async with owner.transaction():
        bank_id = await owner.fetchval(
            "INSERT INTO bank (name, sections) VALUES ('Load', $1) RETURNING bank_id", {"main": {"en": "Main"}}
        )
        for item, key in pairs:
            item_id = await owner.fetchval(
                "INSERT INTO item (bank_id, code, section, version) VALUES ($1, $2, $3, 1) RETURNING item_id",
                bank_id,
                item.code,
                item.section,
            )
            await owner.execute("INSERT INTO item_version VALUES ($1, 1, $2)", item_id, item)
            await owner.execute("INSERT INTO item_key VALUES ($1, 1, $2)", item_id, key)
        exam_id = await owner.fetchval(
            "INSERT INTO exam (title, bank_id, duration_s, blueprint) VALUES ($1, $2, $3, $4) RETURNING exam_id",
            {"en": "Load test", "mr": "भार चाचणी"},
            bank_id,
            minutes * 60,
            {"sections": [{"section": "main", "count": len(pairs), "marks": "2"}], "shuffle": False},
        )
        (form,) = await papers.freeze(owner, exam_id, 1)
    return form
