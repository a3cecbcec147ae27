"""Planted defects: the teeth of the history checker. Each is a patch of this process alone, or of one run's database.

Nothing in the service can switch them on: only `loadtest.defective`, the launcher that the checker uses when it is
asked to, applies them before it calls the command line. A scene makes trouble that a right service bears (a slow
insert, a slow grader with a short lease); the defect is what the service then does wrong. The scene alone has to come
out clean.
"""

import asyncio
import contextlib
import itertools
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from exam import answers, attempts, db, results, submissions
from exam.db import Again, Statement
from grading import scoring


class Scene(msgspec.Struct, frozen=True):
    """Trouble that a right service bears: what processes, tables and PostgreSQL are made to do, and the faults."""

    provoke: Callable[[int], None] = lambda _: None
    statements: tuple[str, ...] = ()
    postgres: tuple[tuple[str, str], ...] = ()
    kinds: tuple[str, ...] = ()
    every: float = 2.0
    endings: tuple[tuple[str, float], ...] = (("submit", 5.0), ("edge", 3.0), ("race", 2.0))
    """How candidates end, with weights."""


class Defect(msgspec.Struct, frozen=True):
    """What is done wrong, in which scene, and the checks of which at least one has to notice."""

    scene: str
    wrong: str
    caught_by: tuple[str, ...]
    plant: Callable[[int], None] = lambda _: None
    statements: tuple[str, ...] = ()


def _text(module: Any, name: str, *changes: tuple[str, str]) -> None:
    """Another text for a named statement; a LookupError where it is no longer what the defect was made for."""
    statement: Statement = getattr(module, name)
    text = statement.text
    for old, new in changes:
        if old not in text:
            raise LookupError(f"{name} has no {old!r} any more: the defect has to be planted anew")
        text = text.replace(old, new)
    setattr(module, name, msgspec.structs.replace(statement, text=text))


# Scenes -------------------------------------------------------------------------------------------------------------


def _slow_grader(number: int) -> None:
    """The first worker takes longer for a round than its leases last."""
    results.LEASE_SECONDS = 1  # type: ignore[misc]
    results.MOST_TRIES = 1000  # type: ignore[misc]
    if number != 1:
        return
    scorer = results.Grader._scorer

    async def slow(self: results.Grader, *args: Any) -> Any:
        await asyncio.sleep(random.uniform(2.1, 3.0))
        return await scorer(self, *args)

    results.Grader._scorer = slow  # type: ignore[assignment, method-assign]


def _failing_grader(_: int) -> None:
    """At first every other round of a grader loses its connection after it has claimed."""
    results.LEASE_SECONDS = 2  # type: ignore[misc]
    results.MOST_TRIES = 1000  # type: ignore[misc]
    scorer = results.Grader._scorer

    rounds = itertools.count()

    async def failing(self: results.Grader, *args: Any) -> Any:
        if next(rounds) in (0, 2, 4, 6):
            raise ConnectionResetError("planted: the connection is gone")
        return await scorer(self, *args)

    results.Grader._scorer = failing  # type: ignore[assignment, method-assign]


SLOW_INSERT: Final = (
    """CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF random() < 0.5 THEN PERFORM pg_sleep(random() * 0.03); END IF; RETURN NEW; END $$""",
    "CREATE TRIGGER linger BEFORE INSERT ON answer FOR EACH ROW EXECUTE FUNCTION linger()",
)

SCENES: Final = {
    "calm": Scene(kinds=("lose_response", "replay", "cut", "valkey_empty")),
    "kills": Scene(
        kinds=("postgres_kill", "web_kill", "postgres_kill"),
        # Only what is flushed survives: the log writer sleeps, as it may on a busy server.
        postgres=(("wal_writer_delay", "10s"), ("wal_writer_flush_after", "1GB")),
    ),
    "race": Scene(statements=SLOW_INSERT, kinds=("lose_response",), endings=(("race", 1.0),)),
    "slow_grading": Scene(provoke=_slow_grader, kinds=("lose_response",), endings=(("submit", 1.0),)),
    "failing_grading": Scene(provoke=_failing_grader, kinds=("worker_kill",), endings=(("submit", 1.0),)),
}


# Defects ------------------------------------------------------------------------------------------------------------


