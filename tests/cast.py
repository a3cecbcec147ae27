"""The named cast: people and things that tests speak of, built straight in the database.

Staff: Asha (district admin) and Iqbal (invigilator) of Mumbai, Anil (author) and Mohan (marker) of Mumbai, Prachi
(district admin) of Pune, Padma (platform admin). Password of all of them: PASSWORD. Candidates are made by name.
"""

import asyncio
import datetime as dt
import time
from dataclasses import dataclass, field

import httpx

from exam import auth, papers
from exam.auth import REQUESTS_SECONDS
from exam.db import Connection
from exam.envelopes import CODES, code_of, lay_all
from exam.settings import Settings
from exam.timing import local_day
from grading.items import Choice, Item, Match, Numeric, Option, TextEntry
from grading.keys import ChoiceKey, Key, MatchKey, NumericAnswer, NumericKey, TextAnswer, TextKey

PASSWORD = "correct horse battery"
PASSWORD_HASH = auth.hash_password(PASSWORD)
MUMBAI, PUNE = 1, 2

STAFF = {
    "asha": ("district_admin", MUMBAI),
    "iqbal": ("invigilator", MUMBAI),
    "anil": ("author", MUMBAI),
    "mohan": ("marker", MUMBAI),
    "prachi": ("district_admin", PUNE),
    "padma": ("platform_admin", None),
}


def both(text: str) -> dict[str, str]:
    return {"en": text, "mr": f"{text} (मराठी)"}


def options(*texts: str) -> list[Option]:
    return [Option(chr(ord("a") + place), both(text)) for place, text in enumerate(texts)]


# Item numbers 1 to 5 of every form that the cast builds; the key's marker must never leave the server.
MARKER = "5ecret-marker-of-the-key"
ITEMS: list[tuple[Item, Key]] = [
    (
        Item("q1", "main", both("2 + 2?"), Choice(options("3", "4", "5"), shuffle=True)),
        ChoiceKey({"b": "1"}, general={"en": MARKER}),
    ),
    (
        Item("q2", "main", both("Which are even?"), Choice(options("2", "3", "4"), multiple=True)),
        ChoiceKey({"a": "1/2", "c": "1/2", "b": "-1/2"}, general={"en": MARKER}),
    ),
    (
        Item("q3", "main", both("Capital of Maharashtra?"), TextEntry(40)),
        TextKey([TextAnswer("Mumbai"), TextAnswer("मुंबई")]),
    ),
    (Item("q4", "main", both("Pi to two places?"), Numeric()), NumericKey([NumericAnswer("3.14", "3.14")])),
    (
        Item("q5", "main", both("Match"), Match(options("one", "two"), options("1", "2", "3"))),
        MatchKey({"a": "a", "b": "b"}),
    ),
]
RIGHT = {1: "b", 2: ["a", "c"], 3: "Mumbai", 4: "3.14", 5: {"a": "a", "b": "b"}}


@dataclass
class Candidate:
    name: str
    registration: str
    code: str
    district_id: int
    candidate_id: int


@dataclass
class Slot:
    slot_id: int
    district_id: int
    exam_id: int
    exam_day: dt.date
    forms: list[bytes]
    attempts: dict[str, int] = field(default_factory=dict)


