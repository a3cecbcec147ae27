"""Demo data: five districts, their schools and 200 candidates, a bilingual bank, an exam with three forms, two slots.

Everything goes through the operations that people use. Repeating it adds what has run out: a slot that is open and a
slot that opens in three minutes, with candidates who have not sat yet.
"""

import datetime as dt
import re
from pathlib import Path
from typing import Any, Final

import msgspec

from exam import items, migrations, papers, roster, slots
from exam.auth import Role, StaffSession, hash_password, normal_registration
from exam.db import Connection, load
from exam.envelopes import lay_all
from exam.imports.candidates import CandidateRow
from exam.settings import Settings
from exam.slots import SlotDraft
from grading.items import Item, Text
from grading.keys import Key

(
    add_district,
    add_staff,
    add_shared_exam,
    find_shared_exam,
    find_bank,
    find_open_slot,
    list_waiting,
    find_batch_named,
    count_candidates,
) = load(
    "seed",
    "add_district",
    "add_staff",
    "add_shared_exam",
    "find_shared_exam",
    "find_bank",
    "find_open_slot",
    "list_waiting",
    "find_batch_named",
    "count_candidates",
)

FOLDER: Final = Path(__file__).parent / "demo"
BANK: Final = "Teachers' professional knowledge"
PER_DISTRICT: Final = 40
OPENS_IN: Final = dt.timedelta(minutes=3)

STAFF: Final[list[tuple[Role, str, str]]] = [
    ("district_admin", "asha", "Asha Deshmukh"),
    ("invigilator", "iqbal", "Iqbal Shaikh"),
    ("author", "anil", "Anil Kulkarni"),
    ("marker", "mohan", "Mohan Gaikwad"),
]


class District(msgspec.Struct, frozen=True):
    district_id: int
    code: str
    name: Text
    schools: list[str]


class People(msgspec.Struct, frozen=True):
    districts: list[District]
    first_names: list[str]
    surnames: list[str]


class BankItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    item: Item
    key: Key


class BankSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    section: str
    title: Text
    items: list[BankItem]


class Seeded(msgspec.Struct):
    """Log-ins: (role, e-mail, password) of staff, and (what, registration, code) of candidates who have not sat."""

    staff: list[tuple[str, str, str]]
    candidates: list[tuple[str, str, str]]
    codes: dict[str, str]