class _Instead:
    """An object with some of its attributes replaced."""

    def __init__(self, behind: Any, **replaced: Any) -> None:
        self._behind = behind
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._behind, name)


_committing: set[asyncio.Task[None]] = set()


def _acknowledge_before_commit(_: int) -> None:
    """The statement has run, its answer goes out, and the commit comes a moment later."""
    write = answers.AnswerLog._write

    async def early(self: answers.AnswerLog, saves: list[answers.Save], *, alone: bool) -> list[Any]:
        transaction = self._db.saves.transaction()
        connection = await transaction.__aenter__()
        pool = _Instead(self._db.saves, connection=lambda: contextlib.nullcontext(connection))
        try:
            inside: Any = _Instead(self, _db=_Instead(self._db, saves=pool))
            outcomes = await write(inside, saves, alone=alone)
        except BaseException:
            await transaction.__aexit__(*sys.exc_info())
            raise

        async def commit() -> None:
            await asyncio.sleep(0.03)
            with contextlib.suppress(Exception):
                await transaction.__aexit__(None, None, None)

        task = asyncio.create_task(commit())
        _committing.add(task)
        task.add_done_callback(_committing.discard)
        return outcomes

    answers.AnswerLog._write = early  # type: ignore[method-assign]


def _asynchronous_commit(_: int) -> None:
    opened = db.Pool.__init__

    def weakly(self: db.Pool, *args: Any, **settings: Any) -> None:
        opened(self, *args, **settings)
        self._settings["synchronous_commit"] = "off"

    db.Pool.__init__ = weakly  # type: ignore[method-assign]


def _last_arrival_wins(_: int) -> None:
    change = ("a.epoch DESC, a.seq DESC", "a.arrived_at DESC")
    _text(submissions, "final_answers", change)
    _text(answers, "final_answers", change)


def _worker_clock(number: int) -> None:
    """The worker's own clock judges, and it is three seconds slow in the first worker and fast in the others."""
    wrong = -3.0 if number == 1 else 3.0
    answers.age_of = lambda stamp: time.time() - stamp - wrong


def _no_lock(_: int) -> None:
    _text(answers, "save_answers", ("FOR SHARE OF a SKIP LOCKED", ""))


def _unfenced_grader(_: int) -> None:
    lease = f"${results.store_results.names.index('lease') + 1}"
    _text(
        results,
        "store_results",
        (f"AND s.lease = {lease}", f"AND {lease}::uuid IS NOT NULL"),
        ("AND s.graded_at IS NULL", ""),
    )


def _job_lost(_: int) -> None:
    """Whatever was claimed counts as done, whether or not anything came of it."""
    _text(results, "claim_submissions", ("leased_until = now() + ", "leased_until = 'infinity'::timestamptz + 0 * "))


def _late_dropped(_: int) -> None:
    text = answers.look_again.text
    begin, end = text.index("  INSERT INTO quarantine"), text.index("  RETURNING attempt_id, seq")
    dropped = "  SELECT attempt_id, seq FROM verdict WHERE verdict = 'keep'\n"
    changed = text[:begin] + dropped + text[end + len("  RETURNING attempt_id, seq\n") :]
    answers.look_again = msgspec.structs.replace(answers.look_again, text=changed)


def _off_by_one(_: int) -> None:
    score = scoring.FormScorer.score

    def short(self: scoring.FormScorer, responses: Any) -> scoring.Score:
        return score(self, {number: response for number, response in responses.items() if number < len(self._places)})

    scoring.FormScorer.score = short  # type: ignore[method-assign]


def _stale_device_counts(_: int) -> None:
    _text(answers, "save_answers", (" AND h.epoch = h.open_epoch", ""))


def _no_grace(_: int) -> None:
    _text(answers, "save_answers", (" + h.grace_s * interval '1 second'", ""))
    _text(answers, "look_again", (" + grace_s * interval '1 second'", ""))


def _no_sections(_: int) -> None:
    """A section takes answers before it opens and after it is over."""
    _text(
        answers,
        "save_answers",
        ("coalesce(h.section_ends[h.section], h.deadline)", "h.deadline"),
        ("coalesce(h.arrived_at >= h.section_ends[h.section - 1], true)", "true"),
    )


