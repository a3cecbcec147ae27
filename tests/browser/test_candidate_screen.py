"""The candidate's screen in a real Chromium, from the log-in to the result, and all that goes wrong on the way."""

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import ROOT, Server

pytestmark = pytest.mark.browser

Serve = Callable[..., Server]
SAVE = "[data-test=save-line]"


def hook(name: str) -> str:
    return f"[data-test={name}]"


@pytest.fixture(autouse=True)
def no_errors(context: BrowserContext) -> Iterator[None]:
    """No page of a test may throw, or try what its content policy forbids."""
    found: list[str] = []

    def listen(page: Page) -> None:
        page.on("pageerror", lambda error: found.append(error.stack or error.message))
        page.on("console", lambda message: found.append(message.text) if "Security Policy" in message.text else None)

    context.on("page", listen)
    yield
    assert found == []


def log_in(context: BrowserContext, server: Server) -> Page:
    """A page that has logged in by the form."""
    page = context.new_page()
    page.goto(server.url + "/")
    page.fill(hook("registration"), server.hall.registration)
    page.fill(hook("code"), server.hall.code)
    page.click(hook("login"))
    page.wait_for_url("**/sitting")
    return page


def sit(context: BrowserContext, server: Server) -> Page:
    """A page at question 1 of an exam that has been started."""
    token = server.hall.login()
    context.add_cookies([{"name": "exam", "value": token, "url": server.url}])
    server.hall.call(token, "POST", "/api/start", {}, server.now())
    page = context.new_page()
    page.goto(server.url + "/sitting")
    page.wait_for_selector(hook("question"))
    return page


def go(page: Page, no: int) -> None:
    page.click(f"aside {hook('square')}[data-item='{no}']")
    expect(page.locator(hook("question"))).to_have_attribute("data-item", str(no))


def held(server: Server) -> dict[int, Any]:
    """What counts at the hall: item → response."""
    with server.hall.lock:
        return {row["item"]: row["response"] for row in server.hall.attempt.standing()}


def until(condition: Callable[[], bool], what: str, seconds: float = 6) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def says(page: Page, *parts: str) -> None:
    """The save line comes to say all of `parts`."""
    for part in parts:
        expect(page.locator(SAVE)).to_contain_text(part, timeout=8000)


# ---- logging in and waiting


