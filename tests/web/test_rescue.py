"""Rescue files: what a candidate's page has saved and the staff bring, read by the server alone."""

import asyncio
import html
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from exam.db import Connection
from exam.handovers import LARGEST_FILE, LARGEST_UPLOAD, MOST_FILES
from tests.cast import PUNE, Candidate, Cast, Slot, begin, log_in, row, save
from tests.web.test_handover import sealed
from tests.web.test_staff_pages import staff, token_of

Devices = Callable[[], httpx.AsyncClient]
Journal = dict[str, str]
File = dict[str, Any]


def rescue(journal: Journal, *rows: dict[str, object], epoch: int = 1, key: str | None = None) -> File:
    """A rescue file as the candidate's page saves it."""
    told = sealed(journal, epoch, *rows, key=key)
    return {
        "format": "exam-rescue-1",
        "journal": journal["name"],
        "handover": journal["handover"],
        "rows": [{"epoch": epoch, **one} for one in told["rows"]],
    }


def written(file: File) -> bytes:
    """The bytes of a file, as the page writes them."""
    return json.dumps(file, separators=(",", ":"), ensure_ascii=False).encode()


async def upload(device: httpx.AsyncClient, slot: Slot, *files: File | bytes, **more: object) -> httpx.Response:
    """Sends files with the form of the page."""
    bodies = [file if isinstance(file, bytes) else written(file) for file in files]
    sent = [("files", (f"exam-rescue-{place}.json", body, "application/json")) for place, body in enumerate(bodies)]
    data = {"token": await token_of(device), **more}
    return await device.post(f"/staff/slots/{slot.slot_id}/rescue", data=data, files=sent)


def told(page: httpx.Response) -> list[str]:
    """What the page says of each file."""
    assert page.status_code == 200, page.text
    parts = re.findall(r'data-test="brought">(.*?)</div>', page.text, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split()) for part in parts]


async def held(owner: Connection) -> list[tuple[object, ...]]:
    """What counts."""
    rows = await owner.fetch("SELECT epoch, seq, item, response FROM answer ORDER BY attempt_id, epoch, seq")
    return [tuple(one) for one in rows]


async def aside(owner: Connection) -> list[tuple[object, ...]]:
    """What is kept and does not count."""
    rows = await owner.fetch("SELECT epoch, seq, item, response, reason FROM quarantine ORDER BY epoch, seq")
    return [tuple(one) for one in rows]


async def acts(owner: Connection) -> list[tuple[object, ...]]:
    """What the log of acts has of rescue files."""
    rows = await owner.fetch("SELECT act, candidate_id, detail FROM audit WHERE act LIKE 'rescue.%' ORDER BY audit_id")
    return [tuple(one) for one in rows]


async def scene(client: Devices, cast: Cast) -> tuple[Slot, Candidate, httpx.AsyncClient, Journal, httpx.AsyncClient]:
    """Meera, who has started on her device; her journal; and Iqbal, the invigilator, logged in."""
    await cast.staff()
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera)
    device = client()
    begun: Any = await begin(device, meera)
    return slot, meera, device, begun["journal"], await staff(client, "iqbal")


# What is taken --------------------------------------------------------------------------------------------------------