async def seed(owner: Connection, settings: Settings, codes: dict[str, str], password: str) -> Seeded:
    """Fills a migrated database as its owner; `codes` are the access codes that earlier runs told."""
    people = msgspec.json.decode((FOLDER / "people.json").read_bytes(), type=People)
    now = dt.datetime.now(dt.UTC)
    codes = dict(codes)
    key = settings.derived("access codes")
    for district in people.districts:
        values = {"district_id": district.district_id, "code": district.code, "name": district.name}
        await add_district.run(owner, **values)
    await migrations.make_partitions(owner, now.date(), settings.partition_months)
    staff = await _add_staff(owner, people, password)
    exam_id = await _add_exam(owner)
    shown: list[tuple[str, str, str]] = []
    for place, district in enumerate(people.districts):
        admin = StaffSession(
            b"", staff[district.code], "seed", "district_admin", district.district_id, (district.district_id,)
        )
        if not (await count_candidates.one(owner, district_id=district.district_id))["candidates"]:
            codes |= await _enrol(owner, people, district, "Morning", 0, PER_DISTRICT // 2, key)
            codes |= await _enrol(owner, people, district, "Afternoon", PER_DISTRICT // 2, PER_DISTRICT // 2, key)
        open_slot = await find_open_slot.one_or_none(owner, district_id=district.district_id)
        slot_id = (
            open_slot["slot_id"] if open_slot else await _plan(owner, settings, admin, exam_id, "Morning", now, now)
        )
        waiting = await list_waiting.many(owner, slot_id=slot_id, district_id=district.district_id)
        shown += [
            ("open now", row["registration"], codes[row["registration"]])
            for row in waiting
            if row["registration"] in codes
        ][:1]
        if place == 0:
            batch = "Afternoon"
            if open_slot:  # a later run: those of the first one may be sitting
                seats = (await count_candidates.one(owner, district_id=district.district_id))["candidates"]
                batch = f"Demo {now:%Y-%m-%d %H:%M:%S}"
                codes |= await _enrol(owner, people, district, batch, seats, 5, key)
            soon = await _plan(owner, settings, admin, exam_id, batch, now + OPENS_IN, now)
            waiting = await list_waiting.many(owner, slot_id=soon, district_id=district.district_id)
            shown += [
                ("opens in three minutes", row["registration"], codes[row["registration"]]) for row in waiting[:1]
            ]
    log_ins = [(role, f"{name}@mumbai.example", password) for role, name, _ in STAFF]
    return Seeded([*log_ins, ("platform_admin", "padma@example.org", password)], shown, codes)


async def _add_staff(owner: Connection, people: People, password: str) -> dict[str, int]:
    """Staff of each role; the district admins' numbers by their district's code."""
    admins = {}
    password_hash = hash_password(password)
    for district in people.districts:
        for role, short, name in STAFF:
            where = re.sub("[^a-z]", "", district.name["en"].lower())
            row = await add_staff.one(
                owner,
                district_id=district.district_id,
                email=f"{short}@{where}.example",
                name=name,
                role=role,
                password_hash=password_hash,
            )
            if role == "district_admin":
                admins[district.code] = row["staff_id"]
    await add_staff.one(
        owner,
        district_id=None,
        email="padma@example.org",
        name="Padma Iyer",
        role="platform_admin",
        password_hash=password_hash,
    )
    return admins


async def _add_exam(owner: Connection) -> int:
    found = await find_shared_exam.one_or_none(owner)
    if found is not None:
        return int(found["exam_id"])
    async with owner.transaction():
        sections = await load_bank(owner)
        bank_id = (await find_bank.one(owner, name=BANK))["bank_id"]
        blueprint = {"sections": [{"section": section, "count": 6, "marks": "1"} for section in sections]}
        title = {"en": "Teachers' professional knowledge, 2026", "mr": "शिक्षक व्यावसायिक ज्ञान चाचणी, २०२६"}
        row = await add_shared_exam.one(owner, title=title, bank_id=bank_id, duration_s=3600, blueprint=blueprint)
        await papers.freeze(owner, row["exam_id"], 3)
        return int(row["exam_id"])


async def load_bank(owner: Connection) -> list[str]:
    """Puts the demo's questions and pictures into its bank; the names of the sections."""
    pictures: dict[str, str] = {}
    for path in sorted((FOLDER / "bank").glob("*.png")):
        pictures[path.name] = await items.keep_picture(owner, path.read_bytes())
    sections = [
        msgspec.json.decode(path.read_bytes(), type=BankSection) for path in sorted((FOLDER / "bank").glob("*.json"))
    ]
    pairs = [(_with_pictures(one.item, pictures), one.key) for section in sections for one in section.items]
    await items.import_items(owner, BANK, {section.section: section.title for section in sections}, pairs)
    return [section.section for section in sections]


def _with_pictures(item: Item, pictures: dict[str, str]) -> Item:
    def placed(text: str) -> str:
        return re.sub(r'src="media/([^"]+)"', lambda match: f'src="/media/{pictures[match[1]]}"', text)

    plain: Any = msgspec.to_builtins(item)
    plain["prompt"] = {language: placed(text) for language, text in item.prompt.items()}
    plain["media"] = [pictures[name] for name in item.media]
    return msgspec.convert(plain, Item)


async def _enrol(
    owner: Connection, people: People, district: District, batch: str, first: int, count: int, key: bytes
) -> dict[str, str]:
    rows = []
    for number in range(first, first + count):
        # Two strides without a common factor with the lists' lengths: names repeat late and differ between districts.
        mixed = number * 7 + district.district_id * 11
        given = people.first_names[mixed % len(people.first_names)]
        surname = people.surnames[(mixed * 13 + number // len(people.surnames)) % len(people.surnames)]
        rows.append(
            CandidateRow(
                line=number + 1,
                registration_no=f"{district.code}-{number + 1:05}",
                name=f"{given} {surname}",
                district=district.code,
                school=district.schools[number % len(district.schools)],
                batch=batch,
                language="mr" if number % 3 else "en",
                extra_time_pct=25 if number % 10 == 9 else 0,
            )
        )
    async with owner.transaction():
        enrolled = await roster.enrol(owner, rows, key)
    return {normal_registration(registration): code for registration, _, code in enrolled.codes}


async def _plan(
    owner: Connection,
    settings: Settings,
    admin: StaffSession,
    exam_id: int,
    batch: str,
    opens_at: dt.datetime,
    now: dt.datetime,
) -> int:
    """A slot with a batch, pinned, as the district's admin would make it."""
    assert admin.district_id is not None
    draft = SlotDraft(exam_id=exam_id, hall="Hall 1", opens_at=opens_at, start_minutes=600, capacity=60)
    async with owner.transaction():
        slot_id = await slots.create_slot(owner, admin, draft, settings.time_zone, now)
        batch_id = (await find_batch_named.one(owner, district_id=admin.district_id, name=batch))["batch_id"]
        await slots.book_batch(owner, admin, slot_id, batch_id)
        await slots.pin(owner, admin, slot_id)
        await lay_all(owner, settings, admin.district_id, slot_id)
    return slot_id
