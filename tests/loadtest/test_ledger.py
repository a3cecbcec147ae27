"""The reckoning on a real hall: all promises kept, and then each kind of breach that it has to notice."""

import pytest

from exam.results import Grader
from loadtest import protocol
from loadtest.ledger import read_sheet, reckon
from loadtest.protocol import Reply
from loadtest.seeding import fill
from loadtest.sitter import Sitter


async def ask(device, sitter, call):
    answer = await device.request(
        call.method, call.path, content=call.body, headers={"content-type": "application/json"}
    )
    head = "".join(f"\r\n{name}: {value}" for name, value in answer.headers.items()) + "\r\n"
    sitter.took(call.operation, Reply(answer.status_code, head.encode(), answer.content))


async def sit(client, number, answers):
    """A candidate with a change of device and a submit."""
    sitter, device = Sitter(number), client()
    await ask(device, sitter, sitter.log_in())
    await ask(device, sitter, protocol.PRESS_START)
    await ask(device, sitter, sitter.paper())
    for turn in range(answers):
        if turn == answers // 2:
            device = client()
            await ask(device, sitter, sitter.log_in())
            await ask(device, sitter, protocol.TAKE_OVER)
        sitter.write()
        await ask(device, sitter, sitter.save())
    await ask(device, sitter, protocol.READ_SITTING)
    sitter.write()
    await ask(device, sitter, sitter.submit())
    return sitter.account()


@pytest.fixture
async def sat(settings, owner, hall, client):
    """Three who have sat, submitted and been graded, by the protocol: (accounts, sheet, day)."""
    filled = await fill(owner, settings, 3, started=False, sessions=False, codes=True)
    accounts = [await sit(client, number, 12) for number in range(3)]
    await Grader(hall.db).grade_all()
    sheet, size = await read_sheet(owner)
    assert 500 < size < 25_000
    return accounts, sheet, filled.exam_day


async def test_all_promises_kept(owner, sat):
    accounts, sheet, day = sat
    found = await reckon(owner, day, accounts, sheet)
    assert found.wrong == {}
    assert (found.started, found.acknowledged, found.rows) == (3, 39, 39)


@pytest.mark.parametrize(
    ("breach", "kind"),
    [
        ("DELETE FROM answer WHERE attempt_id = 2 AND epoch = 1 AND seq = 3", "lost acknowledged answers"),
        (
            "UPDATE answer SET flag = NOT flag WHERE attempt_id = 2 AND epoch = 2 AND seq = 1",
            "answers with another content",
        ),
        ("UPDATE answer SET seq = 99 WHERE attempt_id = 1 AND epoch = 2 AND seq = 7", "phantom answers"),
        ("DELETE FROM result WHERE attempt_id = 3", "attempts without one result"),
        ("UPDATE submission SET ended_by = 'clock' WHERE attempt_id = 3", "submits that count as sealed"),
        ("UPDATE submission SET digest = sha256(digest) WHERE attempt_id = 1", "receipts that changed"),
        ("UPDATE attempt SET state = 'submitted' WHERE attempt_id = 1", "attempts not graded"),
        ("DELETE FROM submission WHERE attempt_id = 1", "attempts without one submission"),
        (
            "INSERT INTO quarantine SELECT *, 'late' FROM answer WHERE attempt_id = 1 AND seq = 1",
            "answers in quarantine",
        ),
    ],
)
async def test_a_breach_is_noticed(owner, sat, breach, kind):
    accounts, sheet, day = sat
    await owner.execute(breach)
    assert kind in (await reckon(owner, day, accounts, sheet)).wrong
