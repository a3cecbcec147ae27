"""The calculator and the rough notes beside the questions, in a real Chromium."""

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import Server
from tests.browser.test_candidate_screen import Serve, go, held, hook, no_errors, says, sit, until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures(no_errors.__name__)]

BOTH = ["calculator", "notes"]
NO_WORKER = "Object.defineProperty(Navigator.prototype, 'serviceWorker', { get: () => undefined });"
"""Without the service worker, which keeps every file: what is fetched when is seen only so."""
THIRD = "0." + "3" * 20

CALCULATIONS = [
    ("0.1+0.2", "0.3"),
    ("0.1*0.2", "0.02"),
    ("1/3", THIRD + " rounded"),
    ("2/3", "0." + "6" * 19 + "7 rounded"),
    ("-1/3", "-" + THIRD + " rounded"),
    ("1/3*3", "1"),
    ("10/3-10/3", "0"),
    ("22/7", "3.1428571428571428571 rounded"),
    ("10/4", "2.5"),
    ("1/999999999999", "0.000000000001000000000001 rounded"),
    ("5/0", "nought"),
    ("0/0", "nought"),
    ("1/(2-2)", "nought"),
    ("12345678901234567890+1", "12345678901234567891"),
    ("99999999999999999999*99999999999999999999", "9999999999999999999800000000000000000001"),
    ("9" * 41, "large"),
    ("1" + "0" * 40, "large"),
    ("1/1" + "0" * 31, "large"),
    ("1/1" + "0" * 30, "0." + "0" * 29 + "1"),
    ("2+3*4", "14"),
    ("(2+3)*4", "20"),
    ("2(3+4)", "14"),
    ("2-3-4", "-5"),
    ("24/4/3", "2"),
    ("2--3", "5"),
    ("2×−3", "-6"),
    ("50%", "0.5"),
    ("200×10%", "20"),
    ("200+10%", "220"),
    ("200−10%", "180"),
    ("200+10%*2", "200.2"),
    ("√16", "4"),
    ("√(9+16)", "5"),
    ("√√16", "2"),
    ("√0.25", "0.5"),
    ("√(1/9)", THIRD + " rounded"),
    ("√2", "1.4142135623730950488 rounded"),
    ("2√9", "6"),
    ("√16%", "0.04"),
    ("√(-4)", "negative"),
    ("√-4", "negative"),
    ("०.१+०.२", "0.3"),
    ("1,00,000+1", "100001"),
    (".5+.5", "1"),
    ("", "unclear"),
    ("2+", "unclear"),
    ("*2", "unclear"),
    ("(2+3", "unclear"),
    ("2+3)", "unclear"),
    ("1.2.3", "unclear"),
    ("1 2", "unclear"),
    ("1e5", "unclear"),
    ("alert(1)", "unclear"),
    ("√" * 100 + "2", None),  # deep, and still an answer
]


def test_the_calculator_is_exact(context: BrowserContext, serve: Serve) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    made = page.evaluate(
        """async (all) => {
          const { calculate, shown, Unsolvable } = await import("/static/0/candidate/calculator.js");
          return all.map((text) => {
            try {
              const { text: written, exact } = shown(calculate(text));
              return exact ? written : `${written} rounded`;
            } catch (error) {
              if (!(error instanceof Unsolvable)) throw error;
              return error.word;
            }
          });
        }""",
        [text for text, _ in CALCULATIONS],
    )
    for (text, expected), found in zip(CALCULATIONS, made, strict=True):
        assert expected is None or found == expected, text
    assert made[-1] == "1 rounded"


def allow(server: Server, *tools: str) -> Server:
    server.hall.tools = list(tools)
    return server


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.click(f"{hook('calculator-key')}[data-key='{key}']")


def result(page: Page) -> str:
    return page.input_value(hook("calculation"))


# ---- where the tools are


def test_an_exam_without_tools_shows_and_fetches_none(context: BrowserContext, serve: Serve) -> None:
    context.add_init_script(NO_WORKER + "Math.random = () => 0;")
    fetched: list[str] = []
    context.on("request", lambda request: fetched.append(request.url))
    page = sit(context, serve())
    expect(page.locator(hook("tools"))).to_have_count(0)
    assert not any("calculator.js" in url or "notes.js" in url for url in fetched)


