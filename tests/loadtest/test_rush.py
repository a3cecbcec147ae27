"""The rush as a whole, on real processes; the judgement, the figures from /metrics, and the report by themselves."""

import itertools
import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from loadtest.day import slot_of
from loadtest.histogram import Histogram
from loadtest.plan import dealt
from loadtest.report import Chart, Curve, draw, page, pieces, table, thinned
from loadtest.seeding import district_of
from loadtest.thresholds import (
    FILE,
    Bound,
    Figure,
    Limits,
    judge_failures,
    judge_figure,
    judge_operations,
    read_thresholds,
)
from loadtest.watch import Sample, between, read_histogram

ROOT = Path(__file__).resolve().parents[2]
INF = float("inf")


def read_page(text):
    """The page as a tree: it is written so that every tag is closed."""
    return ElementTree.fromstring(text.removeprefix("<!doctype html>"))


def rush(tmp_path, limit_ms, *words):
    """A small rush with one limit for everything: (exit code, output, figures by name). Speed is for benches."""
    thresholds = read_thresholds()
    limits = Limits(limit_ms, limit_ms)
    figures = {
        name: Bound(bound.unit, None if bound.at_most is None else limit_ms)
        for name, bound in thresholds.figures.items()
    }
    easy = msgspec.structs.replace(thresholds, operations=dict.fromkeys(thresholds.operations, limits), figures=figures)
    path = tmp_path / "thresholds.json"
    path.write_bytes(msgspec.json.encode(easy))
    files = ["--thresholds", path, "--report", tmp_path / "rush.html", "--json", tmp_path / "rush.json"]
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.rush", *map(str, [*words, *files])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads((tmp_path / "rush.json").read_text())
    return done.returncode, done.stdout + done.stderr, {one["name"]: one for one in told["figures"]}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_three_hundred_sit(tmp_path):
    words = [
        "--candidates",
        "300",
        "--minutes",
        "0.34",
        "--locust",
        "50",
        "--every",
        "2",
        "4",
        "--log-in-seconds",
        "6",
        "--answers",
        "5000",
    ]
    code, output, figures = rush(tmp_path, 30_000, *words)
    assert code == 0, output
    promises = next(one for name, one in figures.items() if name.startswith("promises"))
    assert promises["found"] == "all kept"
    assert figures["attempts started"]["found"] == "300"
    assert figures["candidates with question 1 after the barrier"]["passed"]
    assert figures["driver: failures"]["found"] == figures["Locust: failures"]["found"] == "0"
    for name in ("driver: save", "driver: submit", "Locust: save", "Locust: start at T0", "Locust: staff board"):
        assert figures[name]["passed"], name
    report = read_page((tmp_path / "rush.html").read_text("utf-8"))
    assert len(report.findall("body/svg[@role='img']/polyline")) > 10
    assert "http://" not in (tmp_path / "rush.html").read_text("utf-8"), "nothing is loaded from anywhere"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_threshold_that_nobody_reaches(tmp_path):
    words = ["--candidates", "60", "--minutes", "0.1", "--locust", "10", "--every", "0.5", "1", "--log-in-seconds", "3"]
    code, output, figures = rush(tmp_path, 0.0001, *words, "--wait-seconds", "6")
    assert code == 1, output
    assert "NOT REACHED" in output
    assert not figures["driver: save"]["passed"]
    assert "exit code 1" in figures["Locust: failures"]["found"], "Locust's own exit code is set by the same file"
    assert next(one for name, one in figures.items() if name.startswith("promises"))["passed"]


# The judgement --------------------------------------------------------------------------------------------------


def histogram(*milliseconds):
    made = Histogram()
    for one in milliseconds:
        made.add(one / 1000)
    return made


def test_the_file_is_complete():
    thresholds = read_thresholds()
    assert thresholds.failures == 0
    assert {"login", "start", "question 1", "save"} == set(thresholds.required)
    assert set(thresholds.required) <= set(thresholds.operations)


@pytest.mark.parametrize(
    ("found", "passed"),
    [
        ({"save": histogram(*[1] * 99, 5)}, {"save": True}),
        ({"save": histogram(*[1] * 90, *[200] * 10)}, {"save": False}),
        ({"save": histogram(1), "tea": histogram(1)}, {"save": True, "tea": False}),
        ({}, {"save": False}),
        ({"save at T0": histogram(1)}, {"save at T0": True}),
    ],
)
def test_operations_are_judged(found, passed):
    thresholds = msgspec.structs.replace(
        read_thresholds(), required=["save"], operations={"save": Limits(100, 250), "save at T0": Limits(100, 250)}
    )
    judged = judge_operations(thresholds, found, "who")
    assert {one.name.removeprefix("who: "): one.passed for one in judged} == passed


def test_one_failure_is_too_many():
    assert judge_failures(read_thresholds(), {}, "who").passed
    assert not judge_failures(read_thresholds(), {"save": {"500 defect": 1}}, "who").passed


