"""What the candidate's page notes for the record, in a real Chromium, and what it never does with it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.fake_hall import Server
from tests.browser.test_candidate_screen import Serve, go, held, hook, log_in, no_errors, sit, until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures(no_errors.__name__)]

# The page's own word on what has the focus: there is no window manager in a test.
FOCUS = """(where) => {
  const state = where === "hidden" ? "hidden" : "visible";
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
  document.hasFocus = () => where === "here";
  window.dispatchEvent(new Event(where === "here" ? "focus" : "blur"));
  document.dispatchEvent(new Event("visibilitychange"));
}"""
PASTE = """(text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


def watched(page: Page) -> Page:
    """The page with its own timers under the test's hand, once it watches."""
    with page.expect_response("**/events.js*"):
        page.clock.run_for(3000)
    page.wait_for_timeout(200)
    return page


def begun(context: BrowserContext, server: Server) -> Page:
    """A page at question 1 whose clock the test moves."""
    context.clock.install()
    page = sit(context, server)
    return watched(page)


def told(server: Server) -> list[dict[str, Any]]:
    """What the hall has heard, by number."""
    return [event for _, event in sorted(server.hall.events.items())]


def requests(server: Server) -> list[Any]:
    return [body for _, path, body in server.requests if path == "/api/events"]


def minutes(page: Page, number: float) -> None:
    for _ in range(int(number * 12)):
        page.clock.run_for(5000)
        page.wait_for_timeout(50)  # for answers that are on their way; else they would be minutes late


def in_time(page: Page, condition: Callable[[], bool], what: str) -> None:
    """Lets the page's time go on until it is so."""
    for _ in range(200):
        if condition():
            return
        page.clock.run_for(1000)
        page.wait_for_timeout(30)
    raise AssertionError(what)


def test_the_rules_say_what_is_noted_and_that_nothing_follows(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=600)
    page = log_in(context, server)
    noted = page.locator(hook("noted"))
    expect(noted.locator("li")).to_have_count(4)
    expect(noted).to_contain_text("how many characters; never the text")
    expect(page.locator(hook("waiting"))).to_contain_text("Nothing follows from any of this by itself.")
    server.hall.records = []
    page.reload()
    expect(page.locator(hook("waiting"))).to_be_visible()
    expect(noted).to_have_count(0)


def test_absences_and_pastes_are_told_together_and_seldom(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = begun(context, server)
    page.evaluate(FOCUS, "away")
    page.clock.run_for(14_000)
    page.evaluate(FOCUS, "here")
    page.evaluate(FOCUS, "away")  # a slip of a moment later is the same absence
    page.clock.run_for(1500)
    page.evaluate(FOCUS, "here")
    page.clock.run_for(5000)
    page.evaluate(FOCUS, "away")
    page.clock.run_for(300)  # too short to be one
    page.evaluate(FOCUS, "here")
    page.clock.run_for(5000)
    page.evaluate(FOCUS, "hidden")
    page.clock.run_for(4000)
    page.evaluate(FOCUS, "here")
    go(page, 4)
    page.locator(f"{hook('question')} input").first.focus()
    page.evaluate(PASTE, "a secret of 24 characters"[:24])
    assert not requests(server), "nothing is told before a minute has passed"
    minutes(page, 1.6)
    until(lambda: len(told(server)) == 3, "what was noticed is told")
    first, second, third = told(server)
    assert (first["kind"], second["kind"], third["kind"]) == ("away", "hidden", "paste")
    assert 15_000 <= first["span"] < 17_000 and 4000 <= second["span"] < 5000
    assert (third["item"], third["characters"]) == (4, 24) and "secret" not in str(requests(server))
    assert len(requests(server)) == 1
    minutes(page, 5)
    assert len(requests(server)) == 1, "without anything new nothing is sent"


def test_an_absence_that_lasts_is_told_and_its_length_follows(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = begun(context, server)
    page.evaluate(FOCUS, "hidden")
    minutes(page, 2)
    until(lambda: [event["span"] for event in told(server)] == [None], "it is told while it lasts")
    minutes(page, 4)
    assert len(requests(server)) == 1
    page.evaluate(FOCUS, "here")
    minutes(page, 2)
    until(lambda: told(server)[0]["span"] is not None, "its length follows")
    assert len(told(server)) == 1 and 350_000 <= told(server)[0]["span"] <= 380_000


def test_a_busy_server_is_left_alone_and_what_waits_outlives_a_reload(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = begun(context, server)
    page.evaluate(FOCUS, "away")
    page.clock.run_for(3000)
    page.evaluate(FOCUS, "here")
    server.busy = 1
    minutes(page, 1.6)
    until(lambda: len(requests(server)) == 1, "it tried")
    minutes(page, 3)
    assert len(requests(server)) == 1, "who is put off comes back after minutes"
    page.reload()
    page.wait_for_selector(hook("question"))
    watched(page)
    minutes(page, 1.6)
    until(lambda: len(told(server)) == 1, "what was kept is told by the next page")
    [number] = {page for page, _ in server.hall.events}
    assert requests(server)[0]["page"] == number, "under the same number, so that it is noted once"


def test_a_line_that_was_down_is_noted_and_never_holds_up_an_answer(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = begun(context, server)
    server.cut = True
    page.locator(f"{hook('question')} input").first.check()
    minutes(page, 1)
    server.cut = False
    in_time(page, lambda: len(held(server)) == 1, "the answer is there")
    in_time(page, lambda: [event["span"] for event in told(server)] not in ([], [None]), "and then the record of it")
    [event] = told(server)
    assert event["kind"] == "offline" and 20_000 < event["span"] < 120_000


def test_the_rest_is_told_at_the_end_and_nothing_after_it(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = begun(context, server)
    page.evaluate(FOCUS, "away")
    page.clock.run_for(3000)
    page.evaluate(FOCUS, "here")
    go(page, 11)
    page.click(hook("next"))
    page.click(hook("submit"))
    page.click(hook("submit-now"))
    page.clock.run_for(1000)
    page.wait_for_selector(hook("receipt"))
    page.clock.run_for(11_000)
    until(lambda: len(told(server)) == 1, "the rest is told")
    page.evaluate(FOCUS, "away")
    minutes(page, 3)
    assert len(requests(server)) == 1
    kept = """async () => {
      const open = await import("/static/0/candidate/journal.js");
      const database = await open.openDatabase();
      const [notes] = await open.run(database, ["notes"], "readonly", (t) => [t.objectStore("notes").getAll()]);
      return notes.map(({ name }) => name);
    }"""
    assert "events" not in page.evaluate(kept), "with the receipt nothing stays on the device"


def test_full_screen_is_offered_where_the_exam_asks_for_it(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    server.hall.records = ["fullscreen"]
    page = begun(context, server)
    strip = page.locator(hook("windowed"))
    expect(strip).to_contain_text("nothing follows from that by itself")
    page.clock.run_for(6000)
    page.click(hook("fullscreen"))
    expect(strip).to_have_count(0)
    page.clock.run_for(5000)
    page.evaluate("document.exitFullscreen()")
    expect(strip).to_be_visible()
    minutes(page, 1.6)
    until(lambda: len(told(server)) >= 1, "it is told")
    first, *rest = told(server)
    assert first["kind"] == "windowed" and 6000 <= first["span"] < 8000
    assert all(event["kind"] == "windowed" for event in rest)


def test_an_exam_that_records_nothing_loads_nothing(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    server.hall.records = []
    context.clock.install()
    page = sit(context, server)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    minutes(page, 3)
    assert not any("events" in url for url in asked) and not requests(server)


def test_the_offer_of_full_screen_fits_a_small_phone_and_every_language(context: BrowserContext, serve: Serve) -> None:
    from axe_playwright_python.sync_playwright import Axe

    server = serve()
    server.hall.records = ["fullscreen"]
    page = sit(context, server)
    page.set_viewport_size({"width": 320, "height": 640})
    strip = page.locator(hook("windowed"))
    expect(strip).to_be_visible()
    box = page.locator(hook("fullscreen")).bounding_box()
    assert box and box["height"] >= 44 and box["width"] >= 44
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert Axe().run(page).response["violations"] == []
    page.click(f"{hook('settings')} summary")
    page.select_option(hook("language"), "mr")
    expect(strip).to_contain_text("पूर्ण स्क्रीन")
