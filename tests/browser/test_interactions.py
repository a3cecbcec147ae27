"""Gaps in a text, a list to put into order, and essays: by mouse, touch and keyboard, and what is sent of them."""

import json
import re
import time
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from grading.forms import gap_orders, option_order
from grading.items import InlineChoice, Interaction, Ordering, response_fits
from grading.scoring import answered
from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import PAPER, ROOT, Server, fits
from tests.browser.test_candidate_screen import Serve, go, held, hook, no_errors, says, sit, until

__all__ = ["no_errors"]
pytestmark = pytest.mark.browser

GAPS, ORDER, ESSAY = 9, 10, 11
ENTRIES = {option["id"]: option["text"]["en"] for option in PAPER["items"][ORDER - 1]["interaction"]["options"]}


def ordering() -> Ordering:
    return msgspec.convert(PAPER["items"][ORDER - 1]["interaction"], Ordering)


def sits_at(context: BrowserContext, server: Server, no: int) -> Page:
    page = sit(context, server)
    go(page, no)
    return page


def shown(page: Page) -> list[str]:
    """The ids of the entries from the top."""
    found: list[str] = page.locator(hook("entry")).evaluate_all("(rows) => rows.map((row) => row.dataset.option)")
    return found


def in_places(ids: list[str]) -> dict[str, str]:
    return {str(place): entry for place, entry in enumerate(ids, start=1)}


def standing(page: Page, no: int) -> str | None:
    return page.locator(f"aside {hook('square')}[data-item='{no}']").get_attribute("data-state")


def news(page: Page) -> Any:
    return page.locator(f"{hook('question')} fieldset [role=status]")


# ---- gaps


