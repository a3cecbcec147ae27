"""What a run costs: CPU and memory from the processes' own accounting, and the name of the machine."""

import os
import platform
from pathlib import Path
from typing import Final

import msgspec

TICK: Final = os.sysconf("SC_CLK_TCK")


class Usage(msgspec.Struct, frozen=True):
    """CPU seconds since its start and resident megabytes of a process with all its descendants."""

    cpu: float
    rss: float


def children_of() -> dict[int, list[int]]:
    """The children of every process."""
    found: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        found.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(path.parent.name))
    return found


def usage_of(pid: int) -> Usage:
    """The usage of a process and its descendants, those that have ended and were waited for included."""
    children = children_of()
    family, cpu, rss = [pid], 0, 0
    while family:
        one = family.pop()
        family += children.get(one, [])
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        cpu += sum(map(int, fields[11:15]))
        rss += int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
    return Usage(cpu / TICK, rss / 1e6)


def describe() -> str:
    """The machine in a line."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return (
        f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )
