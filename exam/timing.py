"""When a slot may be, and when everybody in it has finished. Pure: time is an argument."""

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from exam.errors import Malformed

LONGEST_WINDOW: Final = 720
"""Minutes for which a slot may take starts."""
FARTHEST_AHEAD: Final = dt.timedelta(days=366)


class Times(msgspec.Struct, frozen=True):
    """A slot's moments, all aware: it opens, takes the last start, and ends for all at once where `ends_at` is set."""

    opens_at: dt.datetime
    closes_at: dt.datetime
    ends_at: dt.datetime | None
    duration_s: int


def local_day(moment: dt.datetime, time_zone: str) -> dt.date:
    """The date of an aware moment on the calendars of `time_zone` (an IANA name)."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def allowed_seconds(duration_s: int, extra_pct: int) -> int:
    """The duration with an allowance of `extra_pct` percent; parts of a second count in the candidate's favour."""
    return -(-duration_s * (100 + extra_pct) // 100)


def last_start(opens_at: dt.datetime, start_minutes: int) -> dt.datetime:
    """The last moment to start in a slot; Malformed, with the field, for a window that is too long."""
    if not 0 <= start_minutes <= LONGEST_WINDOW:
        raise Malformed(f"Take starts for between 0 and {LONGEST_WINDOW} minutes.", field="start_minutes")
    return opens_at + dt.timedelta(minutes=start_minutes)


def check_times(times: Times, now: dt.datetime) -> None:
    """Malformed, with the field, for a window in the past or far ahead, or a common end unfair to somebody."""
    if times.closes_at <= now:
        raise Malformed("This window has passed already: nobody could start in it.", field="opens_at")
    if times.opens_at > now + FARTHEST_AHEAD:
        raise Malformed("This is more than a year ahead. Look at the year.", field="opens_at")
    if times.ends_at is None:
        return
    duration = dt.timedelta(seconds=times.duration_s)
    minutes = times.duration_s // 60
    if times.ends_at <= times.closes_at:
        raise Malformed("The common end has to come after the last moment to start.", field="ends_at")
    if times.ends_at < times.opens_at + duration:
        raise Malformed(
            f"With this end, even those who start at the opening have less than the {minutes} minutes of the exam.",
            field="ends_at",
        )
    if times.ends_at > times.closes_at + duration:
        raise Malformed(
            f"With this end, even those who start last have more than the {minutes} minutes of the exam.",
            field="ends_at",
        )


def latest_end(times: Times, extra_pct: int) -> dt.datetime:
    """The last moment at which somebody with this allowance may still be writing, before any grant."""
    last = times.closes_at + dt.timedelta(seconds=times.duration_s) if times.ends_at is None else times.ends_at
    return last + dt.timedelta(seconds=allowed_seconds(times.duration_s, extra_pct) - times.duration_s)


def overlap(one: Times, other: Times, extra_pct: int) -> bool:
    """Whether somebody with this allowance could have to sit in both slots at one moment."""
    return one.opens_at < latest_end(other, extra_pct) and other.opens_at < latest_end(one, extra_pct)