def test_gaps_are_lists_inside_their_sentence_that_say_which_gap_they_are(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sits_at(context, server, GAPS)
    body = page.locator(".gapped")
    expect(body).to_have_attribute("lang", "en")
    expect(body.locator("p")).to_have_count(2)
    expect(body).not_to_contain_text("[[")
    assert body.locator("p").first.locator("select").count() == 2
    for n in (1, 2, 3):
        expect(page.get_by_label(f"Gap {n} of 3")).to_have_attribute("data-test", "gap")
    interaction = PAPER["items"][GAPS - 1]["interaction"]
    orders = page.locator(hook("gap")).evaluate_all(
        """(all) => Object.fromEntries(
          all.map((one) => [one.dataset.gap, [...one.options].slice(1).map((option) => option.value)]))"""
    )
    assert orders == gap_orders(server.hall.seed, GAPS, msgspec.convert(interaction, InlineChoice).gaps)
    assert standing(page, GAPS) == "open"
    page.get_by_label("Gap 2 of 3").select_option("already")
    says(page, "1 answer safe (")
    assert held(server) == {GAPS: {"before": "a"}} and standing(page, GAPS) == "answered"
    page.get_by_label("Gap 1 of 3").select_option("timetable")
    page.get_by_label("Gap 2 of 3").select_option("")
    until(lambda: held(server)[GAPS] == {"aim": "b"}, "what counts is what is chosen")
    page.get_by_label("Gap 1 of 3").select_option("")
    until(lambda: held(server)[GAPS] is None, "no gap chosen is no answer")
    assert standing(page, GAPS) == "open"


def test_gaps_keep_what_was_chosen_in_the_other_language_and_after_a_reload(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sits_at(context, server, GAPS)
    page.locator(f"{hook('gap')}[data-gap=check]").select_option("a")
    says(page, "1 answer safe (")
    page.click(hook("paper-mr"))
    expect(page.locator(".gapped")).to_have_attribute("lang", "mr")
    expect(page.locator(f"{hook('gap')}[data-gap=check]")).to_have_value("a")
    expect(page.locator(f"{hook('gap')}[data-gap=check] option:checked")).to_have_text("चाचणी")
    page.reload()
    expect(page.locator(f"{hook('gap')}[data-gap=check]")).to_have_value("a")
    page.click(hook("clear"))
    expect(page.locator(f"{hook('gap')}[data-gap=check]")).to_have_value("")
    until(lambda: held(server)[GAPS] is None, "cleared")


# ---- order


def test_an_order_is_no_answer_until_somebody_touches_or_keeps_it(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sits_at(context, server, ORDER)
    first = option_order(server.hall.seed, ORDER, ordering().options)
    assert shown(page) == first
    expect(page.locator(hook("order-state"))).to_contain_text("Not answered yet")
    page.wait_for_timeout(300)
    assert held(server) == {} and standing(page, ORDER) == "open"
    page.click(hook("order-keep"))
    says(page, "1 answer safe (")
    assert held(server) == {ORDER: in_places(first)} and standing(page, ORDER) == "answered"
    expect(page.locator(hook("order-keep"))).to_be_hidden()
    expect(page.locator(hook("order-state"))).to_contain_text("is your answer")
    expect(page.locator("ol.order")).to_be_focused()
    page.click(hook("clear"))
    until(lambda: held(server)[ORDER] is None, "cleared")
    expect(page.locator(hook("order-keep"))).to_be_visible()
    assert shown(page) == first and standing(page, ORDER) == "open"


def test_an_order_by_keyboard_alone_keeps_the_focus_and_tells_each_place(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sits_at(context, server, ORDER)
    a, b, c, d = shown(page)
    for _ in range(8):  # the flag and the like, then the first entry
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.test") == "order-down":
            break
    assert page.evaluate("document.activeElement.ariaLabel") == f"Move down: {ENTRIES[a]}"
    page.keyboard.press("Enter")
    assert shown(page) == [b, a, c, d]
    expect(news(page)).to_have_text(f"“{ENTRIES[a]}” is now in place 2 of 4.")
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert shown(page) == [b, c, d, a]
    assert page.evaluate("document.activeElement.ariaLabel") == f"Move down: {ENTRIES[a]}"
    assert page.evaluate("document.activeElement.getAttribute('aria-disabled')") == "true"
    page.keyboard.press("Enter")
    assert shown(page) == [b, c, d, a]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(news(page)).to_have_text(f"“{ENTRIES[a]}” is now in place 3 of 4.")
    assert page.evaluate("document.activeElement.ariaLabel") == f"Move up: {ENTRIES[a]}"
    until(lambda: held(server).get(ORDER) == in_places([b, c, a, d]), "the order arrived")
    page.reload()
    page.wait_for_selector(hook("entry"))
    assert shown(page) == [b, c, a, d]
    page.click(hook("paper-mr"))
    assert shown(page) == [b, c, a, d]
    expect(page.locator(hook("order-keep"))).to_be_hidden()


def test_pressing_at_the_end_of_the_way_is_no_answer(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sits_at(context, server, ORDER)
    page.locator(hook("order-up")).first.click(force=True)
    page.locator(hook("order-down")).last.click(force=True)
    page.wait_for_timeout(300)
    assert held(server) == {} and standing(page, ORDER) == "open"


def drag(page: Page, entry: str, onto: str, past: float, handle: str = ".option-text") -> None:
    """Take an entry by the mouse and lay it over another, `past` px beyond its middle."""
    row = page.locator(f"{hook('entry')}[data-option={entry}]")
    grip, goal = row.locator(handle).bounding_box(), page.locator(f"[data-option={onto}]").bounding_box()
    assert grip and goal
    x, y = grip["x"] + 10, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    for step in range(1, 9):
        page.mouse.move(x, y + (goal["y"] + goal["height"] / 2 + past - y) * step / 8)


def test_an_order_by_mouse_and_one_pressed_without_moving(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sits_at(context, server, ORDER)
    a, b, c, d = shown(page)
    page.locator(f"[data-option={b}] .grip").click()
    page.locator(f"[data-option={c}] .option-text").click()
    drag(page, a, a, 8)
    page.mouse.up()
    page.wait_for_timeout(200)
    assert shown(page) == [a, b, c, d] and held(server) == {}
    drag(page, a, c, 12)
    assert held(server) == {}, "what is still in the hand is not sent"
    page.mouse.up()
    assert shown(page) == [b, c, a, d]
    expect(news(page)).to_have_text(f"“{ENTRIES[a]}” is now in place 3 of 4.")
    until(lambda: held(server).get(ORDER) == in_places([b, c, a, d]), "the order arrived")
    drag(page, d, b, -12, ".grip")
    page.mouse.up()
    assert shown(page) == [d, b, c, a]
    assert page.locator(f"[data-option={d}]").evaluate("(row) => row.style.translate") == ""
    until(lambda: held(server)[ORDER] == in_places([d, b, c, a]), "the order arrived")


def test_what_is_in_the_hand_when_the_question_is_left_or_the_time_ends_counts(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve(minutes=0.2)
    page = sits_at(context, server, ORDER)
    a, b, c, d = shown(page)
    drag(page, d, a, -12)
    page.evaluate("document.querySelector(\"aside [data-item='1']\").click()")
    page.mouse.up()
    until(lambda: held(server).get(ORDER) == in_places([d, a, b, c]), "it was not dropped")
    go(page, ORDER)
    drag(page, a, d, -12)
    expect(page.locator(hook("over"))).to_be_visible(timeout=15_000)
    until(lambda: held(server)[ORDER] == in_places([a, d, b, c]), "the end of the time dropped it in its place")
    page.mouse.up()
    expect(page.locator(hook("order-up")).first).to_be_disabled()


def test_an_order_by_touch_takes_the_handle_and_leaves_the_rest_to_scrolling(chromium: Browser, serve: Serve) -> None:
    server = serve()
    context = chromium.new_context(viewport={"width": 320, "height": 640}, has_touch=True, is_mobile=True)
    page = sit(context, server)
    while page.locator(hook("question")).get_attribute("data-item") != str(ORDER):
        page.tap(hook("next"))
    a, b, c, d = shown(page)
    touch = context.new_cdp_session(page)

    def swipe(handle: str, by: float) -> None:
        page.locator(f"[data-option={a}]").scroll_into_view_if_needed()
        box = page.locator(f"[data-option={a}] {handle}").bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 11):
            point = {"x": x, "y": y + by * step / 10}
            touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    swipe(".option-text", -60)
    page.wait_for_timeout(300)
    assert shown(page) == [a, b, c, d] and held(server) == {}
    height = page.locator(f"[data-option={b}]").bounding_box()["height"]  # type: ignore[index]
    swipe(".grip", height * 0.9)
    until(lambda: held(server).get(ORDER) == in_places([b, a, c, d]), "dragged by its handle")
    page.wait_for_timeout(700)  # a swipe as fast as a test's is a fling to Chromium, whose next tap only stops it
    page.locator(f"[data-option={a}] {hook('order-up')}").tap()
    until(lambda: held(server)[ORDER] == in_places([a, b, c, d]), "moved by its button")
    small = page.locator("fieldset button:visible, fieldset .grip").evaluate_all(
        """(all) => all.map((one) => one.getBoundingClientRect())
          .filter((box) => box.width < 44 || box.height < 44).length"""
    )
    assert small == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


# ---- essays


def test_an_essay_is_counted_and_saved_while_it_is_typed(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sits_at(context, server, ESSAY)
    field, hint = page.locator(hook("text")), page.locator(f"#q{ESSAY}-answer-hint")
    expect(hint).to_have_text("0 of at most 2000 characters")
    field.press_sequentially("I would ask", delay=20)
    expect(hint).to_have_text("11 of at most 2000 characters")
    until(lambda: held(server) == {ESSAY: "I would ask"}, "saved without leaving the field")
    expect(news(page).first).to_have_text("")
    field.fill("अ" * 1990)
    expect(hint).to_have_text("1990 of at most 2000 characters")
    expect(news(page).first).to_have_text("Room for 10 more characters.")
    field.press("End")
    page.keyboard.type("b" * 20)
    field.blur()
    until(lambda: held(server)[ESSAY] == "अ" * 1990 + "b" * 10, "no more than fits is sent")
    page.reload()
    expect(field).to_have_value("अ" * 1990 + "b" * 10)
    field.fill(" \n\u3000\x85")
    field.blur()
    until(lambda: held(server)[ESSAY] is None, "blanks are no answer")
    assert standing(page, ESSAY) == "open"


def test_a_long_essay_is_sent_less_often_but_not_lost(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sits_at(context, server, ESSAY)
    field = page.locator(hook("text"))
    field.fill("x" * 1800)
    began = time.monotonic()
    until(lambda: ESSAY in held(server), "it arrived")
    assert time.monotonic() - began > 1.0
    field.press("End")
    page.keyboard.type("!")
    go(page, 1)
    until(lambda: held(server)[ESSAY] == "x" * 1800 + "!", "leaving the question sends it at once", 1.5)


# ---- what both sides call an answer


def test_client_and_grading_call_the_same_things_answered(context: BrowserContext, serve: Serve) -> None:
    """Types what one side might call blank; what is sent is null exactly if the grading would call it unanswered."""
    server = serve()
    page = sits_at(context, server, 8)
    field = page.locator(hook("text"))
    blanks = ["\x1c", "\x1f", "\x85", "\u00a0", "\u2028", "\u3000", "\u1680", "\t \n"]
    for text in (*blanks, "\u200b", "0", "."):
        field.fill("-")
        field.blur()
        until(lambda: held(server).get(8) == "-", "the text before")
        field.fill(text)
        field.blur()
        until(lambda: held(server)[8] != "-", "the text")
        assert (held(server)[8] is not None) == answered(text), ascii(text)
        assert answered(text) == (text not in blanks)


def test_the_hall_of_these_tests_takes_what_the_service_takes() -> None:
    a, b, c, d = (option.id for option in ordering().options)
    for no, response in (
        (GAPS, {}),
        (GAPS, {"aim": "c"}),
        (GAPS, {"aim": "d"}),
        (GAPS, {"where": "a"}),
        (GAPS, ["a"]),
        (ORDER, in_places([a, b, c, d])),
        (ORDER, in_places([a, b, c])),
        (ORDER, in_places([a, b, c, c])),
        (ORDER, {"0": a, "1": b, "2": c, "3": d}),
        (ORDER, "a"),
        (ESSAY, "x" * 2000),
        (ESSAY, "x" * 2001),
        (ESSAY, {}),
    ):
        interaction = PAPER["items"][no - 1]["interaction"]
        ours: Interaction = msgspec.convert(interaction, Interaction)
        assert fits(interaction, response) == response_fits(ours, response), (no, response)


# ---- how they look, and to whom


def test_gaps_stand_in_the_order_of_the_seed(context: BrowserContext, serve: Serve) -> None:
    vectors = json.loads((ROOT / "tests/grading/option_order_vectors.json").read_text())["gap_orders"]
    page = context.new_page()
    page.goto(serve().url + "/blank")
    ours = page.evaluate(
        """async (vectors) => {
          const { gapsInOrder } = await import("/static/0/candidate/order.js");
          return vectors.map(({ gaps, seed, item_no }) => Object.fromEntries(
            gapsInOrder(gaps, seed, item_no).map((options, at) => [gaps[at].id, options.map((option) => option.id)])));
        }""",
        vectors,
    )
    assert ours == [vector["orders"] for vector in vectors] and len(vectors) >= 4


def test_formulas_in_order_go_by_letters(context: BrowserContext, serve: Serve) -> None:
    """A button can be called by words alone: "38" for three eighths would be a lie."""
    page = context.new_page()
    page.goto(serve().url + "/blank")
    page.evaluate(
        """async () => {
          const { answerField } = await import("/static/0/candidate/interactions.js");
          const { speak } = await import("/static/0/candidate/words.js");
          await speak("en", true);
          const half = (id, a, b) => ({ id, text: { en: `<math><mfrac><mn>${a}</mn><mn>${b}</mn></mfrac></math>` } });
          const interaction = { type: "order", shuffle: false, options: [half("x", 1, 2), half("y", 3, 8)] };
          const field = answerField({ no: 1, interaction }, { lang: "en", seed: 1, response: null, changed() {} });
          document.body.append(field.element);
        }"""
    )
    expect(page.get_by_role("button", name="Move down: A")).to_have_count(1)
    expect(page.locator(hook("entry")).nth(1)).to_contain_text("B")
    page.get_by_role("button", name="Move up: B").click()
    expect(page.locator("fieldset [role=status]")).to_have_text("“B” is now in place 1 of 2.")


@pytest.mark.parametrize("colours", ["light", "dark", "contrast"])
def test_the_new_questions_have_no_accessibility_violation(context: BrowserContext, serve: Serve, colours: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = sits_at(context, serve(), GAPS)
    page.evaluate("(colours) => { document.documentElement.dataset.colours = colours; }", colours)
    for no in (GAPS, ORDER, ESSAY):
        go(page, no)
        violations = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in violations] == [], no


@pytest.mark.parametrize(
    ("width", "height", "language", "options"),
    [
        (320, 568, "en", {}),
        (360, 740, "mr", {"has_touch": True, "is_mobile": True}),
        (1280, 800, "mr", {}),
        (1280, 800, "en", {"forced_colors": "active"}),
    ],
)
def test_screenshots_of_gaps_order_and_essay(
    chromium: Browser, serve: Serve, width: int, height: int, language: str, options: dict[str, Any]
) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    context = chromium.new_context(viewport={"width": width, "height": height}, **options)
    page = sit(context, serve())
    if language == "mr":
        page.click(hook("settings"))
        page.select_option(hook("language"), language)
        page.keyboard.press("Escape")
        page.click(hook("paper-mr"))
    name = f"{width}-{language}{'-forced' if 'forced_colors' in options else ''}"
    for no in range(2, 12):
        page.click(hook("next"))
        expect(page.locator(hook("question"))).to_have_attribute("data-item", str(no))
        if no < GAPS:
            continue
        if no == GAPS:
            page.locator(hook("gap")).first.select_option(index=1)
        if no == ORDER:
            page.locator(hook("order-down")).nth(1).click()
        if no == ESSAY:
            page.fill(hook("text"), "मी प्रथम शांतपणे विचारेन.\n" if language == "mr" else "I would ask quietly first.\n")
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), no
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=SCREENSHOTS / f"interactions-{name}-{no}.png", full_page=True)
    if language == "mr":
        page.click(hook("previous"))
        assert re.search(
            r"वर न्या: .*[\u0900-\u097f]", page.locator(hook("order-up")).first.get_attribute("aria-label") or ""
        )
    context.close()


def test_in_two_languages_each_gap_and_each_entry_is_there_once(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sits_at(context, server, GAPS)
    page.click("#paper-both")
    expect(page.locator(hook("gap"))).to_have_count(3)
    expect(page.locator(".gapped")).to_contain_text("A lesson plan begins")
    expect(page.locator(".gapped [lang=mr]")).to_contain_text("पाठ नियोजनाची सुरुवात")
    expect(page.locator(".gapped")).not_to_contain_text("[[")
    page.get_by_label("Gap 1 of 3").select_option("a")
    says(page, "1 answer safe (")
    assert held(server) == {GAPS: {"aim": "a"}}
    go(page, ORDER)
    first = shown(page)
    expect(page.locator(hook("entry")).first.locator("[lang=mr]")).to_have_count(1)
    page.locator(hook("order-down")).first.click()
    until(lambda: held(server).get(ORDER) == in_places([first[1], first[0], *first[2:]]), "moved")


def test_next_is_pressed_though_the_answer_is_taken_at_that_moment(context: BrowserContext, serve: Serve) -> None:
    """Leaving a text takes it, and a button to clear it comes; that must not push away the button being pressed."""
    server = serve()
    page = sits_at(context, server, 8)
    page.fill(hook("text"), "I walk over quietly.\n" * 3)
    page.click(hook("next"))
    expect(page.locator(hook("question"))).to_have_attribute("data-item", "9", timeout=1000)
    until(lambda: 8 in held(server), "the text was taken")
