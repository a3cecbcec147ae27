"""The sync engine and the journal in a real Chromium: what was called safe is held, all else arrives or is kept."""

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.browser.fake_hall import Hall

pytestmark = pytest.mark.browser

ITEMS = range(1, 9)


@pytest.fixture
def page(context: BrowserContext, serve: Any) -> Page:
    """An empty page at the fake hall's address."""
    page = context.new_page()
    page.goto(serve().url + "/blank")
    return page


class Morning:
    """The halls of the runs in one page, and what a test may ask of them beyond the protocol."""

    def __init__(self, page: Page) -> None:
        page.expose_function("newHall", self.new_hall)
        page.expose_function("hall", self.call)

    def new_hall(self, now: int) -> dict[str, Any]:
        self.hall = Hall(now, minutes=600)
        self.hall.items = {no: {"interaction": {"type": "text", "max_length": 40}} for no in ITEMS}
        self.hall.attempt.takeovers_left = 99
        return {"token": self.hall.login(), "other": self.hall.login(), "items": list(ITEMS)}

    def call(self, token: str, method: str, path: str, body: str, now: float) -> str:
        attempt = self.hall.attempt
        if method == "OTHER":
            row = json.loads(body)
            seq = attempt.watermarks[attempt.epoch] + 1
            reply: Any = self.hall.call(
                token, "PUT", "/api/answers", {"epoch": attempt.epoch, "answers": [{"seq": seq, **row}]}, int(now)
            )
        elif method == "LOOK":
            rows = [(place, row) for place, row in attempt.counted.items()]
            kept = [(place, row) for place, (row, _) in attempt.kept.items()]
            reply = {
                "counted": [compact([*place, row["item"], row["response"]]) for place, row in rows],
                "everything": [compact(row["response"]) for _, row in rows + kept],
                "started_at": attempt.started_at,
                "standing": {row["item"]: row["response"] for row in attempt.standing()},
            }
        else:
            reply = self.hall.call(token, method, path, json.loads(body), int(now))
        return json.dumps(reply)


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


@pytest.mark.parametrize(
    ("first", "runs", "options"),
    [
        (1000, 110, {}),
        (2000, 50, {"second": True}),
        (3000, 40, {"durable": False}),
        (4000, 50, {"dark": True}),
        (5000, 50, {"dark": True, "second": True}),
        *(
            pytest.param(*each, marks=[pytest.mark.slow, pytest.mark.timeout(600)])
            for each in (
                (10_000, 600, {}),
                (20_000, 250, {"second": True}),
                (30_000, 150, {"durable": False}),
                (40_000, 150, {"dark": True}),
                (50_000, 150, {"dark": True, "second": True}),
            )
        ),
    ],
    ids=[
        f"{many}{how}"
        for many in ("", "a thousand, ")
        for how in ("one device", "two devices", "no storage", "begun by code", "begun by code, two devices")
    ],
)
def test_nothing_called_safe_is_lost_and_everything_arrives(
    page: Page, first: int, runs: int, options: dict[str, bool]
) -> None:
    Morning(page)
    results = page.evaluate(
        """async ([first, runs, options]) => {
          const { run } = await import("/test/sync_runs.js");
          const results = [];
          for (let seed = first; seed < first + runs; seed += 1) results.push(await run(seed, options));
          return results;
        }""",
        [first, runs, options],
    )
    broken = {result["seed"]: result["broken"] for result in results if result["broken"]}
    assert broken == {}
    assert len(results) == runs
    assert sum(result["made"] for result in results) > 15 * runs, "the candidates hardly answered anything"
    often = runs / (5 if options.get("dark") else 2)
    assert sum(result["put_off"] for result in results) > often, "hardly any request was put off with a ticket"
    assert sum(result["reloads"] for result in results) > runs / 2, "hardly any reload happened"
    if options.get("second"):
        assert sum(result["takeovers"] for result in results) > runs / 5
        assert sum(result["kept"] for result in results) > 0


def play(page: Page, script: str) -> Any:
    """Runs a scene of sync_scene.js; what the script returns."""
    return page.evaluate(
        "async () => { const { scene, attempt, row } = await import('/test/sync_scene.js');" + script + "}"
    )


