"""Child processes: told when they fail, ended with all they started, found again after their starter was killed."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from exam.children import Child, ChildError, free_port, leave_sockets, listening, socket_folder, stop_orphans

# Its own child in a session of its own, as PostgreSQL's are; then it says so and waits.
FAMILY = """
import os, subprocess, sys, time
one = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
open("grandchild", "w").write(str(one.pid))
open("up", "w").close()
time.sleep(300)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "दोन शब्द" / "two words"


def sleeper(folder: Path, code: str = "import time; time.sleep(300)", **more: object) -> Child:
    return Child("sleeper", folder, [sys.executable, "-c", code], **more)  # type: ignore[arg-type]


def lives(pid: int) -> bool:
    """Is it there, and not only as a zombie whom nobody has waited for?"""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


def until(condition: object, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_runs_in_its_folder_and_writes_a_log(folder: Path) -> None:
    child = sleeper(folder, "import os; print(os.getcwd(), os.environ['WORD'])", env={"WORD": "शब्द"})
    child.start()
    assert until(lambda: child.poll() == 0)
    child.stop()
    assert child.log.read_text("utf-8").split("\n")[0] == f"{folder.resolve()} शब्द"


def test_what_ends_at_once_is_told_with_the_end_of_its_log(folder: Path) -> None:
    child = sleeper(folder, "import sys; sys.exit('no such port')", ready=lambda: False)
    with pytest.raises(ChildError, match=r"(?s)sleeper ended while starting \(exit code 1\).*no such port"):
        child.start()


def test_what_never_answers_is_stopped_and_told(folder: Path) -> None:
    child = sleeper(folder, "import os, time; print(os.getpid(), flush=True); time.sleep(300)", ready=lambda: False)
    child.start_wait = 0.3
    with pytest.raises(ChildError, match="did not answer within 0 s and was stopped"):
        child.start()
    assert not lives(int(child.log.read_text()))


def test_a_program_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(ChildError, match=r"ghost could not be started: .*no-such-program"):
        Child("ghost", folder, ["/no-such-program"]).start()


def test_ready_means_listening_on_its_socket(folder: Path) -> None:
    place = socket_folder(folder) / "s.sock"
    code = f"import socket, time; time.sleep(.3); s = socket.socket(socket.AF_UNIX); s.bind({str(place)!r}); s.listen()"
    place.touch()  # what a killed one left behind
    child = sleeper(folder, f"{code}; time.sleep(300)", socket=place)
    with child:
        assert listening(place)
    assert not listening(place)
    place.unlink()
    leave_sockets(folder)


def test_stop_kills_what_does_not_hear_and_what_is_frozen(folder: Path) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('up', 'w'); time.sleep(300)"
    child = sleeper(folder, deaf, ready=(folder / "up").exists, stop_wait=0.3)
    child.start()
    pid = child.pid
    child.stop()
    assert not lives(pid)
    (folder / "up").unlink()
    hearing = sleeper(folder, "import time; open('up', 'w'); time.sleep(300)", ready=(folder / "up").exists)
    hearing.start()
    os.kill(hearing.pid, signal.SIGSTOP)
    began = time.monotonic()
    hearing.stop()
    assert time.monotonic() - began < 5


def test_kill_takes_children_in_other_sessions_along(folder: Path) -> None:
    child = sleeper(folder, FAMILY, ready=(folder / "up").exists)
    child.start()
    grandchild, pid = int((folder / "grandchild").read_text()), child.pid
    assert lives(grandchild)
    child.kill()
    assert not lives(grandchild)
    assert not lives(pid)


def test_when_it_dies_the_rest_of_its_group_ends_too(folder: Path) -> None:
    child = sleeper(folder, FAMILY.replace(", start_new_session=True", ""), ready=(folder / "up").exists)
    child.start()
    os.kill(child.pid, signal.SIGKILL)
    assert until(lambda: child.poll() == -signal.SIGKILL)
    assert until(lambda: not lives(int((folder / "grandchild").read_text())))
    child.stop()


@pytest.fixture
def orphan(folder: Path) -> tuple[int, int]:
    """A child of a starter that was killed, and that child's own child."""
    folder.mkdir(parents=True)
    starter = f"""
        import os, signal, sys
        from pathlib import Path
        from exam.children import Child
        os.chdir({str(folder)!r})
        child = Child("sleeper", Path("."), [sys.executable, "-c", {FAMILY!r}], ready=Path("up").exists)
        child.start()
        print(child.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    words = [sys.executable, "-c", textwrap.dedent(starter)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path])}
    killed = subprocess.run(words, stdout=subprocess.PIPE, env=env)
    assert killed.returncode == -signal.SIGKILL
    found = int(killed.stdout), int((folder / "grandchild").read_text())
    assert all(map(lives, found))
    return found


def test_an_orphan_is_stopped_by_the_next_start(folder: Path, orphan: tuple[int, int]) -> None:
    with sleeper(folder) as child:
        assert child.orphan_stopped
        assert not any(map(lives, orphan))
        assert child.pid not in orphan
        child.restart()
        assert not child.orphan_stopped


def test_orphans_of_a_whole_data_folder_are_stopped_and_what_is_in_use_is_not(
    folder: Path, orphan: tuple[int, int]
) -> None:
    with sleeper(folder.parent / "other") as used:
        assert stop_orphans(folder.parent) == ["sleeper"]
        assert not any(map(lives, orphan))
        assert used.poll() is None
        assert stop_orphans(folder.parent) == []


@pytest.mark.parametrize(
    "note",
    [
        pytest.param(
            '{{"pid": {pid}, "started": "another time", "signal": 15, "wait": 1}}', id="pid is somebody else's by now"
        ),
        pytest.param('{{"pid": {pid}, "signal": 15, "wait": 1}}', id="no start time"),
        pytest.param('{{"pid": ', id="cut off"),
        pytest.param("{pid}", id="only a number"),
    ],
)
def test_a_stranger_under_an_old_pid_is_never_touched(folder: Path, note: str) -> None:
    folder.mkdir(parents=True)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    try:
        (folder / "sleeper.pid").write_text(note.format(pid=stranger.pid))
        with sleeper(folder) as child:
            assert not child.orphan_stopped
            assert json.loads((folder / "sleeper.pid").read_text())["pid"] == child.pid
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_one_that_is_in_use_is_left_alone(folder: Path) -> None:
    with sleeper(folder) as child:
        with pytest.raises(ChildError, match=r"already running in .*two words.* Nothing was changed"):
            sleeper(folder).start()
        assert child.poll() is None
    with sleeper(folder) as free_again:
        assert free_again.poll() is None


def test_sockets_lie_in_a_short_private_folder_that_is_found_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = folder.joinpath(*["long name"] * 20)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    place = socket_folder(deep)
    assert len(os.fsencode(place / ".s.PGSQL.5432")) < 60
    assert not {" ", ","} & set(str(place))
    assert place.stat().st_mode & 0o777 == 0o700
    assert socket_folder(deep) == place
    leave_sockets(deep)
    assert not place.exists()
    assert socket_folder(deep) == place

    shutil.copytree(deep, folder / "copy")
    elsewhere = socket_folder(folder / "copy")
    assert elsewhere != place  # or a copied project would pull the sockets away from the one that runs

    place.chmod(0o755)
    safe = socket_folder(deep)
    assert safe != place  # somebody else could look in
    for one in (place, elsewhere, safe):
        one.rmdir()


def test_free_port_prefers_and_gives_way() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(port) not in (0, port)
