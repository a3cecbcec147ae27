"""A whole hall behind the fault proxy: its processes, and attempts prepared for the clients of the history checker."""

import asyncio
import contextlib
import datetime as dt
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from exam import migrations, papers
from exam.auth import StaffSession, hash_code, new_code
from exam.children import Child, free_port, listening, socket_folder
from exam.db import Connection, Database, connect
from exam.errors import Refusal
from exam.grants import grant_time
from exam.local import Postgres, Valkey
from exam.nginx import Nginx
from exam.settings import Settings
from exam.stack import balancer, create_database, environment, grading_worker, server_urls, web_socket, web_worker
from grading.items import (
    Choice,
    Essay,
    Gap,
    InlineChoice,
    Interaction,
    Item,
    Match,
    Numeric,
    Option,
    Ordering,
    TextEntry,
    places,
)
from grading.keys import (
    ChoiceKey,
    InlineKey,
    Key,
    ManualKey,
    MatchKey,
    NumericAnswer,
    NumericKey,
    OrderKey,
    TextAnswer,
    TextKey,
)
from loadtest.proxy import Fault

WEBS: Final = 2
WORKERS: Final = 2
DISTRICTS: Final = ((1, "MUM"), (2, "PUN"))
ROOT: Final = Path(__file__).resolve().parent.parent


class Booked(msgspec.Struct, frozen=True):
    """A prepared attempt and what its candidate needs to sit it."""

    attempt_id: int
    district_id: int
    slot_id: int
    registration: str
    code: str
    duration_s: int


class FaultyHall(msgspec.Struct):
    """The running parts; the nemesis takes them by name."""

    folder: Path
    postgres: Postgres
    valkey: Valkey
    webs: list[Child]
    workers: list[Child]
    nginx: Nginx
    proxy: Child
    settings: Settings
    """With the addresses behind the proxy: for looking, not for the children."""
    port: int
    """Where the proxy takes the candidates' connections."""
    control: Path
    witness: Path

    async def owner(self) -> Connection:
        """A connection past the proxy, as the owner of the schema."""
        return await connect(self.settings.database_url)

    async def fault(self, fault: Fault) -> None:
        """Lets a fault begin at the proxy."""
        reader, writer = await asyncio.open_unix_connection(str(self.control))
        writer.write(msgspec.json.encode(fault) + b"\n")
        await reader.readline()
        writer.close()

    @property
    def children(self) -> list[Child]:
        return [self.postgres, self.valkey, *self.webs, *self.workers, self.nginx, self.proxy]


@contextlib.contextmanager
def open_hall(
    folder: Path, planted: str | None = None, postgres_settings: dict[str, str] | None = None
) -> Iterator[FaultyHall]:
    """A running hall with a migrated database; `planted` names what the launcher of defects puts into its processes."""
    port, front = free_port(), free_port()
    with contextlib.ExitStack() as running:
        # Commit times are how the checker knows what came before what, whatever the service says.
        special = {"track_commit_timestamp": "on", **(postgres_settings or {})}
        postgres = running.enter_context(Postgres(folder / "postgres", shared_buffers="64MB", settings=special))
        valkey = running.enter_context(Valkey(folder / "valkey"))
        create_database(postgres)
        between = socket_folder(folder / "proxy")
        settings = Settings(
            **server_urls(postgres, valkey),  # type: ignore[arg-type]
            secret_key=secrets.token_hex(32),
            receipt_key=secrets.token_hex(32),
            public_origin=f"http://127.0.0.1:{front}",
            partition_months=0,
        )
        witness, control = folder / "witness.jsonl", between / "control.sock"
        postgres_socket = socket_folder(folder / "postgres") / ".s.PGSQL.5432"
        links = [
            f"web,http,{front},{port}",
            f"postgres,raw,{between / '.s.PGSQL.5432'},{postgres_socket}",
            f"valkey,raw,{between / 'valkey.sock'},{valkey.socket}",
        ]
        proxy = Child(
            "proxy",
            folder / "proxy",
            [sys.executable, "-m", "loadtest.proxy", control, witness, *links],
            env={"PYTHONPATH": str(ROOT)},
            ready=lambda: listening(control),
        )
        running.enter_context(proxy)
        behind = _through_proxy(settings, socket_folder(folder / "postgres"), valkey.socket, between)
        asyncio.run(_migrate(settings))
        webs = [_web(folder, number, behind, planted) for number in range(1, WEBS + 1)]
        workers = [_worker(folder, number, behind, planted) for number in range(1, WORKERS + 1)]
        nginx = balancer(folder, port, WEBS)
        for child in (*webs, *workers, nginx):
            running.enter_context(child)
        yield FaultyHall(folder, postgres, valkey, webs, workers, nginx, proxy, settings, front, control, witness)


