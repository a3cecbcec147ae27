"""Exams: a title, rules and a blueprint over one bank, until they are frozen into forms."""

from fractions import Fraction
from typing import Final

import msgspec

from exam import papers
from exam.audit import only, plain_text, record
from exam.auth import StaffSession
from exam.db import Connection, Row, Rows, load
from exam.errors import Malformed, NotAllowed, NothingHere
from grading.forms import Blueprint, BlueprintSection, Navigation
from grading.scoring import Scheme, Share

list_usable_banks, add_exam, list_newest_exams, set_keys, find_exam = load(
    "exams", "list_usable_banks", "add_exam", "list_newest_exams", "set_keys", "find_exam"
)

MOST_FORMS: Final = 50
MOST_QUESTIONS: Final = 500
TOOLS: Final = ("calculator", "notes")
"""What an exam can put beside the questions on the candidate's screen."""
RECORDS: Final = ("focus", "fullscreen", "paste", "network", "device")
"""What an exam can have noted of a sitting: exam.events, and take-overs."""
MOST_KEYS: Final = 20
"""Of Safe Exam Browser, of each kind: one for each file, or version, with which an exam may be opened."""
USUAL_RECORDS: Final = ("focus", "paste", "network", "device")


class ExamDraft(msgspec.Struct, frozen=True):
    """An exam as a person has typed it. `sections` is section to (count, marks of each item), in the form's order.

    Marks and `negative` (the share of an item's marks that a wrong answer loses) are exact: "1", "1/3", "0.25".
    `section_minutes` is the time of each section that has its own: all that questions are taken from, or none. With
    `navigation` "forward" no question that was left comes back.
    `tools` are those of TOOLS that candidates may open; none of itself. `records` are those of RECORDS that are noted.
    """

    title_en: str
    title_mr: str
    bank_id: int
    minutes: int
    sections: dict[str, tuple[int, str]]
    section_minutes: dict[str, int] = {}
    navigation: Navigation = "free"
    grace_s: int = 20
    device_changes: int = 2
    negative: str = "0"
    tools: tuple[str, ...] = ()
    records: tuple[str, ...] = USUAL_RECORDS


async def list_banks(connection: Connection, staff: StaffSession) -> Rows:
    """The banks that the staff may use: bank_id, district_id, name, `sections` (titles) and `counts` by section."""
    only(staff, "district_admin", "platform_admin", "author")
    return await list_usable_banks.many(connection, scope=staff.scope, bank_id=None)


async def create_exam(connection: Connection, staff: StaffSession, draft: ExamDraft) -> int:
    """A new exam of the staff's district; its number.

    Malformed, with `field`, for what does not make sense: a field of the draft, or "count:<section>",
    "marks:<section>" or "time:<section>". NotAllowed unless district admin.
    """
    only(staff, "district_admin")
    title = {
        "en": plain_text(draft.title_en, "title_en", 200, required=not draft.title_mr.strip()),
        "mr": plain_text(draft.title_mr, "title_mr", 200, required=False),
    }
    for field, number, least, most, unit in (
        ("minutes", draft.minutes, 1, 600, "minutes"),
        ("grace_s", draft.grace_s, 0, 300, "seconds"),
        ("device_changes", draft.device_changes, 0, 100, "changes"),
    ):
        if not least <= number <= most:
            raise Malformed(f"This has to be between {least} and {most} {unit}.", field=field)
    if not set(draft.tools) <= set(TOOLS):
        raise Malformed("Choose among the tools of the list.", field="tools")
    if not set(draft.records) <= set(RECORDS):
        raise Malformed("Choose among what the list offers.", field="records")
    banks = await list_usable_banks.many(connection, scope=staff.scope, bank_id=draft.bank_id)
    if not banks:
        raise Malformed("Choose one of the banks in the list.", field="bank_id")
    blueprint = _blueprint(draft, banks[0]["counts"])
    row = await add_exam.one(
        connection,
        district_id=staff.district_id,
        title={language: text for language, text in title.items() if text},
        bank_id=draft.bank_id,
        duration_s=draft.minutes * 60,
        grace_s=draft.grace_s,
        device_changes=draft.device_changes,
        tools=[tool for tool in TOOLS if tool in draft.tools],
        records=[record for record in RECORDS if record in draft.records],
        blueprint=blueprint,
        scheme=Scheme(negative=_share(draft.negative, "negative", marks=False)),
    )
    exam_id: int = row["exam_id"]
    await record(connection, "exam.created", staff=staff, district_id=staff.district_id, exam_id=exam_id, title=title)
    return exam_id


def _blueprint(draft: ExamDraft, counts: dict[str, int]) -> Blueprint:
    sections = []
    for section, (count, marks) in draft.sections.items():
        if section not in counts:
            raise Malformed(f'The bank has no section "{section}".', field=f"count:{section}")
        if not 0 <= count <= counts[section]:
            raise Malformed(
                f"Take between 0 and {counts[section]} questions: the bank has no more in this section.",
                field=f"count:{section}",
            )
        minutes = draft.section_minutes.get(section)
        if minutes is not None and not 1 <= minutes <= draft.minutes:
            raise Malformed(f"Type whole minutes, from 1 to the {draft.minutes} of the exam.", field=f"time:{section}")
        if minutes is not None and not count:
            raise Malformed("No question is taken from this section, so it has no time.", field=f"time:{section}")
        if count:
            sections.append(BlueprintSection(section, count, _share(marks, f"marks:{section}", marks=True), minutes))
    if not 1 <= sum(section.count for section in sections) <= MOST_QUESTIONS:
        raise Malformed(f"An exam has between 1 and {MOST_QUESTIONS} questions.", field="sections")
    timed = [taken.minutes for taken in sections if taken.minutes is not None]
    for taken in sections:
        if timed and taken.minutes is None:
            raise Malformed(
                "Give this section minutes, too, or none to any: they are open one after the other.",
                field=f"time:{taken.section}",
            )
    if timed and sum(timed) != draft.minutes:
        raise Malformed(
            f"The minutes of the sections make {sum(timed)}, and the exam lasts {draft.minutes}. Make them the same.",
            field="sections",
        )
    return Blueprint(sections, navigation=draft.navigation)


def _share(text: str, field: str, *, marks: bool) -> str:
    """An exact number as typed: marks are more than 0, the share that is lost is between 0 and 1."""
    try:
        share = msgspec.convert(text.strip(), Share)
    except msgspec.ValidationError:
        raise Malformed('Write a number such as "1", "0.25" or "1/3".', field=field) from None
    if marks and not Fraction(share):
        raise Malformed("Marks have to be more than 0.", field=field)
    if not marks and Fraction(share) > 1:
        raise Malformed("A wrong answer can lose at most all marks of its question: 1.", field=field)
    return share


async def list_exams(connection: Connection, staff: StaffSession) -> Rows:
    """The newest 200 exams of the staff's districts and the shared ones, with `forms` and `slots` counted."""
    only(staff, "district_admin", "platform_admin")
    return await list_newest_exams.many(connection, scope=staff.scope)


async def exam_of(connection: Connection, staff: StaffSession, exam_id: int) -> Row:
    """An exam with its rules, its bank's name and sections, `forms` and `slots` counted. NothingHere."""
    only(staff, "district_admin", "platform_admin")
    row = await find_exam.one_or_none(connection, scope=staff.scope, exam_id=exam_id)
    if row is None:
        raise NothingHere
    return row


async def freeze_exam(connection: Connection, staff: StaffSession, exam_id: int, forms: int) -> list[bytes]:
    """Draws the forms of an exam and fixes them with their keys for good; the forms' hashes.

    NotPossible where it is frozen already or the bank does not suffice, NotAllowed for an exam of all districts.
    """
    only(staff, "district_admin")
    exam = await exam_of(connection, staff, exam_id)
    if exam["district_id"] != staff.district_id:
        raise NotAllowed("This exam is shared by all districts. You can use it, but not change it.")
    if not 1 <= forms <= MOST_FORMS:
        raise Malformed(f"Freeze between 1 and {MOST_FORMS} forms.", field="forms")
    hashes = await papers.freeze(connection, exam_id, forms)
    await record(connection, "exam.frozen", staff=staff, district_id=staff.district_id, exam_id=exam_id, forms=forms)
    return hashes


async def ask_for_browser(
    connection: Connection, staff: StaffSession, exam_id: int, config_keys: str, browser_keys: str
) -> None:
    """Sets the keys of Safe Exam Browser that an exam asks for, typed with blanks between; none: any browser will do.

    It holds for all requests a second or two later, also in exams that run. Malformed, with the field, for what is no
    key; NotAllowed for an exam of all districts.
    """
    only(staff, "district_admin")
    exam = await exam_of(connection, staff, exam_id)
    if exam["district_id"] != staff.district_id:
        raise NotAllowed("This exam is shared by all districts. You can use it, but not change it.")
    config, browser = _keys(config_keys, "config_keys"), _keys(browser_keys, "browser_keys")
    await set_keys.run(
        connection, exam_id=exam_id, district_id=staff.district_id, config_keys=config, browser_keys=browser
    )
    await record(
        connection,
        "exam.browser_set",
        staff=staff,
        district_id=staff.district_id,
        exam_id=exam_id,
        config_keys=len(config),
        browser_keys=len(browser),
    )


def _keys(typed: str, field: str) -> list[str]:
    keys = list(dict.fromkeys(typed.lower().split()))
    for place, key in enumerate(keys, start=1):
        if len(key) != 64 or set(key) - set("0123456789abcdef"):
            raise Malformed(
                f"The key number {place} is not one: a key has 64 characters, each a digit or a letter from a to f. "
                "Copy it from the configuration tool of Safe Exam Browser.",
                field=field,
            )
    if len(keys) > MOST_KEYS:
        raise Malformed(f"An exam can have {MOST_KEYS} keys of a kind.", field=field)
    return keys
