"""Safe Exam Browser through HTTP: every door of an attempt asks for it where the exam does, in both ways."""

import asyncio
from hashlib import sha256

import pytest
from litestar.routes import ASGIRoute

from exam.browsers import normal_origin, shown_hash
from tests.cast import begin, log_in, row, save
from tests.web.test_candidate import refused
from tests.web.test_staff_pages import send, staff, words

ORIGIN = "http://hall.test"
CONFIG, BROWSER, OTHER = "c0" * 32, "b0" * 32, "0e" * 32

# Every door of an attempt, with what a page sends there; a new one has to be named here, or below with a reason.
ASKED = {
    "/api/sitting": ("GET", None),
    "/api/start": ("POST", {}),
    "/api/takeover": ("POST", {}),
    "/api/answers": ("PUT", {"epoch": 1, "answers": [row(1, 1, "a")]}),
    "/api/submit": ("POST", {"epoch": 1, "last_seq": 0}),
    "/api/papers": ("GET", None),
    "/api/notices": ("GET", None),
    "/api/events": ("POST", {"page": 1, "events": [{"n": 1, "kind": "away", "age": 0}]}),
}
FREE = {"/api/logout"}  # who leaves needs no proof


def digest(address, key):
    return sha256((address + key).encode()).hexdigest()


def by_header(path, config=CONFIG, browser=None):
    """What Safe Exam Browser adds to a request."""
    headers = {"X-SafeExamBrowser-ConfigKeyHash": digest(ORIGIN + path, config)} if config else {}
    return headers | ({"X-SafeExamBrowser-RequestHash": digest(ORIGIN + path, browser)} if browser else {})


def by_page(page=f"{ORIGIN}/sitting", config=CONFIG, browser=None):
    """What our page adds where Safe Exam Browser tells it its hashes."""
    headers = {"Seb-Page": page} | ({"Seb-Config-Key-Hash": digest(page, config)} if config else {})
    return headers | ({"Seb-Browser-Exam-Key-Hash": digest(page, browser)} if browser else {})


async def ask_for(hall, owner, *, config=(), browser=()):
    """All exams ask for these keys, and the worker has heard of it."""
    await owner.execute("UPDATE exam SET config_keys = $1, browser_keys = $2", list(config), list(browser))
    await hall.browsers.refresh()


async def knock(device, path, slot, headers=None):
    """One request at a door, as a page makes it."""
    method, body = ASKED[path]
    whole = f"{path}/{slot.forms[0].hex()}" if path == "/api/papers" else path
    headers = headers(whole) if callable(headers) else headers
    return await device.request(method, whole, json=body, headers=headers)


@pytest.fixture
async def meera(cast):
    return await cast.candidate("meera")


@pytest.fixture
async def slot(cast, meera):
    return await cast.slot(meera)


def test_every_door_of_a_candidate_is_named_here(app):
    doors = {
        route.path
        for route in app.routes
        if isinstance(route, ASGIRoute) and route.route_handler.opt["audience"] == "candidate"
    }
    assert doors == ASKED.keys() | FREE


@pytest.mark.parametrize("path", ASKED)
async def test_a_door_opens_for_the_right_browser_only(client, owner, hall, meera, slot, path):
    device = client()
    await begin(device, meera)
    await ask_for(hall, owner, config=[OTHER, CONFIG])
    for headers in (
        None,
        by_header("/api/elsewhere"),
        lambda asked: by_header(asked, config=BROWSER),
        lambda asked: {"X-SafeExamBrowser-ConfigKeyHash": CONFIG},
        lambda asked: {"X-SafeExamBrowser-RequestHash": digest(ORIGIN + asked, CONFIG)},
        by_page(config=BROWSER),
        by_page(page="http://elsewhere.test/sitting"),
        by_page(page=f"{ORIGIN}.elsewhere.test/"),
        by_page(page=f"{ORIGIN}/staff"),
        by_page(page=f"{ORIGIN}/sitting#{'x' * 10}"),
        by_page(page=f"{ORIGIN}/?{'x' * 1000}"),
        {**by_page(), "Seb-Page": f"{ORIGIN}/"},
    ):
        told = await refused(await knock(device, path, slot, headers), 403, "safe_browser")
        assert "Safe Exam Browser" in told["message"]
    assert await owner.fetchval("SELECT count(*) FROM answer") == 0
    assert await owner.fetchval("SELECT count(*) FROM event") == 0
    assert await owner.fetchval("SELECT (state, epoch) = ('started', 1) FROM attempt")
    for headers in (by_header, by_page(), by_page(page=f"{ORIGIN}/"), lambda asked: by_header(asked, config=OTHER)):
        answer = await knock(device, path, slot, headers)
        assert answer.status_code in (200, 409) and answer.json().get("error") in (None, "conflict", "stale_device"), (
            answer.text
        )


