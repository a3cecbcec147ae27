"""Events for the record through HTTP: what is noted, once and within bounds, and what the staff read of it."""

import asyncio
import datetime as dt

import pytest

from exam.events import MOST_EVENTS
from exam.exams import RECORDS, USUAL_RECORDS
from tests.cast import MUMBAI, PUNE, begin, log_in, row, save
from tests.web.test_candidate import refused
from tests.web.test_staff_pages import exam_form, send, staff, words


def away(n, age=60_000, span=14_000, **more):
    """One event of a page."""
    return {"n": n, "kind": "away", "age": age, "span": span, **more}


async def tell(device, *events, page=7):
    """The answer to one request with events."""
    return await device.post("/api/events", json={"page": page, "events": list(events)})


@pytest.fixture
async def meera(cast):
    return await cast.candidate("meera")


async def test_what_a_page_noticed_is_noted_once_with_the_servers_time(client, cast, owner, meera):
    slot = await cast.slot(meera)
    device = client()
    await begin(device, meera)
    paste = {"n": 2, "kind": "paste", "age": 1000, "item": 3, "characters": 120}
    for _ in range(2):
        answer = await tell(device, away(1), paste)
        assert answer.status_code == 200 and answer.json().keys() == {"now"}
    first, second = await owner.fetch("SELECT *, now() - arrived_at AS ago FROM event ORDER BY event_no")
    assert (first["kind"], first["age_ms"], first["span_ms"], first["item"]) == ("away", 60_000, 14_000, None)
    assert (second["kind"], second["span_ms"], second["item"], second["characters"]) == ("paste", None, 3, 120)
    assert first["attempt_id"] == slot.attempts["meera"] and first["district_id"] == MUMBAI
    assert dt.timedelta() <= first["ago"] < dt.timedelta(seconds=30)
    # In the partition of the district and month, and another page has numbers of its own.
    assert await owner.fetchval("SELECT count(*) FROM ONLY event_default") == 0
    assert (await tell(device, away(1), page=8)).status_code == 200
    assert await owner.fetchval("SELECT count(*) FROM event") == 3


async def test_how_long_it_lasted_is_added_once_it_is_known_and_never_changed(client, cast, owner, meera):
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    for told, held in ((None, None), (90_000, 90_000), (5, 90_000), (None, 90_000)):
        assert (await tell(device, away(1, span=told))).status_code == 200
        assert [r["span_ms"] for r in await owner.fetch("SELECT span_ms FROM event")] == [held]


async def test_only_what_the_exam_records_is_noted(client, cast, owner, meera):
    await cast.slot(meera)
    device = client()
    sitting = await log_in(device, meera)
    assert sitting["exam"]["records"] == ["focus", "paste", "network", "device"]
    await device.post("/api/start", json={})
    kinds = ("away", "hidden", "windowed", "offline")
    mixed = [away(n, kind=kind) for n, kind in enumerate(kinds, start=1)]
    assert (await tell(device, *mixed)).status_code == 200
    assert {r["kind"] for r in await owner.fetch("SELECT kind FROM event")} == {"away", "hidden", "offline"}
    await owner.execute("UPDATE exam SET records = '{fullscreen}'")
    assert (await device.get("/api/sitting")).json()["exam"]["records"] == ["fullscreen"]
    assert (await tell(device, *mixed, page=8)).status_code == 200
    assert [r["kind"] for r in await owner.fetch("SELECT kind FROM event WHERE page = 8")] == ["windowed"]


