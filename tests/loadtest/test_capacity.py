"""The capacity planner against numbers that were worked out by hand, and its command line."""

import datetime as dt
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtest import bench as measured
from loadtest import capacity
from loadtest.assumptions import Assumptions, Prices
from loadtest.capacity import (
    busiest,
    count_workers,
    demand,
    disk,
    main,
    page_images,
    phases,
    plan,
    rows_of,
    sent_day,
    traffic,
    wal_of_attempt,
    wal_rate,
)
from loadtest.costs import OPERATIONS, CostError, compare, cost, read_bench, read_run
from loadtest.queueing import Stream, Waiting, erlang_c, mixed, waiting

SAVE = {
    "per_second": 4000.0,
    "p50_ms": 20.0,
    "p99_ms": 60.0,
    "server_cpu_ms": 0.2,
    "web_cpu_ms": 0.12,
    "postgres_cpu_ms": 0.04,
    "valkey_cpu_ms": 0.01,
    "nginx_cpu_ms": 0.03,
    "floor_cpu_ms": 0.1,
}
GRADE = SAVE | {"server_cpu_ms": 0.4, "web_cpu_ms": 0.3, "postgres_cpu_ms": 0.1, "valkey_cpu_ms": 0, "nginx_cpu_ms": 0}
SAMPLE: dict[str, Any] = {
    "machine": "2 cores",
    "operations": {
        "save": SAVE,
        "start": SAVE | {"server_cpu_ms": 0.28, "web_cpu_ms": 0.2},
        "submit": SAVE | {"server_cpu_ms": 0.48, "web_cpu_ms": 0.4},
        "login": SAVE | {"server_cpu_ms": 0.88, "web_cpu_ms": 0.8},
        "paper": SAVE | {"server_cpu_ms": 0.18, "web_cpu_ms": 0.1},
        "grade": GRADE,
    },
}
BENCH = read_bench(json.dumps(SAMPLE).encode(), "sample.json")

NO_FLUSH = [word for tier in ("web", "postgres", "valkey", "nginx") for word in (f"--flush-{tier}-ms", "0")]
PLAIN = Assumptions(
    candidates=1_000_000, sigmas=0, flush_web_ms=0, flush_postgres_ms=0, flush_valkey_ms=0, flush_nginx_ms=0
)
"""A million candidates, 600,000 of them in the biggest slot, without what makes sums crooked."""


# Queues -------------------------------------------------------------------------------------------------------------


def test_one_server_waits_as_in_the_books() -> None:
    """M/M/1 with half its time busy: half of the requests wait, and the mean wait is one service."""
    assert erlang_c(1, 0.5) == pytest.approx(0.5)
    found = waiting(Stream(rate=0.5, service=1.0, scv=1.0), 1, 1.0)
    assert found.mean == pytest.approx(1.0)
    assert found.p99 == pytest.approx(2 * math.log(50))  # P(W > t) = 0.5 e^(-t/2)


def test_service_without_spread_waits_half_as_long() -> None:
    assert waiting(Stream(0.5, 1.0, 0.0), 1, 1.0).mean == pytest.approx(0.5)  # M/D/1
    assert waiting(Stream(0.5, 1.0, 0.0), 1, 0.0) == Waiting(0.0, 0.0)


def test_two_servers_with_one_erlang() -> None:
    """C = (a²/2)/(1-a/2) / (1 + a + (a²/2)/(1-a/2)) = 1 / 3 for a = 1."""
    assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
    assert waiting(Stream(1.0, 1.0, 1.0), 2, 1.0).mean == pytest.approx(1 / 3)


def test_many_servers_do_not_overflow_and_seldom_keep_anybody_waiting() -> None:
    assert 0 <= erlang_c(2000, 1000) < 1e-30
    assert waiting(Stream(1000.0, 1.0, 1.0), 2000, 1.0).p99 == 0
    assert erlang_c(1000, 990) == pytest.approx(0.656, abs=0.01)


@pytest.mark.parametrize("rate", [2.0, 2.1])
def test_who_cannot_keep_up_waits_for_ever(rate: float) -> None:
    assert waiting(Stream(rate, 1.0, 1.0), 2, 1.0) == Waiting(math.inf, math.inf)


