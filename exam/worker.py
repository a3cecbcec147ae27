"""The worker process: seals by the clock, makes receipts, grades. arq brings the knocks, a timer does the same without.

The timer is ours and needs no Redis, so an exam ends and is graded on time when Redis is away.
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final
from zoneinfo import ZoneInfo

from arq.worker import Worker, func
from redis.exceptions import RedisError

from exam.answers import OLDEST
from exam.auth import bury_revoked
from exam.cache import Store
from exam.db import Database
from exam.errors import Refusal
from exam.jobs import QUEUE, decode_job, encode_job, redis_settings
from exam.metrics import Metrics
from exam.migrations import lacking_partitions
from exam.receipts import Signer
from exam.results import MOST_TRIES, Grader, count_overdue, count_states, grading_ages
from exam.settings import Settings
from exam.signals import stop_on_signals
from exam.statistics import analyse
from exam.submissions import receipt_sealed, seal

log = logging.getLogger("exam.worker")

SEAL_EVERY: Final = 1.0
GRADE_EVERY: Final = 2.0
LOOK_EVERY: Final = 5.0
ANALYSE_EVERY: Final = 3.0
AHEAD: Final = dt.timedelta(days=7)
"""Partitions that will lack then are told now, so that somebody has a week for `exam migrate`."""


class GradingWorker:
    """Everything that goes on behind the doors."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.db = Database(settings)
        self.state = Store(settings.redis_state_url, "the state Redis")
        self.signer = Signer(settings.receipt_key)
        self.grader = Grader(self.db)
        self.metrics = Metrics()
        self._grading = asyncio.Lock()
        self._ages = {"waiting": 0.0, "oldest": 0.0, "needs_attention": 0.0}
        self._overdue = 0
        self._lacking = 0
        self._looked = time.monotonic()
        self.metrics.gauge("exam_grading_waiting", "Submissions not graded yet.", lambda: self._ages["waiting"])
        self.metrics.gauge("exam_grading_oldest_seconds", "Age of the oldest of them.", lambda: self._ages["oldest"])
        self.metrics.gauge(
            "exam_grading_needs_attention",
            "Submissions that could not be graded.",
            lambda: self._ages["needs_attention"],
        )
        self.metrics.gauge("exam_attempts_overdue", "Attempts that should be sealed by now.", lambda: self._overdue)
        self.metrics.gauge(
            "exam_partitions_missing",
            f"Partitions that lack for today, for {AHEAD.days} days from now or for what is scheduled.",
            lambda: self._lacking,
        )
        self.metrics.gauge(
            "exam_figures_age_seconds",
            "Age of these figures; they come from the database.",
            lambda: time.monotonic() - self._looked,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop`; then finishes the round that is under way."""
        await self.db.open("grading")
        tasks = [
            asyncio.create_task(self._every(SEAL_EVERY, self.seal_and_receipt, stop)),
            asyncio.create_task(self._every(GRADE_EVERY, self.grade, stop)),
            asyncio.create_task(self._every(LOOK_EVERY, self.look, stop)),
            asyncio.create_task(self._every(ANALYSE_EVERY, self.analyse, stop)),
            asyncio.create_task(self._listen(stop)),
        ]
        await stop.wait()
        await asyncio.gather(*tasks)
        await self.db.close()
        await self.state.close()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[object]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            began = time.monotonic()
            try:
                await work()
            except Refusal:
                log.warning("%s could not go on; trying again", work.__name__)
            except Exception:
                log.exception("a defect in %s", work.__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.05, seconds - (time.monotonic() - began)))

    async def seal_and_receipt(self) -> None:
        """Ends what has run out, and gives it its receipt."""
        sealed = await seal(self.db)
        receipted = await receipt_sealed(self.db, self.signer)
        if sealed or receipted:
            log.info("sealed %d attempts, made %d receipts", sealed, receipted)

    async def grade(self) -> int:
        """Grades everything that waits; one pass at a time in this process."""
        async with self._grading:
            graded = await self.grader.grade_all()
        if graded:
            log.info("graded %d attempts", graded)
        return graded

    async def analyse(self) -> None:
        """Makes the analyses that somebody has asked for."""
        made = await analyse(self.db)
        if made:
            log.info("made %d analyses", made)

    async def look(self) -> None:
        """Reads the figures for Prometheus, and repeats the tombstones of revoked sessions."""
        async with self.db.grading.connection() as connection:
            ages = await grading_ages.one(connection, most_tries=MOST_TRIES)
            self._ages = {name: float(ages[name]) for name in self._ages}
            self._overdue = (await count_overdue.one(connection, oldest=OLDEST))["attempts"]
            today = dt.datetime.now(ZoneInfo(self._settings.time_zone)).date()
            self._lacking = len(await lacking_partitions(connection, [today, today + AHEAD]))
            since = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
            states = await count_states.many(connection, since=since)
            self.metrics.states = {row["state"]: row["attempts"] for row in states}
            self._looked = time.monotonic()
        await bury_revoked(self.db, self.state)

    async def _listen(self, stop: asyncio.Event) -> None:
        """Runs arq; when Redis is away or comes back empty it begins anew, and the timer goes on meanwhile."""

        async def knocked(context: dict[str, Any]) -> None:
            await self.grade()

        while not stop.is_set():
            worker = Worker(
                functions=[func(knocked, name="grade", keep_result=0, timeout=60, max_tries=1)],  # type: ignore[arg-type]
                queue_name=QUEUE,
                redis_settings=redis_settings(self._settings.redis_state_url),
                job_serializer=encode_job,
                job_deserializer=decode_job,
                handle_signals=False,
                poll_delay=0.2,
                max_jobs=1,
                log_results=False,
            )
            working = asyncio.create_task(worker.async_run())
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not working.done():
                working.cancel()
            try:
                await working
            except asyncio.CancelledError:
                pass
            except (RedisError, OSError, TimeoutError) as outage:
                log.warning("arq lost Redis (%s); the timer goes on", type(outage).__name__)
            except Exception:
                log.exception("arq stopped")
            with suppress(RedisError, OSError, TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(worker.close(), 2)
            if not stop.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 1)


async def work(settings: Settings, metrics_port: int | None, metrics_address: str = "127.0.0.1") -> None:
    """Runs a worker process until it is asked to stop."""
    worker = GradingWorker(settings)
    if metrics_port is not None:
        worker.metrics.serve(metrics_port, metrics_address)
    await worker.run(stop_on_signals())