def _through_proxy(settings: Settings, postgres: Path, valkey: Path, between: Path) -> Settings:
    """The settings with the proxy's sockets in place of the servers' own."""
    changed = {
        name: value.replace(str(postgres), str(between)).replace(str(valkey), str(between / "valkey.sock"))
        for name, value in msgspec.structs.asdict(settings).items()
        if isinstance(value, str)
    }
    return msgspec.structs.replace(settings, **changed)


def _web(folder: Path, number: int, settings: Settings, planted: str | None) -> Child:
    if planted is None:
        return web_worker(folder, number, settings)
    path = web_socket(folder, number)
    return Child(
        f"web{number}",
        folder / "web",
        [sys.executable, "-m", "loadtest.defective", planted, str(number), "serve", "--socket", path],
        env={**environment(settings), "PYTHONPATH": str(ROOT)},
        socket=path,
    )


def _worker(folder: Path, number: int, settings: Settings, planted: str | None) -> Child:
    if planted is None:
        return grading_worker(folder, settings, number)
    return Child(
        f"worker{number}",
        folder / "web",
        [sys.executable, "-m", "loadtest.defective", planted, str(number), "worker"],
        env={**environment(settings), "PYTHONPATH": str(ROOT)},
    )


async def _migrate(settings: Settings) -> None:
    owner = await connect(settings.database_url)
    try:
        await migrations.migrate(owner)
        for district_id, code in DISTRICTS:
            await owner.execute("INSERT INTO district VALUES ($1, $2, $3)", district_id, code, {"en": code})
        await migrations.make_partitions(owner, dt.datetime.now(dt.UTC).date(), 0)
    finally:
        await owner.close()


# The scene ----------------------------------------------------------------------------------------------------------


def _options(count: int) -> list[Option]:
    return [Option(letter, {"en": f"Option {letter}"}) for letter in "abcdefgh"[:count]]


def _item(code: str, interaction: Interaction, key: Key) -> tuple[Item, Key]:
    section = "main" if code < "q6" else "more"
    return Item(code, section, {"en": f"Question {code}"}, interaction), key


YES_NO: Final = [Option("true", {"en": "Yes"}), Option("false", {"en": "No"})]
TEXTS: Final = [TextAnswer("Mumbai"), TextAnswer("मुंबई"), TextAnswer("Bom*", "1/3")]
NUMBERS: Final = [NumericAnswer("3.14", "3.15"), NumericAnswer("3", "3.2", "1/2")]
SENTENCE: Final = {"en": "[[a]], [[b]] and [[c]]", "mr": "[[c]] आणि [[a]], [[b]]"}
GAPS: Final = [Gap("a", _options(2)), Gap("b", _options(3)), Gap("c", _options(4))]
ORDERS: Final = [dict(zip(places(4), order, strict=True)) for order in ("cadb", "cabd", "dbca", "bdac", "cdab")]
BANK: Final[list[tuple[Item, Key]]] = [
    _item("q1", Choice(_options(4)), ChoiceKey({"b": "1"})),
    _item("q2", Choice(_options(4)), ChoiceKey({"a": "1", "c": "1/3", "d": "-1/2"})),
    _item("q3", Choice(_options(4), multiple=True), ChoiceKey({"a": "1/2", "c": "1/2", "b": "-1/2"})),
    _item("q4", Choice(_options(5), multiple=True), ChoiceKey({"a": "1/3", "b": "1/3", "c": "1/3"})),
    _item("q5", Numeric(), NumericKey(NUMBERS)),
    _item("q6", TextEntry(40), TextKey(TEXTS)),
    _item("q7", Match(_options(3), _options(4)), MatchKey({"a": "b", "b": "a", "c": "d"})),
    _item("q8", Choice(YES_NO), ChoiceKey({"true": "1"})),
    _item("q9", InlineChoice(SENTENCE, GAPS), InlineKey({"a": "b", "b": "a", "c": "c"}, {"b": "2", "c": "1/3"})),
    _item("qa", Ordering(_options(4)), OrderKey(["c", "a", "d", "b"])),
    _item("qb", Ordering(_options(4)), OrderKey(["c", "a", "d", "b"], "relative_next")),
    _item("qc", Essay(200), ManualKey()),
]

