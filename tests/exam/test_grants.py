"""Time and device changes given on the day, also while an attempt starts, is sealed or is given more."""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from exam.audit import list_acts
from exam.db import Pool
from exam.errors import Malformed, NotAllowed, NothingHere, NotPossible
from exam.grants import MOST_TAKEOVERS, Granted, allow_device_change, grant_time, list_grants
from exam.hall import Hall
from exam.settings import Settings
from exam.submissions import seal
from tests.cast import ITEMS, MUMBAI, PUNE, Cast, Slot, begin, log_in, row, save
from tests.exam.desk import Desk, staffed, until_somebody_waits

FIVE = 5 * 60
Device = Callable[[], httpx.AsyncClient]


@pytest.fixture
async def desk(hall: Hall, cast: Cast) -> Desk:
    return await staffed(hall, cast)


async def attempt(owner: asyncpg.Connection, slot: Slot, name: str) -> asyncpg.Record:
    found = await owner.fetchrow("SELECT * FROM attempt WHERE attempt_id = $1", slot.attempts[name])
    assert found is not None
    return found


async def crowded(cast: Cast, owner: asyncpg.Connection, people: int, overdue: dt.timedelta) -> Slot:
    """A slot with many running attempts, all of which ran out so long ago."""
    slot = await cast.slot(await cast.candidate("chetan"))
    await owner.execute(
        "INSERT INTO attempt (district_id, exam_day, slot_id, candidate_id, form_hash, seed, opens_at, closes_at, "
        "duration_s, grace_s, takeovers_left) SELECT district_id, exam_day, slot_id, candidate_id + n, form_hash, "
        "seed, opens_at, closes_at, duration_s, grace_s, takeovers_left FROM attempt, generate_series(1, $1) n",
        people - 1,
    )
    await owner.execute(
        "UPDATE attempt SET state = 'started', epoch = 1, writer = 'w', started_at = now() - interval '2 hours', "
        "deadline = now() - $1::interval",
        overdue,
    )
    return slot


async def test_time_before_the_start_counts_from_the_start(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Device
) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan, minutes=30)
    granted = await desk.act("iqbal", grant_time, slot.slot_id, slot.attempts["chetan"], FIVE, "Came in a wheelchair")
    assert granted == Granted(1, 0)
    before = await attempt(owner, slot, "chetan")
    assert (before["state"], before["grant_s"], before["deadline"]) == ("prepared", FIVE, None)
    started = await begin(client(), chetan)
    assert started["deadline"] - started["started_at"] == 35 * 60 * 1000  # type: ignore[operator]


async def test_time_in_mid_exam_arrives_with_the_next_save(desk: Desk, cast: Cast, client: Device) -> None:
    chetan, divya = await cast.candidate("chetan"), await cast.candidate("divya")
    slot = await cast.slot(chetan, divya)
    phone, other = client(), client()
    started, unmoved = await begin(phone, chetan), await begin(other, divya)
    await desk.act("iqbal", grant_time, slot.slot_id, slot.attempts["chetan"], FIVE, "Power cut")
    saved = (await save(phone, row(1, 1, "b"))).json()
    assert saved["deadline"] - started["deadline"] == FIVE * 1000
    assert (await save(other, row(1, 1, "b"))).json()["deadline"] == unmoved["deadline"]


async def test_time_for_the_hall_reaches_all_who_have_not_ended(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Device
) -> None:
    people = [await cast.candidate(name) for name in ("chetan", "divya", "esha")]
    slot = await cast.slot(*people)
    chetans, divyas = client(), client()
    await begin(chetans, people[0])
    await begin(divyas, people[1])
    assert (await divyas.post("/api/submit", json={"epoch": 1, "last_seq": 0})).status_code == 200
    before = {name: await attempt(owner, slot, name) for name in slot.attempts}
    assert await desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Power cut") == Granted(2, 1)
    after = {name: await attempt(owner, slot, name) for name in slot.attempts}
    assert after["chetan"]["deadline"] - before["chetan"]["deadline"] == dt.timedelta(minutes=5)
    assert after["divya"] == before["divya"]
    assert (after["esha"]["deadline"], after["esha"]["grant_s"]) == (None, FIVE)
    (act,) = await desk.act("asha", list_acts)
    assert (act["act"], act["detail"]["changed"], act["detail"]["ended"]) == ("time.granted", 2, 1)


async def test_a_common_end_moves_too(desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Device) -> None:
    chetan, divya = await cast.candidate("chetan"), await cast.candidate("divya")
    slot = await cast.slot(chetan, divya, closes_in=600, ends_in=3600)
    await begin(client(), chetan)
    await desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Fire drill")
    await begin(client(), divya)
    for name in ("chetan", "divya"):
        found = await attempt(owner, slot, name)
        assert found["deadline"] == found["ends_at"] + dt.timedelta(minutes=5)


async def test_an_answer_counts_in_the_time_that_was_given(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Device
) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan)
    phone = client()
    await begin(phone, chetan)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '30 s'")
    assert (await save(phone, row(1, 1, "b"))).json()["kept"] == [{"seq": 1, "reason": "late"}]
    await desk.act("iqbal", grant_time, slot.slot_id, slot.attempts["chetan"], FIVE, "Line was down")
    assert "kept" not in (await save(phone, row(2, 1, "c"))).json()


@pytest.mark.parametrize("state", ["submitted", "sealed", "graded", "released"])
async def test_who_has_ended_gets_no_time(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Device, state: str
) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan)
    await begin(client(), chetan)
    await owner.execute("UPDATE attempt SET state = $1, ended_at = now()", state)
    before = await attempt(owner, slot, "chetan")
    for whom, words in ((slot.attempts["chetan"], "attempt has ended"), (None, "Everybody in this slot has ended")):
        with pytest.raises(NotPossible, match=words):
            await desk.act("asha", grant_time, slot.slot_id, whom, FIVE, "Power cut")
    with pytest.raises(NotPossible, match="attempt has ended"):
        await desk.act("asha", allow_device_change, slot.slot_id, slot.attempts["chetan"])
    assert await attempt(owner, slot, "chetan") == before
    assert await desk.act("asha", list_grants, slot.slot_id) == []
    assert await desk.act("asha", list_acts) == []


async def test_before_the_pin_there_is_nobody_to_give_to(desk: Desk, cast: Cast) -> None:
    slot = await cast.slot(await cast.candidate("chetan"), pinned=False)
    with pytest.raises(NotPossible, match="not pinned"):
        await desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Power cut")


@pytest.mark.parametrize(
    ("seconds", "reason", "field"),
    [(0, "Power cut", "seconds"), (-60, "Power cut", "seconds"), (14401, "Power cut", "seconds"),
     (FIVE, " ", "reason"), (FIVE, "x" * 501, "reason"), (FIVE, "a\0", "reason")],
)  # fmt: skip
async def test_a_grant_needs_a_sane_time_and_a_reason(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, seconds: int, reason: str, field: str
) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    with pytest.raises(Malformed) as refusal:
        await desk.act("asha", grant_time, slot.slot_id, None, seconds, reason)
    assert refusal.value.extra == {"field": field}
    assert (await attempt(owner, slot, "chetan"))["grant_s"] == 0


async def test_an_invigilator_gives_half_an_hour_and_an_admin_four(
    desk: Desk, cast: Cast, owner: asyncpg.Connection
) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    await desk.act("iqbal", grant_time, slot.slot_id, None, 1800, "Power cut")
    with pytest.raises(NotAllowed, match="30 minutes"):
        await desk.act("iqbal", grant_time, slot.slot_id, None, 1801, "Power cut")
    await desk.act("asha", grant_time, slot.slot_id, None, 14400, "Flood")
    assert (await attempt(owner, slot, "chetan"))["grant_s"] == 16200


async def test_grants_are_listed_with_who_why_and_to_whom(desk: Desk, cast: Cast) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan)
    await desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Power cut")
    await desk.act("iqbal", grant_time, slot.slot_id, slot.attempts["chetan"], 60, "Pen broke")
    second, first = await desk.act("padma", list_grants, slot.slot_id)
    assert (first["name"], first["seconds"], first["reason"], first["staff_name"]) == (None, FIVE, "Power cut", "Asha")
    assert (second["name"], second["registration"]) == ("Chetan", chetan.registration)
    assert (second["staff_name"], second["reason"]) == ("Iqbal", "Pen broke")
    acts = await desk.act("asha", list_acts)
    assert [act["candidate_id"] for act in acts] == [chetan.candidate_id, None]


# At the same moment ---------------------------------------------------------------------------------------------------