def test_figures_are_judged_where_they_can_be_measured():
    thresholds = msgspec.structs.replace(
        read_thresholds(), figures={"a": Bound("ms", at_most=5, from_candidates=100), "b": Bound("x", at_least=2)}
    )
    assert judge_figure(thresholds, "a", 6, 100).passed is False
    assert judge_figure(thresholds, "a", 5, 100).passed is True
    assert judge_figure(thresholds, "a", 6, 99).passed is None
    assert judge_figure(thresholds, "a", math.inf, 100).passed is False
    assert judge_figure(thresholds, "b", 1.9, 1).passed is False
    assert judge_figure(thresholds, "c", 1, 1).passed is None


def test_a_threshold_with_a_slip_of_the_pen_is_refused(tmp_path):
    path = tmp_path / "thresholds.json"
    path.write_text(FILE.read_text().replace("p95_ms", "p59_ms", 1))
    with pytest.raises(msgspec.ValidationError):
        read_thresholds(path)


# Figures of the servers -----------------------------------------------------------------------------------------

METRICS = """# TYPE exam_save_seconds histogram
exam_save_seconds_bucket{le="0.005"} 10.0
exam_save_seconds_bucket{le="0.01"} 90.0
exam_save_seconds_bucket{le="+Inf"} 100.0
exam_save_seconds_count 100.0
exam_other_bucket{le="0.01"} 7.0
"""


def test_the_servers_histogram():
    found = read_histogram(METRICS, "exam_save_seconds")
    assert found == {0.005: 10, 0.01: 90, INF: 100}
    before = Sample(0.0, {"web": 1.0}, {}, {0.005: 10, 0.01: 10, INF: 10})
    span = between(before, Sample(10.0, {"web": 3.0, "new": 1.0}, {}, found))
    assert (span.seconds, span.cpu, span.saved) == (10.0, {"web": 2.0, "new": 1.0}, 90)
    assert 5 < span.percentile(0.5) <= 10
    assert span.percentile(80 / 90) == pytest.approx(10)
    assert span.percentile(0.99) == INF
    assert between(before, before).percentile(0.5) == 0


# The crowd ------------------------------------------------------------------------------------------------------


def test_candidates_are_dealt_once_and_mixed():
    mine = [list(dealt(500, 230, place, 3)) for place in range(3)]
    assert sorted(itertools.chain(*mine)) == list(range(500, 730))
    first = list(dealt(0, 1000, 0, 1))[:40]
    assert Counter(map(district_of, first)).keys() == {1, 2, 3, 4, 5}
    assert Counter(map(slot_of, first)).keys() == {0, 1, 2}


def test_shares_of_districts_and_slots():
    both = Counter((district_of(number), slot_of(number)) for number in range(1000))
    assert [sum(both[district, slot] for slot in range(3)) for district in range(1, 6)] == [300, 250, 200, 150, 100]
    assert [sum(both[district, slot] for district in range(1, 6)) for slot in range(3)] == [600, 300, 100]


# The report -----------------------------------------------------------------------------------------------------


def test_a_page_shows_everything_and_runs_nothing():
    figures = [Figure("a <b>", "1 ms", "≤ 2", True), Figure("c", "3 ms", "≤ 2", False), Figure("d", "x", "", None)]
    curve = Curve("save & more", [(float(at), float(at % 7)) for at in range(-3, 400)])
    text = page(
        "Rush", ["a fact"], figures, [Chart("Rates", "per second", [curve]), Chart("None", "ms", [Curve("x", [])])]
    )
    tree = read_page(text)
    assert not {"script", "link", "img"} & {one.tag for one in tree.iter()}
    assert not {"src", "href"} & {name for one in tree.iter() for name in one.attrib}
    assert [row.text for row in tree.findall("body/table/tbody/tr/td[1]")] == ["a <b>", "c", "d"]
    assert "NOT REACHED" in text
    labels = [one.get("aria-label") for one in tree.findall("body/svg[@role='img']")]
    assert labels == ["Rates, per second; the numbers are in the table below"]
    assert "Nothing was measured." in text
    assert "NOT REACHED" in table(figures)


def test_no_peak_is_lost_and_no_gap_is_drawn_over():
    points = [(float(at), 1.0) for at in range(5000)]
    points[1234] = (1234.0, 99.0)
    assert len(thinned(points)) <= 250
    assert max(value for _, value in thinned(points)) == 99.0
    assert [len(piece) for piece in pieces([(0.0, 1.0), (1.0, 1.0), (60.0, 1.0)])] == [2, 1]


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [1e-3, 1e3], [5.0]])
def test_charts_of_odd_values(values):
    for steep in (False, True):
        assert "<svg" in draw(Chart("t", "u", [Curve("c", [(float(at), one) for at, one in enumerate(values)])], steep))