async def test_a_change_of_device_is_noted_by_the_service_and_no_other_take_over(client, cast, owner, meera):
    await cast.slot(meera, device_changes=1)
    first, second, third = client(), client(), client()
    await begin(first, meera)
    assert (await first.post("/api/takeover", json={})).json()["epoch"] == 2  # the writer itself: no change
    await log_in(second, meera)
    await log_in(third, meera)
    assert (await second.post("/api/takeover", json={})).json()["epoch"] == 3
    await refused(await third.post("/api/takeover", json={}), 403, "not_allowed")
    assert [tuple(r) for r in await owner.fetch("SELECT kind, page, event_no FROM event")] == [("device", 0, 3)]
    await owner.execute("UPDATE exam SET records = '{focus}'")
    await owner.execute("UPDATE attempt SET takeovers_left = 1")
    assert (await third.post("/api/takeover", json={})).status_code == 200
    assert await owner.fetchval("SELECT count(*) FROM event") == 1


async def test_events_are_taken_from_the_start_until_shortly_after_the_end(client, cast, owner, meera):
    await cast.slot(meera)
    device = client()
    await refused(await tell(device, away(1)), 401, "no_session")
    await log_in(device, meera)
    await refused(await tell(device, away(1)), 409, "not_started")
    await device.post("/api/start", json={})
    await save(device, row(1, 1, "a"))
    await device.post("/api/submit", json={"epoch": 1, "last_seq": 1})
    assert (await tell(device, away(1))).status_code == 200
    await owner.execute("UPDATE attempt SET ended_at = now() - interval '16 minutes'")
    await refused(await tell(device, away(2)), 409, "ended")
    assert await owner.fetchval("SELECT count(*) FROM event") == 1


async def test_nothing_but_events_of_the_form_is_taken(client, cast, owner, meera):
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    right = {"page": 7, "events": [away(1)]}
    for wrong in (
        {**right, "events": []},
        {**right, "events": [away(n) for n in range(1, 52)]},
        {**right, "events": [away(2), away(1)]},
        {**right, "events": [away(1), away(1)]},
        {**right, "events": [away(1, kind="device")]},
        {**right, "events": [away(1, kind="cheating")]},
        {**right, "events": [away(1, text="what was pasted")]},
        {**right, "events": [away(1, characters=3)]},
        {**right, "events": [away(1, kind="paste")]},
        {**right, "events": [away(1, age=-1)]},
        {**right, "events": [away(1, age="60000")]},
        {**right, "events": [away(1, span=86_400_001)]},
        {**right, "events": [away(1, item=0)]},
        {**right, "page": 0},
        {**right, "page": 2**31},
        {**right, "attempt": 1},
    ):
        await refused(await device.post("/api/events", json=wrong), 400, "malformed")
    assert await owner.fetchval("SELECT count(*) FROM event") == 0
    assert (await device.post("/api/events", json=right)).status_code == 200


async def test_an_attempt_has_a_bound_that_harms_nobody_else(client, cast, owner, meera):
    ravi = await cast.candidate("ravi")
    slot = await cast.slot(meera, ravi)
    flood, calm = client(), client()
    await begin(flood, meera)
    await begin(calm, ravi)
    assert (await tell(flood, away(1, span=None))).status_code == 200
    for start in range(2, MOST_EVENTS + 60, 50):
        assert (await tell(flood, *(away(n) for n in range(start, start + 50)))).status_code == 200
    counted = "SELECT count(*) FROM event WHERE attempt_id = $1"
    assert await owner.fetchval(counted, slot.attempts["meera"]) == MOST_EVENTS
    # What is held still learns how long it lasted.
    assert (await tell(flood, away(1))).status_code == 200
    assert await owner.fetchval("SELECT span_ms FROM event WHERE event_no = 1") == 14_000
    assert (await tell(calm, away(1))).status_code == 200
    assert await owner.fetchval(counted, slot.attempts["ravi"]) == 1


