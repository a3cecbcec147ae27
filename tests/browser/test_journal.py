"""The journal on the device: sealed, handed over by whoever comes next, and enough to go on without a line."""

import json

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.test_candidate_screen import Serve, held, hook, says, sit, until

pytestmark = pytest.mark.browser

EVERYTHING = """async () => {
  const database = await new Promise((done) => {
    const request = indexedDB.open("exam-journal", 2);
    request.onsuccess = () => done(request.result);
  });
  const found = {};
  for (const store of ["rows", "notes", "keys"]) {
    found[store] = await new Promise((done) => {
      const request = database.transaction(store).objectStore(store).getAll();
      request.onsuccess = () => done(request.result);
    });
  }
  database.close();
  const text = (value) => (value instanceof ArrayBuffer || ArrayBuffer.isView(value)
    ? new TextDecoder().decode(value) : value instanceof CryptoKey ? `extractable ${value.extractable}` : value);
  const plain = (record) => Object.fromEntries(Object.entries(record).map(([name, value]) => [name, text(value)]));
  return JSON.stringify({ rows: found.rows.map(plain), notes: found.notes.map(plain), keys: found.keys.map(plain),
    local: { ...localStorage }, session: { ...sessionStorage } });
}"""


def on_device(page: Page) -> dict[str, list[dict[str, object]]]:
    found: dict[str, list[dict[str, object]]] = json.loads(page.evaluate(EVERYTHING))
    return found


def write(page: Page, words: str) -> None:
    """Types into the first text question."""
    page.click(f"aside {hook('square')}[data-item='3']")
    page.fill(f"{hook('question')} input[type=text]", words)


def test_nothing_of_an_answer_can_be_read_on_the_device(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    server.cut = True
    write(page, "nobody else's business")
    until(lambda: len(on_device(page)["rows"]) > 0, "the row is in the journal")
    everything = json.dumps(on_device(page))
    assert "nobody else" not in everything and server.hall.registration not in json.dumps(on_device(page)["rows"])
    assert "Asha" not in json.dumps(on_device(page)["notes"])
    assert [key["key"] for key in on_device(page)["keys"]] == ["extractable false"]
    page.evaluate("async () => (await import('/static/0/candidate/journal.js')).forgetKeys()")
    assert on_device(page)["keys"] == [] and len(on_device(page)["rows"]) > 0


def test_what_was_left_behind_is_handed_over_by_whoever_comes_next(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    write(page, "the last thing I wrote")
    until(lambda: len(on_device(page)["rows"]) >= 3, "all rows are in the journal")
    page.close()
    assert held(server) == {1: "p1"}
    server.cut = False
    context.clear_cookies()
    another = context.new_page()
    another.goto(server.url + "/")
    until(lambda: held(server) == {1: "p2", 3: "the last thing I wrote"}, "handed over at the log-in page", 15)
    until(lambda: on_device(another)["rows"] == [], "what has arrived is deleted", 5)
    assert on_device(another)["keys"] == []
    paths = [path for _, path, _ in server.requests]
    assert "/api/handover" in paths and "/api/sitting" not in paths[paths.index("/api/handover") :]


def test_a_page_that_is_open_keeps_its_journal_to_itself(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    server.cut = True
    page.check(f"{hook('option')}[value=p2]")
    until(lambda: len(on_device(page)["rows"]) == 1, "the row is in the journal")
    page.evaluate("async () => { await (await import('/static/0/candidate/handover.js')).handOver(); }")
    another = context.new_page()
    another.goto(server.url + "/blank")
    another.evaluate("async () => { await (await import('/static/0/candidate/handover.js')).handOver(); }")
    assert len(on_device(page)["rows"]) == 1
    assert not [path for _, path, _ in server.requests if path == "/api/handover"]


def kept_by_the_browser(page: Page) -> None:
    """Waits until a reload would find the page without a line."""
    page.evaluate("() => navigator.serviceWorker.ready")
    page.wait_for_function("() => caches.keys().then((names) => names.length > 0)")
    page.wait_for_timeout(300)


def test_a_reload_without_a_line_brings_everything_back(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    kept_by_the_browser(page)
    context.set_offline(True)
    page.reload()
    expect(page.locator(f"{hook('option')}[value=p1]")).to_be_checked(timeout=15_000)
    expect(page.locator(hook("time"))).to_contain_text("1:2")
    write(page, "written without a line")
    says(page, "kept on this device")
    page.reload()
    page.click(f"aside {hook('square')}[data-item='3']")
    expect(page.locator(f"{hook('question')} input[type=text]")).to_have_value("written without a line", timeout=15_000)
    context.set_offline(False)
    says(page, "2 answers safe (")
    assert held(server) == {1: "p1", 3: "written without a line"}


def test_back_after_the_deadline_everything_is_handed_over_and_called_kept(
    context: BrowserContext, serve: Serve
) -> None:
    server = serve()
    page = sit(context, server)
    page.check(f"{hook('option')}[value=p1]")
    says(page, "1 answer safe (")
    kept_by_the_browser(page)
    context.set_offline(True)
    page.check(f"{hook('option')}[value=p2]")
    says(page, "kept on this device")
    server.ahead += 3 * 3600 * 1000
    page.reload()
    page.wait_for_selector(hook("question"), timeout=15_000)
    context.set_offline(False)
    page.wait_for_selector("[data-test=end], [data-test=receipt]", timeout=30_000)
    assert held(server) == {1: "p1"} and len(server.hall.attempt.kept) == 1
    says(page, "kept")


def test_a_damaged_journal_is_said_and_the_rest_goes_on(context: BrowserContext, serve: Serve) -> None:
    server = serve()
    page = sit(context, server)
    server.cut = True
    page.check(f"{hook('option')}[value=p1]")
    write(page, "stays whole")
    until(lambda: len(on_device(page)["rows"]) >= 2, "the rows are in the journal")
    page.evaluate(
        """() => new Promise((done) => {
          const request = indexedDB.open("exam-journal", 2);
          request.onsuccess = () => {
            const rows = request.result.transaction("rows", "readwrite").objectStore("rows");
            rows.getAll().onsuccess = ({ target }) => {
              const row = target.result[0];
              new Uint8Array(row.sealed)[3] ^= 1;
              rows.put(row).onsuccess = () => { request.result.close(); done(); };
            };
          };
        })"""
    )
    server.cut = False
    page.reload()
    expect(page.locator("#dialog")).to_contain_text("can no longer be read")
    page.keyboard.press("Escape")
    until(lambda: held(server).get(3) == "stays whole", "what is whole arrives", 15)