async def test_grants_at_once_add_up(desk: Desk, cast: Cast, owner: asyncpg.Connection, settings: Settings) -> None:
    slot = await crowded(cast, owner, 40, dt.timedelta(0))
    deadlines = dict(await owner.fetch("SELECT attempt_id, deadline FROM attempt"))
    await desk.hall.db.staff.close()
    desk.hall.db.staff = Pool(settings.url_of("staff"), "staff", 20, lock_timeout="20000")
    await desk.hall.db.staff.open()
    one = slot.attempts["chetan"]
    done = await asyncio.gather(
        *(desk.act("asha", grant_time, slot.slot_id, None, 60, "Power cut") for _ in range(10)),
        *(desk.act("iqbal", grant_time, slot.slot_id, one, 60, "Power cut") for _ in range(10)),
    )
    assert done == [Granted(40, 0)] * 10 + [Granted(1, 0)] * 10
    for found in await owner.fetch("SELECT attempt_id, grant_s, deadline FROM attempt"):
        seconds = 1200 if found["attempt_id"] == one else 600
        assert found["grant_s"] == seconds
        assert found["deadline"] - deadlines[found["attempt_id"]] == dt.timedelta(seconds=seconds)


async def test_a_grant_that_waits_for_a_start_moves_its_deadline(
    desk: Desk, cast: Cast, owner: asyncpg.Connection
) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    async with owner.transaction():
        await owner.execute(
            "UPDATE attempt SET state = 'started', epoch = 1, writer = 'w', started_at = now(), "
            "deadline = now() + interval '1 hour'"
        )
        granting = asyncio.create_task(desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Power cut"))
        await until_somebody_waits(owner)
    assert await granting == Granted(1, 0)
    found = await attempt(owner, slot, "chetan")
    assert found["deadline"] - found["started_at"] == dt.timedelta(minutes=65)


async def test_a_grant_that_waits_for_the_seal_comes_too_late(
    desk: Desk, cast: Cast, owner: asyncpg.Connection
) -> None:
    slot = await crowded(cast, owner, 1, dt.timedelta(minutes=2))
    async with owner.transaction():
        await owner.execute("UPDATE attempt SET state = 'sealed', ended_at = deadline")
        granting = asyncio.create_task(desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Power cut"))
        await until_somebody_waits(owner)
    with pytest.raises(NotPossible, match="has ended"):
        await granting
    found = await attempt(owner, slot, "chetan")
    assert (found["grant_s"], found["ended_at"]) == (0, found["deadline"])


async def test_the_seal_leaves_alone_what_is_being_given_time(
    desk: Desk, cast: Cast, owner: asyncpg.Connection
) -> None:
    slot = await crowded(cast, owner, 3, dt.timedelta(minutes=2))
    staff = desk.sessions["asha"]
    async with desk.hall.db.staff.transaction(scope=staff.scope) as connection:
        await grant_time(connection, staff, slot.slot_id, slot.attempts["chetan"], FIVE, "Power cut")
        assert await seal(desk.hall.db) == 2
    assert await seal(desk.hall.db) == 0
    assert (await attempt(owner, slot, "chetan"))["state"] == "started"


@pytest.mark.parametrize("attempts", range(4))
async def test_grant_and_seal_at_once_never_half_happen(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, attempts: int
) -> None:
    """Each of 200 that ran out is either sealed as it was, or runs on with its time; nobody is both or neither."""
    slot = await crowded(cast, owner, 200, dt.timedelta(minutes=2))
    tasks = [desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Power cut"), seal(desk.hall.db)]
    if attempts % 2:
        tasks.reverse()
    done: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    sealed = next(each for each in done if isinstance(each, int))
    granted = next((each for each in done if isinstance(each, Granted)), Granted(0, 200))
    assert all(isinstance(each, int | Granted | NotPossible) for each in done)
    counted = await owner.fetchrow(
        "SELECT count(*) FILTER (WHERE state = 'sealed' AND grant_s = 0 AND ended_at = deadline) AS sealed, "
        "count(*) FILTER (WHERE state = 'started' AND grant_s = 300 AND deadline > now()) AS running, "
        "(SELECT count(*) FROM submission) AS submissions FROM attempt"
    )
    assert counted is not None
    assert dict(counted) == {"sealed": sealed, "running": granted.changed, "submissions": sealed}
    assert sealed + granted.changed == 200


# Devices --------------------------------------------------------------------------------------------------------------


async def test_one_more_device_change(desk: Desk, cast: Cast, client: Device) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan, device_changes=0)
    await begin(client(), chetan)
    tablet = client()
    await log_in(tablet, chetan)
    assert (await tablet.post("/api/takeover", json={})).status_code == 403
    assert await desk.act("iqbal", allow_device_change, slot.slot_id, slot.attempts["chetan"]) == 1
    assert (await tablet.post("/api/takeover", json={})).json()["epoch"] == 2
    phone = client()
    await log_in(phone, chetan)
    assert (await phone.post("/api/takeover", json={})).status_code == 403
    (act,) = await desk.act("asha", list_acts)
    assert (act["act"], act["candidate_id"], act["staff_name"]) == ("device.allowed", chetan.candidate_id, "Iqbal")


async def test_before_the_start_no_permission_is_needed(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    with pytest.raises(NotPossible, match="not started yet"):
        await desk.act("iqbal", allow_device_change, slot.slot_id, slot.attempts["chetan"])
    assert (await attempt(owner, slot, "chetan"))["takeovers_left"] == 2


async def test_device_changes_do_not_pile_up(desk: Desk, cast: Cast, client: Device) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan, device_changes=MOST_TAKEOVERS - 1)
    await begin(client(), chetan)
    key = (slot.slot_id, slot.attempts["chetan"])
    assert await desk.act("iqbal", allow_device_change, *key) == MOST_TAKEOVERS
    with pytest.raises(NotPossible, match=f"{MOST_TAKEOVERS} device changes are open"):
        await desk.act("iqbal", allow_device_change, *key)


# Whose it is ----------------------------------------------------------------------------------------------------------


async def test_another_districts_people_are_nothing(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, client: Device
) -> None:
    chetan = await cast.candidate("chetan")
    slot = await cast.slot(chetan)
    await begin(client(), chetan)
    pune = await cast.slot(await cast.candidate("pallavi", PUNE))
    before = await attempt(owner, slot, "chetan")
    for slot_id in (slot.slot_id, pune.slot_id):  # by its own slot, and smuggled into one's own
        with pytest.raises(NothingHere):
            await desk.act("prachi", grant_time, slot_id, slot.attempts["chetan"], FIVE, "Power cut")
        with pytest.raises(NothingHere):
            await desk.act("prachi", allow_device_change, slot_id, slot.attempts["chetan"])
    with pytest.raises(NothingHere):
        await desk.act("prachi", grant_time, slot.slot_id, None, FIVE, "Power cut")
    with pytest.raises(NothingHere):
        await desk.act("prachi", list_grants, slot.slot_id)
    assert await attempt(owner, slot, "chetan") == before


async def test_an_attempt_of_another_slot_is_nothing(desk: Desk, cast: Cast, owner: asyncpg.Connection) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    other = await cast.slot(await cast.candidate("divya"), items=ITEMS[:4])
    with pytest.raises(NothingHere):
        await desk.act("asha", grant_time, other.slot_id, slot.attempts["chetan"], FIVE, "Power cut")
    with pytest.raises(NothingHere):
        await desk.act("asha", allow_device_change, other.slot_id, slot.attempts["chetan"])
    assert (await attempt(owner, slot, "chetan"))["grant_s"] == 0


async def test_a_grant_without_scope_meets_the_second_wall(desk: Desk, cast: Cast) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    await desk.act("asha", grant_time, slot.slot_id, None, FIVE, "Power cut")
    assert await desk.sees((PUNE,), "SELECT grant_id FROM time_grant") == []
    assert await desk.touches((PUNE,), "UPDATE attempt SET grant_s = grant_s + 60") == 0
    insert = "INSERT INTO time_grant (district_id, slot_id, seconds, reason, staff_id) VALUES ($1, $2, 60, 'x', $3)"
    staff_id = desk.sessions["prachi"].staff_id
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await desk.touches((PUNE,), insert, MUMBAI, slot.slot_id, staff_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await desk.touches((PUNE,), insert, PUNE, slot.slot_id, staff_id)


@pytest.mark.parametrize("name", ["anil", "mohan", "padma"])
async def test_only_the_hall_and_the_district_give(
    desk: Desk, cast: Cast, owner: asyncpg.Connection, name: str
) -> None:
    slot = await cast.slot(await cast.candidate("chetan"))
    with pytest.raises(NotAllowed):
        await desk.act(name, grant_time, slot.slot_id, None, FIVE, "Power cut")
    with pytest.raises(NotAllowed):
        await desk.act(name, allow_device_change, slot.slot_id, slot.attempts["chetan"])
    assert (await attempt(owner, slot, "chetan"))["grant_s"] == 0
