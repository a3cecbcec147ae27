"""The gate to PostgreSQL: named statements from sql/, pools by role, and group commit. The only home of asyncpg."""

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, Generic, TypeAlias, TypeVar

import asyncpg
import msgspec

from exam.errors import Unavailable
from exam.settings import Settings

log = logging.getLogger("exam.db")

SQL_FOLDER: Final = Path(__file__).resolve().parent.parent / "sql"

Connection: TypeAlias = asyncpg.Connection
Row: TypeAlias = asyncpg.Record
Rows: TypeAlias = list[asyncpg.Record]

# What a server that is away, restarting, full or stuck looks like from here. The class varies with the moment of the
# crash, so the whole families are named; a wrong statement (42…) or wrong data (22, 23) is none of them.
OUTAGES: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.PostgresSystemError,
)
BAD_DATA: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
NOT_UNIQUE: Final = (asyncpg.UniqueViolationError,)
BROKEN_RULE: Final = (asyncpg.CheckViolationError, asyncpg.ForeignKeyViolationError)


# Named statements ---------------------------------------------------------------------------------------------------

_BLOCK = re.compile(r"^-- name: (\w+)\n((?:--[^\n]*\n)+)(.*?)(?=^-- name: |\Z)", re.M | re.S)
_TOKEN = re.compile(r"'(?:[^']|'')*'|--[^\n]*|::|(?<!\w):([a-z_]+)")


_DISTRICT = re.compile(r"\b(\w+)\.district_id = \w+\.district_id")


class Statement(msgspec.Struct, frozen=True):
    """One named block of sql/: its text with $n in place of :names, and the names in their order."""

    name: str
    promise: str
    text: str
    names: tuple[str, ...]

    def _values(self, values: dict[str, Any]) -> list[Any]:
        if values.keys() != set(self.names):
            raise TypeError(f"{self.name} takes {sorted(self.names)}, not {sorted(values)}")
        return [values[name] for name in self.names]

    def within(self, district_id: int) -> "Statement":
        """The same for rows of one district only: PostgreSQL then plans, and locks, its partitions and no others."""
        only = rf"\g<0> AND \1.district_id = {district_id:d}"
        return msgspec.structs.replace(self, text=_DISTRICT.sub(only, self.text))

    async def many(self, connection: Connection, **values: Any) -> Rows:
        """All rows."""
        rows: Rows = await connection.fetch(self.text, *self._values(values))
        return rows

    async def batches(self, connection: Connection, size: int, **values: Any) -> AsyncIterator[Rows]:
        """All rows, at most `size` at once, through a cursor of the transaction: however many, they need no room."""
        cursor = await connection.cursor(self.text, *self._values(values))
        while rows := await cursor.fetch(size):
            yield rows

    async def one_or_none(self, connection: Connection, **values: Any) -> Row | None:
        """The first row, None where there is none."""
        return await connection.fetchrow(self.text, *self._values(values))

    async def one(self, connection: Connection, **values: Any) -> Row:
        """The first row; a LookupError where there is none."""
        row = await self.one_or_none(connection, **values)
        if row is None:
            raise LookupError(self.name)
        return row

    async def run(self, connection: Connection, **values: Any) -> int:
        """How many rows it changed."""
        tag: str = await connection.execute(self.text, *self._values(values))
        return int(tag.rpartition(" ")[2]) if tag[-1].isdigit() else 0

    async def each(self, connection: Connection, values: Sequence[dict[str, Any]]) -> None:
        """Runs once for each set of values, in one round trip."""
        await connection.executemany(self.text, [self._values(v) for v in values])


def parse_blocks(source: str) -> dict[str, Statement]:
    """The named blocks of a .sql file; a ValueError for a double name or a block without a promise."""
    found: dict[str, Statement] = {}
    for name, comment, body in _BLOCK.findall(source):
        names: list[str] = []

        def number(match: re.Match[str], names: list[str] = names) -> str:
            if match[1] is None:
                return match[0]
            if match[1] not in names:
                names.append(match[1])
            return f"${names.index(match[1]) + 1}"

        if name in found:
            raise ValueError(f"two blocks are called {name}")
        promise = " ".join(line.removeprefix("--").strip() for line in comment.strip().splitlines())
        found[name] = Statement(name, promise, _TOKEN.sub(number, body).strip().rstrip(";"), tuple(names))
    if source.count("-- name: ") != len(found):
        raise ValueError("a block has no sentence under its name")
    return found


def load(noun: str, *names: str) -> tuple[Statement, ...]:
    """The statements of sql/<noun>.sql in the order asked for; a ValueError unless they are exactly these."""
    blocks = parse_blocks((SQL_FOLDER / f"{noun}.sql").read_text("utf-8"))
    if set(blocks) != set(names) or len(names) != len(set(names)):
        raise ValueError(f"sql/{noun}.sql: unused {set(blocks) - set(names)}, missing {set(names) - set(blocks)}")
    return tuple(blocks[name] for name in names)


class Stuck(Unavailable):
    """The database answers, but this statement waited too long for a lock or for its turn."""

    why = ""


# Pools --------------------------------------------------------------------------------------------------------------


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


async def _leave_as_it_is(connection: Connection) -> None:
    # Nothing here changes a session beyond its transaction, so the four commands by which a pool cleans up would only
    # double the round trips of a save.
    if connection.is_in_transaction():
        await connection.reset()


async def connect(url: str, **server_settings: str) -> Connection:
    """One connection outside the pools, for the command line and for migrations."""
    connection = await asyncpg.connect(url, timeout=10, server_settings={"timezone": "UTC", **server_settings})
    await _prepare(connection)
    return connection


def explains(outage: BaseException) -> str:
    """One line about a database error, without data."""
    return f"{type(outage).__name__}: {str(outage).splitlines()[0] if str(outage) else ''}"


PATIENCE: Final = 1.0


class Pool:
    """Connections of one role. An outage, and a wait for a connection beyond PATIENCE seconds, is Unavailable."""

    def __init__(self, url: str, role: str, size: int, **server_settings: str) -> None:
        self._url, self._size = url, size
        self._settings = {
            "role": f"exam_{role}",
            "application_name": f"exam {role}",
            "timezone": "UTC",
            "synchronous_commit": "on",  # said here too, so that no server default can weaken a promise
            "statement_timeout": "5000",
            "lock_timeout": "1000",
            "idle_in_transaction_session_timeout": "10000",
            "jit": "off",
            **server_settings,
        }
        self._pool: asyncpg.Pool | None = None
        self.warm: Callable[[Connection], Awaitable[None]] | None = None
        """What is done once with each new connection, before anybody waits for what it does."""

    async def _begin(self, connection: Connection) -> None:
        await _prepare(connection)
        if self.warm is not None:
            with suppress(asyncpg.LockNotAvailableError):  # a table is stuck: not everybody's work needs that one
                await self.warm(connection)

    async def fill(self) -> None:
        """Makes all connections now, so that nobody waits for one later. Unavailable, if the database is away."""
        async with AsyncExitStack() as held:
            for _ in range(self._size):
                await held.enter_async_context(self.connection())

    async def open(self) -> None:
        """Makes the pool; connections are made when they are needed, so a database that is away stops no start."""
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=self._size,
            init=self._begin,
            reset=_leave_as_it_is,
            timeout=5,
            command_timeout=10,
            max_inactive_connection_lifetime=0,
            server_settings=self._settings,
        )

    async def close(self) -> None:
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), 5)
            except (TimeoutError, *OUTAGES):
                self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection outside a transaction."""
        assert self._pool is not None
        try:
            async with self._pool.acquire(timeout=PATIENCE) as connection:
                yield connection
        except OUTAGES as outage:
            if isinstance(outage, asyncpg.LockNotAvailableError | asyncpg.QueryCanceledError):
                stuck = Stuck()
                stuck.why = type(outage).__name__
                raise stuck from outage
            log.warning("the database did not do it: %s", explains(outage))
            raise Unavailable from outage

    @asynccontextmanager
    async def transaction(self, scope: Sequence[int] | None = None) -> AsyncIterator[Connection]:
        """A connection inside a transaction; `scope` are the districts a staff transaction may see and touch."""
        async with self.connection() as connection, connection.transaction():
            if scope is not None:
                await connection.execute("SELECT set_config('exam.scope', $1, true)", ",".join(map(str, scope)))
            yield connection


class Database:
    """The pools of one process. Saves have connections of their own: nothing else can take them."""

    def __init__(self, settings: Settings) -> None:
        # A statement over arrays knows nothing of their length and, on a small or new table, would settle for a
        # sequential scan that becomes a disaster when the table grows; it is planned once and keeps to the indexes.
        steady = {"enable_seqscan": "off", "enable_mergejoin": "off", "plan_cache_mode": "force_generic_plan"}
        # A save passes locked rows by, so it waits for a lock only where a whole table is stuck; until that is noticed
        # the other districts in its round wait, too.
        at_once = {"lock_timeout": "100"}
        self.saves = Pool(settings.url_of("web"), "web", settings.save_connections, **steady, **at_once)
        self.web = Pool(settings.url_of("web"), "web", settings.web_connections, **steady)
        self.staff = Pool(settings.url_of("staff"), "staff", settings.staff_connections)
        self.author = Pool(settings.url_of("author"), "author", 2)
        self.grading = Pool(settings.url_of("grading"), "grading", 5, statement_timeout="60000")

    async def open(self, *names: str) -> None:
        """Opens the named pools."""
        for name in names:
            await getattr(self, name).open()

    async def close(self) -> None:
        for pool in (self.saves, self.web, self.staff, self.author, self.grading):
            await pool.close()


# Group commit -------------------------------------------------------------------------------------------------------

Entry = TypeVar("Entry")
Outcome = TypeVar("Outcome")


ENOUGH: Final = 64
"""Entries for which a round need not wait any longer: more of them would hardly make each cheaper."""


def _open(gate: asyncio.Future[None]) -> None:
    if not gate.done():
        gate.set_result(None)


class Again(msgspec.Struct, frozen=True):
    """An entry's outcome when its row was locked by somebody else: it goes into the next round."""


class Group(Generic[Entry, Outcome]):
    """Group commit: whatever waits goes into one statement, and is answered only after that has committed.

    `run` gets up to `most` entries and returns an outcome, an exception or Again for each, in order. Entries of one
    `key`, if there is one, never share a round, so that a round is free of order among its rows. A round waits `gather`
    seconds for company, or until ENOUGH are there. More than `bound` waiting entries are Unavailable at once: a queue
    that only grows helps nobody.
    """

    def __init__(
        self,
        run: Callable[[list[Entry]], Awaitable[list[Outcome | BaseException | Again]]],
        key: Callable[[Entry], object] | None = None,
        *,
        gather: float = 0.005,
        most: int = 300,
        bound: int = 4000,
        patience: float = 3.0,
    ) -> None:
        self._run, self._key = run, key
        self._gather, self._most, self._bound, self._patience = gather, most, bound, patience
        self._waiting: list[tuple[Entry, asyncio.Future[Outcome], float]] = []
        self._loop_task: asyncio.Task[None] | None = None
        self._gate: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def oldest(self) -> float:
        """Seconds that the longest waiting entry has waited; 0 where nothing waits."""
        if not self._waiting:
            return 0.0
        return time.monotonic() - (self._waiting[0][2] - self._patience)

    async def add(self, entry: Entry) -> Outcome:
        """The outcome of `entry`, once it is durable; raises what its round raised for it."""
        if len(self._waiting) >= self._bound:
            raise Unavailable
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future, time.monotonic() + self._patience))
        if self._loop_task is None or self._loop_task.done():
            self._loop_task = asyncio.create_task(self._rounds())
        elif self._gate is not None and len(self._waiting) >= ENOUGH:
            _open(self._gate)
        return await future

    async def _company(self) -> None:
        if len(self._waiting) >= ENOUGH:
            await asyncio.sleep(0)  # others of this very moment come along
            return
        loop = asyncio.get_running_loop()
        self._gate = loop.create_future()
        timer = loop.call_later(self._gather, _open, self._gate)
        try:
            await self._gate
        finally:
            timer.cancel()
            self._gate = None

    def _next_round(self) -> list[tuple[Entry, asyncio.Future[Outcome], float]]:
        if self._key is None:
            taken, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            return taken
        keys: set[object] = set()
        taken, left = [], []
        for waiting in self._waiting:
            key = self._key(waiting[0])
            if len(taken) < self._most and key not in keys:
                keys.add(key)
                taken.append(waiting)
            else:
                left.append(waiting)
        self._waiting = left
        return taken

    async def _rounds(self) -> None:
        while self._waiting:
            await self._company()
            taken = self._next_round()
            # The round itself never raises for a client that has gone away: its future is then done, the row is kept.
            try:
                outcomes = await self._run([entry for entry, _, _ in taken])
            except BaseException as failure:
                # Each has its own: what it says of when to come again is spread, and somebody may add to it.
                outcomes = [Unavailable() if isinstance(failure, Unavailable) else failure for _ in taken]
                if not isinstance(failure, Exception):
                    self._settle(taken, outcomes)
                    raise
            self._settle(taken, outcomes)

    def _settle(
        self,
        taken: list[tuple[Entry, asyncio.Future[Outcome], float]],
        outcomes: Sequence[Outcome | BaseException | Again],
    ) -> None:
        now = time.monotonic()
        for waiting, outcome in zip(taken, outcomes, strict=True):
            future = waiting[1]
            if future.done():
                continue
            if isinstance(outcome, Again):
                if now < waiting[2]:
                    self._waiting.append(waiting)
                else:
                    future.set_exception(Unavailable())
            elif isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    async def drain(self) -> None:
        """Waits until everything that was added has been answered."""
        while self._loop_task is not None and not self._loop_task.done():
            with suppress(Exception):
                await asyncio.shield(self._loop_task)