def test_a_wrong_code_gives_one_sentence_and_keeps_what_was_typed(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = context.new_page()
    page.goto(server.url + "/")
    page.click(hook("login"))
    expect(page.locator(hook("login-message"))).to_contain_text("fill in both fields")
    page.fill(hook("registration"), "MUM-04217")
    page.fill(hook("code"), "NOT-THE-CODE")
    page.click(hook("login"))
    expect(page.locator(hook("login-message"))).to_contain_text(
        "The registration number or the access code is not right"
    )
    expect(page.locator(hook("registration"))).to_have_value("MUM-04217")
    for _ in range(5):
        page.press(hook("code"), "Enter")
        expect(page.locator(hook("login"))).to_have_text("Log in")
    expect(page.locator(hook("login-message"))).to_contain_text("wait 7 seconds")
    page.fill(hook("code"), " k7qx-2m9t pbd4w ")
    page.press(hook("code"), "Enter")
    page.wait_for_url("**/sitting")


def test_a_busy_server_at_log_in_is_tried_again_without_a_click(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    server.busy = 1
    page = context.new_page()
    page.goto(server.url + "/")
    page.fill(hook("registration"), server.hall.registration)
    page.fill(hook("code"), server.hall.code)
    page.click(hook("login"))
    expect(page.locator(hook("login-message"))).to_contain_text("Very many people are logging in")
    page.wait_for_url("**/sitting")


def test_whoever_is_inside_is_shown_the_way_back(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = log_in(context, server)
    page.click(hook("start"))
    page.wait_for_selector(hook("question"))
    page.goto(server.url + "/")
    page.click(hook("continue"))
    page.wait_for_selector(hook("question"))
    assert server.hall.attempt.epoch == 1
    stranger = context.new_page()
    context.clear_cookies()
    stranger.goto(server.url + "/sitting")
    stranger.wait_for_selector(hook("login-form"))


def test_who_waits_sees_a_countdown_and_starts_by_itself_after_the_opening(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(opens_in=60)
    context.add_cookies([{"name": "exam", "value": server.hall.login(), "url": server.url}])
    page = context.new_page()
    page.goto(server.url + "/sitting")
    expect(page.locator(hook("countdown"))).to_contain_text(re.compile(r"00:5\d"))
    server.hall.opens_at = server.now() + 2500
    page.reload()
    expect(page.locator(hook("countdown"))).to_contain_text(re.compile(r"00:0[123]"))
    expect(page.locator(hook("waiting"))).to_contain_text("Hall 2, Municipal School, Dadar")
    expect(page.locator(hook("start"))).to_be_hidden()
    page.wait_for_selector(hook("question"), timeout=9000)
    late = server.hall.attempt.started_at - server.hall.opens_at
    assert 0 <= late < 3500
    assert [path for _, path, _ in server.requests].count("/api/start") == 1
    expect(page.locator(hook("time"))).to_have_text(re.compile(r"1:(30:00|29:5\d)"))


@pytest.mark.parametrize("fits", [True, False])
def test_the_sealed_paper_is_opened_by_the_start_and_else_the_paper_is_fetched(
    context: BrowserContext, serve: Serve, fits: bool
) -> None:
    server = serve(opens_in=8)
    if not fits:
        server.hall.key = bytes(32)
    page = log_in(context, server)
    asked = lambda start: [path for _, path, _ in server.requests if path.startswith(start)]  # noqa: E731
    until(lambda: bool(asked("/papers/")), "the sealed paper is fetched while the candidate waits")
    assert not asked("/api/start")
    page.wait_for_selector(hook("question"), timeout=15_000)
    assert bool(asked("/api/papers/")) == (not fits)
    assert len(asked("/papers/")) == 1


def test_a_page_that_nobody_sees_does_not_start_the_time(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=60)
    context.add_init_script("Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });")
    page = log_in(context, server)
    server.hall.opens_at = server.now() + 2000
    page.reload()
    page.wait_for_selector(hook("countdown"))
    expect(page.locator(hook("start"))).to_be_visible()
    page.wait_for_timeout(300)
    assert server.hall.attempt.state == "prepared"


def test_an_open_slot_waits_for_the_button(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = log_in(context, server)
    expect(page.locator(hook("start"))).to_be_focused()
    assert server.hall.attempt.state == "prepared"
    server.deaf = 1
    page.keyboard.press("Enter")
    page.wait_for_selector(hook("question"))
    assert server.hall.attempt.epoch == 1


def test_after_the_last_moment_nobody_can_start(context: BrowserContext, serve: Serve) -> None:
    page = log_in(context, serve(opens_in=-3600))
    expect(page.locator("#waiting-words")).to_contain_text("The last moment to start was")


# ---- answering


def test_every_interaction_is_saved_as_the_protocol_writes_it(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    go(page, 2)
    page.check(f"{hook('option')}[value=b]")
    page.check(f"{hook('option')}[value=a]")
    go(page, 3)
    page.fill(hook("text"), "०.९२")
    go(page, 4)
    page.fill(hook("text"), "thirty six")
    page.press(hook("text"), "Tab")
    expect(page.locator("#q4-answer-hint")).to_contain_text("There is no number")
    go(page, 5)
    page.check(f"{hook('option')}[value=true]")
    go(page, 6)
    page.select_option(f"{hook('match')}[data-prompt=q1]", "c1")
    page.select_option(f"{hook('match')}[data-prompt=q3]", "c3")
    go(page, 7)
    page.fill(hook("text"), "open \ud83d\ude00")
    go(page, 8)
    page.fill(hook("text"), "First I\nlook.")
    says(page, "All 8 answers safe (")
    assert held(server) == {
        1: "p1",
        2: ["a", "b"],
        3: "०.९२",
        4: "thirty six",
        5: "true",
        6: {"q1": "c1", "q3": "c3"},
        7: "open \U0001f600",
        8: "First I\nlook.",
    }
    page.click(hook("clear"))
    expect(page.locator(hook("text"))).to_have_value("")
    go(page, 2)
    page.uncheck(f"{hook('option')}[value=b]")
    page.uncheck(f"{hook('option')}[value=a]")
    go(page, 6)
    page.select_option(f"{hook('match')}[data-prompt=q1]", "")
    page.select_option(f"{hook('match')}[data-prompt=q3]", "")
    says(page, "All 5 answers safe (")
    assert [held(server)[no] for no in (2, 6, 8)] == [None, None, None]
    assert {body["answers"][0]["seq"] for _, path, body in server.requests if path == "/api/answers"}


def test_a_text_is_taken_within_a_second_though_typing_goes_on(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    go(page, 8)
    page.focus(hook("text"))
    began = time.monotonic()
    page.keyboard.type("I go on and on and on", delay=100)
    assert time.monotonic() - began > 1.8
    assert 8 in held(server), "nothing was saved while typing"
    until(lambda: held(server)[8] == "I go on and on and on", "the end of the text did not arrive")


def test_flags_palette_and_both_views(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    square = page.locator(f"aside {hook('square')}")
    page.check(f"{hook('option')}[value=p9]")
    page.click(hook("flag"))
    expect(page.locator(hook("flag"))).to_have_attribute("aria-pressed", "true")
    expect(square.nth(0)).to_have_attribute("aria-label", "Question 1, answered, marked for later")
    expect(square.nth(0)).to_have_attribute("aria-current", "true")
    expect(square.nth(1)).to_have_attribute("aria-label", "Question 2, not seen yet")
    page.click(hook("next"))
    expect(page.locator("#q2-title")).to_be_focused()
    page.click(hook("previous"))
    expect(page.locator("#q1-title")).to_be_focused()
    expect(square.nth(1)).to_have_attribute("aria-label", "Question 2, not answered")
    page.click(hook("settings"))
    page.select_option(hook("view"), "all")
    expect(page.locator(hook("question"))).to_have_count(11)
    expect(page.locator(f"#q1 {hook('option')}:checked")).to_have_value("p9")
    page.keyboard.press("Escape")
    page.click(f"aside {hook('square')}[data-item='7']")
    expect(page.locator("#q7-title")).to_be_focused()
    page.fill("#q7 input", "open")
    page.click(f"#q7 {hook('flag')}")
    says(page, "All 2 answers safe")
    assert {row["item"] for row in server.hall.attempt.standing() if row["flag"]} == {1, 7}


def test_the_whole_exam_by_keyboard_alone(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    expect(page.locator("#q1-title")).to_be_focused()
    for key in ("Tab", "Space", "Tab", "Tab", "ArrowDown"):  # the flag, the question's language, then the options
        page.keyboard.press(key)
    says(page, "1 answer safe")
    assert server.hall.attempt.standing()[0]["flag"] is True
    page.keyboard.press("Tab")  # clear
    page.keyboard.press("Tab")  # next (there is nothing before question 1)
    page.keyboard.press("Enter")
    expect(page.locator("#q2-title")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.dataset.test") == "paper-mr"
    page.keyboard.press("Enter")
    expect(page.locator("#q2-prompt")).to_have_attribute("lang", "mr")
    assert page.evaluate("document.activeElement.dataset.test") == "paper-mr"
    page.focus(".skip")
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_language_of_the_page_and_of_the_questions_are_two_things(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, serve())
    page.click(hook("paper-mr"))
    expect(page.locator(hook("prompt"))).to_contain_text("समीकरणाची")
    expect(page.locator(hook("prompt"))).to_have_attribute("lang", "mr")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    page.click(hook("settings"))
    page.select_option(hook("language"), "mr")
    expect(page.locator("#q1-title")).to_contain_text("प्रश्न १")
    expect(page.locator(hook("language"))).to_be_focused()
    page.select_option(hook("paper-language"), "en")
    expect(page.locator(hook("prompt"))).to_contain_text("greater solution")
    page.reload()
    expect(page.locator("#q1-title")).to_contain_text("प्रश्न १")
    expect(page.locator("html")).to_have_attribute("lang", "mr")


def test_options_stand_in_the_order_of_the_seed(context: BrowserContext, serve: Serve) -> None:
    vectors = json.loads((ROOT / "tests/grading/option_order_vectors.json").read_text())["option_order"]
    page = context.new_page()
    page.goto(serve().url + "/blank")
    ours = page.evaluate(
        """async (vectors) => {
          const { inOrder } = await import("/static/0/candidate/order.js");
          return vectors.map(({ options, seed, item_no }) =>
            inOrder(options, seed, item_no).map((option) => option.id));
        }""",
        vectors,
    )
    assert ours == [vector["order"] for vector in vectors]
    assert len(vectors) > 10


def test_the_paper_cannot_bring_script_or_style(context: BrowserContext, serve: Serve) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    made = page.evaluate(
        """async (texts) => {
          const { fragment } = await import("/static/0/candidate/markup.js");
          return texts.map((text) => {
            const box = document.createElement("div");
            box.append(fragment(text));
            document.body.append(box);
            return box.innerHTML;
          });
        }""",
        [
            '<p onclick="x()" style="color:red" class="a" id="b">a<script>window.bad = 1</script></p>',
            '<img src="x" onerror="window.bad=1" alt="a cat"><img src="/media/ab12" alt="ok" onload="window.bad=1">',
            '<a href="javascript:window.bad=1">here</a><iframe src="/"></iframe><svg><script>bad=1</script></svg>',
            '<math><mi mathvariant="normal" href="javascript:1">x</mi><annotation-xml encoding="text/html"><p>y</p>'
            "</annotation-xml></math>",
            "1 &lt; 2 &amp; <b>bold</b><custom-tag>kept text</custom-tag>",
        ],
    )
    assert made == [
        "<p>a</p>",
        'a cat<img alt="ok" src="/media/ab12">',
        "here",
        '<math><mi mathvariant="normal">x</mi></math>',
        "1 &lt; 2 &amp; <b>bold</b>kept text",
    ]
    assert page.evaluate("window.bad") is None


# ---- bad lines, reloads, other devices


def test_the_line_goes_down_and_comes_back(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    context.set_offline(True)
    says(page, "The line is down. Your 1 answer is safe.")
    go(page, 5)
    page.check(f"{hook('option')}[value=false]")
    go(page, 7)
    page.fill(hook("text"), "open")
    says(page, "The line is down. Your 2 answers are kept on this device. Keep working; we send them when it is back.")
    assert held(server) == {1: "p1"}
    page.wait_for_timeout(1000)
    says(page, "Your 2 answers are kept on this device")
    context.set_offline(False)
    says(page, "All 3 answers safe (")
    assert held(server) == {1: "p1", 5: "false", 7: "open"}


def test_lost_answers_of_the_server_busy_moments_and_a_log_in_page(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    server.deaf = 2
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    server.busy = 1
    go(page, 5)
    page.check(f"{hook('option')}[value=true]")
    says(page, "The server is very busy. Your 1 answer is kept")
    says(page, "All 2 answers safe (")
    server.proxy_page = True
    page.check(f"{hook('option')}[value=false]")
    says(page, "The network shows a page of its own")
    server.proxy_page = False
    says(page, "All 2 answers safe (")
    assert held(server) == {1: "p1", 5: "false"}
    assert len(server.hall.attempt.counted) == 3


def test_a_reload_resumes_exactly_also_what_was_never_sent(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    page.click(hook("flag"))
    says(page, "1 answer safe (")
    server.cut = True
    go(page, 4)
    page.fill(hook("text"), "36")
    go(page, 8)
    page.keyboard.press("Tab")
    page.fill(hook("text"), "never sent")
    page.reload()
    expect(page.locator(SAVE)).to_contain_text("The line is down")
    server.cut = False
    expect(page.locator("#q8-title")).to_be_visible()
    expect(page.locator(hook("text"))).to_have_value("never sent")
    says(page, "All 3 answers safe (")
    assert held(server) == {1: "p1", 4: "36", 8: "never sent"}
    assert server.hall.attempt.epoch == 1
    go(page, 1)
    expect(page.locator(f"{hook('option')}[value=p1]")).to_be_checked()
    expect(page.locator(hook("flag"))).to_have_attribute("aria-pressed", "true")
    expect(page.locator(f"aside {hook('square')}").nth(1)).to_have_attribute("data-state", "unseen")


def test_another_device_takes_over_and_the_old_one_is_told(
    chromium: Browser, context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    old = sit(context, server)
    old.check(f"{hook('option')}[value=p1]")
    says(old, "1 answer safe (")
    other = chromium.new_context()
    new = log_in(other, server)
    expect(new.locator(hook("dialog-device"))).to_contain_text("You began on another device")
    new.click(hook("device-no"))
    expect(new.locator(hook("stopped"))).to_be_visible()
    new.click(hook("takeover"))
    new.click(hook("device-yes"))
    expect(new.locator(f"{hook('option')}[value=p1]")).to_be_checked()
    new.check(f"{hook('option')}[value=p9]")
    says(new, "1 answer safe (")
    old.check(f"{hook('option')}[value=p2]")
    expect(old.locator(hook("stopped"))).to_contain_text("The exam goes on at another device")
    says(old, "This page has stopped.", "1 answer from here came after you changed the device")
    assert held(server) == {1: "p9"}
    assert [reason for _, reason in server.hall.attempt.kept.values()] == ["stale_device"]
    old.click(hook("takeover"))
    old.click(hook("device-yes"))
    expect(old.locator(f"{hook('option')}[value=p9]")).to_be_checked()
    assert held(server) == {1: "p9"}
    server.hall.attempt.takeovers_left = 0
    new.check(f"{hook('option')}[value=p4]")
    new.click(hook("takeover"))
    new.click(hook("device-yes"))
    expect(new.locator(hook("stopped"))).to_contain_text("Ask the invigilator to allow it")
    other.close()


def test_a_second_tab_waits_calmly_until_the_first_is_closed(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    first = sit(context, server)
    first.check(f"{hook('option')}[value=p1]")
    says(first, "1 answer safe (")
    second = context.new_page()
    second.goto(server.url + "/sitting")
    expect(second.locator(hook("other-tab"))).to_contain_text("open in another tab")
    first.close()
    expect(second.locator(f"{hook('option')}[value=p1]")).to_be_checked()
    assert server.hall.attempt.epoch == 1


def test_a_second_tab_without_a_line_goes_on_from_where_the_first_one_stopped(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    first = sit(context, server)
    first.check(f"{hook('option')}[value=p1]")
    says(first, "1 answer safe (")
    server.cut = True
    second = context.new_page()
    second.goto(server.url + "/sitting")
    expect(second.locator(hook("other-tab"))).to_be_visible()
    go(first, 4)
    first.fill(hook("text"), "36")
    first.keyboard.press("Tab")
    says(first, "kept on this device")
    first.close()
    go(second, 4)
    expect(second.locator(hook("text"))).to_have_value("36")
    go(second, 8)
    second.fill(hook("text"), "later")
    server.cut = False
    says(second, "All 3 answers safe (")
    assert held(server) == {1: "p1", 4: "36", 8: "later"}
    assert server.hall.attempt.epoch == 1


def test_logged_out_in_mid_exam_nothing_is_lost(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    server.hall.sessions.clear()
    page.check(f"{hook('option')}[value=p1]")
    expect(page.locator(hook("dialog-login"))).to_contain_text("nothing is lost")
    says(page, "You are logged out. Your 1 answer is kept here")
    page.keyboard.press("Escape")
    page.fill(f"dialog {hook('code')}", server.hall.code)
    page.click(f"dialog {hook('login')}")
    page.click(hook("device-yes"))
    says(page, "1 answer safe (")
    assert held(server) == {1: "p1"}
    assert server.hall.attempt.kept == {}


def test_a_browser_that_keeps_nothing_says_so_and_works(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    context.add_init_script("indexedDB.open = () => { throw new DOMException('denied', 'SecurityError'); };")
    page = sit(context, server)
    says(page, "This browser can’t keep answers, stay online.")
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (", "This browser can’t keep answers, stay online.")
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    says(page, "1 answer is only on this page", "do not close or reload it")
    server.cut = False
    says(page, "1 answer safe (")
    assert held(server) == {1: "p2"}


# ---- time and end


def test_extra_time_and_announcements_come_with_the_next_save(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=31)
    page = sit(context, server)
    before = page.locator(hook("time")).inner_text()
    server.hall.attempt.deadline += 10 * 60_000
    server.hall.notices.append(
        {"notice": 1, "at": server.now(), "text": {"en": "Water is at the door.", "mr": "पाणी दाराशी आहे."}}
    )
    page.check(f"{hook('option')}[value=p1]")
    expect(page.locator(hook("extra-time"))).to_contain_text("Your exam now ends at")
    expect(page.locator(hook("notice"))).to_contain_text("Water is at the door.")
    assert page.locator(hook("time")).inner_text()[:2] != before[:2]
    page.click(f"{hook('notice')} button")
    expect(page.locator(hook("notice"))).to_have_count(0)
    expect(page.locator(hook("extra-time"))).to_have_count(1)
    page.reload()
    page.wait_for_selector(hook("question"))
    page.wait_for_timeout(300)
    expect(page.locator(hook("notice"))).to_have_count(0)


def test_the_deadline_locks_the_input_and_the_clock_hands_in(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=8 / 60, grace=1)
    context.add_init_script("Math.random = () => 0.01")
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    go(page, 7)
    page.focus(hook("text"))
    until(lambda: types_until_locked(page), "the input was not locked", 20)
    expect(page.locator(hook("over"))).to_be_focused()
    last_word = page.input_value(hook("text"))
    page.keyboard.type("too late")
    assert page.input_value(hook("text")) == last_word != ""
    expect(page.locator("#live")).to_contain_text("Your time is over")
    expect(page.locator(hook("text"))).to_be_disabled()
    expect(page.locator(hook("flag"))).to_be_disabled()
    expect(page.locator(hook("receipt-code"))).to_have_text(re.compile(r"^\w{4}-\w{4}-\w{4}$"))
    expect(page.locator(hook("receipt"))).to_contain_text("handed in by itself")
    assert held(server) == {1: "p1", 7: last_word}


def test_the_devices_own_clock_decides_nothing(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=90)
    page = sit(context, server)
    page.evaluate("{ const real = Date.now; Date.now = () => real() + 86400000; }")
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    page.wait_for_timeout(1100)
    expect(page.locator(hook("time"))).to_have_text(re.compile(r"1:29:5\d"))
    expect(page.locator(f"{hook('option')}[value=p2]")).to_be_enabled()


def types_until_locked(page: Page) -> bool:
    """Types one more letter; whether the time is over now."""
    page.keyboard.type("a")
    return page.locator(hook("over")).is_visible()


def test_more_time_opens_a_locked_sheet_again(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=6 / 60)
    server.hall.grace_ms = 0
    context.add_init_script("Math.random = () => 0.01")
    page = sit(context, server)
    page.wait_for_selector(hook("over"))
    server.hall.attempt.state, server.hall.attempt.receipt = "started", None
    server.hall.attempt.deadline += 600_000
    expect(page.locator(hook("over"))).to_be_hidden()
    page.check(f"{hook('option')}[value=p2]")
    says(page, "1 answer safe (")


def test_what_arrives_after_the_end_is_called_kept(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=60)
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    says(page, "The line is down")
    server.ahead = 3_700_000
    server.cut = False
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator(hook("receipt-code"))).to_be_visible()
    says(page, "1 answer came after the end. It is kept for the district to decide")
    assert held(server) == {1: "p1"}
    assert [reason for _, reason in server.hall.attempt.kept.values()] == ["closed"]
    expect(page.locator(hook("delivered"))).to_contain_text("Everything from this device has arrived")
    until(lambda: rows_on_device(page) == 0, "the journal was not deleted")


def rows_on_device(page: Page) -> int:
    """How many rows the browser still holds of any attempt."""
    count: int = page.evaluate(
        """() => new Promise((done) => {
          const request = indexedDB.open("exam-journal", 2);
          request.onsuccess = () => {
            const all = request.result.transaction("rows").objectStore("rows").count();
            all.onsuccess = () => { request.result.close(); done(all.result); };
          };
        })"""
    )
    return count


def test_submitting_names_what_is_open_and_gives_a_receipt_and_later_the_result(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    page.click(hook("flag"))
    go(page, 7)
    page.fill(hook("text"), "open")
    go(page, 11)
    page.click(hook("next"))
    expect(page.locator(hook("review-count"))).to_have_text("You have answered 2 of 11 questions.")
    page.click(f"{hook('review-item')}[data-item='7']")
    expect(page.locator("#q7-title")).to_be_focused()
    go(page, 11)
    page.click(hook("next"))
    page.click(hook("submit"))
    expect(page.locator(hook("dialog-submit"))).to_contain_text("Questions 2, 3, 4, 5, 6, 8, 9, 10 and 11 are not")
    expect(page.locator(hook("dialog-submit"))).to_contain_text("Question 1 is marked for later.")
    expect(page.locator(hook("submit-not"))).to_be_focused()
    page.click(hook("submit-not"))
    page.click(hook("submit"))
    server.deaf = 1
    page.click(hook("submit-now"))
    expect(page.locator(hook("receipt-code"))).to_have_text(server_receipt(server))
    expect(page.locator(hook("receipt-count"))).to_have_text("2 of 11 questions answered")
    until(lambda: rows_on_device(page) == 0, "the journal was not deleted")
    page.click(hook("look"))
    expect(page.locator(hook("delivered"))).to_contain_text("not been released")
    server.hall.release()
    page.click(hook("look"))
    expect(page.locator(hook("score"))).to_have_text("6.5 / 9")
    expect(page.locator(hook("sections"))).to_contain_text("Science and teaching")
    page.reload()
    expect(page.locator(hook("score"))).to_have_text("6.5 / 9")
    page.click(hook("logout"))
    page.wait_for_selector(hook("login-form"))
    assert server.hall.sessions == set()


def server_receipt(server: Server) -> str:
    until(lambda: server.hall.attempt.receipt is not None, "no receipt was made")
    assert server.hall.attempt.receipt is not None
    code: str = server.hall.attempt.receipt["code"]
    return code


def test_pages_on_the_way_have_no_accessibility_violation(context: BrowserContext, serve: Serve) -> None:
    from axe_playwright_python.sync_playwright import Axe

    server = serve(opens_in=60)
    found: dict[str, Any] = {}

    def look(name: str) -> None:
        result = Axe().run(page).response["violations"]
        found[name] = [(each["id"], each["nodes"][0]["html"][:200]) for each in result]

    page = context.new_page()
    page.goto(server.url + "/")
    page.wait_for_selector(hook("login-form"))
    look("log-in")
    page.fill(hook("registration"), server.hall.registration)
    page.fill(hook("code"), server.hall.code)
    page.click(hook("login"))
    page.wait_for_selector(hook("waiting"))
    look("waiting")
    server.hall.opens_at = server.now() - 1000
    page.reload()
    page.click(hook("start"))
    page.wait_for_selector(hook("question"))
    page.click(hook("settings"))
    look("one question")
    page.select_option(hook("view"), "all")
    look("all questions")
    page.click(hook("to-review"))
    page.click(hook("submit"))
    look("review")
    page.click(hook("submit-now"))
    page.wait_for_selector(hook("receipt-code"))
    look("receipt")
    assert {name: violations for name, violations in found.items() if violations} == {}


@pytest.mark.parametrize(("width", "height", "language"), [(360, 740, "en"), (1280, 800, "mr")])
def test_screenshots_to_look_at(chromium: Browser, serve: Serve, width: int, height: int, language: str) -> None:
    """Walks through every page, at a phone's and a desktop's width; nothing may be wider than the window."""
    SCREENSHOTS.mkdir(exist_ok=True)
    server = serve(opens_in=600)
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.set_default_timeout(8000)
    taken = 0

    def take(name: str, *colours: str) -> None:
        nonlocal taken
        taken += 1
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} is {wide} px wider than the window"
        for each in (*colours, "light"):
            page.evaluate("(each) => { document.documentElement.dataset.colours = each; }", each)
            page.screenshot(path=SCREENSHOTS / f"{width}-{language}-{taken:02}-{name}-{each}.png")

    page.goto(server.url + "/")
    page.select_option(hook("language"), language)
    page.fill(hook("registration"), "MUM-1")
    page.fill(hook("code"), "XXXX")
    page.click(hook("login"))
    expect(page.locator(hook("login-message"))).not_to_be_empty()
    take("log-in", "dark")
    page.fill(hook("registration"), server.hall.registration)
    page.fill(hook("code"), server.hall.code)
    page.click(hook("login"))
    page.wait_for_selector(hook("waiting"))
    take("waiting")
    server.hall.opens_at = server.now() - 1000
    page.reload()
    page.wait_for_selector(hook("start"))
    take("open")
    page.click(hook("start"))
    page.wait_for_selector(hook("question"))
    if language == "mr":
        page.click(hook("paper-mr"))
    page.locator(hook("option")).nth(1).check()
    page.click(hook("flag"))
    expect(page.locator(SAVE)).to_have_attribute("data-kind", "safe")
    take("safe", "dark", "contrast")
    for no in range(2, 12):
        page.click(hook("next"))
        if no == 2:
            page.locator(hook("option")).nth(2).check()
        if no == 4:
            page.fill(hook("text"), "36")
        if no == 6:
            page.locator(hook("match")).first.select_option(index=2)
        if no == 8:
            page.fill(hook("text"), "I walk over quietly.\n" * 3)
        if no == 9:
            page.locator(hook("gap")).first.select_option(index=1)
        if no == 10:
            page.locator(hook("order-down")).first.click()
        if no in (2, 4, 6, 8, 9, 10):
            page.evaluate("scrollTo(0, 0)")
            take(f"question-{no}")
    opener = page.locator(hook("open-palette"))
    if opener.is_visible():
        opener.click()
        take("palette", "dark")
        page.click(hook("palette-close"))
    server.cut = True
    page.fill(hook("text"), "I walk over quietly, and sit down.")
    expect(page.locator(SAVE)).to_contain_text({"en": "line is down", "mr": "संपर्क तुटला"}[language])
    take("down", "dark", "contrast")
    server.cut = False
    server.hall.attempt.deadline += 600_000
    text = {"en": "The light in Hall 2 goes off for two minutes.", "mr": "कक्ष २ मधील दिवे दोन मिनिटे बंद राहतील."}
    server.hall.notices.append({"notice": 1, "at": server.now(), "text": text})
    page.evaluate("dispatchEvent(new Event('online'))")
    page.wait_for_selector(hook("notice"))
    take("notices", "dark")
    page.locator(hook("notice-read")).first.click()
    page.locator(hook("notice-read")).first.click()
    page.click(hook("settings"))
    take("settings")
    page.select_option(hook("view"), "all")
    page.keyboard.press("Escape")
    page.evaluate("scrollTo(0, 0)")
    take("all")
    page.click(hook("to-review"))
    take("review", "contrast")
    page.click(hook("submit"))
    take("sure")
    page.click(hook("submit-now"))
    page.wait_for_selector(hook("receipt-code"))
    take("receipt", "dark")
    server.hall.release()
    page.click(hook("look"))
    page.wait_for_selector(hook("score"))
    take("result")
    context.close()