def test_only_what_the_exam_allows_is_offered_and_it_is_fetched_when_opened(
    context: BrowserContext, serve: Serve
) -> None:
    context.add_init_script(NO_WORKER)
    fetched: list[str] = []
    context.on("request", lambda request: fetched.append(request.url))
    page = sit(context, allow(serve(), "notes", "abacus"))
    expect(page.locator(f"{hook('tools')} button")).to_have_count(1)
    assert not any("notes.js" in url for url in fetched)
    page.click(hook("tool-notes"))
    expect(page.locator(hook("notes-area"))).to_be_focused()
    assert any("notes.js" in url for url in fetched)


def test_a_tool_is_there_without_a_line_once_it_had_the_time_to_come(context: BrowserContext, serve: Serve) -> None:
    context.add_init_script(
        NO_WORKER + "{ const real = setTimeout; globalThis.setTimeout = (run, ms, ...more) => "
        "real(run, ms >= 5000 && ms <= 25000 ? 0 : ms, ...more); }"
    )
    server = allow(serve(), *BOTH)
    with context.expect_event("request", lambda request: "calculator.js" in request.url):
        page = sit(context, server)
    page.wait_for_load_state("networkidle")
    context.set_offline(True)
    page.click(hook("tool-calculator"))
    press(page, "7", "×", "8", "=")
    assert result(page) == "56"
    context.set_offline(False)


def test_a_tool_that_does_not_come_says_so_and_comes_later(context: BrowserContext, serve: Serve) -> None:
    context.add_init_script(NO_WORKER)
    page = sit(context, allow(serve(), *BOTH))
    context.route("**/calculator.js*", lambda route: route.abort())
    page.click(hook("tool-calculator"))
    expect(page.locator(hook("panel-calculator"))).to_contain_text("Please try again in a while.")
    page.click(hook("tool-close"))
    context.unroute("**/calculator.js*")
    page.click(hook("tool-calculator"))
    expect(page.locator(hook("calculation"))).to_be_focused()


# ---- the calculator on the page


def test_the_calculator_by_keyboard_alone(context: BrowserContext, serve: Serve) -> None:
    server = allow(serve(), *BOTH)
    page = sit(context, server)
    page.focus(hook("tool-calculator"))
    page.keyboard.press("Enter")
    expect(page.locator(hook("calculation"))).to_be_focused()
    expect(page.locator(hook("tool-calculator"))).to_have_attribute("aria-expanded", "true")
    page.keyboard.type("0.1+0.2q")
    assert result(page) == "0.1+0.2"
    page.keyboard.press("Enter")
    assert result(page) == "0.3"
    expect(page.locator(hook("calculator-said"))).to_have_text("0.1+0.2 = 0.3")
    page.keyboard.type("*10")
    page.keyboard.press("=")
    assert result(page) == "3"
    page.keyboard.type("1/3")  # a number after a result begins anew
    page.keyboard.press("Enter")
    assert result(page) == THIRD
    expect(page.locator(hook("calculator-said"))).to_have_text(f"1÷3 = about {THIRD}")
    page.keyboard.type("x3")
    page.keyboard.press("Enter")
    assert result(page) == "1", "a rounded result goes on as exactly as it was"
    page.keyboard.type("r(9")
    page.keyboard.press("Enter")
    expect(page.locator(hook("calculator-said"))).to_contain_text("This calculation is not complete")
    page.keyboard.type(")")
    page.keyboard.press("Enter")
    assert result(page) == "3"
    page.keyboard.press("Backspace")
    page.keyboard.type("5/0")
    page.keyboard.press("Enter")
    expect(page.locator(hook("calculator-said"))).to_have_text("Nothing can be divided by 0.")
    page.keyboard.press("Tab")  # on the keys of the calculator, typing goes on
    page.keyboard.press("Backspace")
    page.keyboard.type("2")
    page.keyboard.press("=")
    assert result(page) == "2.5"
    page.keyboard.press("Escape")
    expect(page.locator(hook("panel-calculator"))).to_be_hidden()
    expect(page.locator(hook("tool-calculator"))).to_be_focused()
    page.keyboard.press("Enter")
    assert result(page) == "2.5"
    assert held(server) == {}