async def test_those_who_tell_at_once_are_written_together(client, cast, owner, hall, monkeypatch):
    people = [await cast.candidate(f"c{number}") for number in range(12)]
    slot = await cast.slot(*people)
    devices = [client() for _ in people]
    await asyncio.gather(*(begin(device, person) for device, person in zip(devices, people, strict=True)))
    rounds = []
    group = hall.events._group
    whole = group._run

    async def counting(told):
        rounds.append(len(told))
        return await whole(told)

    monkeypatch.setattr(group, "_run", counting)
    answers = await asyncio.gather(*(tell(device, away(1), away(2)) for device in devices))
    assert {answer.status_code for answer in answers} == {200} and len(rounds) < 4
    noted = await owner.fetch("SELECT attempt_id, count(*) AS noted FROM event GROUP BY attempt_id")
    assert {(r["attempt_id"], r["noted"]) for r in noted} == {(a, 2) for a in slot.attempts.values()}


# What the staff read -----------------------------------------------------------------------------------------------


async def test_the_page_of_a_person_tells_what_was_noted_in_words(client, cast, owner, meera):
    slot = await cast.slot(meera)
    await cast.staff()
    device = client()
    await begin(device, meera)
    iqbal = await staff(client, "iqbal")
    path = f"/staff/slots/{slot.slot_id}/people/{slot.attempts['meera']}"
    assert "Nothing was noted so far." in words(await iqbal.get(path))
    await tell(
        device,
        away(1, age=300_000),
        away(2, kind="hidden", age=200_000, span=125_000),
        {"n": 3, "kind": "paste", "age": 100_000, "item": 3, "characters": 1},
        away(4, kind="offline", age=50_000, span=None),
    )
    other = client()
    await log_in(other, meera)
    await other.post("/api/takeover", json={})
    page = words(await iqbal.get(path))
    told = [
        "Left the window, which stayed in sight 14 s",
        "Left the page for another one or another program 2 min 5 s",
        "Pasted 1 character into question 3 –",
        "Had no line to the server until the end, or not told",
        "Went on at another device –",
    ]
    places = [page.index(sentence) for sentence in told]
    assert places == sorted(places), "in the order in which it began"
    assert "Nothing follows from it by itself." in page
    day = words(await iqbal.get(f"/staff/slots/{slot.slot_id}/day"))
    assert "Noted" in day and " 5 " in day


async def test_another_district_reads_nothing(client, cast, hall, meera):
    slot = await cast.slot(meera)
    await cast.staff()
    device = client()
    await begin(device, meera)
    await tell(device, away(1))
    prachi = await staff(client, "prachi")
    path = f"/staff/slots/{slot.slot_id}/people/{slot.attempts['meera']}"
    assert (await prachi.get(path)).status_code == 404
    for scope, seen in (([MUMBAI], 1), ([PUNE], 0), ([], 0)):
        async with hall.db.staff.transaction(scope=scope) as connection:
            assert await connection.fetchval("SELECT count(*) FROM event") == seen


async def test_the_exam_has_the_records_that_are_ticked(client, cast, owner):
    await cast.bank()
    await cast.staff()
    asha = await staff(client, "asha")

    def ticked(page):
        return [record for record in RECORDS if f'value="{record}" checked' in page.text]

    assert ticked(await asha.get("/staff/exams/new?bank_id=1")) == list(USUAL_RECORDS)
    made = await send(asha, "/staff/exams/new", exam_form(records=["paste", "fullscreen"]))
    page = words(await asha.get(made.headers["location"]))
    assert "Noted of a sitting leaving full screen, pasting (how many characters, never the text)" in page
    made = await send(asha, "/staff/exams/new", exam_form(title_en="Without"))
    assert "Noted of a sitting nothing" in words(await asha.get(made.headers["location"]))
    kept = [found["records"] for found in await owner.fetch("SELECT records FROM exam ORDER BY exam_id")]
    assert kept == [["fullscreen", "paste"], []]
    # A form that is refused comes back as it was ticked.
    back = await send(asha, "/staff/exams/new", exam_form(records=["network"], minutes="0"))
    assert back.status_code == 400 and ticked(back) == ["network"]
    wrong = await send(asha, "/staff/exams/new", exam_form(records=["thoughts"]))
    assert wrong.status_code == 400 and "Choose among what the list offers." in words(wrong)
