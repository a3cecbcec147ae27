"""The web worker: Litestar around the doors. A route that declares no audience stops the start."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn
import uvloop
from litestar import Litestar, Router
from litestar.routes import ASGIRoute, HTTPRoute

from exam.hall import Hall
from exam.settings import Settings, read_settings
from exam.signals import stop_on_signals
from exam.web import admin, analyses, author, candidate, files, health, invigilator, pages, planning, receipts, staff
from exam.web.forms import LARGEST_FORM
from exam.web.guards import staff_guard
from exam.web.refusals import exception_handlers

AUDIENCES: Final = {
    "anyone",
    "candidate",
    "staff",
    "invigilator",
    "author",
    "marker",
    "district_admin",
    "platform_admin",
    "internal",
}


BACKLOG: Final = 4096
KEPT_ALIVE: Final = 30
"""Seconds for which a connection without a request stays open; nginx closes its own before."""
LAST_ANSWERS: Final = 20
"""Seconds in which a worker that ends has to have answered what it has taken."""


class UndeclaredAudience(Exception):
    """A route that does not say whom it is for."""


def check_audiences(app: Litestar) -> None:
    """UndeclaredAudience unless every route says for whom it is."""
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            # The framework's own answer to OPTIONS only names the methods of a path.
            handlers = [handler for handler in route.route_handlers if handler.http_methods != {"OPTIONS"}]
        elif isinstance(route, ASGIRoute):
            handlers = [route.route_handler]  # type: ignore[list-item]
        else:
            raise UndeclaredAudience(route.path)
        for handler in handlers:
            declared = handler.opt.get("audience")
            named = {declared} if isinstance(declared, str) else set(declared or ())
            if not named or not named <= AUDIENCES:
                raise UndeclaredAudience(f"{route.path} ({handler}) declares no audience of {sorted(AUDIENCES)}")


def create_app(settings: Settings | None = None, extra_routes: list[object] | None = None) -> Litestar:
    """The application of one web worker. Raises UndeclaredAudience and SettingsError before it serves anything."""
    hall = Hall(settings or read_settings())

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        await hall.open()
        try:
            yield
        finally:
            await hall.close()

    # The guard stands before the staff's doors only: the hot ones look for themselves, and cheaper.
    staffs = Router(
        path="/",
        guards=[staff_guard(hall)],
        request_max_body_size=LARGEST_FORM,
        route_handlers=[
            *(
                handler
                for door in (staff, admin, planning, invigilator, author, analyses)
                for handler in door.routes(hall)
            ),
        ],
    )
    app = Litestar(
        route_handlers=[
            *candidate.routes(hall),
            *health.routes(hall),
            *files.routes(),
            *pages.routes(hall),
            *receipts.routes(hall),
            staffs,
            *(extra_routes or []),  # type: ignore[list-item]
        ],
        exception_handlers=exception_handlers(hall),
        lifespan=[lifespan],
        openapi_config=None,
        debug=hall.settings.debug,
        logging_config=None,
    )
    app.state.hall = hall
    check_audiences(app)
    return app


def serve_worker(
    settings: Settings,
    path: Path | None,
    port: int | None,
    metrics_port: int | None,
    metrics_address: str = "127.0.0.1",
) -> None:
    """Runs one web worker until SIGTERM; then answers what it has accepted, and ends."""
    uvloop.run(_serve(settings, path, port, metrics_port, metrics_address))


async def _serve(
    settings: Settings, path: Path | None, port: int | None, metrics_port: int | None, metrics_address: str
) -> None:
    app = create_app(settings)
    hall: Hall = app.state.hall
    if metrics_port is not None:
        hall.metrics.serve(metrics_port, metrics_address)
    server = Server(app, path, port)
    stop = stop_on_signals()
    serving = asyncio.create_task(server.serve())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving


class Server(uvicorn.Server):
    """uvicorn in the event loop that runs, on a unix socket or a port of this machine; signals stay ours."""

    def __init__(self, app: Any, path: Path | None, port: int | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                uds=str(path) if path else None,
                port=port or 0,
                http="httptools",
                ws="none",
                lifespan="on",
                backlog=BACKLOG,
                timeout_keep_alive=KEPT_ALIVE,
                timeout_graceful_shutdown=LAST_ANSWERS,
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
