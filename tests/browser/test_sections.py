"""Navigation rules on the candidate's screen: sections with their own time, and forward only."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import Server
from tests.browser.test_candidate_screen import go, held, hook, log_in, no_errors, says, sit, until

pytestmark = pytest.mark.browser
__all__ = ["no_errors"]  # a fixture of that file which holds here, too

Serve = Callable[..., Server]
SOON = {"minutes": 29.1, "timed": (0.1, 29), "grace": 20}
"""The first section (questions 1 to 4) ends in 6 seconds, the second one (5 to 11) in half an hour."""
LONG = {"minutes": 60, "timed": (20, 40)}


def shown(page: Page) -> str:
    return page.locator(hook("question")).get_attribute("data-item") or ""


def passes(page: Page) -> None:
    """The second section opens by itself."""
    expect(page.locator(hook("opened"))).to_be_visible(timeout=15_000)


def squares_that_lead(page: Page) -> list[int]:
    found = page.locator(f"aside {hook('square')}:not(:disabled)")
    return [int(no) for no in found.evaluate_all("(all) => all.map((one) => one.dataset.item)")]


def move_ends(server: Server, *seconds: float) -> None:
    """Lets the hall say of its sections that they end so many seconds from now."""
    with server.hall.lock:
        server.hall.attempt.section_ends = [server.now() + int(one * 1000) for one in seconds]
        server.hall.attempt.deadline = server.hall.attempt.section_ends[-1]


def axe(page: Page) -> list[Any]:
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in Axe().run(page).response["violations"]]


@pytest.fixture(autouse=True)
def soon(context: BrowserContext) -> Iterator[None]:
    context.add_init_script("Math.random = () => 0.01")
    yield


# ---- the rules before the start


def test_the_waiting_room_states_the_rules(context: BrowserContext, serve: Serve) -> None:
    page = log_in(context, serve(opens_in=60, navigation="forward", **LONG))
    expect(page.locator(hook("rule-sections"))).to_contain_text("2 sections, each with a time of its own")
    expect(page.locator(hook("rule-sections"))).to_contain_text("Mathematics: 20 minutes")
    expect(page.locator(hook("rule-order"))).to_contain_text("forward only")
    assert axe(page) == []
    within = log_in(context, serve(opens_in=60, **LONG))
    expect(within.locator(hook("rule-order"))).to_contain_text("Within a section you can answer in any order")
    free = log_in(context, serve(opens_in=60))
    expect(free.locator(hook("rule-order"))).to_contain_text("You can answer in any order")
    expect(free.locator(hook("rule-sections"))).to_have_count(0)


# ---- sections with their own time


def test_the_timer_shows_the_section_and_the_whole(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve(**LONG))
    timer = page.locator(hook("timer"))
    expect(timer).to_contain_text("Time left in this section")
    expect(page.locator(hook("time"))).to_have_text(re.compile(r"^(19:5\d|20:00)$"))
    expect(timer).to_contain_text(re.compile(r"until \d\d:\d\d; whole exam (59:5\d|1:00:00), until \d\d:\d\d"))


def test_only_the_open_section_can_be_entered(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve(**LONG))
    assert squares_that_lead(page) == [1, 2, 3, 4]
    expect(page.locator(hook("section-when"))).to_have_text(
        [re.compile(r"open until \d\d:\d\d"), re.compile(r"opens at \d\d:\d\d")]
    )
    go(page, 4)
    expect(page.locator(hook("next"))).to_have_text("Review")
    page.click(hook("next"))
    expect(page.locator(hook("review-item"))).to_have_count(4)
    expect(page.locator(hook("review-later"))).to_contain_text("The next section opens by itself at")
    expect(page.locator(hook("submit"))).to_have_count(0)
    assert axe(page) == []
    page.click(hook("review-back"))
    assert shown(page) == "4"
    page.click(f"{hook('settings')} summary")
    page.select_option(hook("view"), "all")
    page.keyboard.press("Escape")
    expect(page.locator(hook("question"))).to_have_count(4)
    assert axe(page) == []


def test_the_next_section_opens_by_itself_and_the_first_one_is_shut(context: BrowserContext, serve: Serve) -> None:
    server = serve(**SOON)
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    passes(page)
    box = page.locator(hook("opened"))
    expect(box).to_be_focused()
    expect(box).to_contain_text("“Mathematics” is over. “Science and teaching” is open now, until")
    expect(box).to_contain_text("Questions 2, 3 and 4 there have no answer. Its answers can no longer be changed.")
    expect(page.locator("#live")).to_contain_text("“Mathematics” is over.")
    assert shown(page) == "5" and squares_that_lead(page) == [5, 6, 7, 8, 9, 10, 11]
    expect(page.locator(hook("section-when")).first).to_have_text("over")
    expect(page.locator(hook("previous"))).to_be_disabled()
    expect(page.locator(hook("timer"))).not_to_contain_text("in this section")
    assert axe(page) == []
    go(page, 7)
    expect(box).to_have_count(0)
    page.fill(hook("text"), "photosynthesis")
    says(page, "2 answers safe (")
    assert held(server) == {1: "p1", 7: "photosynthesis"} and server.hall.attempt.kept == {}
    page.click(hook("palette-review"))
    expect(page.locator(hook("review-item"))).to_have_count(7)
    page.click(hook("submit"))
    page.click(hook("submit-now"))
    page.wait_for_selector(hook("receipt"))


def test_the_last_word_of_a_section_still_counts(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=30.06, timed=(30, 0.06), grace=10)
    page = sit(context, server)
    move_ends(server, 2.5, 900)
    page.check(f"{hook('option')}[value=p1]")  # tells the page of it
    until(lambda: "section" in page.locator(hook("timer")).inner_text(), "the page did not hear of it")
    go(page, 3)
    field = page.locator(f"{hook('question')} input[type=text]").first
    field.focus()
    page.keyboard.type("12")
    while not page.locator(hook("opened")).is_visible():
        page.keyboard.type("3")
        page.wait_for_timeout(40)
    until(lambda: str(held(server).get(3, "")).startswith("12"), "the last word did not arrive")
    assert server.hall.attempt.kept == {}
    page.reload()
    page.wait_for_selector(hook("question"))
    assert shown(page) == "5", "and a reload does not lead back"
    expect(page.locator(hook("opened"))).to_have_count(0)


def test_a_dialog_or_the_review_gives_way_to_the_next_section(context: BrowserContext, serve: Serve) -> None:
    server = serve(**SOON)
    page = sit(context, server)
    page.set_viewport_size({"width": 360, "height": 740})
    page.click(hook("open-palette"))
    expect(page.locator("dialog")).to_be_visible()
    passes(page)
    expect(page.locator("dialog")).to_be_hidden()
    expect(page.locator(hook("opened"))).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_sections_pass_without_a_line_too(context: BrowserContext, serve: Serve) -> None:
    server = serve(**SOON)
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    passes(page)
    go(page, 7)
    page.fill(hook("text"), "offline")
    says(page, "2 answers are kept on this device")
    server.cut = False
    says(page, "2 answers safe (")
    assert held(server) == {1: "p2", 7: "offline"}, "the first within the grace of its section"


def test_what_came_late_for_its_section_is_called_kept(context: BrowserContext, serve: Serve) -> None:
    server = serve(**(SOON | {"grace": 0}))
    page = sit(context, server)
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    passes(page)
    page.wait_for_timeout(300)
    server.cut = False
    says(page, "1 answer came while its section was not open. It is kept for the district to decide")
    assert held(server) == {} and [why for _, why in server.hall.attempt.kept.values()] == ["section"]


def test_time_given_meanwhile_leads_back_and_nothing_is_lost(context: BrowserContext, serve: Serve) -> None:
    """The line is down, the hall gives time for that, and the page has gone on to the next section without knowing."""
    server = serve(**SOON)
    page = sit(context, server)
    server.cut = True
    page.check(f"{hook('option')}[value=p1]")
    passes(page)
    go(page, 7)
    page.fill(hook("text"), "too early")
    says(page, "2 answers are kept on this device")
    move_ends(server, 8, 900)
    server.cut = False
    expect(page.locator(hook("opened"))).to_contain_text("Time was given: “Mathematics” is open again, until")
    expect(page.locator(hook("extra-time"))).to_contain_text("The section that is open now ends at")
    assert shown(page) == "1" and held(server) == {1: "p1"}
    page.check(f"{hook('option')}[value=p2]")
    expect(page.locator(hook("opened"))).to_contain_text("“Mathematics” is over", timeout=15_000)
    until(lambda: held(server) == {1: "p2", 7: "too early"}, "what was too early was not sent again")
    says(page, "All 2 answers safe (")
    go(page, 7)
    expect(page.locator(hook("text"))).to_have_value("too early")


def test_a_screen_reader_hears_the_thresholds_of_each_section(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve(minutes=12.08, timed=(10.04, 2.04)))
    expect(page.locator("#live")).to_contain_text("10 minutes left.", timeout=8000)


# ---- forward only


def test_forward_only_has_no_way_back(context: BrowserContext, serve: Serve) -> None:
    server = serve(navigation="forward")
    page = sit(context, server)
    expect(page.locator(hook("previous"))).to_be_hidden()
    expect(page.locator(hook("flag"))).to_be_hidden()
    assert squares_that_lead(page) == []
    page.click(f"{hook('settings')} summary")
    expect(page.locator(hook("view"))).to_have_count(0)
    page.keyboard.press("Escape")
    page.check(f"{hook('option')}[value=p1]")
    page.click(hook("next"))
    page.click(hook("next"))
    assert shown(page) == "3"
    page.locator(f"aside {hook('square')}[data-item='1']").click(force=True)
    assert shown(page) == "3"
    page.go_back()
    page.goto(server.url + "/sitting")
    page.wait_for_selector(hook("question"))
    assert shown(page) == "3", "neither by the browser's own buttons nor by loading again"
    expect(page.locator(f"aside {hook('square')}[data-item='1']")).to_have_attribute(
        "aria-label", "Question 1, answered"
    )
    assert axe(page) == []
    page.click(hook("palette-review"))
    expect(page.locator(hook("review-item"))).to_have_count(11)
    assert page.locator(f"{hook('review')} li button").count() == 0
    assert axe(page) == []
    page.click(hook("review-back"))
    assert shown(page) == "3"


def test_forward_only_by_the_keyboard_alone(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve(navigation="forward"))
    seen = []
    for _ in range(3):
        page.focus(hook("next"))
        page.keyboard.press("Enter")
        seen.append(shown(page))
        expect(page.locator(f"#q{seen[-1]}-title")).to_be_focused()
    assert seen == ["2", "3", "4"]
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.dataset.test ?? ''"))
        page.keyboard.press("Alt+ArrowUp")
    assert {"square", "previous", "flag"}.isdisjoint(reached) and "next" in reached
    assert shown(page) == "4"


def test_forward_only_on_another_device_goes_on_where_the_answers_are(
    chromium: Browser, context: BrowserContext, serve: Serve
) -> None:
    server = serve(navigation="forward")
    page = sit(context, server)
    page.click(hook("next"))
    page.click(hook("next"))
    page.locator(f"{hook('question')} input[type=text]").first.fill("12")
    says(page, "1 answer safe (")
    other = chromium.new_context()
    there = log_in(other, server)
    there.click(hook("dialog-device") + " " + hook("device-yes"))
    there.wait_for_selector(hook("question"))
    assert shown(there) == "3"
    expect(there.locator(hook("previous"))).to_be_hidden()
    other.close()


def test_forward_only_within_sections(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve(navigation="forward", **SOON))
    page.click(hook("next"))
    passes(page)
    assert shown(page) == "5"
    page.click(hook("next"))
    page.reload()
    page.wait_for_selector(hook("question"))
    assert shown(page) == "6"


# ---- looks


@pytest.mark.parametrize(("width", "height", "language"), [(320, 640, "mr"), (768, 900, "hi"), (1280, 800, "en")])
def test_screenshots_of_sections(chromium: Browser, serve: Serve, width: int, height: int, language: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = sit(context, serve(minutes=30.1, timed=(0.1, 30)))
    page.click(f"{hook('settings')} summary")
    page.select_option(hook("language"), language)
    page.keyboard.press("Escape")
    page.screenshot(path=SCREENSHOTS / f"sections-{width}-{language}-before.png")
    page.wait_for_selector(hook("opened"), timeout=10_000)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    page.screenshot(path=SCREENSHOTS / f"sections-{width}-{language}-passed.png")
    context.close()
