"""Processes of this machine, told apart from later ones with the same number by the moment at which they started."""

import contextlib
import functools
import os
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from typing import NamedTuple


class Process(NamedTuple):
    """One as it was seen; `started` is a word of the system, good for comparing only."""

    pid: int
    parent: int
    group: int
    started: str


def find(pid: int) -> Process | None:
    """The living process with this number; a zombie is none, it holds nothing any more."""
    return _seen(pid).get(pid)


def alive(process: Process) -> bool:
    """Is this very process still there?"""
    seen = find(process.pid)
    return seen is not None and seen.started == process.started


def send(process: Process, number: int) -> None:
    """Send a signal, but only to the process that was seen: its number may be somebody else's by now."""
    if alive(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def family(pid: int) -> list[Process]:
    """The process, its descendants and its group, as they are now."""
    table = _seen()
    members = {pid} | {one.pid for one in table.values() if one.group == pid}
    more = members
    while more:
        more = {one.pid for one in table.values() if one.parent in members} - members
        members |= more
    return [table[one] for one in members if one in table]


def kill_family(pid: int) -> None:
    """kill -9 a process with its descendants and its group, and wait (at most 5 s) until none of them is left."""
    leader = find(pid)
    if leader is not None:
        # Stopped first, so that it cannot have children that the list below misses.
        send(leader, SIGSTOP)
    members = family(pid)
    for process in sorted(members, key=lambda one: one.pid != pid):
        send(process, SIGKILL)
    deadline = time.monotonic() + 5
    while any(alive(process) for process in members) and time.monotonic() < deadline:
        time.sleep(0.01)


def _seen(pid: int | None = None) -> dict[int, Process]:
    """The living processes by number, or just one of them."""
    if sys.platform == "linux":
        every = (path.name for path in Path("/proc").iterdir() if path.name.isdigit())
        found: dict[int, Process] = {}
        for one in [pid] if pid is not None else map(int, every):
            with contextlib.suppress(OSError):
                # The second field is the program's name in brackets, which may contain blanks and brackets.
                fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    found[one] = Process(one, int(fields[1]), int(fields[2]), f"{_boot()} {fields[19]}")
        return found
    which = ["-A"] if pid is None else ["-p", str(pid)]
    table = subprocess.run(
        ["ps", *which, "-o", "pid=,ppid=,pgid=,stat=,lstart="],
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    rows = [line.split(None, 4) for line in table.splitlines()]
    return {
        int(row[0]): Process(int(row[0]), int(row[1]), int(row[2]), row[4].strip())
        for row in rows
        if len(row) == 5 and not row[3].startswith("Z")
    }


@functools.cache
def _boot() -> str:
    # Linux counts start times from the boot: without its id a note of yesterday could fit today.
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
