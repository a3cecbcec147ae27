"""The staff of the cast at work: who they are, and a short way to let one of them act in a transaction of their own."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from exam.auth import Role, StaffSession
from exam.db import Connection
from exam.hall import Hall
from tests.cast import STAFF, Cast

Given = ParamSpec("Given")
Done = TypeVar("Done")

EVERYWHERE = (1, 2, 3, 4, 5)


class Desk:
    """Every member of the staff, logged in."""

    def __init__(self, hall: Hall, ids: dict[str, int]) -> None:
        self.hall = hall
        self.sessions = {
            name: StaffSession(
                bytes(32),
                ids[name],
                name.title(),
                cast(Role, role),
                district_id,
                EVERYWHERE if district_id is None else (district_id,),
            )
            for name, (role, district_id) in STAFF.items()
        }

    async def act(
        self,
        name: str,
        operation: Callable[Concatenate[Connection, StaffSession, Given], Awaitable[Done]],
        *given: Given.args,
        **more: Given.kwargs,
    ) -> Done:
        """What the operation returns when this person does it, as the pages do it; committed."""
        staff = self.sessions[name]
        async with self.hall.db.staff.transaction(scope=staff.scope) as connection:
            return await operation(connection, staff, *given, **more)

    async def sees(self, scope: tuple[int, ...], query: str, *values: Any) -> list[Any]:
        """The first column of whatever a staff connection of this scope gets, whoever wrote the query."""
        async with self.hall.db.staff.transaction(scope=scope) as connection:
            return [row[0] for row in await connection.fetch(query, *values)]

    async def touches(self, scope: tuple[int, ...], statement: str, *values: Any) -> int:
        """How many rows a statement of a staff connection of this scope changes."""
        async with self.hall.db.staff.transaction(scope=scope) as connection:
            tag: str = await connection.execute(statement, *values)
            return int(tag.rpartition(" ")[2])


async def staffed(hall: Hall, people: Cast) -> Desk:
    """The desk of a hall."""
    return Desk(hall, await people.staff())


async def until_somebody_waits(owner: Connection) -> None:
    """Returns once a connection waits for a lock."""
    for _ in range(100):
        if await owner.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waited for a lock")
