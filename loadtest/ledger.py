"""The reckoning after a run: every promise that was made to a candidate, looked for in the tables."""

import datetime as dt
import gzip
from collections import Counter
from collections.abc import Sequence

import msgspec

from exam.db import Connection
from loadtest.protocol import Sheet, sheet_of
from loadtest.sitter import Account, line_of


class Reckoning(msgspec.Struct):
    """What was compared, and what was found wrong: kinds with their counts; empty when every promise is kept."""

    started: int = 0
    acknowledged: int = 0
    rows: int = 0
    wrong: dict[str, int] = {}


async def read_sheet(owner: Connection) -> tuple[Sheet, int]:
    """The sheet of the hall's one form, and the bytes of its paper when it is compressed."""
    body: bytes = await owner.fetchval("SELECT paper FROM form")
    return sheet_of(body), len(gzip.compress(body, 9))


async def reckon(
    owner: Connection, day: dt.date, accounts: Sequence[Account], sheet: Sheet, *, ended: bool = True
) -> Reckoning:
    """Compares accounts with answers, quarantine, submissions and results of these candidates' attempts.

    Lost: acknowledged and not there. Phantom: there and never sent. Wrong: there, with another content. Where the
    attempts have not `ended` only the answers are compared.
    """
    found = Reckoning(started=sum(account.started for account in accounts))
    wrong: Counter[str] = Counter()
    promised = {(one.number + 1, epoch): (safe, sent) for one in accounts for epoch, safe, sent in one.epochs}
    found.acknowledged = sum(safe for safe, _ in promised.values())
    most = max((account.number + 1 for account in accounts), default=0)
    safe_rows: Counter[tuple[int, int]] = Counter()
    async with owner.transaction():
        rows = owner.cursor(
            "SELECT attempt_id, epoch, seq, item, response, flag FROM answer WHERE exam_day = $1 AND attempt_id <= $2",
            day,
            most,
            prefetch=5000,
        )
        async for attempt_id, epoch, seq, item, response, flag in rows:
            found.rows += 1
            safe, sent = promised.get((attempt_id, epoch), (0, 0))
            if seq > sent:
                wrong["phantom answers"] += 1
                continue
            line = line_of(attempt_id - 1, epoch, seq, sheet)
            if (item, response.encode(), flag) != line:
                wrong["answers with another content"] += 1
            elif seq <= safe:
                safe_rows[attempt_id, epoch] += 1
    # No key stands twice, so as many rows as were acknowledged are all of them.
    wrong["lost acknowledged answers"] = sum(safe - safe_rows[key] for key, (safe, _) in promised.items())
    wrong["answers in quarantine"] = await owner.fetchval(
        "SELECT count(*) FROM quarantine WHERE exam_day = $1 AND attempt_id <= $2", day, most
    )
    if ended:
        wrong += await _compare_ends(owner, day, accounts)
    found.wrong = {kind: count for kind, count in wrong.items() if count}
    return found


async def _compare_ends(owner: Connection, day: dt.date, accounts: Sequence[Account]) -> Counter[str]:
    """One submission and one result for each attempt that was started, ended as the candidate was told."""
    wrong: Counter[str] = Counter()
    rows = await owner.fetch(
        "SELECT a.attempt_id, a.state, count(s.*) AS submissions, min(s.ended_by) AS ended_by, "
        "min(encode(s.digest, 'hex')) AS digest, count(s.signature) AS signed, "
        "(SELECT count(*) FROM result r WHERE r.district_id = a.district_id AND r.exam_day = a.exam_day "
        "AND r.attempt_id = a.attempt_id) AS results "
        "FROM attempt a LEFT JOIN submission s USING (district_id, exam_day, attempt_id) "
        "WHERE a.exam_day = $1 AND a.attempt_id = ANY($2::bigint[]) "
        "GROUP BY a.district_id, a.exam_day, a.attempt_id, a.state",
        day,
        [account.number + 1 for account in accounts],
    )
    held = {row["attempt_id"]: row for row in rows}
    for account in accounts:
        row = held.get(account.number + 1)
        if row is None:
            wrong["attempts that are not there"] += 1
            continue
        if not account.started:
            continue
        wrong["attempts not graded"] += row["state"] != "graded"
        wrong["attempts without one submission"] += row["submissions"] != 1
        wrong["attempts without a signed receipt"] += row["signed"] != 1
        wrong["attempts without one result"] += row["results"] != 1
        wrong["submits that count as sealed"] += account.ended == "submitted" and row["ended_by"] != "candidate"
        wrong["receipts that changed"] += bool(account.digest) and account.digest != row["digest"]
    return wrong
