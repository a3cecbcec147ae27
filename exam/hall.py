"""The parts of one web worker, opened and closed together."""

import asyncio
import logging
from contextlib import suppress
from typing import Final, Literal

from exam.answers import AnswerLog
from exam.attempts import Starts
from exam.auth import LogIns, Sessions
from exam.browsers import Browsers
from exam.cache import Store
from exam.db import Database
from exam.envelopes import CODES
from exam.errors import Refusal, Unavailable
from exam.events import Events
from exam.handovers import Handovers
from exam.jobs import Door
from exam.metrics import Metrics
from exam.papers import PAPERS, Papers
from exam.receipts import Signer
from exam.settings import Settings
from exam.sittings import Notices, Sittings
from exam.submissions import Submissions

log = logging.getLogger("exam.hall")

NOTICES_EVERY: Final = 1.0

Kind = Literal["event", "report", "board", "login", "start"]
# Who stands back when saves become slow, in seconds from a save's arrival to its commit: those first who can wait best.
# Saves and submits are not in this list, and never will be.
SHED_AT: Final[dict[Kind, float]] = {"event": 0.2, "report": 0.3, "board": 0.6, "login": 1.0, "start": 1.5}
STAND_BACK: Final = "Many people are writing just now, and they come first. Please try again in a few seconds."


class Hall:
    """What the doors work with. Nothing in it is the truth: a worker can be killed at any moment."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.db = Database(settings)
        self.state = Store(settings.redis_state_url, "the state Redis")
        self.cache = Store(settings.redis_cache_url, "the cache Redis")
        self.sessions = Sessions(self.db, self.state)
        self.metrics = Metrics()
        self.answers = AnswerLog(self.db, self.metrics)
        self.starts = Starts(self.db)
        self.events = Events(self.db)
        self.papers = Papers(self.db, self.cache, settings.derived(PAPERS))
        self.notices = Notices(self.db)
        self.browsers = Browsers(self.db, settings.public_origin)
        self.door = Door(settings.redis_state_url)
        self.signer = Signer(settings.receipt_key)
        self.submissions = Submissions(self.db, self.signer)
        self.sittings = Sittings(self.db)
        self.log_ins = LogIns(self.db, self.state, settings.derived("access codes"))
        self.journal_key = settings.derived("journals")
        self.handovers = Handovers(self.db, self.answers, self.papers, self.journal_key)
        self.code_key = settings.derived(CODES)
        self.ticket_key = settings.derived("arrival tickets")
        self.form_key = settings.derived("form tokens")
        self.cookie = "__Host-exam" if settings.tls else "exam"
        self.staff_cookie = "__Host-staff" if settings.tls else "staff"
        self._notices: asyncio.Task[None] | None = None
        self._knocking: asyncio.Task[None] | None = None
        self.metrics.gauge("exam_waiting_saves", "Saves that wait for their flush.", lambda: len(self.answers))
        self.metrics.gauge("exam_waiting_starts", "Starts that wait for theirs.", lambda: len(self.starts))

    async def open(self) -> None:
        await self.db.open("saves", "web", "staff", "author")
        # The first connections now, so that no candidate waits for them; later, if the database is away.
        with suppress(Refusal):
            await self.db.saves.fill()
            await self.browsers.refresh()
        self._notices = asyncio.create_task(self._keep_notices())

    async def _keep_notices(self) -> None:
        while True:
            for refresh in (self.notices.refresh, self.browsers.refresh):
                try:
                    await refresh()
                except Refusal:
                    pass  # the database is away; what was last known stands
                except Exception:
                    log.exception("announcements, or who asks for Safe Exam Browser, could not be read")
            await asyncio.sleep(NOTICES_EVERY)

    def let(self, kind: Kind) -> None:
        """Unavailable if this kind of request has to stand back now, so that saves and submits go on."""
        if self.answers.lag > SHED_AT[kind]:
            self.metrics.shed += 1
            raise Unavailable(STAND_BACK)

    def knock(self) -> None:
        """Tells the graders that something was submitted; nobody waits for it, and one knock at a time is enough."""
        if self._knocking is None or self._knocking.done():
            self._knocking = asyncio.create_task(self.door.knock())

    async def close(self) -> None:
        """Answers everything that was accepted, then closes."""
        if self._notices is not None:
            self._notices.cancel()
            with suppress(asyncio.CancelledError):
                await self._notices
        await asyncio.gather(
            self.answers.drain(),
            self.starts.drain(),
            self.events.drain(),
            self.submissions.drain(),
            self.sittings.drain(),
            self.log_ins.drain(),
        )
        await self.db.close()
        await self.door.close()
        await self.state.close()
        await self.cache.close()