RESPONSES: Final[dict[int, list[Any]]] = {
    1: ["a", "b", "c", "d", None],
    2: ["a", "b", "c", "d", None],
    3: [["a", "c"], ["a"], ["c", "b"], ["d"], [], None],
    4: [["a"], ["b", "c"], ["c", "b", "a"], ["e"], None],
    5: ["3.14", "3,145", "३.१४", "3.05", "4", "none", "-3.14", None],
    6: ["mumbai", "  Mumbai ", "मुंबई", "Bombay", "Pune", " ", None],
    7: [{"a": "b", "b": "a", "c": "d"}, {"a": "b"}, {"a": "a", "b": "b"}, {}, None],
    8: ["true", "false", None],
    9: [{"a": "b", "b": "a", "c": "c"}, {"c": "c"}, {"b": "a", "a": "a"}, {"c": "b"}, {}, None],
    10: [*ORDERS, None],
    11: [*ORDERS, None],
    12: ["One text.", "दुसरा मजकूर\n", " ", None],
}


# Written by nobody but the database: how often each result has been stored, whatever it says itself.
RESULT_WITNESS: Final = (
    "CREATE TABLE result_stored (attempt_id bigint NOT NULL, stored_at timestamptz NOT NULL DEFAULT clock_timestamp())",
    """CREATE FUNCTION note_result() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
    BEGIN INSERT INTO result_stored (attempt_id) VALUES (NEW.attempt_id); RETURN NULL; END $$""",
    "CREATE TRIGGER note_result AFTER INSERT OR UPDATE ON result FOR EACH ROW EXECUTE FUNCTION note_result()",
)


async def set_scene(
    owner: Connection, settings: Settings, people: int, durations: tuple[int, int], grace_s: int, random: Random
) -> tuple[list[Booked], StaffSession]:
    """So many prepared attempts of some seconds each, in open slots of two districts, and an admin who may grant time.

    The clock of an attempt is the only thing shorter than in an exam that people sit: an exam has at least a minute.
    """
    now, day = dt.datetime.now(dt.UTC), dt.datetime.now(dt.UTC).date()
    for statement in RESULT_WITNESS:
        await owner.execute(statement)
    forms = await _forms(owner, grace_s)
    opens_at, closes_at = now - dt.timedelta(minutes=1), now + dt.timedelta(hours=12)
    staff_id = await owner.fetchval(
        "INSERT INTO staff (district_id, email, name, role, password_hash) "
        "VALUES (NULL, 'padma@hall.test', 'Padma', 'platform_admin', '-') RETURNING staff_id"
    )
    slots = [
        (
            await owner.fetchval(
                "INSERT INTO slot (district_id, exam_id, hall, opens_at, closes_at, exam_day, capacity, pinned_at) "
                "SELECT $1, exam_id, $2, $3, $4, $5, 100000, now() FROM exam LIMIT 1 RETURNING slot_id",
                district_id,
                f"Hall {hall}",
                opens_at,
                closes_at,
                day,
            ),
            district_id,
        )
        for hall in range(3)
        for district_id, _ in DISTRICTS
    ]
    key = settings.derived("access codes")
    booked = []
    for number in range(1, people + 1):
        slot_id, district_id = slots[number % len(slots)]
        booked.append(
            Booked(number, district_id, slot_id, f"H-{number}", new_code(), random.randint(*durations))
        )  # fmt: skip
    await owner.copy_records_to_table(
        "candidate",
        columns=["district_id", "candidate_id", "registration", "name"],
        records=[(b.district_id, b.attempt_id, b.registration, b.registration) for b in booked],
    )
    await owner.copy_records_to_table(
        "credential",
        columns=["registration", "district_id", "candidate_id", "code_hash"],
        records=[(b.registration, b.district_id, b.attempt_id, hash_code(key, b.registration, b.code)) for b in booked],
    )
    await owner.copy_records_to_table(
        "booking",
        columns=["district_id", "slot_id", "candidate_id"],
        records=[(b.district_id, b.slot_id, b.attempt_id) for b in booked],
    )
    await owner.copy_records_to_table(
        "attempt",
        columns=["district_id", "exam_day", "attempt_id", "slot_id", "candidate_id", "form_hash", "section_s", "seed",
                 "opens_at", "closes_at", "duration_s", "grace_s", "takeovers_left"],
        records=[
            (b.district_id, day, b.attempt_id, b.slot_id, b.attempt_id, *forms[b.attempt_id % len(forms)],
             random.randrange(2**32), opens_at, closes_at, b.duration_s, grace_s, 1000)
            for b in booked
        ],
    )  # fmt: skip
    await owner.execute("SELECT setval('attempt_id_seq', $1)", people + 1)
    await owner.execute("ANALYZE")
    admin = StaffSession(b"", staff_id, "Padma", "district_admin", None, tuple(number for number, _ in DISTRICTS))
    return booked, admin