def test_the_calculator_by_touch_with_its_memory(context: BrowserContext, serve: Serve) -> None:
    page = sit(context, allow(serve(), *BOTH))
    page.click(hook("tool-calculator"))
    press(page, "2", "0", "0", "+", "1", "0", "%", "M+")
    assert result(page) == "220"
    expect(page.locator(hook("memory"))).to_have_text("Memory: 220")
    press(page, "1", "÷", "3", "M+", "C")
    press(page, "(", "MR", "−", "2", "2", "0", ")", "×", "3", "=")
    assert result(page) == "1"
    press(page, "√", "2", "5", "=", "−", "9", "=", "M+")
    assert result(page) == "−4"
    press(page, "C", "0", "−", "5", "0", "0", "M+", "9", "9", "=", "MR", "=")
    assert result(page).startswith("−283.66666"), "a negative memory begins anew, it is not taken off"
    press(page, "1", "2", "⌫", "=")
    assert result(page) == "1"
    page.click(hook("forget"))
    expect(page.locator(hook("memory"))).to_be_hidden()
    press(page, "C", "4", "MR", "=")
    assert result(page) == "4"


def test_the_panel_stays_while_questions_and_languages_change(context: BrowserContext, serve: Serve) -> None:
    server = allow(serve(), *BOTH)
    page = sit(context, server)
    page.click(hook("tool-calculator"))
    press(page, "1", ".", "5", "×", "2", "=")
    go(page, 4)
    page.fill(hook("text"), "3")
    says(page, "1 answer safe (")
    assert result(page) == "3"
    press(page, "+", "1")
    page.click(hook("settings"))
    page.select_option(hook("language"), "mr")
    expect(page.locator(hook("panel-calculator"))).to_contain_text("गणनयंत्र")
    press(page, "=")
    assert result(page) == "४"
    page.click(hook("tool-notes"))
    expect(page.locator(hook("panel-notes"))).to_contain_text("कच्च्या नोंदी")
    expect(page.locator(hook("tool-calculator"))).to_have_attribute("aria-expanded", "false")
    page.click(hook("tool-calculator"))
    assert result(page) == "४"
    assert held(server) == {4: "3"}


def test_on_a_phone_the_question_can_be_read_and_answered_above_the_panel(chromium: Browser, serve: Serve) -> None:
    context = chromium.new_context(viewport={"width": 320, "height": 640}, has_touch=True)
    server = allow(serve(), *BOTH)
    page = sit(context, server)
    page.set_default_timeout(8000)
    page.click(hook("tool-calculator"))
    panel = page.locator(hook("panel-calculator")).bounding_box()
    assert panel is not None and panel["height"] < 360 and panel["y"] + panel["height"] <= 641
    for locator in (page.locator(hook("option")).last, page.locator(hook("next"))):
        locator.focus()
        assert locator.evaluate(
            """(node) => {
              const { x, y, width, height } = node.getBoundingClientRect();
              return node.contains(document.elementFromPoint(x + width / 2, y + height / 2));
            }"""
        ), "the panel stands in front of it"
    page.locator(hook("option")).last.tap()
    says(page, "1 answer safe (")
    page.locator(hook("next")).tap()
    expect(page.locator(hook("question"))).to_have_attribute("data-item", "2")
    context.close()


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (1280, 800)])
def test_at_a_desk_the_panel_stands_beside_the_question(
    chromium: Browser, serve: Serve, width: int, height: int
) -> None:
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = sit(context, allow(serve(), *BOTH))
    for name in BOTH:
        page.click(hook(f"tool-{name}"))
        page.wait_for_selector(hook(f"panel-{name}"))
        panel, work = page.locator("#tool").bounding_box(), page.locator(".work").bounding_box()
        assert panel is not None and work is not None
        assert panel["x"] >= work["x"] + work["width"] and panel["y"] >= 0, name
    page.click(f"aside {hook('palette-review')}")
    expect(page.locator(hook("review"))).to_be_visible()
    context.close()


# ---- the notes


def noted(page: Page) -> list[str]:
    found: list[str] = page.evaluate("Object.keys(sessionStorage).filter((name) => name.startsWith('notes|'))")
    return found


