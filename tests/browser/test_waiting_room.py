"""The waiting room in a real Chromium: who sits, what it says of the device, and the practice questions."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import Server
from tests.browser.test_candidate_screen import Serve, hook, no_errors, until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures(no_errors.__name__)]

STORED = "globalThis.stored = (given) => Object.assign(navigator.storage ?? {}, given);"
"""An empty page has no storage; a script that comes before every page has to know that."""
FINE = (
    STORED
    + "stored({ persist: async () => true });"
    + "navigator.getBattery = async () => ({ charging: true, level: 1 });"
)
DENIED = "indexedDB.open = () => { throw new DOMException('denied', 'SecurityError'); };"
NO_WORKER = "Object.defineProperty(Navigator.prototype, 'serviceWorker', { get: () => undefined });"
A_DAY_SLOW = "{ const real = Date.now; Date.now = () => real() - 86400000; }"


def wait(context: BrowserContext, server: Server) -> Page:
    """A page in the waiting room."""
    context.add_cookies([{"name": "exam", "value": server.hall.login(), "url": server.url}])
    page = context.new_page()
    page.goto(server.url + "/sitting")
    page.wait_for_selector(hook("waiting"))
    return page


def point(page: Page, name: str) -> Any:
    return page.locator(f"{hook('check')}[data-point={name}]")


def readings(server: Server) -> int:
    return [path for _, path, _ in server.requests].count("/api/sitting")


# ---- who


def test_the_room_shows_a_photo_or_an_outline_with_the_initials(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    context.add_init_script(NO_WORKER)
    page = wait(context, server)
    expect(page.locator(hook("figure"))).to_have_text("A P")
    expect(page.locator(hook("photo"))).to_have_count(0)
    server.hall.photo = "4b227777d4dd1fc61c6f884f48641d02"
    page.reload()
    photo = page.locator(hook("photo"))
    expect(photo).to_have_attribute("src", "/media/4b227777d4dd1fc61c6f884f48641d02")
    expect(photo).to_have_attribute("alt", "Photo of Asha Patil")
    until(lambda: bool(photo.evaluate("(image) => image.naturalWidth")), "the photo was not shown")
    context.route("**/media/**", lambda route: route.abort())
    page.reload()
    expect(page.locator(hook("figure"))).to_have_text("A P")


def test_initials_keep_the_signs_of_their_letters(context: BrowserContext, serve: Serve) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    made = page.evaluate(
        """async (names) => {
          const { initials } = await import("/static/0/candidate/waiting.js");
          return names.map(initials);
        }""",
        ["asha ramesh patil", "  Meera ", "शिल्पा क्षीरसागर", "प्रिया देशमुख", "", "Ölçüm Ünal"],
    )
    assert made == ["A P", "M", "शि क्षी", "प्रि दे", "", "Ö Ü"]


# ---- the device


def judged(page: Page, cases: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    found: list[Any] = page.evaluate(
        """async (cases) => {
          const { judge } = await import("/static/0/candidate/device.js");
          return cases.map(([point, facts]) => {
            const row = judge(point, facts);
            return row && [row.mark, row.key.replace("device.check.", ""), row.n];
          });
        }""",
        cases,
    )
    return found


def test_what_is_said_of_a_device_follows_from_what_was_seen(context: BrowserContext, serve: Serve) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    cases: list[tuple[str, dict[str, Any], Any]] = [
        ("keep", {}, ["looking", "looking", 0]),
        ("keep", {"keeps": True}, ["looking", "looking", 0]),
        ("keep", {"keeps": False}, ["tell", "keep.no", 0]),
        ("keep", {"keeps": True, "lasting": True}, ["good", "keep.lasting", 0]),
        ("keep", {"keeps": True, "lasting": False}, ["careful", "keep.window", 0]),
        ("keep", {"keeps": True, "lasting": None}, ["careful", "keep.window", 0]),
        ("room", {"free": None}, None),
        ("room", {"free": 4}, ["tell", "room.none", 0]),
        ("room", {"free": 5}, ["careful", "room.little", 5]),
        ("room", {"free": 50}, ["good", "room.enough", 0]),
        ("line", {"online": True}, ["looking", "looking", 0]),
        ("line", {"online": True, "took": 12}, ["good", "line.good", 0.1]),
        ("line", {"online": True, "took": 2000}, ["good", "line.good", 2]),
        ("line", {"online": True, "took": 3140}, ["careful", "line.slow", 3.1]),
        ("line", {"online": False, "took": 12}, ["tell", "line.down", 0]),
        ("line", {"online": True, "took": 12, "heard": False}, ["tell", "line.down", 0]),
        ("clock", {}, ["looking", "looking", 0]),
        ("clock", {"off": {"way": "right", "unit": "", "n": 0}}, ["good", "clock.right", 0]),
        ("clock", {"off": {"way": "fast", "unit": "days", "n": 400}}, ["good", "clock.fast", 400]),
        ("power", {"power": None}, None),
        ("power", {"power": {"charging": True, "level": 3}}, ["good", "power.plugged", 0]),
        ("power", {"power": {"charging": False, "level": 50}}, ["good", "power.enough", 50]),
        ("power", {"power": {"charging": False, "level": 49}}, ["careful", "power.low", 49]),
        ("power", {"power": {"charging": False, "level": 19}}, ["tell", "power.empty", 19]),
    ]
    made = judged(page, [(name, facts) for name, facts, _ in cases])
    for (name, facts, expected), found in zip(cases, made, strict=True):
        assert found == expected, (name, facts)


def test_a_clocks_error_is_told_in_the_unit_that_one_would_say(context: BrowserContext, serve: Serve) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    minute = 60_000
    made = page.evaluate(
        """async (offs) => {
          const { clockOff } = await import("/static/0/candidate/device.js");
          return offs.map((off) => Object.values(clockOff(1_700_000_000_000 + off, 1_700_000_000_000)).join(" "));
        }""",
        [
            0,
            80_000,
            -80_000,
            2 * minute,
            -59 * minute,
            60 * minute,
            -23.4 * 60 * minute,
            23.6 * 60 * minute,
            -1440 * minute,
        ],
    )
    assert made == [
        "right  0",
        "right  0",
        "right  0",
        "fast minutes 2",
        "slow minutes 59",
        "fast hours 1",
        "slow hours 23",
        "fast days 1",
        "slow days 1",
    ]


def test_a_device_that_will_do_is_called_ready_without_a_request_of_its_own(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(opens_in=600)
    context.add_init_script(FINE)
    page = wait(context, server)
    expect(page.locator(hook("device-summary"))).to_have_text("This device is ready.")
    expect(page.locator(hook("check"))).to_have_count(5)
    for name in ("keep", "room", "line", "clock", "power"):
        expect(point(page, name)).to_have_attribute("data-mark", "good")
        expect(point(page, name)).to_contain_text(": good")
    expect(point(page, "line")).to_contain_text(re.compile(r"answered in \d\.\d seconds"))
    expect(point(page, "clock")).to_contain_text("clock is right")
    assert readings(server) == 1
    left = page.evaluate("indexedDB.databases().then((all) => all.map((each) => each.name))")
    assert "exam-probe" not in left


def test_where_storage_is_refused_the_invigilator_is_told(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    context.add_init_script(FINE + DENIED)
    page = wait(context, server)
    expect(point(page, "keep")).to_contain_text("tell the invigilator")
    expect(point(page, "keep")).to_contain_text("Ask whether there is another device.")
    expect(page.locator(hook("device-summary"))).to_contain_text("You can still sit the exam")


def test_a_browser_that_promises_nothing_asks_for_the_window_to_stay_open(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(opens_in=600)
    context.add_init_script(
        FINE
        + "stored({ persist: async () => false, estimate: async () => ({ quota: 30e6, usage: 1e6 }) });"
        + "navigator.getBattery = undefined;"
    )
    page = wait(context, server)
    expect(point(page, "keep")).to_contain_text("Leave the window open until you have your receipt")
    expect(point(page, "room")).to_contain_text("Only 29 MB are free")
    expect(point(page, "power")).to_have_count(0)
    expect(page.locator(hook("device-summary"))).to_contain_text("This device will do.")


def test_a_browser_that_never_answers_is_not_waited_for(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    context.add_init_script(FINE + "stored({ persist: () => new Promise(() => {}) }); indexedDB.open = () => ({});")
    page = wait(context, server)
    expect(point(page, "keep")).to_have_attribute("data-mark", "looking")
    expect(point(page, "keep")).to_have_attribute("data-mark", "tell", timeout=8000)


def test_a_clock_that_is_a_day_slow_is_told_and_not_judged(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    context.add_init_script(FINE + A_DAY_SLOW)
    page = wait(context, server)
    expect(point(page, "clock")).to_contain_text(
        "is 1 day slow. The exam goes by the server’s time; there is nothing to do."
    )
    expect(point(page, "clock")).to_have_attribute("data-mark", "good")
    expect(page.locator(hook("device-summary"))).to_have_text("This device is ready.")
    page.click(hook("settings"))
    page.select_option(hook("language"), "mr")
    expect(point(page, "clock")).to_contain_text("१ दिवस मागे")
    expect(page.locator("#save-words")).to_have_text("तयार. तुमची उत्तरे आपोआप जतन होतात.")


def test_a_line_that_goes_and_comes_back_is_told(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    context.add_init_script(FINE + "Math.random = () => 0.01;")
    page = wait(context, server)
    expect(point(page, "line")).to_have_attribute("data-mark", "good")
    context.set_offline(True)
    expect(point(page, "line")).to_contain_text("The line is down. We keep trying")
    expect(page.locator(hook("device-summary"))).to_contain_text("tell the invigilator")
    before = readings(server)
    context.set_offline(False)
    expect(point(page, "line")).to_contain_text("The server answered in")
    assert readings(server) == before + 1


# ---- practice


def storage(page: Page) -> Any:
    return page.evaluate("[{ ...localStorage }, { ...sessionStorage }]")


def test_practice_by_keyboard_alone_leaves_nothing_behind(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    context.add_init_script(NO_WORKER + FINE)
    page = wait(context, server)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    expect(page.locator(hook("device-summary"))).to_have_text("This device is ready.")
    before, asked = storage(page), len(server.requests)
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.test") == "practice":
            break
    assert not any("practice.js" in url for url in fetched)
    page.keyboard.press("Enter")
    questions = page.locator(hook("practice-question"))
    expect(questions).to_have_count(2)
    assert any("practice.js" in url for url in fetched)
    expect(page.locator(hook("practice-questions"))).to_contain_text("Practice: does not count")
    expect(questions.nth(0).locator("h3")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"{hook('option')}:checked")).to_have_value("b")
    expect(questions.nth(0).locator(hook("practice-said"))).to_contain_text(
        "In the exam this answer would now be saved"
    )
    page.keyboard.press("Tab")  # clear
    page.keyboard.press("Tab")
    page.keyboard.type("lotus")
    expect(questions.nth(1).locator(hook("practice-said"))).to_contain_text("would now be saved")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator(f"{hook('option')}:checked")).to_have_count(0)
    expect(questions.nth(0).locator(hook("practice-said"))).to_have_text("The answer is cleared.")
    page.check(f"{hook('option')}[value=c]")
    for language, word in (("hi", "अभ्यास प्रश्न १"), ("mr", "सराव प्रश्न १"), ("en", "Practice question 1")):
        if not page.locator(hook("language")).is_visible():
            page.click(hook("settings"))
        page.select_option(hook("language"), language)
        expect(questions.nth(0)).to_contain_text(word)
        expect(page.locator(f"{hook('option')}:checked")).to_have_value("c")
        expect(page.locator(hook("text"))).to_have_value("lotus")
    page.keyboard.press("Escape")
    assert len(server.requests) == asked
    assert storage(page) == [before[0], before[1] | {"interface": "en"}]
    page.click(hook("practice"))
    expect(questions).to_have_count(0)
    expect(page.locator(hook("practice"))).to_be_focused()
    page.click(hook("practice"))
    expect(page.locator(hook("text"))).to_have_value("")


def test_the_exam_starts_over_the_practice(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    page = wait(context, server)
    server.hall.opens_at = server.now() + 3000
    page.reload()
    page.click(hook("practice"))
    page.fill(hook("text"), "never sent")
    page.wait_for_selector(hook("question"), timeout=12_000)
    expect(page.locator(hook("practice-questions"))).to_have_count(0)
    assert "never sent" not in str(server.requests)


def test_practice_that_does_not_come_is_not_missed(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    context.add_init_script(NO_WORKER)
    page = wait(context, server)
    context.route("**/practice.js*", lambda route: route.abort())
    page.click(hook("practice"))
    expect(page.locator(".trial")).to_contain_text("do not come just now")
    context.unroute("**/practice.js*")
    page.click(hook("practice"))
    expect(page.locator(hook("practice-question"))).to_have_count(2)


# ---- for everybody


def test_the_room_has_no_accessibility_violation(context: BrowserContext, serve: Serve) -> None:
    from axe_playwright_python.sync_playwright import Axe

    server = serve(opens_in=600)
    context.add_init_script(DENIED + STORED + "stored({ persist: async () => false });")
    page = wait(context, server)
    expect(point(page, "keep")).to_have_attribute("data-mark", "tell")
    page.click(hook("practice"))
    page.fill(hook("text"), "lotus")
    page.wait_for_selector(f"{hook('practice-question')} {hook('practice-clear')}:visible")
    found = {}
    for colours in ("light", "dark", "contrast"):
        page.evaluate("(each) => { document.documentElement.dataset.colours = each; }", colours)
        result = Axe().run(page).response["violations"]
        found[colours] = [(each["id"], each["nodes"][0]["html"][:200]) for each in result]
    assert found == {"light": [], "dark": [], "contrast": []}


@pytest.mark.parametrize(("width", "height", "language"), [(320, 640, "en"), (320, 640, "hi"), (1280, 800, "mr")])
def test_screenshots_of_the_room(chromium: Browser, serve: Serve, width: int, height: int, language: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    server = serve(opens_in=600)
    server.hall.photo = "4b227777d4dd1fc61c6f884f48641d02" if language == "mr" else None
    context = chromium.new_context(viewport={"width": width, "height": height})
    context.add_init_script(A_DAY_SLOW + (DENIED if language == "hi" else ""))
    page = wait(context, server)
    page.click(hook("settings"))
    page.select_option(hook("language"), language)
    page.keyboard.press("Escape")
    page.click(hook("practice"))
    page.locator(hook("option")).nth(1).check()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    small = page.evaluate(
        """[...document.querySelectorAll("main button, main label.option")].filter((each) => {
          const { width, height } = each.getBoundingClientRect();
          return width && (width < 44 || height < 44);
        }).map((each) => each.textContent)"""
    )
    assert small == []
    for colours in ("dark", "light"):
        page.evaluate("(each) => { document.documentElement.dataset.colours = each; }", colours)
        page.screenshot(path=SCREENSHOTS / f"room-{width}-{language}-{colours}.png", full_page=True)
    context.close()
