"""Wrong clocks, full storage, old files, spoilt papers, strange texts: understood, said plainly, nothing lost."""

import re

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.fake_hall import Server
from tests.browser.test_candidate_screen import Serve, go, held, hook, log_in, no_errors, says, sit, until
from tests.browser.test_journal import kept_by_the_browser, write

__all__ = ["no_errors"]

# A device whose clock is what `shift` says; the monotonic one goes on as ever.
CLOCK = """(() => {
  const Real = Date;
  if (location.protocol !== "http:") return;
  globalThis.shift = Number(localStorage.getItem("shift") ?? DAYS * 86400000);
  globalThis.Date = class extends Real {
    constructor(...given) { super(...(given.length ? given : [Real.now() + shift])); }
    static now() { return Real.now() + shift; }
  };
})()"""


def choose(page: Page, value: str) -> None:
    page.check(f"{hook('option')}[value={value}]")


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_a_day_wrong_and_set_in_mid_exam_changes_nothing(
    context: BrowserContext, serve: Serve, days: int
) -> None:
    context.add_init_script(CLOCK.replace("DAYS", str(days)))
    server = serve(opens_in=9, minutes=90)
    page = log_in(context, server)
    expect(page.locator(hook("countdown"))).to_have_text(re.compile(r"00:0\d$"))
    expect(page.locator(hook("question"))).to_be_visible(timeout=20_000)
    expect(page.locator(hook("time"))).to_have_text(re.compile(r"1:(30:00|29:5\d)"))
    choose(page, "p1")
    says(page, "1 answer safe (")
    page.evaluate("shift = 3 * 3600000; localStorage.setItem('shift', shift)")
    go(page, 3)
    page.fill(f"{hook('question')} input", "after the clock was set")
    says(page, "2 answers safe (")
    expect(page.locator(hook("time"))).to_have_text(re.compile(r"1:29:[2-5]\d"))
    page.reload()
    expect(page.locator(f"{hook('question')} input")).to_have_value("after the clock was set")
    expect(page.locator(hook("time"))).to_have_text(re.compile(r"1:29:[2-5]\d"))
    expect(page.locator(f"{hook('question')} input")).to_be_enabled()
    assert held(server) == {1: "p1", 3: "after the clock was set"}


# As a browser does it whose disk is full: the transaction is taken back.
FULL = """() => {
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (...row) {
    const request = put.apply(this, row);
    this.transaction.abort();
    return request;
  };
}"""


def test_a_device_that_gets_full_in_mid_exam_is_told_of_and_the_answers_arrive(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sit(context, server)
    choose(page, "p1")
    says(page, "1 answer safe (")
    page.evaluate(FULL)
    go(page, 8)
    page.fill(f"{hook('question')} textarea", "a word more than there is room for " * 15)
    says(page, "2 answers safe (")
    says(page, "This browser can’t keep answers")
    assert held(server)[8].startswith("a word more")
    server.cut = True
    go(page, 3)
    page.fill(f"{hook('question')} input", "only on the page")
    page.keyboard.press("Tab")
    says(page, "do not close or reload it")
    server.cut = False
    says(page, "3 answers safe (")
    assert held(server)[3] == "only on the page"


def test_a_device_that_is_wiped_in_mid_exam_loses_nothing_that_was_on_the_page(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sit(context, server)
    choose(page, "p1")
    says(page, "1 answer safe (")
    server.cut = True
    write(page, "typed while the line was down")
    page.keyboard.press("Tab")
    says(page, "kept on this device")
    what = {"origin": server.url, "storageTypes": "indexeddb,local_storage,cache_storage,service_workers"}
    context.new_cdp_session(page).send("Storage.clearDataForOrigin", what)
    says(page, "do not close or reload it")
    server.cut = False
    says(page, "2 answers safe (")
    says(page, "This browser can’t keep answers")
    go(page, 1)
    choose(page, "p2")
    until(lambda: held(server) == {1: "p2", 3: "typed while the line was down"}, "everything arrives")
    page.reload()
    expect(page.locator(f"{hook('option')}[value=p2]")).to_be_checked()
    go(page, 5)
    choose(page, "true")
    says(page, "All 3 answers safe (")


def test_a_new_version_comes_while_the_page_is_open(context: BrowserContext, serve: Serve) -> None:
    context.add_init_script("Math.random = () => 0.999")  # so that nothing is fetched before it is needed
    server = serve()
    page = sit(context, server)
    kept_by_the_browser(page)
    choose(page, "p1")
    server.version = "1"
    page.click("aside [data-test=palette-review]")
    expect(page.locator(hook("review"))).to_be_visible()
    page.click(hook("review-back"))
    page.reload()
    expect(page.locator(f"{hook('option')}[value=p1]")).to_be_checked()
    assert "/static/1/" in page.evaluate("document.querySelector('script').src")
    page.wait_for_function("caches.keys().then((names) => names.includes('exam-1'))")
    go(page, 3)
    page.fill(f"{hook('question')} input", "in the new one")
    says(page, "2 answers safe (")
    assert held(server) == {1: "p1", 3: "in the new one"}


def test_a_part_of_an_old_version_that_nobody_has_any_more_is_said_and_a_reload_helps(
    chromium: Browser, serve: Serve
) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, service_workers="block")
    context.add_init_script("Math.random = () => 0.999")
    server = serve()
    page = sit(context, server)
    choose(page, "p1")
    server.version = "1"
    page.click("aside [data-test=palette-review]")
    expect(page.locator("#dialog")).to_contain_text("Your answers are not affected")
    expect(page.locator("#dialog")).to_contain_text("reload the page")
    page.keyboard.press("Escape")
    says(page, "1 answer safe (")
    page.reload()
    page.click("aside [data-test=palette-review]")
    expect(page.locator(hook("review"))).to_be_visible()
    assert held(server) == {1: "p1"}
    context.close()


def test_the_end_of_an_old_version_finds_its_receipt_by_itself(chromium: Browser, serve: Serve) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, service_workers="block")
    context.set_default_timeout(8000)
    context.add_init_script("Math.random = () => 0.5")
    server = serve(minutes=4 / 60, grace=0.2)
    page = sit(context, server)
    choose(page, "p1")
    says(page, "1 answer safe (")
    server.version = "1"
    expect(page.locator(hook("receipt"))).to_be_visible(timeout=40_000)
    assert held(server) == {1: "p1"}
    context.close()