async def _forms(owner: Connection, grace_s: int) -> list[tuple[bytes, list[int] | None]]:
    """Two forms, and one whose sections have their own time: each with the lengths of its sections in seconds."""
    sections = [{"section": name, "count": count, "marks": "4/3"} for name, count in (("main", 5), ("more", 7))]
    async with owner.transaction():
        bank_id = await owner.fetchval(
            "INSERT INTO bank (name, sections) VALUES ('History', $1) RETURNING bank_id",
            {"main": {"en": "Main"}, "more": {"en": "More"}},
        )
        for item, key in BANK:
            item_id = await owner.fetchval(
                "INSERT INTO item (bank_id, code, section, version) VALUES ($1, $2, $3, 1) RETURNING item_id",
                bank_id,
                item.code,
                item.section,
            )
            await owner.execute("INSERT INTO item_version VALUES ($1, 1, $2)", item_id, item)
            await owner.execute("INSERT INTO item_key VALUES ($1, 1, $2)", item_id, key)
        forms: list[tuple[bytes, list[int] | None]] = []
        for count, lengths in ((2, None), (1, [60, 120])):
            timed = [{"minutes": seconds // 60} for seconds in lengths] if lengths else [{}, {}]
            blueprint = {
                "sections": [one | own for one, own in zip(sections, timed, strict=True)],
                "shuffle": False,
            }
            exam_id = await owner.fetchval(
                "INSERT INTO exam (title, bank_id, duration_s, grace_s, device_changes, blueprint, scheme) "
                "VALUES ($1, $2, 180, $3, 100, $4, $5) RETURNING exam_id",
                {"en": "History"},
                bank_id,
                grace_s,
                blueprint,
                {"negative": "1/4", "round_to": 2},
            )
            forms += [(form_hash, lengths) for form_hash in await papers.freeze(owner, exam_id, count)]
        return forms


class Grants:
    """The invigilators: they give time now and then, by the operation that the staff's page calls."""

    def __init__(self, settings: Settings, admin: StaffSession, booked: list[Booked], random: Random) -> None:
        self._db, self._admin, self._random = Database(settings), admin, random
        self._booked = {one.attempt_id: one for one in booked}

    async def run(self, running: set[int], stop: asyncio.Event) -> None:
        """Gives some seconds to somebody who is sitting, seldom to a whole slot; outages and refusals are no matter."""
        await self._db.open("staff")
        try:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), self._random.uniform(0.2, 1.5))
                if not running:
                    continue
                one = self._booked[self._random.choice(sorted(running))]
                whole = self._random.random() < 0.03
                with contextlib.suppress(Refusal, OSError):
                    async with self._db.staff.transaction(self._admin.scope) as connection:
                        await grant_time(
                            connection, self._admin, one.slot_id, None if whole else one.attempt_id,
                            self._random.randint(1, 3), "a fault",
                        )  # fmt: skip
        finally:
            await self._db.close()
