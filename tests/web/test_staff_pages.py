"""The staff's pages over HTTP: who gets in where, whose form it is, and the way from an exam to its day."""

import asyncio
import datetime as dt
import html
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from exam.db import Connection
from exam.envelopes import code_of
from exam.hall import Hall
from exam.web.files import static
from exam.web.pages import preferred
from loadtest.protocol import Envelope, open_envelope
from tests.cast import MARKER, PASSWORD, PUNE, Candidate, Cast, Slot, begin, log_in, row, save

Devices = Callable[[], httpx.AsyncClient]


async def staff(client: Devices, name: str) -> httpx.AsyncClient:
    """A browser in which a member of the cast's staff is logged in."""
    device = client()
    answer = await device.post("/staff/login", data={"email": f"{name}@hall.test", "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return device


async def token_of(device: httpx.AsyncClient) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', (await device.get("/staff")).text)
    assert found
    return found[1]


async def send(device: httpx.AsyncClient, path: str, data: dict[str, object] | None = None) -> httpx.Response:
    """Sends a form as its page would: with the token of the session."""
    return await device.post(path, data={"token": await token_of(device), **(data or {})})


async def seen_on(device: httpx.AsyncClient, path: str) -> str:
    """What the form of a page says it has seen."""
    found = re.search(r'name="seen" value="(\d+)"', (await device.get(path)).text)
    assert found, path
    return found[1]


def words(page: httpx.Response) -> str:
    """What a page says, without its marks."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


# Logging in and out ---------------------------------------------------------------------------------------------------


async def test_login_shows_nothing_but_the_start_to_whom_it_belongs(client: Devices, cast: Cast) -> None:
    await cast.staff()
    device = client()
    answer = await device.post("/staff/login", data={"email": " Asha@Hall.test ", "password": PASSWORD})
    assert (answer.status_code, answer.headers["location"]) == (303, "/staff")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie
    page = await device.get("/staff")
    assert page.status_code == 200 and "Asha" in page.text
    assert page.headers["cache-control"] == "no-store"


async def test_wrong_logins_say_the_same_keep_the_address_and_wait(client: Devices, cast: Cast) -> None:
    await cast.staff()
    said = set()
    for email in ("asha@hall.test", "nobody@hall.test"):
        for _ in range(5):
            answer = await client().post("/staff/login", data={"email": email, "password": "wr0ng<b>"})
            assert answer.status_code == 401 and "set-cookie" not in answer.headers
            assert f'value="{email}"' in answer.text and "wr0ng" not in answer.text
            said.add(words(answer))
        answer = await client().post("/staff/login", data={"email": email, "password": PASSWORD})
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    assert len(said) == 1 and "is not right" in said.pop()


async def test_login_never_leads_to_another_site(client: Devices, cast: Cast) -> None:
    await cast.staff()
    for wanted, led_to in (
        ("/staff/slots/3/day", "/staff/slots/3/day"),
        ("//elsewhere.test", "/staff"),
        ("/staff//elsewhere.test/x?y", "/staff"),
        ("https://elsewhere.test/staff", "/staff"),
        ("/staff\r\nX: y", "/staff"),
    ):
        sent = {"email": "asha@hall.test", "password": PASSWORD, "next": wanted}
        assert (await client().post("/staff/login", data=sent)).headers["location"] == led_to
    away = await client().get("/staff/slots/3/day")
    assert away.headers["location"] == "/staff/login?next=%2Fstaff%2Fslots%2F3%2Fday"


async def test_login_refuses_what_no_person_sends(client: Devices, cast: Cast) -> None:
    await cast.staff()
    right: dict[str, object] = {"email": "asha@hall.test", "password": PASSWORD}
    for data, status in (
        ({**right, "admin": "1"}, 400),
        ({"email": ["asha@hall.test", "padma@hall.test"], "password": PASSWORD}, 400),
        ({"email": "asha@hall.test\0", "password": PASSWORD}, 400),
        ({"email": "asha@hall.test"}, 400),
        ({"email": "a" * 70_000, "password": PASSWORD}, 413),
    ):
        answer = await client().post("/staff/login", data=data)
        assert (answer.status_code, "set-cookie" in answer.headers) == (status, False), data
    assert (await client().post("/staff/login", json=right)).status_code == 415
    assert (await client().post("/staff/login", data=right, headers={"origin": "http://e.test"})).status_code == 403


async def test_a_session_ends_with_the_logout_a_new_login_and_a_suspension(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    await cast.staff()
    device = await staff(client, "asha")
    kept = device.cookies["staff"]
    assert (await send(device, "/staff/logout")).headers["location"] == "/staff/login"
    assert "staff" not in device.cookies
    assert (await client().get("/staff", headers={"cookie": f"staff={kept}"})).status_code == 303

    device = await staff(client, "asha")
    first = device.cookies["staff"]
    await device.post("/staff/login", data={"email": "iqbal@hall.test", "password": PASSWORD})
    assert device.cookies["staff"] != first
    assert (await client().get("/staff", headers={"cookie": f"staff={first}"})).status_code == 303

    await owner.execute("UPDATE staff SET active = false WHERE email = 'iqbal@hall.test'")
    assert (await device.get("/staff")).status_code == 303
    assert (await device.post("/staff/logout")).status_code == 401


# Who may go where -----------------------------------------------------------------------------------------------------

EVERYBODY = {"asha", "iqbal", "anil", "mohan", "padma", "prachi"}
ADMINS, WATCHERS, ACTORS = (
    {"asha", "prachi", "padma"},
    {"asha", "prachi", "iqbal", "padma"},
    {"asha", "prachi", "iqbal"},
)
PLANNERS, READERS = {"asha", "prachi"}, {"anil", "asha", "prachi"}

# Whom each page lets in. {slot}, {attempt} and {exam} are things of Mumbai: there the admin of Pune finds nothing.
ROUTES: dict[tuple[str, str], set[str]] = {
    ("GET", "/staff"): EVERYBODY,
    ("POST", "/staff/logout"): EVERYBODY,
    ("GET", "/staff/exams"): ADMINS,
    ("GET", "/staff/exams/new"): PLANNERS,
    ("POST", "/staff/exams/new"): PLANNERS,
    ("GET", "/staff/exams/{exam_id:int}"): ADMINS,
    ("POST", "/staff/exams/{exam_id:int}/freeze"): PLANNERS,
    ("POST", "/staff/exams/{exam_id:int}/browser"): PLANNERS,
    ("GET", "/staff/audit"): ADMINS,
    ("GET", "/staff/slots"): WATCHERS,
    ("GET", "/staff/slots/new"): PLANNERS,
    ("POST", "/staff/slots/new"): PLANNERS,
    ("GET", "/staff/slots/{slot_id:int}"): ADMINS,
    ("POST", "/staff/slots/{slot_id:int}/book"): PLANNERS,
    ("GET", "/staff/slots/{slot_id:int}/pin"): PLANNERS,
    ("POST", "/staff/slots/{slot_id:int}/pin"): PLANNERS,
    ("GET", "/staff/slots/{slot_id:int}/release"): PLANNERS,
    ("POST", "/staff/slots/{slot_id:int}/release"): PLANNERS,
    ("GET", "/staff/slots/{slot_id:int}/results"): PLANNERS,
    ("GET", "/staff/slots/{slot_id:int}/day"): WATCHERS,
    ("GET", "/staff/slots/{slot_id:int}/grant"): ACTORS,
    ("POST", "/staff/slots/{slot_id:int}/grant"): ACTORS,
    ("GET", "/staff/slots/{slot_id:int}/announce"): ACTORS,
    ("POST", "/staff/slots/{slot_id:int}/announce"): ACTORS,
    ("GET", "/staff/slots/{slot_id:int}/code"): ACTORS,
    ("POST", "/staff/slots/{slot_id:int}/code"): ACTORS,
    ("GET", "/staff/slots/{slot_id:int}/people/{attempt_id:int}"): WATCHERS,
    ("POST", "/staff/slots/{slot_id:int}/people/{attempt_id:int}/grant"): ACTORS,
    ("POST", "/staff/slots/{slot_id:int}/people/{attempt_id:int}/device"): ACTORS,
    ("GET", "/staff/slots/{slot_id:int}/quarantine"): ACTORS,
    ("GET", "/staff/slots/{slot_id:int}/rescue"): ACTORS,
    ("POST", "/staff/slots/{slot_id:int}/rescue"): ACTORS,
    ("GET", "/staff/banks"): READERS,
    ("GET", "/staff/banks/{bank_id:int}"): READERS,
    ("GET", "/staff/banks/{bank_id:int}/items/{item_id:int}"): READERS,
    ("GET", "/staff/analyses"): READERS,
    ("GET", "/staff/analyses/{exam_id:int}"): READERS,
    ("POST", "/staff/analyses/{exam_id:int}"): READERS,
}
OPEN = {("GET", "/staff/login"), ("POST", "/staff/login")}
# A form that would do something, for those who may not send it.
FULL: dict[str, dict[str, object]] = {
    "freeze": {"forms": "1", "sure": "true"},
    "browser": {"config_keys": "c0" * 32},
    "book": {"batch_id": "1"},
    "pin": {"sure": "true"},
    "release": {"sure": "true"},
    "grant": {"minutes": "10", "reason": "Power cut", "seen": "0", "sure": "true"},
    "announce": {"text_en": "Five minutes more", "seen": "0"},
    "device": {"seen": "2"},
}


def staff_routes(app: Litestar) -> set[tuple[str, str]]:
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/staff")
        for method in route.methods
        if method != "OPTIONS"
    }


async def scene(cast: Cast) -> tuple[Slot, Candidate]:
    """Staff, and a pinned slot of Mumbai with one candidate in it."""
    await cast.staff()
    asmita = await cast.candidate("asmita")
    return await cast.slot(asmita), asmita


async def addresses(slot: Slot, owner: Connection) -> dict[str, object]:
    item = await owner.fetchrow("SELECT bank_id, item_id FROM item ORDER BY item_id LIMIT 1")
    return {
        "slot_id:int": slot.slot_id,
        "attempt_id:int": slot.attempts["asmita"],
        "exam_id:int": slot.exam_id,
        "bank_id:int": item["bank_id"],
        "item_id:int": item["item_id"],
    }


def filled(path: str, places: dict[str, object]) -> str:
    return re.sub(r"\{([^}]*)\}", lambda place: str(places[place[1]]), path)


async def state_of(owner: Connection) -> list[object]:
    """Whatever a form could have changed."""
    return [
        await owner.fetch("SELECT * FROM attempt ORDER BY attempt_id"),
        await owner.fetch("SELECT * FROM slot ORDER BY slot_id"),
        await owner.fetch("SELECT * FROM exam ORDER BY exam_id"),
        await owner.fetch("SELECT * FROM time_grant, announcement"),
        await owner.fetchval("SELECT count(*) FROM audit"),
        await owner.fetchval("SELECT count(*) FROM session WHERE revoked_at IS NOT NULL"),
    ]


async def test_every_staff_route_stands_in_the_table(app: Litestar) -> None:
    assert staff_routes(app) == ROUTES.keys() | OPEN


async def test_every_page_lets_in_its_audience_and_nobody_else(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, asmita = await scene(cast)
    places = await addresses(slot, owner)
    candidate = client()
    await log_in(candidate, asmita)
    candidate.cookies["staff"] = candidate.cookies["exam"]
    devices = {name: await staff(client, name) for name in sorted(EVERYBODY)}
    tokens = {name: await token_of(device) for name, device in devices.items()}
    wrong: list[str] = []
    for (method, template), allowed in ROUTES.items():
        path = filled(template, places)
        full = FULL.get(path.rpartition("/")[2], {}) if method == "POST" else {}
        before = await state_of(owner)
        for who, device in (("anonymous", client()), ("candidate", candidate)):
            answer = await device.request(method, path, data=full or None)
            if answer.status_code != (303 if method == "GET" else 401):
                wrong.append(f"{method} {path} {who}: {answer.status_code}")
        for who in sorted(EVERYBODY - allowed):
            data = {"token": tokens[who], **full}
            answer = await devices[who].request(method, path, data=data if method == "POST" else None)
            if answer.status_code != 403 or "not for your account" not in answer.text:
                wrong.append(f"{method} {path} {who}: {answer.status_code}")
        if "prachi" in allowed and ("slot_id" in template or "exam_id" in template):
            data = {"token": tokens["prachi"], **full}
            answer = await devices["prachi"].request(method, path, data=data if method == "POST" else None)
            nothing = await devices["prachi"].request(
                method, filled(template, {**places, "slot_id:int": 999, "exam_id:int": 999}), data=data
            )
            if (answer.status_code, answer.text) != (404, nothing.text):
                wrong.append(f"{method} {path} of another district: {answer.status_code}")
            allowed = allowed - {"prachi"}
        if await state_of(owner) != before:
            wrong.append(f"{method} {path} was carried out for somebody who may not")
        for who in sorted(allowed):
            if template == "/staff/logout":
                continue  # last of all, below: it takes the sessions away
            data = {"token": tokens[who]}
            answer = await devices[who].request(method, path, data=data if method == "POST" else None)
            if answer.status_code not in ((200,) if method == "GET" else (200, 303, 400, 409)):
                wrong.append(f"{method} {path} {who}: {answer.status_code} {words(answer)[:200]}")
            if (
                answer.headers["cache-control"] != "no-store"
                or "default-src 'self'" not in answer.headers["content-security-policy"]
            ):
                wrong.append(f"{method} {path} {who}: its headers are {answer.headers}")
    for who, device in devices.items():
        if (await device.post("/staff/logout", data={"token": tokens[who]})).status_code != 303:
            wrong.append(f"{who} cannot log out")
    assert not wrong, "\n".join(wrong)


async def test_no_form_is_carried_out_without_its_own_token_and_from_elsewhere(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, _ = await scene(cast)
    places = await addresses(slot, owner)
    asha, other = await staff(client, "asha"), await staff(client, "asha")
    token = await token_of(asha)
    before = await state_of(owner)
    for method, template in ROUTES:
        if method != "POST":
            continue
        path = filled(template, places)
        full = FULL.get(path.rpartition("/")[2], {"seen": "0"})
        for data, headers in (
            (full, {}),
            ({**full, "token": ""}, {}),
            ({**full, "token": "0" * 64}, {}),
            ({**full, "token": "é"}, {}),
            ({**full, "token": await token_of(other)}, {}),
            ({**full, "token": token}, {"origin": "http://elsewhere.test"}),
            ({**full, "token": token}, {"origin": "null"}),
            ({**full, "token": token}, {"sec-fetch-site": "cross-site"}),
            ({**full, "token": token}, {"sec-fetch-site": "same-site"}),
        ):
            answer = await asha.post(path, data=data, headers=headers)
            assert answer.status_code == 403, (path, data, headers, answer.status_code)
        answer = await asha.post(path, json={**full, "token": token})
        assert answer.status_code == 415, path
    assert await state_of(owner) == before
    origin = {"origin": "http://hall.test", "sec-fetch-site": "same-origin"}
    answer = await asha.post(
        f"/staff/slots/{slot.slot_id}/announce", data={**FULL["announce"], "token": token}, headers=origin
    )
    assert answer.status_code == 303


async def test_numbers_that_nothing_can_have_are_nothing(client: Devices, cast: Cast) -> None:
    await scene(cast)
    asha = await staff(client, "asha")
    for path in ("slots/0/day", "slots/-1/day", f"slots/{2**40}/day", "slots/x/day", f"slots/1/people/{2**70}", "x"):
        assert (await asha.get(f"/staff/{path}")).status_code == 404, path
    assert (await asha.put("/staff/slots")).status_code == 405
    for query in ("before=-3", "before=x", f"before={2**70}"):
        assert (await asha.get(f"/staff/audit?{query}")).status_code == 400, query
    assert (await asha.get("/staff/banks/1?section=%00&after=%00%ff")).status_code == 200


# The way from an exam to its day --------------------------------------------------------------------------------------


def exam_form(**changed: object) -> dict[str, object]:
    return {
        "bank_id": "1",
        "title_en": "Teachers' <b>test</b> & more",
        "title_mr": "शिक्षक परीक्षा",
        "minutes": "60",
        "grace_s": "20",
        "device_changes": "2",
        "negative": "1/4",
        "section": ["main"],
        "count": ["5"],
        "marks": ["2"],
        "seen": "0",
        **changed,
    }


async def test_an_exam_has_the_tools_that_are_ticked(client: Devices, cast: Cast, owner: Connection) -> None:
    await cast.staff()
    await cast.bank()
    asha = await staff(client, "asha")
    without = await send(asha, "/staff/exams/new", exam_form(title_en="Without"))
    assert "Tools on the screen none" in words(await asha.get(without.headers["location"]))
    ticked = exam_form(title_en="With", tools=["calculator", "notes"])
    made = await send(asha, "/staff/exams/new", ticked)
    assert "Tools on the screen calculator, rough notes" in words(await asha.get(made.headers["location"]))
    kept = [row["tools"] for row in await owner.fetch("SELECT tools FROM exam ORDER BY exam_id")]
    assert kept == [[], ["calculator", "notes"]]


async def test_an_exam_shows_its_rules_of_moving(client: Devices, cast: Cast, owner: Connection) -> None:
    await cast.staff()
    await cast.bank()
    asha = await staff(client, "asha")
    free = await send(asha, "/staff/exams/new", exam_form(title_en="Free", time=[""]))
    page = words(await asha.get(free.headers["location"]))
    assert "Moving between questions free" in page and "Minutes" not in page
    typed = exam_form(title_en="Strict", time=["60"], navigation="forward")
    made = await send(asha, "/staff/exams/new", typed)
    page = words(await asha.get(made.headers["location"]))
    assert "Moving between questions forward only" in page and "Minutes Main part 5 2 60" in page
    free_one = await owner.fetchval("SELECT blueprint FROM exam ORDER BY exam_id LIMIT 1")
    assert free_one["sections"][0]["minutes"] is None


def local_now(after: dt.timedelta = dt.timedelta()) -> str:
    return (dt.datetime.now(ZoneInfo("Asia/Kolkata")) + after).strftime("%Y-%m-%dT%H:%M")


async def test_the_way_from_an_exam_to_its_day(client: Devices, cast: Cast, owner: Connection, hall: Hall) -> None:
    await cast.staff()
    await cast.bank()
    asmita, bhima = await cast.candidate("asmita"), await cast.candidate("bhima", extra_time_pct=50)
    asha, iqbal = await staff(client, "asha"), await staff(client, "iqbal")

    made = await send(asha, "/staff/exams/new", exam_form())
    assert made.status_code == 303, words(made)
    page = await asha.get(made.headers["location"])
    assert "Teachers' <b>test</b> & more" in words(page).replace("&lt;", "<") and "<b>test</b>" not in page.text
    exam_id = re.search(r"/staff/exams/(\d+)", made.headers["location"])[1]  # type: ignore[index]

    none_yet = await send(asha, "/staff/slots/new", slot_form(exam_id))
    assert none_yet.status_code == 409 and "Freeze it first" in words(none_yet)
    sure = await send(asha, f"/staff/exams/{exam_id}/freeze", {"forms": "2"})
    assert "Freezing draws 2 forms of 5 questions each" in words(sure)
    assert await owner.fetchval("SELECT frozen_at FROM exam") is None
    frozen = await send(asha, f"/staff/exams/{exam_id}/freeze", {"forms": "1", "sure": "true"})
    assert frozen.status_code == 303, words(frozen)
    assert "1 form is frozen" in words(await asha.get(frozen.headers["location"]))

    made = await send(asha, "/staff/slots/new", slot_form(exam_id))
    assert made.status_code == 303, words(made)
    slot_id = int(re.search(r"/staff/slots/(\d+)", made.headers["location"])[1])  # type: ignore[index]
    address = f"/staff/slots/{slot_id}"
    too_early = await send(asha, f"{address}/pin", {"sure": "true"})
    assert too_early.status_code == 409 and "Book a batch first" in words(too_early)
    batch_id = await owner.fetchval("SELECT batch_id FROM batch")
    assert (await send(asha, f"{address}/book", {"batch_id": str(batch_id)})).status_code == 303
    again = await send(asha, f"{address}/book", {"batch_id": str(batch_id)})
    assert again.status_code == 200 and "REG-1-ASMITA Asmita is booked in this slot already." in words(again)
    assert "2 of 40 seats" in words(again)

    sure = await asha.get(f"{address}/pin")
    assert "Pin prepares 2 attempts with 1 form; after that the slot cannot be changed" in words(sure)
    assert await owner.fetchval("SELECT count(*) FROM attempt") == 0
    pinned = await send(asha, f"{address}/pin", {"sure": "true"})
    assert pinned.headers["location"] == f"{address}?done=pinned"
    assert await owner.fetchval("SELECT count(*) FROM attempt WHERE state = 'prepared'") == 2
    form_hash = await owner.fetchval("SELECT form_hash FROM form")
    assert await hall.cache.get_many([b"p:" + form_hash]) != [None]
    told = (await log_in(client(), asmita))["by_code"]
    key = open_envelope(code_of(hall.code_key, slot_id), told["form"], msgspec.convert(told["envelope"], Envelope))  # type: ignore[index]
    assert bytes.fromhex(key) == (await hall.papers.get(form_hash)).sealed.key
    assert (await send(asha, f"{address}/pin", {"sure": "true"})).status_code == 303
    assert await owner.fetchval("SELECT count(*) FROM attempt") == 2
    late = await send(asha, f"{address}/book", {"batch_id": str(batch_id)})
    assert late.status_code == 409 and "Make another slot" in words(late)

    # The day: one has started, the other has not.
    desk = client()
    started = await begin(desk, asmita)
    await save(desk, row(1, 1, None))
    day = words(await iqbal.get(f"{address}/day"))
    assert "All 2" in day and "Not started 1" in day and "Writing 1" in day

    grant = {"minutes": "10", "reason": "Power cut", "seen": await seen_on(iqbal, f"{address}/grant")}
    sure = await send(iqbal, f"{address}/grant", grant)
    assert "gives 10 minutes to 2 people: 1 writing and 1 not started yet" in words(sure)
    assert await owner.fetchval("SELECT count(*) FROM time_grant") == 0
    assert (await send(iqbal, f"{address}/grant", {**grant, "sure": "true"})).status_code == 303
    heard = (await save(desk, row(2, 1, None))).json()
    assert "deadline" in heard, heard
    assert heard["deadline"] == started["deadline"] + 600_000  # type: ignore[operator]
    assert "10 min everybody Power cut Iqbal" in words(await iqbal.get(f"{address}/day"))

    attempts = dict(await owner.fetch("SELECT candidate_id, attempt_id FROM attempt"))
    person = f"{address}/people/{attempts[asmita.candidate_id]}"
    grant = {"minutes": "5", "reason": "Broken keyboard", "seen": await seen_on(iqbal, person)}
    assert (await send(iqbal, f"{person}/grant", grant)).status_code == 303
    heard = (await save(desk, row(3, 1, None))).json()
    assert heard["deadline"] == started["deadline"] + 900_000  # type: ignore[operator]
    assert await owner.fetchval("SELECT grant_s FROM attempt WHERE candidate_id = $1", bhima.candidate_id) == 600

    announcement = {"text_en": "Five minutes more", "text_mr": "आणखी पाच मिनिटे", "seen": "0"}
    assert (await send(iqbal, f"{address}/announce", announcement)).status_code == 303
    notices = (await desk.get("/api/notices")).json()["notices"]
    assert [notice["text"] for notice in notices] == [{"en": "Five minutes more", "mr": "आणखी पाच मिनिटे"}]

    assert (await send(iqbal, f"{person}/device", {"seen": "2"})).status_code == 303
    assert await owner.fetchval("SELECT takeovers_left FROM attempt WHERE candidate_id = $1", asmita.candidate_id) == 3
    other = f"{address}/people/{attempts[bhima.candidate_id]}/device"
    not_yet = await send(iqbal, other, {"seen": "2"})
    assert not_yet.status_code == 409 and "has not started yet" in words(not_yet)

    refused = await send(asha, f"{address}/release", {"sure": "true"})
    assert refused.status_code == 409 and "Still working: 1." in words(refused)
    ended = await desk.post("/api/submit", json={"epoch": 1, "last_seq": 3})
    assert ended.status_code == 200
    refused = await send(asha, f"{address}/release", {"sure": "true"})
    assert refused.status_code == 409 and "Ended and not graded: 1," in words(refused)
    assert await owner.fetchval("SELECT released_at FROM slot") is None
    gone = await send(iqbal, f"{person}/grant", {**grant, "seen": await seen_on(iqbal, f"{address}/grant")})
    assert gone.status_code == 409 and "has ended" in words(gone)

    log = words(await asha.get("/staff/audit"))
    for act in ("exam.created", "exam.frozen", "slot.created", "batch.booked", "slot.pinned", "time.granted",
                "notice.announced", "device.allowed"):  # fmt: skip
        assert act in log, act


def slot_form(exam_id: object, **changed: object) -> dict[str, object]:
    return {
        "exam_id": str(exam_id),
        "hall": "Hall 7",
        "opens_at": local_now(),
        "start_minutes": "60",
        "capacity": "40",
        "ends_at": "",
        "seen": "0",
        **changed,
    }


async def test_results_are_released_once_graded_and_listed(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, asmita = await scene(cast)
    asha, desk = await staff(client, "asha"), client()
    await begin(desk, asmita)
    assert (await desk.post("/api/submit", json={"epoch": 1, "last_seq": 0})).status_code == 200
    assert "Results can be released when" in words(await asha.get(f"/staff/slots/{slot.slot_id}/release"))
    await owner.execute("UPDATE attempt SET state = 'graded'")
    await owner.execute("UPDATE submission SET graded_at = now()")
    await owner.execute(
        "INSERT INTO result (district_id, exam_day, attempt_id, key_version, total, maximum, detail) "
        "SELECT district_id, exam_day, attempt_id, 1, 7.25, 10, '{\"sections\": []}' FROM attempt"
    )
    sure = await asha.get(f"/staff/slots/{slot.slot_id}/release")
    assert "Release shows 1 graded result to its candidate" in words(sure)
    assert (await send(asha, f"/staff/slots/{slot.slot_id}/release", {"sure": "true"})).status_code == 303
    assert (await desk.get("/api/sitting")).json()["result"]["total"] == "7.25"
    again = await send(asha, f"/staff/slots/{slot.slot_id}/release", {"sure": "true"})
    assert again.status_code == 303
    assert "REG-1-ASMITA Asmita released 7.25 10" in words(await asha.get(f"/staff/slots/{slot.slot_id}/results"))


# Forms that come back, and forms that come twice ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"minutes": "0"}, "a whole number from 1 to 600"),
        ({"minutes": "sixty"}, "a whole number from 1 to 600"),
        ({"title_en": "", "title_mr": " "}, "Please fill this in"),
        ({"title_en": "x" * 201}, "At most 200 characters"),
        ({"count": ["6"]}, "Take between 0 and 5"),
        ({"count": ["-1"]}, "Type a whole number"),
        ({"count": [""]}, "between 1 and 500 questions"),
        ({"marks": ["two"]}, "Write a number such as"),
        ({"negative": "2"}, "can lose at most all marks"),
        ({"bank_id": "999"}, "one of the banks"),
        ({"count": ["5", "5"]}, "came incomplete"),
        ({"time": ["59"]}, "The minutes of the sections make 59, and the exam lasts 60"),
        ({"time": ["61"]}, "from 1 to the 60 of the exam"),
        ({"time": ["ten"]}, "Type a whole number"),
        ({"time": ["60", "1"]}, "came incomplete"),
        ({"navigation": "backward"}, "Choose one of the two"),
        ({"owner": "me"}, "does not belong to it"),
        ({"tools": ["abacus"]}, "among the tools of the list"),
        ({"minutes": ["60", "90"]}, "more than once"),
        ({"title_mr": "a\0b"}, "At most 200 characters"),
    ],
)
async def test_a_refused_exam_comes_back_as_it_was_typed(
    client: Devices, cast: Cast, owner: Connection, changed: dict[str, object], sentence: str
) -> None:
    await cast.staff()
    await cast.bank()
    asha = await staff(client, "asha")
    page = await send(asha, "/staff/exams/new", exam_form(**{"tools": ["notes"], **changed}))
    assert page.status_code == 400 and sentence in words(page), words(page)
    assert await owner.fetchval("SELECT count(*) FROM exam") == 0
    if changed.get("bank_id") is None:
        typed = {"grace_s": "20", "title_mr": "शिक्षक परीक्षा", **{k: v for k, v in changed.items() if k != "owner"}}
        for name, value in typed.items():
            first = value[0] if isinstance(value, list) else value
            if name not in ("tools", "navigation"):
                assert f'value="{html.escape(str(first)).replace(chr(0), "")}"' in page.text.replace("\0", ""), name
        assert ('value="notes" checked' in page.text) == ("tools" not in changed)
        assert 'value="calculator" checked' not in page.text


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"opens_at": "tomorrow at ten"}, "not a day and a time"),
        ({"opens_at": "2026-02-30T10:00"}, "not a day and a time"),
        ({"opens_at": "2020-01-01T10:00"}, "has passed already"),
        ({"ends_at": "2020-01-01T10:00"}, "common end has to come after"),
        ({"hall": ""}, "Type the hall"),
        ({"capacity": "0"}, "Type the seats"),
        ({"start_minutes": "721"}, "from 0 to 720"),
    ],
)
async def test_a_refused_slot_comes_back_as_it_was_typed(
    client: Devices, cast: Cast, owner: Connection, changed: dict[str, object], sentence: str
) -> None:
    await cast.staff()
    exam_id, _ = await cast.exam()
    asha = await staff(client, "asha")
    page = await send(asha, "/staff/slots/new", slot_form(exam_id, **changed))
    assert page.status_code == 400 and sentence in words(page), words(page)
    assert await owner.fetchval("SELECT count(*) FROM slot") == 0
    for name, value in {"capacity": "40", "start_minutes": "60", **changed}.items():
        assert re.search(rf'name="{name}"[^>]*value="{value}"', page.text), name


async def test_an_invigilator_gives_half_an_hour_at_most_and_always_a_reason(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, _ = await scene(cast)
    iqbal, asha = await staff(client, "iqbal"), await staff(client, "asha")
    address = f"/staff/slots/{slot.slot_id}/grant"
    for data, status, sentence in (
        ({"minutes": "31", "reason": "Fire drill"}, 403, "at most 30 minutes"),
        ({"minutes": "10", "reason": "  "}, 400, "Type the reason"),
        ({"minutes": "241", "reason": "Fire drill"}, 400, "from 1 to 240"),
    ):
        page = await send(iqbal, address, {**data, "seen": "0", "sure": "true"})
        assert page.status_code == status and sentence in words(page), words(page)
        assert f'value="{data["minutes"]}"' in page.text and data["reason"].strip() in page.text
    assert await owner.fetchval("SELECT max(grant_s) FROM attempt") == 0
    answer = await send(asha, address, {"minutes": "31", "reason": "Fire drill", "seen": "0", "sure": "true"})
    assert answer.status_code == 303
    assert await owner.fetchval("SELECT max(grant_s) FROM attempt") == 31 * 60


async def test_a_code_is_printed_before_the_day_and_read_out_after_the_opening(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    await cast.staff()
    asmita, meera = await cast.candidate("asmita"), await cast.candidate("meera")
    soon, now = await cast.slot(asmita, opens_in=300, envelopes=True), await cast.slot(meera, envelopes=True)
    asha, iqbal = await staff(client, "asha"), await staff(client, "iqbal")
    path = f"/staff/slots/{soon.slot_id}"
    assert f"{path}/code" in (await asha.get(path)).text and f"{path}/code" in (await asha.get(f"{path}/day")).text
    assert f"{path}/code" not in (await iqbal.get(f"{path}/day")).text
    code = cast.code(soon)
    assert "on record with your name" in words(await asha.get(f"{path}/code"))
    assert code[:4] not in (await asha.get(f"{path}/code")).text
    printed = await send(asha, f"{path}/code")
    assert printed.status_code == 200 and " ".join(code.split("-")) in words(printed)
    for said in ("Hall 1", "Do not open before", "च्या आधी उघडू नका", "से पहले न खोलें"):
        assert said in words(printed), said
    refused = await send(iqbal, f"{path}/code")
    assert refused.status_code == 403 and "from the opening on" in words(refused) and code[:4] not in refused.text
    read = await send(iqbal, f"/staff/slots/{now.slot_id}/code")
    assert " ".join(cast.code(now).split("-")) in words(read)
    acts = await owner.fetch("SELECT act, detail FROM audit")
    assert [(row["act"], row["detail"]["slot_id"]) for row in acts] == [
        ("code.seen", soon.slot_id),
        ("code.seen", now.slot_id),
    ]
    device = client()
    await log_in(device, meera)
    await device.post("/api/start", json={"by": "code"})
    assert "Began by the code 1" in words(await asha.get(f"/staff/slots/{now.slot_id}"))
    assert "by code" in words(await iqbal.get(f"/staff/slots/{now.slot_id}/day"))
    person = f"/staff/slots/{now.slot_id}/people/{now.attempts['meera']}"
    assert ", by the code" in words(await iqbal.get(person))


async def test_forms_sent_twice_do_it_once(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, asmita = await scene(cast)
    await begin(client(), asmita)
    asha = await staff(client, "asha")
    address, token = f"/staff/slots/{slot.slot_id}", await token_of(asha)
    person = f"{address}/people/{slot.attempts['asmita']}"
    grant = {"minutes": "10", "reason": "Power cut\r\nin the e\u0301tage", "seen": "0"}
    forms: list[tuple[str, dict[str, object]]] = [
        (f"{address}/grant", {**grant, "sure": "true"}),
        (f"{address}/announce", {"text_en": " Silence,\r\nplease", "seen": "0"}),
        (f"{person}/device", {"seen": "2"}),
        ("/staff/exams/new", exam_form(seen="1")),
        ("/staff/slots/new", slot_form(slot.exam_id, opens_at=local_now(dt.timedelta(days=1)), seen=str(slot.slot_id))),
    ]
    for path, data in forms:
        answers = await asyncio.gather(*(asha.post(path, data={"token": token, **data}) for _ in range(2)))
        assert [answer.status_code for answer in answers] == [303, 303], (path, [words(a) for a in answers])
    assert await owner.fetchrow("SELECT grant_s, takeovers_left FROM attempt") == (600, 3)
    for table, number in (("announcement", 1), ("exam", 2), ("slot", 2), ("time_grant", 1)):
        assert await owner.fetchval(f"SELECT count(*) FROM {table}") == number, table


async def test_two_who_give_the_same_time_hear_of_each_other(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, _ = await scene(cast)
    asha, iqbal = await staff(client, "asha"), await staff(client, "iqbal")
    address = f"/staff/slots/{slot.slot_id}/grant"
    grant = {"minutes": "10", "reason": "Power cut", "seen": "0", "sure": "true"}
    assert (await send(iqbal, address, grant)).status_code == 303
    page = await send(asha, address, grant)
    assert page.status_code == 409 and "Nothing was given a second time" in words(page)
    assert "10 min everybody Power cut Iqbal" in words(page) and 'value="10"' in page.text
    assert await owner.fetchval("SELECT grant_s FROM attempt") == 600
    seen = re.search(r'name="seen" value="(\d+)"', page.text)[1]  # type: ignore[index]
    assert (await send(asha, address, {**grant, "seen": seen})).status_code == 303
    assert await owner.fetchval("SELECT grant_s FROM attempt") == 1200


# What is shown to whom ------------------------------------------------------------------------------------------------


async def test_a_key_is_shown_to_authors_of_the_district_alone(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, _ = await scene(cast)
    places = await addresses(slot, owner)
    item = filled("/staff/banks/{bank_id:int}/items/{item_id:int}", places)
    anil, asha = await staff(client, "anil"), await staff(client, "asha")
    shown = await anil.get(item)
    assert "2 + 2?" in words(shown) and "2 + 2? (मराठी)" in words(shown) and MARKER in shown.text
    assert "all marks" in words(shown)
    hidden = await asha.get(item)
    assert "2 + 2?" in words(hidden) and MARKER not in hidden.text and "all marks" not in words(hidden)

    await owner.execute("UPDATE bank SET district_id = $1", PUNE)
    for path in (item, filled("/staff/banks/{bank_id:int}", places)):
        assert (await anil.get(path)).status_code == 404
    assert "Bank" not in words(await anil.get("/staff/banks")).replace("Banks", "")


async def test_answers_kept_aside_are_listed_and_read_by_the_admin_alone(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, asmita = await scene(cast)
    first, second = client(), client()
    await begin(first, asmita)
    await log_in(second, asmita)
    assert (await second.post("/api/takeover", json={})).status_code == 200
    kept = await save(first, row(1, 3, "Nagpur<script>"))
    assert kept.json()["kept"][0]["reason"] == "stale_device"
    address = f"/staff/slots/{slot.slot_id}"
    page = await (await staff(client, "asha")).get(f"{address}/quarantine")
    assert 'REG-1-ASMITA Asmita from the earlier device 1 1 3 "Nagpur<script>"' in words(page).replace("&lt;", "<")
    assert "<script" not in page.text
    iqbal = await staff(client, "iqbal")
    page = await iqbal.get(f"{address}/quarantine")
    assert "from the earlier device" in words(page) and "Nagpur" not in page.text
    assert "With kept answers 1" in words(await iqbal.get(f"{address}/day"))
    assert "Asmita" in words(await iqbal.get(f"{address}/day?show=kept"))
    assert "Nobody is in this list" in words(await iqbal.get(f"{address}/day?show=prepared"))


async def test_the_board_loads_again_by_itself_until_somebody_stops_it(client: Devices, cast: Cast) -> None:
    slot, _ = await scene(cast)
    iqbal = await staff(client, "iqbal")
    page = await iqbal.get(f"/staff/slots/{slot.slot_id}/day")
    assert '<meta http-equiv="refresh" content="15">' in page.text and "<form" not in page.text.partition("<main")[2]
    still = await iqbal.get(f"/staff/slots/{slot.slot_id}/day?still=1")
    assert "http-equiv" not in still.text and "Keep it up to date" in still.text


async def test_whoever_is_quiet_is_pointed_out(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, asmita = await scene(cast)
    await begin(client(), asmita)
    iqbal = await staff(client, "iqbal")
    address = f"/staff/slots/{slot.slot_id}/day"
    assert "Quiet for 3 min 0" in words(await iqbal.get(address))
    await owner.execute("UPDATE attempt SET started_at = started_at - interval '4 minutes'")
    assert "Quiet for 3 min 1" in words(await iqbal.get(address))


async def test_a_platform_admin_sees_all_districts_and_acts_in_none(client: Devices, cast: Cast) -> None:
    await cast.staff()
    here = await cast.slot(await cast.candidate("asmita"))
    there = await cast.slot(await cast.candidate("bhima", PUNE))
    padma, prachi = await staff(client, "padma"), await staff(client, "prachi")
    start = words(await padma.get("/staff"))
    assert "Mumbai" in start and "Pune" in start
    for slot in (here, there):
        page = await padma.get(f"/staff/slots/{slot.slot_id}/day")
        assert page.status_code == 200 and "/grant" not in page.text
        person = await padma.get(f"/staff/slots/{slot.slot_id}/people/{min(slot.attempts.values())}")
        assert person.status_code == 200 and "<form" not in person.text.partition("<main")[2]
    assert "Mumbai" not in words(await prachi.get("/staff"))
    crossed = f"/staff/slots/{there.slot_id}/people/{here.attempts['asmita']}"
    assert (await prachi.get(crossed)).status_code == 404


# What all pages have in common ----------------------------------------------------------------------------------------


async def test_addresses_that_do_not_exist_say_so_in_the_tongue_of_who_asks(client: Devices, cast: Cast) -> None:
    page = await client().get("/nowhere")
    assert page.status_code == 404 and "There is nothing here for you." in words(page)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    answer = await client().get("/api/nowhere")
    assert answer.status_code == 404 and answer.json()["error"] == "nothing_here"


async def test_defects_and_outages_are_told_in_plain_words(client: Devices, cast: Cast, owner: Connection) -> None:
    await cast.staff()
    asha = await staff(client, "asha")
    async with owner.transaction():
        await owner.execute("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
        page = await asha.get("/staff/audit")
    assert page.status_code == 503 and int(page.headers["retry-after"]) >= 1
    assert "Nothing was changed" in words(page) and "load this page again" in words(page)
    await owner.execute("ALTER TABLE audit RENAME TO elsewhere")
    page = await asha.get("/staff/audit")
    assert page.status_code == 500 and "Something went wrong on the server" in words(page)
    assert "relation" not in page.text and "Traceback" not in page.text


async def test_the_candidates_pages_hold_nothing_personal(client: Devices, cast: Cast) -> None:
    _, asmita = await scene(cast)
    device = client()
    await log_in(device, asmita)
    for path in ("/", "/sitting"):
        mine, anybodys = await device.get(path), await client().get(path)
        assert mine.status_code == 200 and mine.text == anybodys.text
        assert mine.headers["cache-control"] == "no-store"
        assert "unsafe" not in mine.headers["content-security-policy"]
        assert 'lang="mr"' in (await client().get(path, headers={"accept-language": "mr-IN,en;q=0.8"})).text


def test_static_addresses_change_with_their_content() -> None:
    assert re.fullmatch(r"/static/[0-9a-f]{12}/staff\.css", static("staff.css"))
    assert static("joined/exam.js").split("/")[2] == static("staff.css").split("/")[2]
    with pytest.raises(FileNotFoundError):
        static("no-such-file.css")


async def test_the_service_worker_keeps_files_that_are_all_there_and_what_is_kept_never_changes(
    client: Devices,
) -> None:
    device = client()
    answer = await device.get("/sw.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    assert answer.headers["content-type"].startswith("text/javascript")
    kept = re.findall(r'"(/static/[^"]+)"', answer.text)
    assert {"exam.js", "login.js", "hi.json", "hi.rest.json", "candidate.css"} <= {
        path.rsplit("/")[-1] for path in kept
    }
    for path in kept:
        one = await device.get(path, headers={"accept-encoding": "gzip"})
        assert (one.status_code, one.headers["content-encoding"]) == (200, "gzip")
        assert "immutable" in one.headers["cache-control"] and one.headers["vary"] == "accept-encoding"
        assert "content-encoding" not in (await device.get(path, headers={"accept-encoding": "identity"})).headers
    other = kept[0].replace(kept[0].split("/")[2], "0123456789ab")
    for path in (other, kept[0] + "x", kept[0] + "/../../../pyproject.toml", "/static/"):
        lost = await device.get(path)
        assert (lost.status_code, lost.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("mr", "mr"),
        ("hi-IN, mr;q=0.5, en;q=0.9", "en"),
        ("en;q=0.5, mr-IN;q=0.8", "mr"),
        ("*;q=x, mr", "mr"),
        ("fr", "en"),
    ],
)
def test_the_preferred_language_is_one_that_is_offered(header: str, language: str) -> None:
    assert preferred(header, ("en", "mr")) == language
