"""Child processes: each in a session of its own, found again after a crash, ended with all that it started."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

from exam.processes import alive, family, find, kill_family, send

_LOG_LIMIT = 10_000_000
_SHORT = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-")


class ChildError(Exception):
    """A child process could not be started or kept; the text is for the person at the console."""


def free_port(preferred: int | None = None) -> int:
    """A TCP port of 127.0.0.1 that nobody listens on: the preferred one if it is free, otherwise any."""
    for port in [preferred, 0] if preferred and not listening(preferred) else [0]:
        with socket.socket() as probe, contextlib.suppress(OSError):
            # As nginx and the others do it: connections of an earlier run in TIME_WAIT are no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ChildError("No TCP port of 127.0.0.1 is free. Close other programs and try again.")


def listening(address: Path | int) -> bool:
    """Does somebody accept connections on this unix socket, or on this port of 127.0.0.1?"""
    with socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(address) if isinstance(address, Path) else ("127.0.0.1", address))
        except OSError:
            return False
        return True


def socket_folder(folder: Path) -> Path:
    """The private folder for a data folder's unix sockets: short, without blanks, remembered in `sockets.path`.

    A socket's path may have 107 bytes on Linux and 103 on macOS, and the project may lie deeper than that.
    """
    note, here = folder / "sockets.path", str(folder.resolve())
    with contextlib.suppress(FileNotFoundError):
        remembered, _, owner = note.read_text("utf-8").partition("\n")
        # A copied or moved data folder must not share the sockets of the one that it came from.
        if owner.strip() == here:
            path = Path(remembered)
            with contextlib.suppress(OSError):
                path.mkdir(mode=0o700)
            with contextlib.suppress(OSError):
                seen = path.lstat()
                if (seen.st_mode, seen.st_uid) == (stat.S_IFDIR | 0o700, os.geteuid()):
                    return path
    short = tempfile.gettempdir()
    if len(short) > 60 or not set(short) <= _SHORT:
        short = "/tmp"  # noqa: S108 - mkdtemp makes an unguessable folder of mode 0700 in it
    path = Path(tempfile.mkdtemp(prefix="exam-", dir=short))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note.write_text(f"{path}\n{here}\n", "utf-8")
    return path


def leave_sockets(folder: Path) -> None:
    """Remove the socket folder of a data folder again, if nothing is in it; the same name is taken next time."""
    with contextlib.suppress(OSError):
        Path((folder / "sockets.path").read_text("utf-8").partition("\n")[0]).rmdir()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, indented; a word for it when there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 20_000))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        text = ""
    last = [f"    {line}" for line in text.splitlines()[-lines:] if line.strip()]
    return "\n".join(last) or "    (nothing)"


class Child:
    """One process with a data folder of its own, a log `<name>.log` and a pid file `<name>.pid` in it.

    The log is a file, not a pipe: a slow or dead supervisor can neither stall the child nor lose its last words.
    The pid file holds the child's pid and start time and is locked by whoever started it. So a later start can
    tell: lock held = in use; lock free and that very process lives = orphan of a run that was killed, it is
    stopped; anything else = an old note, perhaps about a pid that belongs to somebody else by now.
    The kernel's parent-death signal would not do instead: macOS has none, it fires when the starting *thread*
    ends, and `unshare` makes the kernel forget it by changing the credentials.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        command: Sequence[str | Path] = (),
        *,
        env: Mapping[str, str] | None = None,
        socket: Path | None = None,
        ready: Callable[[], bool] | None = None,
        start_wait: float = 30.0,
        stop_wait: float = 10.0,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """`env` is added to ours. `socket` is removed before each start; listening on it means ready."""
        self.name = name
        self.folder = folder.resolve()
        self.log = self.folder / f"{name}.log"
        self.start_wait, self.stop_wait, self.stop_signal = start_wait, stop_wait, stop_signal
        self.orphan_stopped = False
        self._words, self._env, self._socket, self._ready = list(command), dict(env or {}), socket, ready
        self._popen: subprocess.Popen[bytes] | None = None
        self._swept = False
        self._note: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Pid of the running child; ChildError when it was not started."""
        if self._popen is None:
            raise ChildError(f"{self.name} is not running.")
        return self._popen.pid

    def prepare(self) -> None:
        """What must be there before the process starts; orphans are already stopped."""
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)

    def command(self) -> list[str | Path]:
        """The words to execute."""
        return self._words

    def ready(self) -> bool:
        """Does it answer?"""
        if self._ready is not None:
            return self._ready()
        return self._socket is None or listening(self._socket)

    def start(self) -> None:
        """Start and wait until it answers; ChildError with the end of its log if it does not."""
        self.launch()
        deadline = time.monotonic() + self.start_wait
        pause = 0.005
        try:
            while not self.ready():
                self.check(deadline)
                time.sleep(pause)
                pause = min(pause * 1.5, 0.1)
        except BaseException:
            # Ctrl-C, for one: whoever waits for it has no hold of it yet.
            self.kill()
            raise

    def launch(self) -> None:
        """Start without waiting; an orphan of an earlier run is stopped first."""
        if self.poll() is None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._claim()
        try:
            self.prepare()
            words = [str(word) for word in self.command()]
            if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))
            with self.log.open("ab") as log:
                # A session of its own: Ctrl-C reaches the supervisor alone, which then stops all in order.
                self._swept = False
                self._popen = subprocess.Popen(
                    words,
                    cwd=self.folder,
                    env={**os.environ, **self._env},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self._release()
            raise ChildError(f"{self.name} could not be started: {error}.") from error
        except BaseException:
            self._release()
            raise
        seen = find(self._popen.pid)
        how = {"signal": int(self.stop_signal), "wait": self.stop_wait}
        self._write({"pid": seen.pid, "started": seen.started, **how} if seen else {})

    def check(self, deadline: float) -> None:
        """While waiting for an answer: ChildError when it has ended or the deadline (monotonic) has passed."""
        code = self.poll()
        if code is not None:
            what = f"{self.name} ended while starting ({ending(code)})"
        elif time.monotonic() > deadline:
            what = f"{self.name} did not answer within {self.start_wait:.0f} s and was stopped"
        else:
            return
        self.kill()
        raise ChildError(f"{what}. Its log: {self.log}\n{tail(self.log)}")

    def poll(self) -> int | None:
        """None while it runs, otherwise its exit code (negative: the signal); then its group is killed too."""
        if self._popen is None:
            return 0
        code = self._popen.poll()
        if code is not None and not self._swept:
            # A worker of a killed master would live on and keep the port. Done once, at once: while the group
            # exists its number is not given to anybody else, later it may be.
            self._swept = True
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        return code

    def ask_to_stop(self) -> None:
        """Send the signal for a clean end and return at once."""
        if self._popen is not None and self.poll() is None:
            self._popen.send_signal(self.stop_signal)
            # If somebody has frozen it (SIGSTOP), it could not hear the first signal.
            self._popen.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it cleanly, or with -9 after `stop_wait` seconds; stopping twice is no mistake."""
        self.ask_to_stop()
        if self._popen is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(self.stop_wait)
        self.kill()

    def kill(self) -> None:
        """kill -9 it and all of its children, and wait until they are gone."""
        if self._popen is not None:
            if self.poll() is None:
                kill_family(self._popen.pid)
                self._popen.wait()
            self.poll()
            self._popen = None
        self._release()

    def restart(self) -> None:
        """Stop cleanly (if it runs) and start again."""
        self.stop()
        self.start()

    def _claim(self) -> None:
        """Take the pid file's lock; stop the orphan that it names, if there is one."""
        self.orphan_stopped = False
        if self._note is not None:
            return
        self._note = _lock(self.folder / f"{self.name}.pid")
        if self._note is None:
            raise ChildError(
                f"{self.name} is already running in {self.folder}, started by a program that is still at work. "
                "Nothing was changed. Stop that program, or use another folder."
            )
        self.orphan_stopped = _stop_orphan(self._note)

    def _write(self, record: Mapping[str, object]) -> None:
        if self._note is not None:
            self._note.seek(0)
            self._note.truncate()
            self._note.write(json.dumps(record) if record else "")
            self._note.flush()

    def _release(self) -> None:
        # The empty file stays: removing what somebody else may be locking right now would make two owners.
        if self._note is not None:
            self._write({})
            self._note.close()
            self._note = None
            leave_sockets(self.folder)