async def test_the_hash_is_over_the_whole_address_and_may_be_in_capitals(client, owner, hall, meera, slot):
    device = client()
    await begin(device, meera)
    await ask_for(hall, owner, config=[CONFIG])
    path = "/api/notices?after=0"
    assert (await device.get(path, headers=by_header(path))).status_code == 200
    await refused(await device.get(path, headers=by_header("/api/notices")), 403, "safe_browser")
    capitals = {name: value.upper() for name, value in by_header(path).items()}
    assert (await device.get(path, headers=capitals)).status_code == 200
    # Whatever name the request itself claims: the address is the one that the deployment knows.
    other = {**by_header(path), "Host": "elsewhere.test", "X-Forwarded-Host": "elsewhere.test"}
    assert (await device.get(path, headers=other)).status_code == 200


async def test_of_each_kind_that_is_asked_for_one_has_to_be_shown(client, owner, hall, meera, slot):
    device = client()
    await begin(device, meera)
    for config, browser, right, wrong in (
        ([], [BROWSER], {"config": None, "browser": BROWSER}, {}),
        ([CONFIG], [BROWSER], {"browser": BROWSER}, {}),
        ([CONFIG], [OTHER, BROWSER], {"browser": BROWSER}, {"browser": CONFIG}),
        ([CONFIG], [BROWSER], {"browser": BROWSER}, {"config": None, "browser": BROWSER}),
    ):
        await ask_for(hall, owner, config=config, browser=browser)
        for way in (lambda **keys: by_header("/api/sitting", **keys), by_page):
            assert (await device.get("/api/sitting", headers=way(**right))).status_code == 200
            await refused(await device.get("/api/sitting", headers=way(**wrong)), 403, "safe_browser")


async def test_log_in_says_what_is_needed_and_opens_nothing(client, owner, hall, meera, slot):
    await ask_for(hall, owner, config=[CONFIG])
    device = client()
    body = {"registration": meera.registration, "code": meera.code}
    answer = await device.post("/api/login", json=body)
    await refused(answer, 403, "safe_browser")
    assert "set-cookie" not in answer.headers
    await refused(await device.post("/api/login", json={**body, "code": "WRONG"}), 401, "wrong_login")
    answer = await device.post("/api/login", json=body, headers=by_page(f"{ORIGIN}/"))
    assert answer.status_code == 200 and answer.json()["exam"]["safe_browser"] is True
    assert (await device.post("/api/start", json={}, headers=by_page())).status_code == 200
    assert (await device.post("/api/logout", json={})).status_code == 204


async def test_what_is_refused_is_sent_again_when_the_keys_are_taken_away(client, owner, hall, meera, slot):
    device = client()
    await begin(device, meera)
    assert (await save(device, row(1, 1, "a"))).status_code == 200
    await ask_for(hall, owner, config=[CONFIG])
    await refused(await save(device, row(2, 1, "b")), 403, "safe_browser")
    await ask_for(hall, owner)
    assert (await save(device, row(2, 1, "b"))).json()["watermark"] == 2


async def test_running_attempts_follow_by_themselves(client, owner, hall, meera, slot):
    device = client()
    await begin(device, meera)
    await owner.execute("UPDATE exam SET config_keys = $1", [CONFIG])
    async with asyncio.timeout(10):
        while (await device.get("/api/sitting")).status_code == 200:
            await asyncio.sleep(0.2)
    await owner.execute("UPDATE exam SET config_keys = '{}'")
    async with asyncio.timeout(10):
        while (await device.get("/api/sitting")).status_code == 403:
            await asyncio.sleep(0.2)


async def test_the_receipt_can_be_read_in_any_browser_and_the_paper_cannot(client, owner, hall, meera, slot):
    await ask_for(hall, owner, config=[CONFIG])
    device = client()
    device.headers.update(by_page())
    await begin(device, meera)
    await save(device, row(1, 1, "a"))
    assert (await device.post("/api/submit", json={"epoch": 1, "last_seq": 1})).status_code == 200
    home = client()
    assert (await log_in(home, meera))["receipt"]["answered"] == 1
    assert (await home.get("/api/sitting")).status_code == 200
    await refused(await home.get(f"/api/papers/{slot.forms[0].hex()}"), 403, "safe_browser")


async def test_exams_that_do_not_ask_are_as_before_whatever_is_shown(client, owner, hall, cast, meera):
    locked = await cast.slot(meera)
    ravi = await cast.candidate("ravi")
    await cast.slot(ravi)
    await owner.execute("UPDATE exam SET config_keys = $1 WHERE exam_id = $2", [CONFIG], locked.exam_id)
    await hall.browsers.refresh()
    device = client()
    assert (await log_in(device, ravi))["exam"]["safe_browser"] is False
    device.headers.update(by_page(page="http://elsewhere.test/", config=OTHER))
    assert (await device.post("/api/start", json={})).status_code == 200
    assert (await save(device, row(1, 1, "a"))).status_code == 200


async def test_while_nobody_knows_what_is_asked_for_nobody_is_let_in(client, hall, meera, slot):
    device = client()
    await begin(device, meera)
    hall.browsers._locked = None
    told = await refused(await save(device, row(1, 1, "a")), 503, "unavailable")
    assert told["ticket"]
    await hall.browsers.refresh()
    assert (await save(device, row(1, 1, "a"))).status_code == 200


async def test_the_keys_are_nobodys_business_but_the_staffs(client, owner, hall, meera, slot):
    await ask_for(hall, owner, config=[CONFIG], browser=[BROWSER])
    device = client()
    device.headers.update(by_page(browser=BROWSER))
    for answer in (await device.get("/api/sitting"), await device.post("/api/start", json={})):
        assert CONFIG not in answer.text and BROWSER not in answer.text


def test_origins_are_written_as_browsers_write_them():
    for given, written in (
        ("https://Exam.Example.in/", "https://exam.example.in"),
        ("https://exam.example.in:443", "https://exam.example.in"),
        ("https://exam.example.in:8443", "https://exam.example.in:8443"),
        ("http://127.0.0.1:80/", "http://127.0.0.1"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ):
        assert normal_origin(given) == written
    assert shown_hash("https://exam.example.in/x", CONFIG) == digest("https://exam.example.in/x", CONFIG)


# Staff --------------------------------------------------------------------------------------------------------------


async def test_the_admin_sets_and_takes_away_the_keys_on_the_exams_page(client, cast, owner, slot):
    await cast.staff()
    asha = await staff(client, "asha")
    path = f"/staff/exams/{slot.exam_id}"
    assert "This exam can be sat in any browser." in words(await asha.get(path))
    typed = {"config_keys": f" {CONFIG.upper()}\r\n{OTHER}\r\n{CONFIG}", "browser_keys": BROWSER}
    done = await send(asha, f"{path}/browser", typed)
    assert done.status_code == 303
    page = words(await asha.get(done.headers["location"]))
    assert "in Safe Exam Browser only, with a file that has one of these keys" in page
    assert "one of its 2 Config Keys and its Browser Exam Key." in page
    assert await owner.fetchrow("SELECT config_keys, browser_keys FROM exam") == ([CONFIG, OTHER], [BROWSER])
    done = await send(asha, f"{path}/browser", {"config_keys": "", "browser_keys": " \r\n"})
    assert "From now on this exam can be sat in any browser." in words(await asha.get(done.headers["location"]))
    assert await owner.fetchrow("SELECT config_keys, browser_keys FROM exam") == ([], [])
    acts = await owner.fetch("SELECT act, detail FROM audit WHERE act = 'exam.browser_set' ORDER BY audit_id")
    assert [(act["detail"]["config_keys"], act["detail"]["browser_keys"]) for act in acts] == [(2, 1), (0, 0)]
    assert CONFIG not in str(acts)


async def test_what_is_no_key_is_refused_with_a_sentence_and_kept(client, cast, owner, slot):
    await cast.staff()
    asha = await staff(client, "asha")
    path = f"/staff/exams/{slot.exam_id}/browser"
    many = " ".join(f"{number:064x}" for number in range(21))
    for wrong, sentence in (
        ({"config_keys": f"{CONFIG} {CONFIG[:-1]}"}, "The key number 2 is not one"),
        ({"browser_keys": CONFIG[:-1] + "g"}, "The key number 1 is not one"),
        ({"config_keys": many}, "An exam can have 20 keys of a kind."),
        ({"config_keys": "x" * 2001}, "At most 20 keys."),
    ):
        page = await send(asha, path, wrong)
        assert page.status_code == 400 and sentence in words(page)
        assert next(iter(wrong.values())) in page.text
    assert await owner.fetchval("SELECT config_keys FROM exam") == []


async def test_only_the_admin_of_the_exams_district_sets_keys(client, cast, owner, slot):
    await cast.staff()
    path = f"/staff/exams/{slot.exam_id}/browser"
    for name, status in (("iqbal", 403), ("padma", 403), ("prachi", 404)):
        device = await staff(client, name)
        assert (await send(device, path, {"config_keys": CONFIG})).status_code == status
    await owner.execute("UPDATE exam SET district_id = NULL")
    asha = await staff(client, "asha")
    page = await send(asha, path, {"config_keys": CONFIG})
    assert page.status_code == 403 and "shared by all districts" in words(page)
    assert await owner.fetchval("SELECT config_keys FROM exam") == []


@pytest.mark.parametrize("wrong", [["A" * 64], ["a" * 63], ["a" * 65], [None], ["a" * 64, ""], ["a" * 64] * 21])
async def test_the_database_holds_nothing_but_keys(owner, slot, wrong):
    for column in ("config_keys", "browser_keys"):
        with pytest.raises(Exception, match="check constraint"):
            await owner.execute(f"UPDATE exam SET {column} = $1", wrong)
