"""The stage of a rush: a whole hall of real processes, ports and a folder of its own, and a filled database."""

import asyncio
import contextlib
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

from exam import db, migrations
from exam.children import Child, free_port, leave_sockets
from exam.local import Postgres, Valkey
from exam.nginx import Nginx, nginx_config
from exam.settings import Settings
from exam.stack import STATIC, create_database, grading_worker, server_urls, web_socket, web_worker
from loadtest.day import add_old_answers, add_staff
from loadtest.plan import Processes
from loadtest.seeding import Hall, fill


class Stage:
    """`with Stage(…) as stage`: everything runs; whatever ends the block, everything is stopped and removed."""

    def __init__(self, processes: Processes, candidates: int, answers: int, *, seated: bool = False) -> None:
        """`answers`: how many of earlier attempts lie in the tables already; `seated`: everybody's attempt runs."""
        self.processes, self.candidates, self.answers, self.seated = processes, candidates, answers, seated
        self.staff_password = secrets.token_urlsafe(9)
        self.port = free_port()
        self.hall: Hall
        self.settings: Settings
        self.children: dict[str, list[Child]] = {}
        self.metrics: list[int] = []
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as running:
            folder = Path(tempfile.mkdtemp(prefix="rush-"))
            running.callback(shutil.rmtree, folder, ignore_errors=True)
            running.callback(leave_sockets, folder)
            self.folder = folder
            self._open(running, folder)
            self._running = running.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def _open(self, running: contextlib.ExitStack, folder: Path) -> None:
        processes = self.processes
        checkpoints = {"max_wal_size": "8GB", "checkpoint_timeout": "10min", "checkpoint_completion_target": "0.9"}
        postgres = Postgres(folder / "postgres", shared_buffers="1GB", max_connections=200, settings=checkpoints)
        valkey = Valkey(folder / "valkey")
        running.enter_context(postgres)
        running.enter_context(valkey)
        create_database(postgres)
        values: dict[str, Any] = {
            **server_urls(postgres, valkey),
            "secret_key": secrets.token_hex(32),
            "receipt_key": secrets.token_hex(32),
            "public_origin": f"http://127.0.0.1:{self.port}",
            "partition_months": 0,
        }
        self.settings = Settings(**values)
        asyncio.run(self._fill())
        self.metrics = [free_port() for _ in range(processes.web)]
        webs = [web_worker(folder, place + 1, self.settings, port) for place, port in enumerate(self.metrics)]
        grader = grading_worker(folder, self.settings)
        nginx = self._balancer(folder)
        self.children = {
            "web": [*webs],
            "grading": [grader],
            "PostgreSQL": [postgres],
            "Valkey": [valkey],
            "nginx": [nginx],
        }
        for child in (*webs, grader, nginx):
            running.enter_context(child)

    def _balancer(self, folder: Path) -> Nginx:
        temp = folder / "nginx"
        temp.mkdir()
        config = nginx_config(
            listen=[f"127.0.0.1:{self.port}"],
            upstreams=[web_socket(folder, place + 1) for place in range(self.processes.web)],
            static=STATIC,
            temp=temp,
            worker_processes=self.processes.nginx,
        )
        # Each process gets a queue of its own and with it an even share: one that wakes first would take more
        # connections than it may have open files.
        return Nginx(temp, config.replace("backlog=4096", "backlog=4096 reuseport"))

    async def _fill(self) -> None:
        owner = await db.connect(self.settings.database_url)
        try:
            await migrations.migrate(owner)
            seated = self.seated
            hall = await fill(
                owner,
                self.settings,
                self.candidates,
                opens_in=-60 if seated else 3600,
                started=seated,
                sessions=seated,
                codes=not seated,
            )
            await add_staff(owner, self.staff_password)
            if self.answers:
                await add_old_answers(owner, hall, self.answers)
            await owner.execute("VACUUM ANALYZE")
            await owner.execute("CHECKPOINT")
        finally:
            await owner.close()
        self.hall = hall

    @contextlib.asynccontextmanager
    async def owner(self) -> Any:
        """A connection as the owner of the database."""
        connection = await db.connect(self.settings.database_url)
        try:
            yield connection
        finally:
            await connection.close()

    def pids(self, leave_out: str = "") -> dict[str, list[int]]:
        """The processes of each part of the hall, but for one that is left out."""
        return {part: [child.pid for child in found] for part, found in self.children.items() if part != leave_out}

    def dead(self) -> list[str]:
        """Names of what should run and does not."""
        return [child.name for children in self.children.values() for child in children if child.poll() is not None]
