"""The receipt on the screen and on paper, the digest that the device computes itself, and the page that checks."""

import json
import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from exam.receipts import digest_of
from exam.web.forms import Form
from exam.web.pages import CONTENT_SECURITY_POLICY
from exam.web.receipts import WORDS
from grading.items import canonical
from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import ROOT
from tests.browser.test_candidate_screen import Serve, go, hook, no_errors, rows_on_device, says, sit

pytestmark = pytest.mark.browser

__all__ = ["no_errors"]  # a fixture for this module, too

SAME = "Your device has computed the same digest from your answers."
OWN = hook("receipt-own")


def submit(page: Page) -> None:
    """Hands in from wherever the page is."""
    page.locator(f"aside {hook('square')}").last.click()
    page.click(hook("next"))
    page.click(hook("submit"))
    page.click(hook("submit-now"))
    page.wait_for_selector(hook("receipt-code"))


# The digest -----------------------------------------------------------------------------------------------------------

TRICKY: list[Any] = [
    None,
    "",
    "b",
    'He said "no" \\ and / went',
    "".join(map(chr, range(1, 33))),
    "\x7f\x80\x9f\xa0\xad\ufeff\ufffd\uffff",
    "line\u2028paragraph\u2029end",
    "😀 👩🏽‍🏫 🇮🇳 𝒙",
    "प्रश्न क्रमांक १२३: ज्ञानेश्वर, श्री, क्‍ष",
    "é ≠ é, ﬁ ≠ fi",
    "</script><!-- & ' ` $ ${x}",
    "x" * 20_000,
    [],
    ["b", "a", "Z", "_", "-", "10", "9"],
    {},
    {"10": "a", "9": "b", "1": "c", "01": "d"},
    {"b": "__proto__", "__proto__": "constructor", "Z": "a", "a": "toString"},
]


def test_the_page_writes_what_the_service_writes_byte_for_byte(context: BrowserContext, serve: Serve) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    texts = page.evaluate(
        "async (all) => { const { canonical } = await import('/static/0/candidate/receipt.js');"
        " return JSON.parse(all).map((each) => canonical(each)); }",
        json.dumps(TRICKY),
    )
    assert texts == [canonical(response) for response in TRICKY]
    form, salt = secrets.token_bytes(32), secrets.token_bytes(16)
    rows = [
        {"item": 3 * place + 1, "epoch": 1 + place % 3, "seq": 1000 - place, "response": response}
        for place, response in enumerate(TRICKY)
    ]
    digest = page.evaluate(
        "async ([form, salt, all]) => { const { digestOf } = await import('/static/0/candidate/receipt.js');"
        " return digestOf(form, salt, JSON.parse(all)); }",
        [form.hex(), salt.hex(), json.dumps(rows)],
    )
    finals = [row | {"response": canonical(row["response"])} for row in rows]
    assert digest == digest_of(form, salt, reversed(finals)).hex()
    nothing = page.evaluate(
        "async ([form, salt]) => { const { digestOf } = await import('/static/0/candidate/receipt.js');"
        " return digestOf(form, salt, []); }",
        [form.hex(), salt.hex()],
    )
    assert nothing == digest_of(form, salt, []).hex()


def test_of_two_words_the_newer_counts_and_of_equal_ones_the_devices_own(context: BrowserContext, serve: Serve) -> None:
    page = context.new_page()
    page.goto(serve().url + "/blank")
    told = [
        {"item": 12, "epoch": 2, "seq": 1, "response": "server"},
        {"item": 2, "epoch": 1, "seq": 7, "response": "server"},
        {"item": 3, "epoch": 1, "seq": 4, "response": "server"},
    ]
    own = [
        [12, {"epoch": 1, "seq": 9, "response": "old", "standing": "safe"}],
        [2, {"epoch": 1, "seq": 7, "response": "own", "standing": "safe"}],
        [3, {"epoch": 1, "seq": 5, "response": "late", "standing": "kept"}],
        [4, {"epoch": 1, "seq": 6, "response": "lost", "standing": "safe"}],
        [5, {"epoch": 1, "seq": 8, "response": "waiting", "standing": "waiting"}],
    ]
    rows = page.evaluate(
        "async ([told, own]) => { const { counted } = await import('/static/0/candidate/receipt.js');"
        " return counted(told, new Map(own)).map((row) => [row.item, row.response]); }",
        [told, own],
    )
    assert rows == [[2, "own"], [3, "server"], [4, "lost"], [12, "server"]]


def test_the_device_says_that_it_has_computed_the_same(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    go(page, 2)
    for value in page.locator(hook("option")).evaluate_all("(all) => all.map((each) => each.value)")[:2]:
        page.check(f"{hook('option')}[value='{value}']")
    go(page, 7)
    page.fill(hook("text"), 'Say "yes" \\ ¾ 😀\u2028 श्री')
    says(page, "3 answers safe (")
    submit(page)
    expect(page.locator(OWN)).to_have_text(SAME)
    expect(page.locator(OWN)).to_have_attribute("data-kind", "safe")
    page.reload()  # and from what the server says alone
    expect(page.locator(OWN)).to_have_text(SAME)


def test_another_digest_is_said_plainly(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    # A hall that counts another answer and signs that one: only this device can know.
    with server.hall.lock:
        ((place, row),) = server.hall.attempt.counted.items()
        server.hall.attempt.counted[place] = row | {"response": "p2"}
    submit(page)
    expect(page.locator(OWN)).to_contain_text("another digest")
    expect(page.locator(OWN)).to_contain_text("Do not close this page and do not log out: print it, and tell the")
    expect(page.locator(OWN)).to_have_attribute("data-kind", "stop")
    # What the device knows stays on it, and its own digest stands there for whoever has to find out.
    rows = [{"item": 1, "epoch": 1, "seq": 1, "response": '"p1"'}]
    own = digest_of(bytes.fromhex(server.hall.form), bytes(range(16)), rows).hex()
    assert page.inner_text(f"{OWN} .groups").replace(" ", "") == own
    page.wait_for_timeout(300)
    expect(page.locator(hook("delivered"))).to_have_text("")
    assert rows_on_device(page) == 1
    page.set_viewport_size({"width": 320, "height": 700})
    page.screenshot(path=SCREENSHOTS / "receipt-differs-320.png", full_page=True)
    narrow(page)


def test_where_the_browser_computes_nothing_nothing_is_said(context: BrowserContext, serve: Serve) -> None:
    context.add_init_script("Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined })")
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer")
    submit(page)
    page.wait_for_timeout(300)
    expect(page.locator(OWN)).to_have_text("")


# The receipt on the screen and on paper -------------------------------------------------------------------------------


def narrow(page: Page) -> None:
    """Nothing is wider than the window."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), page.viewport_size


def test_a_receipt_has_all_that_a_check_needs(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    submit(page)
    receipt = server.hall.attempt.receipt
    assert receipt is not None
    proof = page.locator(hook("receipt-proof"))
    shown = [text.replace(" ", "") for text in proof.locator("dd").all_inner_texts()]
    assert shown == [receipt[name] for name in ("digest", "signature", "key_id", "form", "salt")]
    expect(proof).to_contain_text(
        f"Anybody can check it by the code, or by these lines: {server.url.partition('//')[2]}/check"
    )
    address = page.get_attribute(hook("receipt-check"), "href")
    assert address == f"/check?language=en#{receipt['digest']}.{receipt['signature']}.{receipt['key_id']}"
    expect(page.locator(hook("receipt-how"))).to_have_text(
        re.compile(r"^You submitted it on \d{1,2} \w+ 20\d\d at \d\d:\d\d\.$")
    )


@pytest.mark.parametrize("language", ["en", "mr", "hi"])
def test_receipt_and_result_to_look_at(chromium: Browser, serve: Serve, language: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, timezone_id="America/New_York")
    context.set_default_timeout(8000)
    context.add_init_script(f"sessionStorage.setItem('interface', '{language}')")
    server = serve()
    page = sit(context, server)
    page.locator(hook("option")).nth(1).check()
    submit(page)
    expect(page.locator(OWN)).to_have_attribute("data-kind", "safe")

    def take(name: str) -> None:
        for width in (320, 768, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            narrow(page)
            page.screenshot(path=SCREENSHOTS / f"{name}-{language}-{width}.png", full_page=True)
        page.evaluate("document.documentElement.dataset.colours = 'dark'")
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 794, "height": 1123})
        page.screenshot(path=SCREENSHOTS / f"{name}-{language}-print.png", full_page=True)
        seen = page.evaluate(
            """() => [...document.querySelectorAll("h1, h2, p, dt, dd, td, th, a")]
              .filter((each) => each.checkVisibility()).map((each) => getComputedStyle(each).color)"""
        )
        assert set(seen) == {"rgb(0, 0, 0)"}, "black"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)", "on white"
        assert not page.locator("button").filter(visible=True).count() and not page.locator("#top").is_visible()
        height = page.evaluate("document.documentElement.scrollHeight")
        assert height <= 1123, "one page"
        page.emulate_media(media="screen")
        page.evaluate("document.documentElement.dataset.colours = 'auto'")

    take("receipt")
    server.hall.release()
    page.click(hook("look"))
    page.wait_for_selector(hook("score"))
    take("result")
    context.close()


def test_marks_are_written_as_people_write_them(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    submit(page)
    server.hall.release()
    server.hall.attempt.result = {
        "total": "2.83",
        "maximum": "40",
        "sections": [
            {"section": "a", "title": {"en": "Thirds"}, "total": "10/3", "maximum": "20"},
            {"section": "b", "title": {"mr": "उणे"}, "total": "-1/2", "maximum": "39/2"},
            {"section": "c", "title": {"en": "Nothing"}, "total": "0", "maximum": "0.50"},
        ],
    }
    page.click(hook("look"))
    expect(page.locator(hook("score"))).to_have_text("2.83 / 40")
    lines = page.locator(f"{hook('sections')} tbody tr").all_inner_texts()
    assert [line.split() for line in lines] == [
        ["Thirds", "3.33", "20"],
        ["उणे", "−0.5", "19.5"],
        ["Nothing", "0", "0.5"],
    ]
    assert page.locator(f"{hook('sections')} tbody th").nth(1).get_attribute("lang") == "mr"


# The page that checks -------------------------------------------------------------------------------------------------


def check_page(language: str = "en", **shown: Any) -> str:
    """What the service answers at /check."""
    environment = Environment(
        loader=FileSystemLoader(ROOT / "exam/web/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    given = {"verdict": "", "sentence": "", "form": Form()} | shown
    return environment.get_template("candidate/check.html.j2").render(
        static=lambda name: f"/static/0/{name}",
        lang=language,
        languages={tag: words["language"][0] for tag, words in WORDS.items()},
        words={key: forms[-1] for key, forms in WORDS[language].items()},
        **given,
    )


def checking(context: BrowserContext, asked: list[dict[str, list[str]]], answer: Callable[[], str]) -> None:
    """Lets /check answer in `context`, and notes what it was asked."""

    def serve_check(route: Route) -> None:
        headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "content-type": "text/html; charset=utf-8"}
        if route.request.method == "POST":
            asked.append(parse_qs(route.request.post_data or ""))
        route.fulfill(body=answer() if route.request.method == "POST" else check_page(), headers=headers)

    context.route(re.compile(r"/check(\?|$)"), serve_check)


def test_a_link_brings_the_receipt_along_and_asks_once(context: BrowserContext, serve: Serve) -> None:
    server, asked = serve(), list[dict[str, list[str]]]()
    checking(context, asked, lambda: check_page(verdict="genuine", sentence="Genuine."))
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    submit(page)
    with context.expect_page() as opened:
        page.click(hook("receipt-check"))
    checked = opened.value
    checked.wait_for_selector("[data-verdict=genuine]")
    receipt = server.hall.attempt.receipt
    assert receipt is not None
    whole = {name: [receipt[name]] for name in ("digest", "signature", "key_id")}
    assert asked == [{"language": ["en"], **whole}]
    checked.go_back()
    checked.wait_for_selector("#short")
    checked.wait_for_timeout(300)
    assert len(asked) == 1 and "#" not in checked.url
    checked.goto(f"{server.url}/blank")
    checked.goto(f"{server.url}/check#{receipt['code']}")
    checked.wait_for_selector("[data-verdict=genuine]")
    assert asked[1] == {"language": ["en"], "code": [receipt["code"]]}
    for nonsense in ("short", "'><b>", "0" * 40):
        checked.goto(f"{server.url}/blank")
        checked.goto(f"{server.url}/check#{nonsense}")
        checked.wait_for_timeout(150)
    assert len(asked) == 2


def test_the_page_checks_without_javascript_and_by_keyboard(chromium: Browser, serve: Serve) -> None:
    server, asked = serve(), list[dict[str, list[str]]]()
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(8000)
    checking(context, asked, lambda: check_page(verdict="unknown", sentence=WORDS["en"]["unknown"][0]))
    page = context.new_page()
    page.goto(server.url + "/check")
    page.keyboard.press("Tab")
    page.keyboard.type("4qf7 0m2k 9wzb")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-verdict=unknown]")
    assert asked == [{"language": ["en"], "code": ["4qf7 0m2k 9wzb"]}]
    page.fill("#digest", "ab " * 32)
    page.fill("#signature", "cd " * 64)
    page.fill("#key_id", "01234567")
    page.click("#whole button")
    page.wait_for_load_state()
    assert asked[1].keys() == {"language", "digest", "signature", "key_id"}
    context.close()


@pytest.mark.parametrize("language", ["en", "mr", "hi"])
def test_the_check_page_to_look_at(context: BrowserContext, serve: Serve, language: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    SCREENSHOTS.mkdir(exist_ok=True)
    words, server = {key: forms[-1] for key, forms in WORDS[language].items()}, serve()
    genuine = words["genuine"].format(answers=words["answers"].format(n=45), day="22.11.2026", time="10:30 (IST)")
    shown = {
        "form": check_page(language),
        "genuine": check_page(language, verdict="genuine", sentence=genuine, form=Form({"code": ["4QF7-0M2K-9WZB"]})),
        "unknown": check_page(language, verdict="unknown", sentence=words["unknown"]),
        "wait": check_page(language, verdict="wait", sentence=words["wait"].format(n=16)),
    }
    page = context.new_page()
    headers = {"content-security-policy": CONTENT_SECURITY_POLICY, "content-type": "text/html; charset=utf-8"}
    page.route(
        re.compile(r"/check/(\w+)"),
        lambda route: route.fulfill(body=shown[route.request.url.rpartition("/")[2]], headers=headers),
    )
    for name in shown:
        page.goto(f"{server.url}/check/{name}")
        for width in (320, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            narrow(page)
            page.screenshot(path=SCREENSHOTS / f"check-{name}-{language}-{width}.png", full_page=True)
        small = page.evaluate(
            """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), textarea")]
              .filter((each) => each.getBoundingClientRect().height < 44).map((each) => each.outerHTML)"""
        )
        assert small == []
        page.wait_for_selector("#short")
    page.set_viewport_size({"width": 1280, "height": 800})
    for name in shown:
        page.goto(f"{server.url}/check/{name}")
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