def test_two_kinds_of_requests_spread_more_than_one() -> None:
    """Means 1 and 3, without spread of their own: mean 2, mean square 5, so the variation is 5/4 - 1."""
    assert mixed([Stream(10, 1.0, 0.0), Stream(10, 3.0, 0.0)]) == Stream(20, 2.0, pytest.approx(0.25))
    assert mixed([Stream(10, 2.0, 1.0)]) == Stream(10, 2.0, pytest.approx(1.0))
    assert mixed([]) == Stream(0, 0.0, 0.0)


# The bench's file ---------------------------------------------------------------------------------------------------


def test_what_the_bench_writes_is_read() -> None:
    """Not the sample above, but the bench's own classes."""
    figures = measured.Figures(
        **{field.name: 1.0 for field in msgspec.structs.fields(measured.Figures)} | {"failed": 0}
    )
    for part in measured.PARTS:
        setattr(figures, f"{part}_cpu_ms", 0.25)
    fields = {field.name: 1 for field in msgspec.structs.fields(measured.Report)}
    report = measured.Report(**fields | {"machine": "m", "at": dt.datetime.now(dt.UTC)})  # type: ignore[arg-type]
    report.operations = dict.fromkeys(OPERATIONS, figures)
    assert read_bench(msgspec.json.encode(report), "b.json")["grade"].postgres_cpu_ms == 0.25


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"save": None}, r"b\.json: Expected `object`"),
        ({"save": SAVE | {"web_cpu_ms": -1}}, r"`float` >= 0"),
        ({"save": SAVE | {"web_cpu_ms": "0.1"}}, "Expected `float`"),
        ({"save": {name: value for name, value in SAVE.items() if name != "nginx_cpu_ms"}}, "nginx_cpu_ms"),
        ({"save": SAVE | {"per_second": 0}}, "> 0"),
        ({"save": SAVE | {"web_cpu_ms": 0.3}}, r"the parts of save make 0\.380 ms, not 0\.200 ms"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(changed: dict[str, Any], says: str) -> None:
    data = json.dumps({"operations": SAMPLE["operations"] | changed}).encode()
    with pytest.raises(CostError, match=says):
        read_bench(data, "b.json")


def test_a_bench_of_half_the_operations_is_refused() -> None:
    with pytest.raises(CostError, match="no costs of start, submit, login, paper, grade"):
        read_bench(json.dumps({"operations": {"save": SAVE}}).encode(), "b.json")
    with pytest.raises(CostError, match=r"b\.json: "):
        read_bench(b"not JSON", "b.json")


# Costs --------------------------------------------------------------------------------------------------------------


def test_each_tier_pays_for_what_it_does() -> None:
    def milliseconds(operation: str, tier: str) -> float:
        return 1000 * cost(BENCH, operation, tier, PLAIN, 1000)

    assert milliseconds("save", "web") == pytest.approx(0.12)
    assert milliseconds("save", "graders") == 0
    assert milliseconds("grade", "graders") == pytest.approx(0.3)  # the grader's own CPU
    assert milliseconds("grade", "postgres") == pytest.approx(0.1)
    assert [milliseconds("grade", tier) for tier in ("web", "nginx", "valkey")] == [0, 0, 0]


def test_emptier_rounds_cost_more_and_fuller_ones_not_less() -> None:
    """The bench: 2,000 a second and worker, 20 in a round of 10 ms. At 500 there are 5, at 10 every round has one."""
    given = Assumptions(
        candidates=1, flush_ms=10, flush_web_ms=1.0, flush_postgres_ms=0.4, flush_valkey_ms=0, flush_nginx_ms=0
    )

    def milliseconds(operation: str, tier: str, each_worker: float) -> float:
        return 1000 * cost(BENCH, operation, tier, given, each_worker)

    assert milliseconds("save", "web", 2000) == pytest.approx(0.12)
    assert milliseconds("save", "web", 500) == pytest.approx(0.12 + 1 / 5 - 1 / 20)
    assert milliseconds("save", "postgres", 500) == pytest.approx(0.04 + 0.4 * (1 / 5 - 1 / 20))
    assert milliseconds("save", "web", 10) == pytest.approx(0.12 + 1 - 1 / 20)
    assert milliseconds("save", "web", 9000) == pytest.approx(0.12)
    assert milliseconds("save", "nginx", 10) == pytest.approx(0.03)
    assert milliseconds("paper", "web", 10) == pytest.approx(0.1)  # waits for no round


# The day ------------------------------------------------------------------------------------------------------------


def test_the_rates_of_a_day() -> None:
    rates = {phase.name: phase.rates for phase in phases(PLAIN)}
    assert rates["log-in"] == {"login": pytest.approx(600_000 / 1800)}
    assert rates["barrier"] == {"start": 40_000, "paper": 40_000}
    assert rates["sitting"] == {"save": 20_000}
    assert rates["submitting"] == {"save": 20_000, "submit": 2_500}
    assert rates["end"] == {"save": 30_000}
    assert rates["grading"] == {"grade": pytest.approx(600_000 / 1800)}


def test_the_busiest_second_is_some_deviations_above_the_mean() -> None:
    (sitting,) = (phase for phase in phases(PLAIN) if phase.name == "sitting")
    given = msgspec.structs.replace(PLAIN, sigmas=3)
    assert busiest(sitting, given) == {"save": pytest.approx(20_000 + 3 * math.sqrt(20_000))}


def test_web_workers_are_as_many_as_keep_below_the_load() -> None:
    """The barrier: 40,000 × (0.2 + 0.1) ms = 12 cores at work; at 60 % that is 20."""
    assert count_workers(BENCH, PLAIN) == 20
    stream = demand(BENCH, "web", {"start": 40_000, "paper": 40_000}, PLAIN, 20)
    assert stream.rate * stream.service == pytest.approx(12)
    assert stream.scv == pytest.approx((0.5 * 0.2**2 * 2 + 0.5 * 0.1**2 * 2) / 0.15**2 - 1)


def test_more_workers_have_emptier_rounds_and_it_still_comes_to_an_end() -> None:
    """The bench had 40 in a round. 20 workers have 20: 40,000 × (0.2225 + 0.1) ms = 12.9 cores, so 22 workers.

    They have 18: 40,000 × (0.227 + 0.1) ms = 13.08 cores, and 22 workers it stays.
    """
    given = msgspec.structs.replace(PLAIN, bench_workers=1, flush_ms=10, flush_web_ms=0.9)
    assert count_workers(BENCH, given) == 22
    stream = demand(BENCH, "web", {"start": 40_000, "paper": 40_000}, given, 22)
    assert stream.rate * stream.service == pytest.approx(13.08)


def test_what_an_attempt_writes() -> None:
    """240 rows, a checkpoint each 30. Images: 8 × 200, and 55 × (0 + 30 + 60 + 90 + 120), then thrice a full page."""
    assert rows_of(PLAIN) == 240
    assert page_images(PLAIN, 30) == 30 * 55 + 200
    assert page_images(PLAIN, 1000) == 8192 + 200
    images = 8 * 200 + 55 * 300 + 3 * 8192
    assert wal_of_attempt(PLAIN) == pytest.approx(240 * 315 + images + 920 + 1760 + 2940)
    assert wal_rate(PLAIN, {"save": 20_000}) == pytest.approx(20_000 * (315 + 8392))
    assert wal_rate(PLAIN, {"start": 40_000, "paper": 40_000}) == pytest.approx(40_000 * 920)
    squeezed = msgspec.structs.replace(PLAIN, image_share=0.3)
    assert wal_rate(squeezed, {"save": 100}) == pytest.approx(100 * (315 + 0.3 * 8392))


def test_what_goes_over_the_line() -> None:
    assert traffic(PLAIN, {"save": 20_000}) == (20_000 * 1000, 20_000 * 800)
    assert traffic(PLAIN, {"paper": 10}) == (10_000, 10 * (800 + 25 * 1024))
    assert traffic(PLAIN, {"login": 10, "grade": 99}) == (10_000, 10 * 5800)
    each = 5800 + 800 + (800 + 25_600) + 240 * 800 + 0.25 * 800
    assert sent_day(PLAIN) == pytest.approx(1_000_000 * each)


def test_what_lies_on_the_disk() -> None:
    given = msgspec.structs.replace(PLAIN, days_kept=2, wal_hours=1, attempt_bytes=1000)
    rows = 1_000_000 * (240 * 132 + 1000) * 2
    assert disk(given) == pytest.approx((rows + 600_000 * wal_of_attempt(given) / 2) / 2**30)


# The plan -----------------------------------------------------------------------------------------------------------

PRICES = Prices(currency="INR", core_hour=4, memory_gib_hour=0.5, disk_gib_month=10, traffic_gib=8)


def test_a_million_candidates() -> None:
    found = plan(BENCH, PLAIN, PRICES)
    tiers = {tier.name: tier for tier in found.tiers}
    assert (found.at_once, found.rows, found.connections) == (600_000, 240, 20 * 13 + 5)
    # At the barrier, a start and a paper each: nginx 40,000 × 0.06 ms, PostgreSQL × 0.08 ms, Valkey × 0.02 ms.
    busy = {name: (tier.busiest, round(tier.busy, 6), tier.cores) for name, tier in tiers.items()}
    assert busy == {
        "nginx": ("barrier", 2.4, 4),
        "web": ("barrier", 12.0, 20),
        "postgres": ("barrier", 3.2, 6),
        "valkey": ("barrier", 0.8, 2),
        "graders": ("grading", 0.1, 1),
    }
    assert tiers["web"].load == pytest.approx(0.6) and tiers["web"].headroom == pytest.approx(20 / 12)
    assert tiers["nginx"].memory_gib == pytest.approx(0.25 + 600_000 * 40 / 2**20)
    assert tiers["postgres"].memory_gib == pytest.approx(1 + 600_000 * (240 * 132 + 4000) / 2**30 + 265 * 10 / 1024)
    assert tiers["valkey"].memory_gib == pytest.approx(0.125 + 2 * 1_000_000 * 1.5 / 2**20)
    assert tiers["nginx"].network == pytest.approx(40_000 * 800 + 40_000 * 26_400)
    assert tiers["postgres"].network == pytest.approx(30_000 * (315 + 8392))  # WAL to the standby, at the end
    assert found.notes == ["Valkey works in one thread: its 2 cores are as many servers, each with districts."]


def test_money_is_cores_memory_disk_and_traffic() -> None:
    found = plan(BENCH, PLAIN, PRICES)
    tiers = {tier.name: tier for tier in found.tiers}
    assert tiers["web"].money == pytest.approx(8 * (20 * 4 + 20 * 150 / 1024 * 0.5))
    nginx, postgres = tiers["nginx"], tiers["postgres"]
    assert nginx.money == pytest.approx(8 * (4 * 4 + nginx.memory_gib * 0.5) + sent_day(PLAIN) / 2**30 * 8)
    # With a standby there are two.
    assert postgres.money == pytest.approx(2 * (8 * (6 * 4 + postgres.memory_gib * 0.5) + disk(PLAIN) * 10))
    assert found.money == pytest.approx(sum(tier.money or 0 for tier in found.tiers))
    assert plan(BENCH, PLAIN).money is None


def test_the_wait_is_that_of_the_queue() -> None:
    """A thousand candidates: one core for the saves of 20 a second and 0.12 ms, so the wait is that of M/M/1."""
    given = msgspec.structs.replace(
        PLAIN,
        candidates=1000,
        biggest_share=1,
        save_interval=50,
        login_minutes=1000,
        start_seconds=1000,
        paper_seconds=1000,
        submit_seconds=1000,
        end_seconds=50,
    )
    found = plan(BENCH, given)
    (web,) = (tier for tier in found.tiers if tier.name == "web")
    load = 20 * 0.12e-3 + 0.25 * 0.4e-3
    assert (web.cores, web.busiest) == (1, "submitting")
    assert web.load == pytest.approx(load)
    (sitting,) = (moment for moment in found.moments if moment.name == "sitting")
    waits = sum(20 * ms * ms / 1e6 / (1 - 20 * ms / 1000) for ms in (0.12, 0.04, 0.01, 0.03))
    assert sitting.wait_ms == pytest.approx(1000 * waits)
    assert (sitting.fullest, sitting.wait_p99_ms) == ("web", 0)  # far fewer than one in a hundred wait at all


def test_what_has_to_be_decided_is_said() -> None:
    found = plan(BENCH, msgspec.structs.replace(PLAIN, candidates=40_000_000))
    assert any("PostgreSQL needs 214 cores" in note for note in found.notes)
    assert any("connections to PostgreSQL" in note for note in found.notes)


# Measured runs ------------------------------------------------------------------------------------------------------

RUN: dict[str, Any] = {
    "seconds": 100,
    "workers": 2,
    "operations": {"save": 100_000},
    "cpu_seconds": {"web": 10.0, "postgres": 5.0, "nginx": 3.0, "valkey": 2.0},
}


def run_file(**changed: Any) -> bytes:
    return json.dumps({"facts": ["more of a report"], "run": RUN | changed}).encode()


def test_a_prediction_is_held_against_a_run() -> None:
    """100,000 saves: 12, 4, 3 and 1 s of CPU predicted."""
    misses = {miss.tier: miss for miss in compare(BENCH, read_run(run_file(), "run.json"), PLAIN)}
    assert {name: round(miss.error, 6) for name, miss in misses.items()} == {
        "nginx": 0,
        "web": 20,
        "postgres": -20,
        "valkey": -50,
        "all": 0,
    }
    assert (misses["web"].predicted, misses["web"].measured) == (pytest.approx(12), 10)


def test_a_run_at_a_low_rate_is_predicted_with_emptier_rounds() -> None:
    """500 saves a second and worker: 5 in a round of 10 ms instead of the bench's 20."""
    given = msgspec.structs.replace(PLAIN, flush_ms=10, flush_web_ms=1.0)
    misses = compare(BENCH, read_run(run_file(), "run.json"), given)
    assert {miss.tier: miss.predicted for miss in misses}["web"] == pytest.approx(100 * (0.12 + 0.15))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"operations": {"saves": 1}}, "saves is not known"),
        ({"cpu_seconds": {"redis": 1}}, "redis is not known"),
        ({"cpu_seconds": {}}, "length"),
        ({"cpu_seconds": {"web": 0}}, "> 0"),
        ({"seconds": 0}, "> 0"),
        ({"more": 1}, "unknown field"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(CostError, match=says):
        read_run(run_file(**changed), "run.json")


# The command --------------------------------------------------------------------------------------------------------


@pytest.fixture
def bench_file(tmp_path: Path) -> Path:
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(SAMPLE))
    return path