def test_notes_survive_a_reload_and_are_gone_with_the_receipt(context: BrowserContext, serve: Serve) -> None:
    server = allow(serve(), *BOTH)
    page = sit(context, server)
    page.evaluate("sessionStorage.setItem('notes|SOMEBODY-1|5', 'of another attempt')")
    page.click(hook("tool-notes"))
    expect(page.locator(hook("panel-notes"))).to_contain_text("Your notes stay on this device.")
    expect(page.locator(hook("panel-notes"))).to_contain_text("they are deleted with the receipt")
    page.keyboard.type("try 36 first")
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    page.reload()
    page.wait_for_selector(hook("question"))
    until(lambda: len(noted(page)) == 1, "notes of another attempt stay")
    page.click(hook("tool-notes"))
    expect(page.locator(hook("notes-area"))).to_have_value("try 36 first")
    page.click(f"aside {hook('palette-review')}")
    page.click(hook("submit"))
    page.click(hook("submit-now"))
    page.wait_for_selector(hook("receipt-code"))
    expect(page.locator(hook("tools"))).to_have_count(0)
    expect(page.locator(hook("panel-notes"))).to_have_count(0)
    assert noted(page) == []
    assert "try 36" not in str(server.requests)


def test_notes_are_deleted_at_a_receipt_that_was_made_while_nobody_looked(
    context: BrowserContext, serve: Serve
) -> None:
    server = allow(serve(), *BOTH)
    page = sit(context, server)
    page.click(hook("tool-notes"))
    page.fill(hook("notes-area"), "x = 3")
    assert len(noted(page)) == 1
    server.ahead = 7_200_000
    page.reload()
    page.wait_for_selector(hook("receipt-code"))
    assert noted(page) == []


def test_notes_that_cannot_be_kept_say_so(context: BrowserContext, serve: Serve) -> None:
    context.add_init_script(
        "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };"
    )
    page = sit(context, allow(serve(), *BOTH))
    page.click(hook("tool-notes"))
    page.fill(hook("notes-area"), "x = 3")
    expect(page.locator(hook("panel-notes"))).to_contain_text("This browser cannot keep them over a reload")
    page.click(hook("tool-calculator"))
    page.click(hook("tool-notes"))
    expect(page.locator(hook("notes-area"))).to_have_value("x = 3")


# ---- for everybody


def test_the_tools_have_no_accessibility_violation(context: BrowserContext, serve: Serve) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = sit(context, allow(serve(), *BOTH))
    found = {}
    for colours in ("light", "dark", "contrast"):
        page.evaluate("(each) => { document.documentElement.dataset.colours = each; }", colours)
        for name in BOTH:
            page.click(hook(f"tool-{name}"))
            if name == "calculator":
                press(page, "1", "M+")
            result = Axe().run(page).response["violations"]
            found[f"{name} {colours}"] = [(each["id"], each["nodes"][0]["html"][:200]) for each in result]
    assert {name: violations for name, violations in found.items() if violations} == {}


@pytest.mark.parametrize(("width", "height", "language"), [(320, 640, "en"), (360, 740, "mr"), (1280, 800, "hi")])
def test_screenshots_of_the_tools(chromium: Browser, serve: Serve, width: int, height: int, language: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    context = chromium.new_context(viewport={"width": width, "height": height})
    page = sit(context, allow(serve(), *BOTH))
    page.click(hook("settings"))
    page.select_option(hook("language"), language)
    page.keyboard.press("Escape")
    for name in BOTH:
        page.click(hook(f"tool-{name}"))
        if name == "calculator":
            press(page, "2", "2", "÷", "7", "M+")
        else:
            page.fill(hook("notes-area"), "x² − 5x + 6 = (x − 2)(x − 3)")
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        small = page.evaluate(
            """[...document.querySelectorAll("#tool button, #tools button")].filter((each) => {
              const { width, height } = each.getBoundingClientRect();
              return width < 43.9 || height < 43.9;
            }).map((each) => `${each.textContent} ${each.getBoundingClientRect().width}`)"""
        )
        assert small == []
        for colours in ("dark", "light"):
            page.evaluate("(each) => { document.documentElement.dataset.colours = each; }", colours)
            page.screenshot(path=SCREENSHOTS / f"tools-{width}-{language}-{name}-{colours}.png")
    context.close()
