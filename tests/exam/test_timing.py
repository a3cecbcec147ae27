"""Dates and windows, without a clock."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exam.errors import Malformed
from exam.timing import (
    FARTHEST_AHEAD,
    LONGEST_WINDOW,
    Times,
    allowed_seconds,
    check_times,
    last_start,
    latest_end,
    local_day,
    overlap,
)

NOW = dt.datetime(2026, 3, 2, 3, 30, tzinfo=dt.UTC)
HOUR = 3600


def after(minutes: float) -> dt.datetime:
    return NOW + dt.timedelta(minutes=minutes)


def times(opens: float, closes: float, ends: float | None = None, duration_s: int = HOUR) -> Times:
    return Times(after(opens), after(closes), None if ends is None else after(ends), duration_s)


def test_the_day_is_the_day_on_the_wall_of_the_hall() -> None:
    late = dt.datetime(2026, 3, 31, 18, 29, 59, tzinfo=dt.UTC)
    assert local_day(late, "Asia/Kolkata") == dt.date(2026, 3, 31)
    assert local_day(late + dt.timedelta(seconds=1), "Asia/Kolkata") == dt.date(2026, 4, 1)
    assert local_day(late, "UTC") == local_day(late.astimezone(dt.timezone(dt.timedelta(hours=9))), "UTC")


def test_the_day_follows_the_change_of_the_clocks() -> None:
    # In Berlin it is one hour after UTC on the last Saturday of March and two on the Sunday.
    assert local_day(dt.datetime(2026, 3, 28, 22, 59, tzinfo=dt.UTC), "Europe/Berlin") == dt.date(2026, 3, 28)
    assert local_day(dt.datetime(2026, 3, 28, 23, 0, tzinfo=dt.UTC), "Europe/Berlin") == dt.date(2026, 3, 29)
    assert local_day(dt.datetime(2026, 3, 29, 22, 0, tzinfo=dt.UTC), "Europe/Berlin") == dt.date(2026, 3, 30)


@pytest.mark.parametrize(
    ("duration_s", "extra_pct", "seconds"),
    [(3600, 0, 3600), (3600, 25, 4500), (3600, 200, 10800), (60, 33, 80), (60, 1, 61), (100, 1, 101)],
)
def test_allowance(duration_s: int, extra_pct: int, seconds: int) -> None:
    assert allowed_seconds(duration_s, extra_pct) == seconds


@given(st.integers(60, 36000), st.integers(0, 200))
def test_an_allowance_never_takes_a_second_away(duration_s: int, extra_pct: int) -> None:
    exact = duration_s * (100 + extra_pct) / 100
    assert exact <= allowed_seconds(duration_s, extra_pct) < exact + 1


def test_the_last_start_comes_after_the_window() -> None:
    assert last_start(NOW, 0) == NOW
    assert last_start(NOW, LONGEST_WINDOW) == NOW + dt.timedelta(hours=12)


@pytest.mark.parametrize("minutes", [-1, LONGEST_WINDOW + 1, 10**12])
def test_a_window_beyond_reason_is_refused(minutes: int) -> None:
    with pytest.raises(Malformed) as refusal:
        last_start(NOW, minutes)
    assert refusal.value.extra == {"field": "start_minutes"}


@pytest.mark.parametrize(
    "good",
    [times(0, 10), times(-30, 1), times(10, 10), times(0, 15, 60), times(0, 15, 75), times(60, 70, 125)],
)
def test_fair_windows_pass(good: Times) -> None:
    check_times(good, NOW)


@pytest.mark.parametrize(
    ("bad", "field", "words"),
    [
        (times(-30, 0), "opens_at", "passed"),
        (times(-(10**6), -(10**6) + 15), "opens_at", "passed"),
        (times(FARTHEST_AHEAD.total_seconds() / 60 + 1, 10**6), "opens_at", "year"),
        (times(0, 70, 70), "ends_at", "after the last moment"),
        (times(0, 15, 59), "ends_at", "less than the 60 minutes"),
        (times(0, 15, 76), "ends_at", "more than the 60 minutes"),
    ],
)
def test_unfair_windows_are_refused(bad: Times, field: str, words: str) -> None:
    with pytest.raises(Malformed, match=words) as refusal:
        check_times(bad, NOW)
    assert refusal.value.extra == {"field": field}


def test_the_latest_end_counts_start_duration_and_allowance() -> None:
    assert latest_end(times(0, 15), 0) == after(75)
    assert latest_end(times(0, 15), 50) == after(105)
    assert latest_end(times(0, 15, 70), 0) == after(70)
    assert latest_end(times(0, 15, 70), 50) == after(100)


@pytest.mark.parametrize(
    ("one", "other", "extra_pct", "expected"),
    [
        (times(0, 15), times(74, 90), 0, True),
        (times(0, 15), times(75, 90), 0, False),
        (times(0, 15), times(75, 90), 1, True),
        (times(0, 15, 60), times(60, 90), 0, False),
        (times(0, 15, 60), times(60, 90), 10, True),
        (times(0, 15), times(-600, -590), 0, False),
        (times(0, 600), times(30, 45), 0, True),
    ],
)
def test_overlap_is_the_same_from_both_sides(one: Times, other: Times, extra_pct: int, expected: bool) -> None:
    assert overlap(one, other, extra_pct) is expected
    assert overlap(other, one, extra_pct) is expected