def test_the_table_and_the_json(bench_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prices, out = tmp_path / "prices.json", tmp_path / "plan.json"
    prices.write_bytes(msgspec.json.encode(PRICES))
    words = ["--candidates", "1000000", "--slot-minutes", "120", "--bench", str(bench_file), "--prices", str(prices)]
    words += ["--sigmas", "0", *NO_FLUSH, "--json", str(out)]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "1,000,000 candidates, 600,000 of them at once for 120 minutes; 240 answer rows each." in told
    (web,) = (line for line in told.splitlines() if line.startswith("web "))
    assert web.split()[1:5] == ["barrier", "12.00", "20", "60%"]
    assert "MAX_CANDIDATES=600000" in told and "INR a day" in told
    written = json.loads(out.read_bytes())
    assert written["assumptions"]["candidates"] == 1_000_000
    assert [tier["cores"] for tier in written["plan"]["tiers"]] == [4, 20, 6, 2, 1]


def test_runs_are_checked(bench_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [tmp_path / "one.json", tmp_path / "two.json"]
    for path in runs:
        path.write_bytes(run_file())
    assert main(["--bench", str(bench_file), *NO_FLUSH, "--check", *map(str, runs)]) == 0
    told = capsys.readouterr().out
    assert told.count("+20 %") == 2 and "one.json" in told and "two.json" in told


def test_every_assumption_is_an_option_that_says_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    for field in msgspec.structs.fields(Assumptions):
        assert f"--{field.name.replace('_', '-')} N" in told
    assert "Seconds between two saves of a candidate. [30]" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "say for how many --candidates"),
        (["--candidates", "0"], "candidates"),
        (["--candidates", "many"], "candidates"),
        (["--candidates", "9", "--max-load", "1"], "max_load"),
        (["--candidates", "9", "--prices", "nowhere.json"], "nowhere.json"),
        (["--candidates", "9", "--bench", "nowhere.json"], "nowhere.json"),
    ],
)
def test_what_makes_no_sense_is_said(
    words: list[str], says: str, bench_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--bench", str(bench_file), *words])
    assert ended.value.code == 2 and says in capsys.readouterr().err


def test_without_a_bench_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(capacity, "DEFAULT_BENCH", tmp_path / "none.json")
    with pytest.raises(SystemExit):
        main(["--candidates", "9"])
    assert "run `python -m loadtest.bench --json FILE`" in capsys.readouterr().err
