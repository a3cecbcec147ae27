"""Is this worker alive, and can it serve? For load balancers and operators; nothing personal, nothing secret."""

from typing import Any

from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import Receive, Send

from exam.checks import readiness
from exam.errors import Unavailable
from exam.hall import Hall
from exam.web.bare import Request, door, respond


def routes(hall: Hall) -> list[ASGIRouteHandler]:
    """The handlers of this door."""

    async def live(request: Request, receive: Receive, send: Send) -> None:
        await respond(send, {"status": "live"})

    async def ready(request: Request, receive: Receive, send: Send) -> None:
        parts: dict[str, Any]
        try:
            async with hall.db.web.connection() as connection:
                parts = await readiness(connection, hall.state, hall.cache, hall.settings.time_zone)
        except Unavailable:
            parts = {"postgresql": "away"}
        # Without Redis exams go on, only slower: a balancer that took every worker out for that would end them.
        needed = ("postgresql", "migrations", "partitions")
        well = all(parts.get(name) == "ok" for name in needed)
        degraded = well and any(value != "ok" for value in parts.values())
        status = "degraded" if degraded else "ready" if well else "not ready"
        await respond(send, {"status": status, **parts}, 200 if well else 503)

    return [
        asgi("/health/live", copy_scope=False, opt={"audience": "anyone"})(door(GET=live)),
        asgi("/health/ready", copy_scope=False, opt={"audience": "anyone"})(door(GET=ready)),
    ]
