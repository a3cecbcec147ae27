"""The rescue file in a real Chromium: offered when answers cannot be sent, and read by nobody on the way."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import SCREENSHOTS
from tests.browser.fake_hall import Server
from tests.browser.test_candidate_screen import Serve, held, hook, no_errors, says, sit, until  # noqa: F401
from tests.browser.test_journal import on_device, write

pytestmark = pytest.mark.browser

OFFER = hook("rescue")
LONG = 121_000
# The page's clock can be set forward: later(ms).
LATER = """(() => {
  const real = performance.now.bind(performance);
  let more = 0;
  performance.now = () => real() + more;
  window.later = (ms) => { more += ms; };
})();"""
DENIED = "indexedDB.open = () => { throw new DOMException('denied', 'SecurityError'); };"
FORGET = "async () => (await import('/static/0/candidate/journal.js')).forgetKeys()"

File = dict[str, Any]


def saved(page: Page) -> tuple[str, str, File]:
    """Presses the button; name, text and content of what was downloaded."""
    with page.expect_download() as waiting:
        page.click(hook("rescue-save"))
    text = Path(waiting.value.path()).read_text("utf-8")
    return waiting.value.suggested_filename, text, json.loads(text)


def opened(server: Server, file: File) -> list[tuple[int, Any]]:
    """What the server alone can read: item and response of each row, by number."""
    key, name = bytes.fromhex(server.hall.journal()["key"]), server.hall.journal()["name"]
    assert (file["format"], file["journal"], file["handover"]) == (
        "exam-rescue-1",
        name,
        server.hall.journal()["handover"],
    )
    assert file.keys() == {"format", "journal", "handover", "rows"}
    found = []
    for row in file["rows"]:
        assert row.keys() == {"epoch", "seq", "iv", "sealed"}
        beside = f"{name}:{row['epoch']}:{row['seq']}".encode()
        plain = AESGCM(key).decrypt(base64.b64decode(row["iv"]), base64.b64decode(row["sealed"]), beside)
        found.append((row["epoch"], row["seq"], json.loads(plain)))
    assert [one[:2] for one in found] == sorted(one[:2] for one in found)
    return [(row["item"], row["response"]) for _, _, row in found]


def cut_off(context: BrowserContext, server: Server) -> Page:
    """A page that has saved one answer and, since the line was cut, two that it could not send."""
    context.add_init_script(LATER)
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer")
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    write(page, "nobody else's business")
    says(page, "The line is down.", "2 answers")
    return page


def test_a_file_is_offered_when_the_line_is_down_for_long_and_nobody_can_read_it(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = cut_off(context, server)
    page.wait_for_timeout(1500)
    expect(page.locator(OFFER)).to_have_count(0)
    page.evaluate("(ms) => later(ms)", LONG)
    expect(page.locator(OFFER)).to_contain_text("Your answers have been waiting here for some time.")
    name, text, file = saved(page)
    assert name == "exam-rescue-MUM-04217.json"
    assert "nobody else" not in text and "MUM-04217" not in text and "Asha" not in text
    assert opened(server, file)[:2] == [(1, "p1"), (1, "p2")] and opened(server, file)[-1] == (
        3,
        "nobody else's business",
    )
    sealed = [row["sealed"] for row in on_device(page)["rows"]]
    assert [base64.b64decode(row["sealed"]).decode("utf-8", "replace") for row in file["rows"]] == sealed
    expect(page.locator(hook("rescue-said"))).to_contain_text("Saved as exam-rescue-MUM-04217.json")
    page.fill(f"{hook('question')} input[type=text]", "and one more")
    until(lambda: opened(server, saved(page)[2])[-1] == (3, "and one more"), "what is new goes into the next file")
    page.focus(hook("rescue-save"))
    server.cut = False
    says(page, "2 answers safe (")
    expect(page.locator(OFFER)).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "main"
    assert held(server) == {1: "p2", 3: "and one more"}


def test_after_the_end_without_a_line_the_file_is_offered_at_once(context: BrowserContext, serve: Serve) -> None:
    server = serve(minutes=0.2)
    page = sit(context, server)
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    says(page, "kept on this device")
    expect(page.locator(OFFER)).to_contain_text("Your time is over, and some answers could not be sent", timeout=20_000)
    assert opened(server, saved(page)[2]) == [(1, "p2")]
    page.reload()  # of which nothing comes but the shell and what is on the device
    expect(page.locator(OFFER)).to_contain_text("Your time is over", timeout=20_000)
    assert opened(server, saved(page)[2]) == [(1, "p2")]


def test_a_browser_that_keeps_nothing_saves_what_is_on_the_page(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    context.add_init_script(DENIED)
    page = cut_off(context, server)
    page.evaluate("(ms) => later(ms)", LONG)
    assert opened(server, saved(page)[2])[-1] == (3, "nobody else's business")
    server.cut = False
    says(page, "2 answers safe (")


def test_a_full_quarantine_ends_in_a_file(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    server.hall.most_kept = 0
    page = cut_off(context, server)
    server.hall.attempt.deadline = server.now() - 60_000
    server.hall.attempt.state = "started"
    server.cut = False
    expect(page.locator(OFFER)).to_be_visible(timeout=20_000)
    assert (3, "nobody else's business") in opened(server, saved(page)[2])


@pytest.mark.parametrize("where", ["/", "/sitting"])
def test_without_its_key_a_journal_still_goes_as_a_file(context: BrowserContext, serve: Serve, where: str) -> None:
    server = serve()
    page = cut_off(context, server)
    until(lambda: len(on_device(page)["rows"]) >= 3, "the rows are in the journal")
    page.evaluate(FORGET)
    page.goto(server.url + where)
    expect(page.locator(OFFER)).to_contain_text("Answers of an earlier exam are still on this device", timeout=20_000)
    name, text, file = saved(page)
    assert name == f"exam-rescue-{server.hall.journal()['name'][:8]}.json" and "nobody else" not in text
    assert opened(server, file)[-1] == (3, "nobody else's business")
    server.cut = False
    if where == "/sitting":
        page.wait_for_selector(hook("question"), timeout=20_000)
        expect(page.locator(OFFER)).to_have_count(0)
    else:
        page.reload()
    until(lambda: held(server).get(3) == "nobody else's business", "it still comes by itself", 20)


MANY = """async ([name, handover]) => {
  const { openDatabase } = await import("/static/0/candidate/journal.js");
  const database = await openDatabase();
  const transaction = database.transaction(["rows", "notes"], "readwrite");
  transaction.objectStore("notes").put({ journal: name, name: "handover", value: handover });
  transaction.objectStore("notes").put({ journal: name, name: "mark:1", value: 1 });
  for (const seq of [1, 2, 3]) {
    const [iv, sealed] = [12, 3_500_000].map((length) => new Uint8Array(length).fill(seq));
    transaction.objectStore("rows").put({ journal: name, epoch: 1, seq, iv, sealed: sealed.buffer });
  }
  await new Promise((done) => { transaction.oncomplete = done; });
  database.close();
}"""


def test_what_is_too_much_for_one_file_goes_into_several(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    server.cut = True
    page = context.new_page()
    page.goto(server.url + "/blank")
    journal = server.hall.journal()
    page.evaluate(MANY, [journal["name"], journal["handover"]])
    page.goto(server.url + "/")
    expect(page.locator(OFFER)).to_be_visible(timeout=20_000)
    seen = []
    for button in ("Save a rescue file", "Save file 2 of 2"):
        expect(page.locator(hook("rescue-save"))).to_have_text(button)
        name, text, file = saved(page)
        seen.append((name, [(row["epoch"], row["seq"]) for row in file["rows"]]))
        assert len(text) < 8 * 1024 * 1024
    short = journal["name"][:8]
    assert seen == [(f"exam-rescue-{short}.json", [(1, 2)]), (f"exam-rescue-{short}-2.json", [(1, 3)])]
    expect(page.locator(hook("rescue-save"))).to_have_text("Save a rescue file")


@pytest.mark.parametrize("language", ["en", "mr", "hi"])
def test_the_offer_is_usable_by_everybody(context: BrowserContext, serve: Serve, language: str) -> None:
    server = serve()
    page = cut_off(context, server)
    page.evaluate("(ms) => later(ms)", LONG)
    expect(page.locator(OFFER)).to_be_visible()
    saved(page)
    page.click(f"{hook('settings')} summary")
    page.select_option("#language", language)
    page.keyboard.press("Escape")
    for width, height in ((320, 640), (768, 1024), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(200)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, (width, wide)
        box = page.locator(hook("rescue-save")).bounding_box()
        assert box is not None and box["height"] >= 44
        SCREENSHOTS.mkdir(exist_ok=True)
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=SCREENSHOTS / f"rescue-{language}-{width}.png")
    said = page.locator(OFFER).inner_text()
    assert "exam-rescue-MUM-04217.json" in said
    assert (language == "en") == (re.search(r"[\u0900-\u097f]", said) is None)
    result = Axe().run(page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in result] == []
    page.focus(hook("rescue-save"))
    with page.expect_download():
        page.keyboard.press("Enter")