def _time_anew(_: int) -> None:
    """Who takes over gets the whole time once more."""
    anew = "SET deadline = statement_timestamp() + duration_s * interval '1 second', epoch = epoch + 1"
    _text(attempts, "take_over", ("SET epoch = epoch + 1", anew))


def _new_number(_: int) -> None:
    """A row that is repeated is taken for a new one and gets the next number."""
    write = answers.AnswerLog._write

    async def renumbered(self: answers.AnswerLog, saves: list[answers.Save], *, alone: bool) -> list[Any]:
        outcomes = await write(self, saves, alone=alone)
        for place, (save, outcome) in enumerate(zip(saves, outcomes, strict=True)):
            if isinstance(outcome, answers.Saved) and outcome.watermark > save.lines[-1].seq:
                lines = [
                    msgspec.structs.replace(line, seq=outcome.watermark + 1 + step)
                    for step, line in enumerate(save.lines)
                ]
                found = (await write(self, [msgspec.structs.replace(save, lines=lines)], alone=alone))[0]
                outcomes[place] = outcome if isinstance(found, Again) else found
        return outcomes

    answers.AnswerLog._write = renumbered  # type: ignore[method-assign]


def _two_submissions(_: int) -> None:
    _text(submissions, "lock_to_submit", ("FOR NO KEY UPDATE OF a SKIP LOCKED", ""))
    _text(submissions, "submit_attempts", (" AND a.state = 'started'", ""))


NO_KEY: Final = (
    "ALTER TABLE answer DROP CONSTRAINT answer_pkey",
    "CREATE INDEX ON answer (district_id, exam_day, attempt_id, epoch, seq)",
)

DEFECTS: Final = {
    "acknowledge_before_commit": Defect(
        "kills", "acknowledges before the commit", ("H1", "H5"), _acknowledge_before_commit
    ),
    "asynchronous_commit": Defect("kills", "synchronous_commit=off", ("H1",), _asynchronous_commit),
    "no_unique_key": Defect("calm", "no unique key over answers", ("H3",), statements=NO_KEY),
    "last_arrival_wins": Defect(
        "calm", "the last arrival wins, not the highest number", ("H4", "H9"), _last_arrival_wins
    ),
    "worker_clock": Defect("calm", "the worker's clock decides", ("H6",), _worker_clock),
    "no_lock": Defect("race", "no lock between save and submit", ("H7", "H4"), _no_lock),
    "unfenced_grader": Defect("slow_grading", "a grader stores without its lease", ("H8",), _unfenced_grader),
    "job_lost": Defect("failing_grading", "a job is lost on an exception", ("H8",), _job_lost),
    "late_dropped": Defect("calm", "late answers are dropped silently", ("H1",), _late_dropped),
    "off_by_one": Defect("calm", "the grader leaves the last item out", ("H9",), _off_by_one),
    "stale_device_counts": Defect("calm", "an old device goes on writing", ("H10",), _stale_device_counts),
    "no_grace": Defect("calm", "the grace is forgotten", ("H6",), _no_grace),
    "no_sections": Defect("calm", "sections take answers out of their time", ("H6",), _no_sections),
    "time_anew": Defect("calm", "a take-over gives the whole time anew", ("H11",), _time_anew),
    "new_number": Defect("calm", "a repeated row gets a new number", ("H2",), _new_number),
    "two_submissions": Defect(
        "race",
        "a submit looks, then writes, without lock and key",
        ("H7",),
        _two_submissions,
        ("ALTER TABLE submission DROP CONSTRAINT submission_pkey",),
    ),
}


def plant(name: str, number: int) -> None:
    """Applies a defect with its scene, or with `scene:NAME` the scene alone; this process is worker `number`."""
    scene_of(name).provoke(number)
    if not name.startswith("scene:"):
        DEFECTS[name].plant(number)


def scene_of(name: str) -> Scene:
    """The scene of a defect, or of `scene:NAME`."""
    return SCENES[name.removeprefix("scene:") if name.startswith("scene:") else DEFECTS[name].scene]


def statements_of(name: str) -> Sequence[str]:
    """What is done to the database of the run, as its owner."""
    own = () if name.startswith("scene:") else DEFECTS[name].statements
    return (*scene_of(name).statements, *own)