class Cast:
    """Builds the scene. Times are seconds from now; negative ones lie in the past."""

    def __init__(self, settings: Settings, owner: Connection) -> None:
        self._settings, self._owner = settings, owner

    async def staff(self) -> dict[str, int]:
        """All of STAFF; their ids by name. E-mail: <name>@hall.test."""
        return {
            name: await self._owner.fetchval(
                "INSERT INTO staff (district_id, email, name, role, password_hash) VALUES ($1, $2, $3, $4, $5) "
                "RETURNING staff_id",
                district_id,
                f"{name}@hall.test",
                name.title(),
                role,
                PASSWORD_HASH,
            )
            for name, (role, district_id) in STAFF.items()
        }

    async def candidate(
        self, name: str, district_id: int = MUMBAI, *, batch: str = "A", extra_time_pct: int = 0
    ) -> Candidate:
        """A teacher with an access code, in a batch of their district."""
        batch_id = await self._owner.fetchval(
            "INSERT INTO batch (district_id, name) VALUES ($1, $2) ON CONFLICT (district_id, name) "
            "DO UPDATE SET name = excluded.name RETURNING batch_id",
            district_id,
            batch,
        )
        registration, code = f"REG-{district_id}-{name.upper()}", auth.new_code()
        candidate_id = await self._owner.fetchval(
            "INSERT INTO candidate (district_id, registration, name, batch_id, extra_time_pct) "
            "VALUES ($1, $2, $3, $4, $5) RETURNING candidate_id",
            district_id,
            registration,
            name.title(),
            batch_id,
            extra_time_pct,
        )
        key = self._settings.derived("access codes")
        await self._owner.execute(
            "INSERT INTO credential VALUES ($1, $2, $3, $4)",
            registration,
            district_id,
            candidate_id,
            auth.hash_code(key, registration, code),
        )
        return Candidate(name, registration, code, district_id, candidate_id)

    async def bank(self, items: list[tuple[Item, Key]] = ITEMS, name: str = "Bank") -> int:
        """A bank shared by all districts."""
        bank_id: int = await self._owner.fetchval(
            "INSERT INTO bank (name, sections) VALUES ($1, $2) RETURNING bank_id", name, {"main": both("Main part")}
        )
        for item, key in items:
            item_id = await self._owner.fetchval(
                "INSERT INTO item (bank_id, code, section, version) VALUES ($1, $2, $3, 1) RETURNING item_id",
                bank_id,
                item.code,
                item.section,
            )
            await self._owner.execute("INSERT INTO item_version VALUES ($1, 1, $2)", item_id, item)
            await self._owner.execute("INSERT INTO item_key VALUES ($1, 1, $2)", item_id, key)
        return bank_id

    async def exam(
        self,
        district_id: int = MUMBAI,
        *,
        minutes: float = 60,
        grace_s: int = 20,
        device_changes: int = 2,
        forms: int = 1,
        items: list[tuple[Item, Key]] = ITEMS,
        timed: dict[str, int] | None = None,
        navigation: str = "free",
    ) -> tuple[int, list[bytes]]:
        """A frozen exam over all of `items` in the order of their codes; its id and the hashes of its forms.

        `timed`: the minutes of each section of the items that has its own time.
        """
        sections: list[dict[str, object]] = [{"section": "main", "count": len(items), "marks": "2"}]
        if timed:
            sections = [
                {"section": name, "count": sum(item.section == name for item, _ in items), "marks": "2", "minutes": own}
                for name, own in timed.items()
            ]
        bank_id = await self._owner.fetchval("SELECT bank_id FROM bank LIMIT 1") or await self.bank(items)
        exam_id = await self._owner.fetchval(
            "INSERT INTO exam (district_id, title, bank_id, duration_s, grace_s, device_changes, blueprint) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING exam_id",
            district_id,
            both(f"Exam {district_id}"),
            bank_id,
            round(minutes * 60),
            grace_s,
            device_changes,
            {"sections": sections, "shuffle": False, "navigation": navigation},
        )
        async with self._owner.transaction():
            return exam_id, await papers.freeze(self._owner, exam_id, forms)

    async def slot(
        self,
        *candidates: Candidate,
        opens_in: float = -60,
        closes_in: float = 3600,
        ends_in: float | None = None,
        pinned: bool = True,
        envelopes: bool = False,
        capacity: int = 100,
        timed: dict[str, int] | None = None,
        **exam: object,
    ) -> Slot:
        """A slot of the candidates' district with a new exam, they booked and, if `pinned`, their attempts prepared.

        `envelopes`: what the code opens is laid ready, too, which takes a moment.
        """
        district_id = candidates[0].district_id if candidates else MUMBAI
        exam_id, forms = await self.exam(district_id, timed=timed, **exam)  # type: ignore[arg-type]
        now = dt.datetime.now(dt.UTC)
        day = local_day(now, self._settings.time_zone)
        slot_id = await self._owner.fetchval(
            "INSERT INTO slot (district_id, exam_id, hall, opens_at, closes_at, ends_at, exam_day, capacity, booked) "
            "VALUES ($1, $2, 'Hall 1', $3, $4, $5, $6, $7, $8) RETURNING slot_id",
            district_id,
            exam_id,
            now + dt.timedelta(seconds=opens_in),
            now + dt.timedelta(seconds=closes_in),
            None if ends_in is None else now + dt.timedelta(seconds=ends_in),
            day,
            capacity,
            len(candidates),
        )
        slot = Slot(slot_id, district_id, exam_id, day, forms)
        for place, candidate in enumerate(candidates):
            await self._owner.execute(
                "INSERT INTO booking (district_id, slot_id, candidate_id) VALUES ($1, $2, $3)",
                district_id,
                slot_id,
                candidate.candidate_id,
            )
            if pinned:
                slot.attempts[candidate.name] = await self._owner.fetchval(
                    "INSERT INTO attempt (district_id, exam_day, slot_id, candidate_id, form_hash, seed, opens_at, "
                    "closes_at, ends_at, duration_s, section_s, grace_s, takeovers_left) SELECT s.district_id, "
                    "s.exam_day, s.slot_id, $2, $3, 12345, s.opens_at, s.closes_at, s.ends_at, e.duration_s * (100 + "
                    "c.extra_time_pct) / 100, $4::int[], e.grace_s, e.device_changes FROM slot s "
                    "JOIN exam e USING (exam_id) "
                    "JOIN candidate c ON c.candidate_id = $2 AND c.district_id = s.district_id "
                    "WHERE s.slot_id = $1 RETURNING attempt_id",
                    slot_id,
                    candidate.candidate_id,
                    forms[place % len(forms)],
                    [minutes * 60 for minutes in timed.values()] if timed else None,
                )
        if pinned:
            await self._owner.execute("UPDATE slot SET pinned_at = now() WHERE slot_id = $1", slot_id)
        if envelopes:
            await lay_all(self._owner, self._settings, district_id, slot_id)
        return slot

    def code(self, slot: Slot) -> str:
        """The code that the invigilator of a slot reads out."""
        return code_of(self._settings.derived(CODES), slot.slot_id)


async def log_in(device: httpx.AsyncClient, candidate: Candidate) -> dict[str, object]:
    """Logs a candidate in on a device; the sitting."""
    answer = await device.post("/api/login", json={"registration": candidate.registration, "code": candidate.code})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def begin(device: httpx.AsyncClient, candidate: Candidate) -> dict[str, object]:
    """Logs a candidate in and starts; the answer of the start."""
    await log_in(device, candidate)
    answer = await device.post("/api/start", json={})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def row(seq: int, item: int, response: object, **more: object) -> dict[str, object]:
    """One answer of a save."""
    return {"seq": seq, "item": item, "response": response, **more}


async def save(device: httpx.AsyncClient, *rows: dict[str, object], epoch: int = 1) -> httpx.Response:
    """One save; the response, whatever it is."""
    return await device.put("/api/answers", json={"epoch": epoch, "answers": list(rows)})


async def early_in_a_window() -> None:
    """Waits, if need be, until what is asked in the next seconds is counted in one window of the limit."""
    left = REQUESTS_SECONDS - time.time() % REQUESTS_SECONDS
    if left < REQUESTS_SECONDS / 2:
        await asyncio.sleep(left + 0.05)