def test_rows_of_the_last_epoch_go_on_when_nobody_wrote_in_between(page: Page) -> None:
    sent = play(
        page,
        """
        const s = scene({ attempt: attempt(2, 0), rows: [row(1, 1, 4, "a"), row(1, 2, 4, "b")], marks: { 1: 1 } });
        await s.pass(10);
        return [s.answers(), s.written];
        """,
    )
    assert sent[0] == [[2, [[1, 4, "b"]]]]
    assert [entry[0] for entry in sent[1]] == ["replace"]


def test_what_two_devices_wrote_is_never_mixed(page: Page) -> None:
    sent, summary = play(
        page,
        """
        const s = scene({
          attempt: attempt(3, 0, [{ item: 9, epoch: 2, seq: 1, response: "theirs", flag: false }]),
          rows: [row(1, 1, 4, "a"), row(1, 2, 4, "b")],
          marks: { 1: 1 },
          replies: [{ now: 0, watermark: 2, kept: [{ seq: 2, reason: "stale_device" }] }],
        });
        await s.pass(10);
        return [s.answers(), s.sync.summary()];
        """,
    )
    assert sent == [[1, [[2, 4, "b"]]]], "handed over under its own epoch"
    assert (summary["kept"], summary["reason"], summary["waiting"]) == (1, "stale_device", 0)


def test_the_journal_comes_before_the_network(page: Page) -> None:
    before, after = play(
        page,
        """
        const s = scene({ attempt: attempt(1, 0), slowJournal: true });
        s.sync.change(1, "a", false, 0);
        await s.pass(5000);
        const before = s.sent.length;
        await s.diskDone();
        await s.pass(10);
        return [before, s.sent.length];
        """,
    )
    assert (before, after) == (0, 1)


def test_an_acknowledgement_counts_only_for_the_rows_it_was_asked_about(page: Page) -> None:
    safe, sent = play(
        page,
        """
        const s = scene({ attempt: attempt(1, 0), replies: [{ now: 0, watermark: 9 }, "cut"] });
        for (let i = 0; i < 101; i += 1) s.sync.change(i, "x", false, 0);
        await s.pass(300);
        return [s.sync.summary().safe, s.answers().map(([, rows]) => rows.length)];
        """,
    )
    assert (safe, sent) == (9, [100, 92])


def test_big_answers_travel_in_requests_that_the_server_takes(page: Page) -> None:
    sizes = play(
        page,
        """
        const s = scene({ attempt: attempt(1, 0) });
        for (let i = 1; i < 8; i += 1) s.sync.change(i, "\\u0915".repeat(20000), false, 0);
        await s.pass(300);
        return s.sent.map(([, body]) => new TextEncoder().encode(JSON.stringify(body)).length);
        """,
    )
    assert len(sizes) == 4
    assert max(sizes) <= 128 * 1024


def test_pauses_grow_with_full_jitter_and_the_servers_own_word_is_kept(page: Page) -> None:
    times = play(
        page,
        """
        const s = scene({ attempt: attempt(1, 0), replies: ["cut", "cut", "cut", "cut", "cut", "cut", "cut", "cut"] });
        const times = [];
        const count = () => s.sent.length;
        s.sync.change(1, "a", false, 0);
        for (let t = 0, seen = 0; t < 100000; t += 250) {
          await s.pass(250);
          if (count() > seen) { times.push(t + 250); seen = count(); }
        }
        const busy = scene({ attempt: attempt(1, 0), replies: [[503, { error: "unavailable" }, 7000]] });
        busy.sync.change(1, "a", false, 0);
        await busy.pass(300);
        busy.sync.kick();
        await busy.pass(6900);
        const early = busy.sent.length;
        await busy.pass(400);
        return [times, early, busy.sent.length];
        """,
    )
    pauses = [after - before for before, after in zip(times[0], times[0][1:], strict=False)]
    assert pauses == [500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]
    assert times[1:] == [1, 2]


def test_a_row_that_the_paper_has_no_place_for_only_fills_its_number(page: Page) -> None:
    sent, refused, safe = play(
        page,
        """
        const s = scene({ attempt: attempt(1, 0), replies: [
          [400, { error: "malformed" }], undefined, [422, { error: "not_in_paper", seq: 3 }],
        ] });
        for (let i = 1; i <= 4; i += 1) s.sync.change(i, "v" + i, false, 0);
        await s.pass(5000);
        return [s.answers().map(([, rows]) => rows), s.sync.summary().refused, s.sync.summary().safe];
        """,
    )
    assert sent == [
        [[1, 1, "v1"], [2, 2, "v2"], [3, 3, "v3"], [4, 4, "v4"]],
        [[1, 1, "v1"], [2, 2, "v2"]],
        [[3, 3, "v3"], [4, 4, "v4"]],
        [[3, 0, None], [4, 4, "v4"]],
    ]
    assert (refused, safe) == ([3], 3)


def test_gap_conflict_unknown_epoch_and_not_started_are_mended(page: Page) -> None:
    gap, conflict, unknown, started = play(
        page,
        """
        const sitting = (given) => ({ now: 0, state: "started", attempt: given });
        const gap = scene({ attempt: attempt(1, 0), replies: [undefined, [409, { error: "gap", watermark: 0 }]] });
        gap.sync.change(1, "a", false, 0);
        await gap.pass(300);
        gap.sync.change(1, "b", false, 0);
        await gap.pass(300);

        const conflict = scene({ attempt: attempt(1, 4), replies: [
          [409, { error: "conflict", watermark: 5 }], sitting(attempt(1, 5)), { now: 0, epoch: 2, watermark: 0 },
          sitting(attempt(2, 0, [{ item: 7, epoch: 1, seq: 5, response: "z", flag: false }])),
        ] });
        conflict.sync.change(1, "a", false, 0);
        await conflict.pass(2000);

        const unknown = scene({ attempt: attempt(3, 0), replies: [
          undefined, [409, { error: "unknown_epoch" }], sitting(attempt(1, 2)),
        ] });
        unknown.sync.change(1, "a", false, 0);
        await unknown.pass(300);
        unknown.sync.change(2, "b", false, 0);
        await unknown.pass(2000);

        const started = scene({ attempt: attempt(1, 0), replies: [
          [409, { error: "not_started" }], { now: 0, epoch: 1, watermark: 0 },
        ] });
        started.sync.change(1, "a", false, 0);
        await started.pass(2000);
        return [gap.answers(), conflict.sent, unknown.answers(), started.sent.map(([path]) => path)];
        """,
    )
    assert gap[-1] == [1, [[1, 1, "a"], [2, 1, "b"]]]
    assert [path for path, _ in conflict] == [
        "/api/answers",
        "/api/sitting",
        "/api/takeover",
        "/api/sitting",
        "/api/answers",
    ]
    assert conflict[-1][1]["epoch"] == 2
    assert unknown[-1] == [1, [[3, 1, "a"], [4, 2, "b"]]], "also what a forgotten epoch had acknowledged"
    assert started == ["/api/answers", "/api/start", "/api/answers"]


def test_submitting_carries_what_is_unsent_and_late_rows_are_kept(page: Page) -> None:
    sent, told, summary = play(
        page,
        """
        const s = scene({ attempt: attempt(1, 2), replies: [
          "cut",
          { now: 0, state: "sealed", watermark: 3, receipt: null, kept: [{ seq: 3, reason: "closed" }] },
        ] });
        s.sync.change(1, "a", false, 0);
        s.sync.submit();
        await s.pass(3000);
        return [s.sent, s.told, s.sync.summary()];
        """,
    )
    assert [path for path, _ in sent] == ["/api/submit", "/api/submit"]
    assert sent[0][1]["last_seq"] == 3
    assert [row["seq"] for row in sent[0][1]["answers"]] == [3]
    assert told == ["ended", "ended"]
    assert (summary["kept"], summary["reason"], summary["waiting"], summary["halted"]) == (1, "closed", 0, "ended")


def test_a_full_quarantine_stops_the_sending(page: Page) -> None:
    count, halted = play(
        page,
        """
        const s = scene({ attempt: attempt(1, 0), replies: [[409, { error: "too_many_kept" }]] });
        s.sync.change(1, "a", false, 0);
        await s.pass(100000);
        return [s.sent.length, s.sync.summary().halted];
        """,
    )
    assert (count, halted) == (1, "too_many_kept")


# ---- the journal


