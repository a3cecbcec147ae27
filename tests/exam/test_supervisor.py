"""The supervisor, in a process of its own because it handles signals: order, restarts, an impatient Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# Notes its end in `ends`; what it is told to do besides stands after its name.
CHILD = """
import os, signal, sys, time
name, what = sys.argv[1:]
def end(*_):
    with open("../ends", "a") as file: file.write(name + " ")
    if what != "deaf": sys.exit()
signal.signal(signal.SIGTERM, end)
if os.path.exists("broken"): sys.exit("broken")
if what != "silent": open("up", "w").close()
print("up")
time.sleep(300)
"""

HOUSE = """
import sys
from pathlib import Path
from exam.children import Child
from exam.supervisor import Supervisor
folder = Path(sys.argv[1])
def child(name, what="-", **more):
    (folder / name).mkdir(exist_ok=True)
    up = folder / name / "up"
    return Child(name, folder / name, [sys.executable, "-c", CHILD, name, what], ready=up.exists, **more)
def say(line): print(line, flush=True)
"""


def _hear_signals() -> None:
    """Whoever runs tests in the background of a shell has made them deaf to Ctrl-C, and what they start with them."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class House:
    """A supervisor's process, its folder and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def open(self, body: str) -> subprocess.Popen[str]:
        text = f"CHILD = {CHILD!r}\n{HOUSE}\n{textwrap.dedent(body)}"
        words = [sys.executable, "-c", text, str(self.folder)]
        self.process = subprocess.Popen(
            words,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            preexec_fn=_hear_signals,
        )
        return self.process

    def hear(self, word: str) -> str:
        """Its lines up to the one with this word."""
        assert self.process and self.process.stdout
        heard = ""
        for line in self.process.stdout:
            heard += line
            if word in line:
                return heard
        raise AssertionError(f"{word!r} was never said, but:\n{heard}")

    def end(self) -> tuple[int, str]:
        """Its exit code and its last lines."""
        assert self.process
        said, _ = self.process.communicate(timeout=20)
        return self.process.returncode, said

    @property
    def ends(self) -> str:
        return (self.folder / "ends").read_text().strip()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    if house.process:
        house.process.kill()
        house.process.communicate()


OPEN = """
with Supervisor(say) as house:
    house.start(child("database"))
    house.start(child("web-1"), child("web-2"))
    house.start(child("front"))
    say("open")
    house.run()
    say("never said")
say("closed")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_all_in_reverse_order(house: House, number: signal.Signals) -> None:
    process = house.open(OPEN)
    house.hear("open")
    process.send_signal(number)
    code, said = house.end()
    assert code == 0
    assert said.split("\n")[-2] == "closed"
    assert "never said" not in said
    ends = house.ends.split()
    assert (ends[0], set(ends[1:3]), ends[3]) == ("front", {"web-1", "web-2"}, "database")


def test_one_that_dies_is_started_again_and_that_is_said_in_one_line(house: House) -> None:
    process = house.open(
        """
        with Supervisor(say) as house:
            one = child("worker")
            house.start(one)
            say(f"pid {one.pid}")
            house.run()
        """
    )
    first = int(house.hear("pid").split()[-1])
    os.kill(first, signal.SIGKILL)
    said = house.hear("running again").splitlines()
    log = house.folder / "worker" / "worker.log"
    assert said == [
        f"worker ended by itself (killed by signal 9, SIGKILL). Its log: {log}; starting it again in 0.5 s.",
        "worker is running again.",
    ]
    assert log.read_text().count("up") == 2
    process.send_signal(signal.SIGTERM)
    assert house.end()[0] == 0


def test_one_that_cannot_start_again_is_tried_at_growing_intervals(house: House) -> None:
    process = house.open(OPEN)
    house.hear("open")
    worker = house.folder / "web-1"
    (worker / "broken").touch()
    (worker / "up").unlink()
    os.kill(json.loads((worker / "web-1.pid").read_text())["pid"], signal.SIGKILL)
    said = house.hear("in 2 s").splitlines()
    assert [line.rpartition("again in ")[2] for line in said] == ["0.5 s.", "1 s.", "2 s."]
    process.send_signal(signal.SIGTERM)
    assert house.end()[0] == 0


def test_a_second_signal_does_not_wait_for_the_deaf(house: House) -> None:
    process = house.open(OPEN.replace('child("front")', 'child("front", "deaf", stop_wait=60)'))
    house.hear("open")
    process.send_signal(signal.SIGINT)
    house.hear("Stopping")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    code, said = house.end()
    assert code == 0
    assert "front had not stopped after 0 s and was killed." in said
    assert house.ends.split()[0] == "front"


def test_a_signal_while_one_is_starting_stops_what_runs_already(house: House) -> None:
    process = house.open(
        """
        with Supervisor(say) as house:
            house.start(child("database"))
            say("starting")
            house.start(child("slow", "silent"))
            say("never said")
        say("closed")
        """
    )
    house.hear("starting")
    process.send_signal(signal.SIGINT)
    code, said = house.end()
    assert code == 0
    assert "closed" in said
    assert "never said" not in said
    assert house.ends.endswith("database")


def test_one_that_does_not_start_takes_down_what_runs_and_is_told(house: House) -> None:
    house.open(
        """
        from exam.children import ChildError
        broken = Child("broken", folder / "broken", [sys.executable, "-c", "1/0"], ready=lambda: False)
        try:
            with Supervisor(say) as house:
                house.start(child("database"))
                house.start(broken)
        except ChildError as error:
            say(str(error))
        """
    )
    code, said = house.end()
    assert code == 0
    assert "broken ended while starting (exit code 1)" in said
    assert "ZeroDivisionError" in said
    assert house.ends == "database"