def stop_orphans(folder: Path) -> list[str]:
    """Stop what a killed run left running in a data folder or one below it, the last started first; their names."""
    stopped = []
    notes = [*folder.glob("*.pid"), *folder.glob("*/*.pid")]
    for path in sorted(notes, key=lambda one: one.stat().st_mtime, reverse=True):
        note = _lock(path)
        # A locked one belongs to a program that is still at work.
        if note is not None:
            with note:
                if _stop_orphan(note):
                    stopped.append(path.stem)
    return stopped


def _lock(path: Path) -> IO[str] | None:
    """The pid file, locked until it is closed; None if somebody else holds it."""
    note = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(note, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        note.close()
        return None
    except OSError as error:
        note.close()
        raise ChildError(f"{path} cannot be locked ({error}). Use a folder on a disk of this machine.") from error
    return note


def _stop_orphan(note: IO[str]) -> bool:
    """Stop the process that a locked pid file names, with all it started, if it is that very process."""
    note.seek(0)
    try:
        record = json.loads(note.read() or "{}")
        orphan, started = find(int(record["pid"])), str(record["started"])
        number, wait = int(record["signal"]), float(record["wait"])
    except (ValueError, KeyError, TypeError):
        return False
    if orphan is None or orphan.started != started:
        return False
    members = family(orphan.pid)
    send(orphan, number)
    send(orphan, signal.SIGCONT)
    deadline = time.monotonic() + wait
    while alive(orphan) and time.monotonic() < deadline:
        time.sleep(0.02)
    if alive(orphan):
        kill_family(orphan.pid)
    for process in members:
        send(process, signal.SIGKILL)
    return True


def ending(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"killed by signal {-code}, {signal.Signals(-code).name}"
    return f"exit code {code}"