def test_the_journal_outlives_the_page_and_keeps_attempts_apart(page: Page) -> None:
    page.evaluate(
        """async () => {
          const { openJournal } = await import("/static/0/candidate/journal.js");
          const named = (name) => ({ name, key: "5a".repeat(32), handover: name });
          const journal = await openJournal(named("a1"));
          const other = await openJournal(named("a10"));
          await journal.append({ epoch: 1, seq: 1, item: 3, response: "x", flag: true, at: 5 });
          await journal.append({ epoch: 2, seq: 1, item: 3, response: { p: "c" }, flag: false, at: 6 });
          const fresh = { epoch: 2, seq: 2, item: 4, response: null, flag: false, at: 7 };
          await journal.replace([{ epoch: 1, seq: 1 }], [fresh]);
          await journal.mark(2, 1);
          await journal.note("where", { item: 3, seen: [1, 3] });
          await other.append({ epoch: 1, seq: 1, item: 1, response: "theirs", flag: false, at: 0 });
        }"""
    )
    page.reload()
    found, other, erased, durable = page.evaluate(
        """async () => {
          const { openJournal } = await import("/static/0/candidate/journal.js");
          const named = (name) => ({ name, key: "5a".repeat(32), handover: name });
          const journal = await openJournal(named("a1"));
          const found = await journal.load();
          await journal.erase();
          return [found, await (await openJournal(named("a10"))).load(), await journal.load(), journal.durable];
        }"""
    )
    assert found == {
        "rows": [
            {"epoch": 2, "seq": 1, "item": 3, "response": {"p": "c"}, "flag": False, "at": 6},
            {"epoch": 2, "seq": 2, "item": 4, "response": None, "flag": False, "at": 7},
        ],
        "marks": {"2": 1},
        "notes": {"where": {"item": 3, "seen": [1, 3]}},
        "damaged": 0,
    }
    assert [row["response"] for row in other["rows"]] == ["theirs"]
    assert erased == {"rows": [], "marks": {}, "notes": {}, "damaged": 0}
    assert durable


def test_what_the_disk_has_not_taken_yet_outlives_a_reload(page: Page) -> None:
    page.evaluate(
        """async () => {
          const { openJournal } = await import("/static/0/candidate/journal.js");
          const named = (name) => ({ name, key: "5a".repeat(32), handover: name });
          const journal = await openJournal(named("a1"));
          await journal.append({ epoch: 1, seq: 1, item: 3, response: "old", flag: false, at: 5 });
          // A disk that never answers: as if the page went away in the middle of the writing.
          const real = IDBObjectStore.prototype.put;
          IDBObjectStore.prototype.put = function put(row) { real.call(this, row); this.transaction.abort(); };
          journal.append({ epoch: 1, seq: 2, item: 4, response: "typed", flag: false, at: 6 });
          journal.replace([{ epoch: 1, seq: 1 }], [{ epoch: 2, seq: 1, item: 3, response: "new", flag: false, at: 7 }]);
          journal.lastWords();
        }"""
    )
    page.reload()
    rows, again, left = page.evaluate(
        """async () => {
          const { openJournal } = await import("/static/0/candidate/journal.js");
          const named = (name) => ({ name, key: "5a".repeat(32), handover: name });
          const { rows } = await (await openJournal(named("a1"))).load();
          await new Promise((done) => { setTimeout(done, 300); });
          return [rows, (await (await openJournal(named("a1"))).load()).rows, Object.keys(localStorage)];
        }"""
    )
    assert [(row["epoch"], row["seq"], row["response"]) for row in rows] == [(1, 2, "typed"), (2, 1, "new")]
    assert again == rows
    assert left == ["exam-sitting"]


def test_storage_that_is_refused_or_breaks_is_said_and_stops_nothing(page: Page) -> None:
    refused, broken, told = page.evaluate(
        """async () => {
          const { openJournal } = await import("/static/0/candidate/journal.js");
          const named = (name) => ({ name, key: "5a".repeat(32), handover: name });
          let told = 0;
          const journal = await openJournal(named("b1"), () => { told += 1; });
          IDBObjectStore.prototype.put = () => { throw new DOMException("full", "QuotaExceededError"); };
          await journal.append({ epoch: 1, seq: 1, item: 1, response: "x", flag: false, at: 0 });
          const broken = journal.durable;
          IDBFactory.prototype.open = () => { throw new DOMException("no", "SecurityError"); };
          const none = await openJournal(named("b2"));
          await none.append({ epoch: 1, seq: 1, item: 1, response: "x", flag: false, at: 0 });
          return [none.durable || (await none.load()).rows.length, broken, told];
        }"""
    )
    assert not refused
    assert not broken
    assert told == 1