def asked_for_papers(server: Server) -> list[str]:
    return [path for _, path, _ in server.requests if path.startswith("/api/papers/")]


def test_a_spoilt_paper_is_fetched_again_and_the_service_hears_of_it(context: BrowserContext, serve: Serve) -> None:
    server = serve(opens_in=7)
    server.damaged = 2  # the sealed one, and the first of those that are not
    page = log_in(context, server)
    expect(page.locator(hook("question"))).to_be_visible(timeout=20_000)
    expect(page.locator(hook("prompt"))).not_to_be_empty()
    first, again = asked_for_papers(server)
    assert first.endswith("?bad=sealed")
    assert re.search(r"\?bad=[0-9a-f]{64}$", again)
    assert server.damaged == 0


STRANGE = [
    "🙂👩🏽‍🏫🇮🇳 ॐ शिक्षक\u200dा",
    "<script>alert(1)</script><b onclick=x>bold</b> &amp; &lt;",
    "\u202eleft\u2066 \ufeff\u00ad\u0301 e\u0301",
    "' OR 1=1; -- \\ \" ` ${x} {{y}} \\u0000",
    "half \ud83d",
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_strange_letters_arrive_as_they_were_typed(context: BrowserContext, serve: Serve, text: str) -> None:
    server = serve()
    page = sit(context, server)
    go(page, 8)
    units = list(text.encode("utf-16-le", "surrogatepass"))
    page.evaluate(
        """(bytes) => {
          const field = document.querySelector("[data-test=question] textarea");
          field.value = String.fromCharCode(...new Uint16Array(new Uint8Array(bytes).buffer));
          field.dispatchEvent(new Event("input", { bubbles: true }));
          field.dispatchEvent(new Event("change", { bubbles: true }));
        }""",
        units,
    )
    says(page, "1 answer safe (")
    assert held(server) == {8: text.replace("\ud83d", "\ufffd") if text.startswith("half") else text}


def test_twenty_thousand_characters_and_pasted_html_are_text_up_to_what_the_question_takes(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sit(context, server)
    go(page, 11)
    page.focus(f"{hook('question')} textarea")
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.setData("text/html", "<img src=x onerror=alert(1)><b>bold</b>");
          data.setData("text/plain", "bold");
          const field = document.activeElement;
          const event = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
          if (field.dispatchEvent(event)) document.execCommand("insertText", false, data.getData("text/plain"));
        }"""
    )
    page.keyboard.insert_text("मजकूर 🙂 " * 2500)
    page.keyboard.press("Tab")
    says(page, "1 answer safe (")
    answer = held(server)[11]
    assert answer.startswith("boldमजकूर 🙂 मजकूर") and len(answer.encode("utf-16-le")) // 2 <= 2000
    assert "\ufffd" not in answer[:-1]
    page.reload()
    expect(page.locator(f"{hook('question')} textarea")).to_have_value(answer)


def test_a_log_in_page_of_the_network_instead_of_an_answer_is_said_and_mended(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sit(context, server)
    server.proxy_page = True
    choose(page, "p1")
    says(page, "a page of its own instead of the exam")
    server.proxy_page = False
    says(page, "1 answer safe (")
    assert held(server) == {1: "p1"}
