"""Keeps child processes running until Ctrl-C or SIGTERM, then stops them in reverse order."""

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Self

from exam.children import Child, ChildError, ending

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class _Kept:
    child: Child
    pause: float = _FIRST_PAUSE
    up_since: float = 0.0
    start_at: float | None = None
    answer_by: float | None = None


class Supervisor:
    """`with Supervisor() as house: house.start(a); house.start(b, c); house.run()`.

    Whatever ends the block, the children are stopped, the last started first; those started by one call together.
    Ctrl-C, SIGTERM or a closed terminal end the block quietly; once more while stopping, and they are killed.
    Only in the main thread, for it handles signals.
    """

    def __init__(self, say: Callable[[str], None] = print) -> None:
        """`say` gets each line for the console."""
        self._print = say
        self._groups: list[list[_Kept]] = []
        self._asked = 0
        self._holding = False
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # nohup, for one, has chosen that a closed terminal does not matter.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._holding = True
        try:
            self.stop()
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        return kind is KeyboardInterrupt and self._asked > 0

    def start(self, *children: Child) -> None:
        """Start these at the same time and wait until each answers; ChildError with its log's end if one does not."""
        kept = [_Kept(child) for child in children]
        self._groups.append(kept)
        with self._held():
            for child in children:
                child.launch()
                if child.orphan_stopped:
                    self._say(f"{child.name}: stopped one that a run cut off earlier had left behind.")
            began = time.monotonic()
            waiting = list(children)
            while waiting and not self._asked:
                waiting = [child for child in waiting if not child.ready()]
                for child in waiting:
                    child.check(began + child.start_wait)
                time.sleep(0.01 if waiting else 0)
            for one in kept:
                one.up_since = time.monotonic()

    def run(self) -> None:
        """Watch and restart until Ctrl-C or SIGTERM; then KeyboardInterrupt, which ends the `with` block quietly."""
        with self._held():
            while not self._asked:
                for group in self._groups:
                    for kept in group:
                        self._look_after(kept)
                time.sleep(0.1)

    def stop(self) -> None:
        """Stop all in reverse order: the clean signal, -9 after each one's `stop_wait`, or at once when forced."""
        if self._asked and self._groups:
            self._say("Stopping … (once more: at once)")
        asked = self._asked
        while self._groups:
            group = [kept.child for kept in self._groups.pop()]
            for child in group:
                child.ask_to_stop()
            began = time.monotonic()
            while self._asked == asked and any(
                child.poll() is None and time.monotonic() < began + child.stop_wait for child in group
            ):
                time.sleep(0.02)
            for child in group:
                if child.poll() is None:
                    self._say(f"{child.name} had not stopped after {time.monotonic() - began:.0f} s and was killed.")
                child.kill()

    def _look_after(self, kept: _Kept) -> None:
        child, now = kept.child, time.monotonic()
        try:
            if kept.start_at is not None:
                if now >= kept.start_at:
                    child.launch()
                    kept.start_at, kept.answer_by = None, now + child.start_wait
            elif kept.answer_by is not None:
                if child.ready():
                    kept.answer_by, kept.up_since = None, now
                    self._say(f"{child.name} is running again.")
                else:
                    child.check(kept.answer_by)
            elif (code := child.poll()) is not None:
                if now - kept.up_since > _LONGEST_PAUSE:
                    kept.pause = _FIRST_PAUSE
                self._try_later(kept, f"{child.name} ended by itself ({ending(code)}). Its log: {child.log}")
        except ChildError as error:
            kept.answer_by = None
            self._try_later(kept, str(error).splitlines()[0])

    def _try_later(self, kept: _Kept, why: str) -> None:
        self._say(f"{why}; starting it again in {kept.pause:g} s.")
        kept.start_at = time.monotonic() + kept.pause
        kept.pause = min(kept.pause * 2, _LONGEST_PAUSE)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._asked += 1
        if not self._holding:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """In here a signal is only noted: an interrupt between fork and pid file would leave an unknown orphan."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._asked:
            raise KeyboardInterrupt

    def _say(self, line: str) -> None:
        # After a closed terminal there is nobody to print to; the stopping must go on.
        with contextlib.suppress(OSError):
            self._print(line)