async def test_the_invigilator_brings_a_file_and_hears_what_became_of_it(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, meera, device, journal, iqbal = await scene(client, cast)
    assert "Rescue files" in (await iqbal.get(f"/staff/slots/{slot.slot_id}/day")).text
    assert (await save(device, row(1, 1, "a"))).status_code == 200
    file = rescue(journal, row(1, 1, "a"), row(2, 1, "b"), row(3, 3, "Mumbai"), row(4, 1, "no such option"))
    assert b"Mumbai" not in written(file) and meera.registration.encode() not in written(file)
    (said,) = told(await upload(iqbal, slot, file))
    assert "Meera REG-1-MEERA" in said
    assert "2 answers taken now; they count" in said and "1 answer had already arrived" in said
    assert "1 answer did not fit the paper" in said and "Mumbai" not in said
    wanted = [(1, 1, 1, '"a"'), (1, 2, 1, '"b"'), (1, 3, 3, '"Mumbai"'), (1, 4, 0, "null")]
    assert await held(owner) == wanted and await aside(owner) == []
    assert [(act, person, detail["slot_id"]) for act, person, detail in await acts(owner)] == [  # type: ignore[index]
        ("rescue.brought", meera.candidate_id, slot.slot_id),
        ("rescue.taken", meera.candidate_id, slot.slot_id),
    ]
    assert (await acts(owner))[1][2] == {
        "slot_id": slot.slot_id,
        "attempt_id": slot.attempts["meera"],
        "counted": 2,
        "already": 1,
        "unfit": 1,
    }
    (again,) = told(await upload(iqbal, slot, file))
    assert "0 answers taken now" in again and "3 answers had already arrived" in again
    assert await held(owner) == wanted
    assert (await save(device, row(5, 1, "c"))).json()["watermark"] == 5


async def test_what_comes_too_late_is_kept_aside_with_the_reason(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, meera, _, journal, iqbal = await scene(client, cast)
    second = client()
    await log_in(second, meera)
    assert (await second.post("/api/takeover", json={})).status_code == 200
    stale = rescue(journal, row(1, 1, "a"), row(2, 1, "b"))
    new = rescue(journal, row(1, 3, "in time"), epoch=2)
    both = {**stale, "rows": [*stale["rows"], *new["rows"]]}
    (said,) = told(await upload(iqbal, slot, both))
    assert "1 answer taken now; it counts" in said and "2 answers kept aside, not counted: from the earlier dev" in said
    await owner.execute("UPDATE attempt SET deadline = now() - interval '40 seconds'")
    (said,) = told(await upload(iqbal, slot, rescue(journal, row(2, 3, "too late"), epoch=2)))
    assert "0 answers taken now" in said and "1 answer kept aside, not counted: came after the time" in said
    for _ in range(2):
        assert await held(owner) == [(2, 1, 3, '"in time"')]
        assert await aside(owner) == [
            (1, 1, 1, '"a"', "stale_device"),
            (1, 2, 1, '"b"', "stale_device"),
            (2, 2, 3, '"too late"', "late"),
        ]
        (said,) = told(await upload(iqbal, slot, both))
        assert "1 answer had already arrived" in said and "2 answers kept aside" in said


async def test_several_files_at_once_also_parts_in_the_wrong_order(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    await cast.staff()
    meera, ravi = await cast.candidate("meera"), await cast.candidate("ravi")
    slot = await cast.slot(meera, ravi)
    journals: list[Any] = [(await begin(client(), one))["journal"] for one in (meera, ravi)]
    first, second = rescue(journals[0], row(1, 1, "a")), rescue(journals[0], row(2, 1, "b"), row(3, 1, "c"))
    other = rescue(journals[1], row(1, 3, "Pune"))
    asha = await staff(client, "asha")
    said = told(await upload(asha, slot, second, b"a photo", other, first))
    assert ["Meera" in one for one in said] == [True, False, False, True] and "Ravi" in said[2]
    assert "2 answers taken now" in said[0] and "not a rescue file" in said[1] and "1 answer taken" in said[3]
    assert [one[:2] for one in await held(owner)] == [(1, 1), (1, 2), (1, 3), (1, 1)]


async def test_a_long_exam_with_long_answers_goes_over_in_one_file(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, _, _, journal, iqbal = await scene(client, cast)
    rows = [row(seq, 3, f"{seq} " + "x" * 30) for seq in range(1, 1201)]
    (said,) = told(await upload(iqbal, slot, rescue(journal, *rows)))
    assert "1,200 answers taken now" in said
    assert await owner.fetchval("SELECT count(*) FROM answer") == 1200


async def test_the_page_and_its_file_may_come_at_the_same_time(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, _, device, journal, iqbal = await scene(client, cast)
    rows = [row(seq, 1, "abc"[seq % 3]) for seq in range(1, 60)]
    sent = [upload(iqbal, slot, rescue(journal, *rows)) for _ in range(3)]
    pages = await asyncio.gather(*sent, *(save(device, *rows[:at]) for at in (10, 30, 59)))
    assert [page.status_code for page in pages] == [200] * 6
    assert [one[1] for one in await held(owner)] == list(range(1, 60))


async def test_what_the_server_holds_otherwise_stays_and_the_rest_is_taken(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, _, device, journal, iqbal = await scene(client, cast)
    assert (await save(device, row(1, 1, "a"), row(2, 1, "b"), row(3, 1, "c"))).status_code == 200
    file = rescue(journal, row(1, 1, "a"), row(2, 1, "c"), row(3, 1, "c"), row(4, 1, "a"))
    (said,) = told(await upload(iqbal, slot, file))
    assert "1 answer taken now" in said and "2 answers had already arrived" in said
    assert "1 answer not taken, because the server holds another answer" in said
    assert [one[3] for one in await held(owner)] == ['"a"', '"b"', '"c"', '"a"']


async def test_no_more_is_kept_than_may_be_and_the_page_says_so(
    client: Devices, cast: Cast, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot, _, _, journal, iqbal = await scene(client, cast)
    monkeypatch.setattr("exam.answers.MOST_KEPT", 100)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '40 seconds'")
    (said,) = told(await upload(iqbal, slot, rescue(journal, *(row(seq, 1, "a") for seq in range(1, 151)))))
    assert "100 answers kept aside" in said and "50 answers not taken, because no more can be kept" in said


async def test_a_server_that_cannot_just_now_says_upload_again(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, _, _, journal, iqbal = await scene(client, cast)
    file = rescue(journal, *(row(seq, 1, "a") for seq in range(1, 301)))
    async with owner.transaction():
        await owner.execute("SELECT FROM attempt FOR UPDATE")
        (said,) = told(await upload(iqbal, slot, file))
    assert "300 answers not taken, because the server is busy. Upload the file again" in said
    async with asyncio.timeout(20):
        while (page := await upload(iqbal, slot, file)).status_code == 503:  # as long as saves are slow
            await asyncio.sleep(float(page.headers["retry-after"]))
    assert "300 answers taken now" in told(page)[0]


# What is not ----------------------------------------------------------------------------------------------------------


async def test_a_file_is_taken_for_its_own_candidate_or_not_at_all(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    await cast.staff()
    meera, ravi = await cast.candidate("meera"), await cast.candidate("ravi")
    slot = await cast.slot(meera, ravi)
    mine: Any = (await begin(client(), meera))["journal"]
    other: Any = (await begin(client(), ravi))["journal"]
    iqbal = await staff(client, "iqbal")
    right = rescue(mine, row(1, 1, "a"), row(2, 1, "b"), row(3, 1, "c"))
    one, two, three = right["rows"]
    changed = {
        "the name": {**right, "journal": other["name"]},
        "no name": {**right, "journal": "0" * 16},
        "the hand-over": {**right, "handover": other["handover"]},
        "no hand-over": {**right, "handover": "A" * 100},
    }
    for what, file in changed.items():
        (said,) = told(await upload(iqbal, slot, file))
        assert "Nothing was taken. This is not as the candidate's page has saved it" in said, what
        assert "Meera" not in said and "Ravi" not in said, what
    damaged = {
        "both names": {**right, "journal": other["name"], "handover": other["handover"]},
        "the device": {**right, "rows": [{**each, "epoch": 2} for each in right["rows"]]},
        "the contents": {
            **right,
            "rows": [{**a, "iv": b["iv"], "sealed": b["sealed"]} for a, b in ((one, two), (two, three), (three, one))],
        },
        "the key": rescue(mine, row(1, 1, "a"), row(2, 1, "b"), row(3, 1, "c"), key="00" * 32),
        "the shape": {**right, "rows": [{**each, "item": 1} for each in right["rows"]]},
        "the signs": {**right, "rows": [{**each, "sealed": "é"} for each in right["rows"]]},
    }
    for what, file in damaged.items():
        (said,) = told(await upload(iqbal, slot, file))
        assert "0 answers taken now" in said and "3 answers damaged and not taken: number 1, 2, 3 of 3" in said, what
    assert await held(owner) == [] and await aside(owner) == []
    (said,) = told(
        await upload(iqbal, slot, {**right, "rows": [three, one, two]})
    )  # they are numbered, so order is nothing
    assert "3 answers taken now" in said
    assert [each[3] for each in await held(owner)] == ['"a"', '"b"', '"c"']


async def test_what_is_cut_out_of_the_middle_stops_what_follows_it(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, _, _, journal, iqbal = await scene(client, cast)
    whole = rescue(journal, *(row(seq, 1, "abc"[seq % 3]) for seq in range(1, 11)))
    rows = whole["rows"]
    (said,) = told(await upload(iqbal, slot, {**whole, "rows": [*rows[:3], *rows[5:]]}))
    assert "3 answers taken now" in said and "5 answers not taken, because answers before them are missing" in said
    assert [one[1] for one in await held(owner)] == [1, 2, 3]
    broken = [*rows[:6], {**rows[6], "sealed": "A" + rows[6]["sealed"][1:-4] + "AAAA"}, *rows[7:]]
    (said,) = told(await upload(iqbal, slot, {**whole, "rows": broken}))
    assert "3 answers taken now" in said and "3 answers had already" in said and "number 7 of 10 in the file" in said
    assert "3 answers not taken, because answers before them are missing" in said
    (said,) = told(await upload(iqbal, slot, whole))
    assert "4 answers taken now" in said and "6 answers had already arrived" in said
    assert [one[3] for one in await held(owner)] == [f'"{"abc"[seq % 3]}"' for seq in range(1, 11)]
    doubled = rescue(journal, row(11, 1, "a"), row(11, 1, "b"), row(12, 1, "c"))
    (said,) = told(await upload(iqbal, slot, doubled))
    assert "2 answers taken now" in said and "1 answer damaged and not taken: number 2 of 3" in said


async def test_what_is_no_rescue_file_is_refused_in_plain_words(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, _, _, journal, iqbal = await scene(client, cast)
    right = rescue(journal, row(1, 1, "a"))
    body = written(right)
    for what, said in (
        (b"", "This is not a rescue file"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "This is not a rescue file"),
        (b"{}", "This is not a rescue file"),
        (b"[" * 100_000, "This is not a rescue file"),
        (written({**right, "format": "exam-rescue-9"}), "This is not a rescue file"),
        (body[:-20], "cut off or was changed"),
        (written({**right, "name": "Meera"}), "cut off or was changed"),
        (written({**right, "rows": []}), "cut off or was changed"),
        (written({**right, "rows": "all"}), "cut off or was changed"),
        (body + b" " * LARGEST_FILE, "larger than a rescue file can be (8 MB)"),
    ):
        (answer,) = told(await upload(iqbal, slot, what))
        assert "Nothing was taken." in answer and said in answer, what[:60]
    assert await held(owner) == []
    whys = [detail["why"] for _, _, detail in await acts(owner)]  # type: ignore[index]
    assert whys == ["not_a_rescue_file"] * 5 + ["broken"] * 4 + ["too_large"]
    (said,) = told(await upload(iqbal, slot, body))
    assert "1 answer taken now" in said


async def test_a_file_of_another_slot_or_district_is_refused_without_telling_whose(
    client: Devices, cast: Cast, owner: Connection
) -> None:
    slot, meera, _, journal, iqbal = await scene(client, cast)
    bhima = await cast.candidate("bhima", PUNE)
    there = await cast.slot(bhima)
    theirs: Any = (await begin(client(), bhima))["journal"]
    elsewhere = await cast.slot(await cast.candidate("ravi"))
    prachi = await staff(client, "prachi")
    for device, where, file in (
        (iqbal, slot, rescue(theirs, row(1, 1, "a"))),
        (prachi, there, rescue(journal, row(1, 1, "a"))),
        (iqbal, elsewhere, rescue(journal, row(1, 1, "a"))),
    ):
        page = await upload(device, where, file)
        (said,) = told(page)
        assert "Nothing was taken. This belongs to another slot." in said
        assert not any(name in page.text for name in ("Meera", "Bhima", "REG-1-MEERA", "REG-2-BHIMA"))
    assert await held(owner) == []
    assert [(act, person, detail["why"]) for act, person, detail in await acts(owner)] == [  # type: ignore[index]
        ("rescue.refused", None, "foreign")
    ] * 3
    nothing = await upload(prachi, slot, rescue(journal, row(1, 1, "a")))
    assert nothing.status_code == 404 and "Meera" not in nothing.text
    assert len(await acts(owner)) == 3 and meera.name


async def test_an_upload_has_its_limits_and_its_own_token(client: Devices, cast: Cast, owner: Connection) -> None:
    slot, _, _, journal, iqbal = await scene(client, cast)
    address = f"/staff/slots/{slot.slot_id}/rescue"
    body = written(rescue(journal, row(1, 1, "a")))
    one = [("files", ("a.json", body, "application/json"))]
    for token in (None, "", "0" * 64, await token_of(await staff(client, "iqbal"))):
        data = {} if token is None else {"token": token}
        assert (await iqbal.post(address, data=data, files=one)).status_code == 403, token
    token = await token_of(iqbal)
    for headers in ({"origin": "http://elsewhere.test"}, {"sec-fetch-site": "cross-site"}):
        assert (await iqbal.post(address, data={"token": token}, files=one, headers=headers)).status_code == 403
    for who in ("anil", "mohan", "padma"):
        other = await staff(client, who)
        sent = {"token": await token_of(other)}
        assert (await other.post(address, data=sent, files=one)).status_code == 403, who
        assert (await other.get(address)).status_code == 403
    assert (await client().post(address, data={"token": token}, files=one)).status_code == 401
    for none in ({"files": ""}, {}):
        page = await iqbal.post(address, data={"token": token, **none})
        assert page.status_code == 400 and "Choose at least one file" in page.text
    page = await upload(iqbal, slot, *[body] * (MOST_FILES + 1))
    assert page.status_code == 400 and f"at most {MOST_FILES} at once" in page.text
    page = await upload(iqbal, slot, body, b" " * LARGEST_UPLOAD)
    assert page.status_code == 413 and "too much at once" in page.text
    assert (await upload(iqbal, slot, body, more="x")).status_code == 400
    page = await iqbal.post(address, data={"token": token}, files=[("photo", ("a.json", body))])
    assert page.status_code == 400
    marks = {"content-type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="token"\r\n'
    strange = head + b"Content-Type: text/plain; charset=%s\r\n\r\n\xff\r\n--b--"
    for content in (strange % b"utf-8", strange % b"klingon", b"--b\r\nnonsense", b"", b"--b--"):
        assert (await iqbal.post(address, content=content, headers=marks)).status_code in (400, 403), content
    no_mark = await iqbal.post(address, content=body, headers={"content-type": "multipart/form-data"})
    assert no_mark.status_code == 400
    page = await iqbal.post(f"/staff/slots/{slot.slot_id}/announce", data={"token": token}, files=one)
    assert page.status_code == 415
    assert await held(owner) == [] and await acts(owner) == []


async def test_uploads_stand_back_when_saves_are_slow(
    client: Devices, cast: Cast, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot, _, _, journal, iqbal = await scene(client, cast)
    token = await token_of(iqbal)
    monkeypatch.setattr(type(app.state.hall.answers), "lag", 0.7)
    one = [("files", ("a.json", written(rescue(journal, row(1, 1, "a"))), "application/json"))]
    page = await iqbal.post(f"/staff/slots/{slot.slot_id}/rescue", data={"token": token}, files=one)
    assert page.status_code == 503 and int(page.headers["retry-after"]) >= 1 and "Nothing was changed" in page.text
