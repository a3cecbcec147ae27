"""What an earlier candidate left on a shared machine: taken from whoever brings it, and read by nobody on the way."""

import base64
import json
import os

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exam.auth import MOST_REQUESTS
from tests.cast import begin, early_in_a_window, row, save


def sealed(journal, epoch, *rows, key=None):
    """A hand-over as the candidate's page makes it."""
    told = []
    for one in rows:
        iv = os.urandom(12)
        plain = json.dumps({**one, "epoch": epoch, "prev": ""}, ensure_ascii=False).encode()
        beside = f"{journal['name']}:{epoch}:{one['seq']}".encode()
        body = AESGCM(bytes.fromhex(key or journal["key"])).encrypt(iv, plain, beside)
        told.append({"seq": one["seq"], "iv": base64.b64encode(iv).decode(), "sealed": base64.b64encode(body).decode()})
    return {"handover": journal["handover"], "epoch": epoch, "rows": told}


async def test_whoever_comes_next_hands_over_and_it_counts(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    journal = (await begin(client(), meera))["journal"]
    told = sealed(journal, 1, row(1, 1, "b"), row(2, 3, "Mumbai"))
    assert "Mumbai" not in json.dumps(told) and meera.registration not in json.dumps(journal)
    stranger = client()
    for _ in range(2):
        answer = await stranger.post("/api/handover", json=told)
        assert answer.status_code == 200 and answer.json()["watermark"] == 2 and "kept" not in answer.json()
    held = await owner.fetch("SELECT seq, item, response FROM answer ORDER BY seq")
    assert [tuple(one) for one in held] == [(1, 1, '"b"'), (2, 3, '"Mumbai"')]


async def test_the_journal_is_the_same_on_every_page_and_nobody_elses(client, cast):
    meera, ravi = await cast.candidate("meera"), await cast.candidate("ravi")
    await cast.slot(meera, ravi)
    device = client()
    first = (await begin(device, meera))["journal"]
    assert (await device.get("/api/sitting")).json()["journal"] == first
    other = (await begin(client(), ravi))["journal"]
    assert not set(first.values()) & set(other.values())


async def test_after_the_time_it_is_kept_and_does_not_count(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    journal = (await begin(client(), meera))["journal"]
    await owner.execute("UPDATE attempt SET deadline = now() - interval '40 seconds'")
    answer = await client().post("/api/handover", json=sealed(journal, 1, row(1, 1, "b")))
    assert answer.status_code == 200 and answer.json()["kept"] == [{"seq": 1, "reason": "late"}]
    assert await owner.fetchval("SELECT count(*) FROM answer") == 0


async def test_what_does_not_fit_the_paper_only_holds_its_place(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    journal = (await begin(client(), meera))["journal"]
    rows = (row(1, 1, "no such option"), row(2, 999, "a"), {**row(3, 2, None), "void": True}, row(4, 1, "a"))
    answer = await client().post("/api/handover", json=sealed(journal, 1, *rows))
    assert answer.status_code == 200 and answer.json()["watermark"] == 4, answer.text
    held = await owner.fetch("SELECT item, response FROM answer ORDER BY seq")
    assert [tuple(one) for one in held] == [(0, "null"), (0, "null"), (0, "null"), (1, '"a"')]


async def test_what_the_candidates_page_did_not_seal_is_refused(client, cast, owner):
    meera, ravi = await cast.candidate("meera"), await cast.candidate("ravi")
    await cast.slot(meera, ravi)
    journal = (await begin(client(), meera))["journal"]
    other = (await begin(client(), ravi))["journal"]
    right = sealed(journal, 1, row(1, 1, "b"))
    moved = {**right, "epoch": 2}
    renumbered = {**right, "rows": [{**right["rows"][0], "seq": 2}]}
    foreign = {**right, "handover": other["handover"]}
    forged = sealed(journal, 1, row(1, 1, "b"), key="00" * 32)
    broken = {**right, "rows": [{**right["rows"][0], "sealed": "é"}]}
    for told in (moved, renumbered, foreign, forged, broken):
        answer = await client().post("/api/handover", json=told)
        assert answer.status_code == 400 and answer.json()["error"] == "malformed", (told, answer.text)
    for token in ("", "x", "A" * 100, journal["handover"][:-4] + "AAAA"):
        answer = await client().post("/api/handover", json={**right, "handover": token})
        assert answer.status_code == 404, token
    assert (
        await owner.fetchval("SELECT count(*) FROM answer") + await owner.fetchval("SELECT count(*) FROM quarantine")
        == 0
    )


async def test_it_goes_on_where_the_page_has_stopped(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    journal = (await begin(device, meera))["journal"]
    assert (await save(device, row(1, 1, "a"))).status_code == 200
    gap = await client().post("/api/handover", json=sealed(journal, 1, row(3, 1, "b")))
    assert gap.status_code == 409 and (gap.json()["error"], gap.json()["watermark"]) == ("gap", 1)
    assert (await client().post("/api/handover", json=sealed(journal, 1, row(2, 1, "b")))).json()["watermark"] == 2
    assert (await save(device, row(3, 1, "c"))).json()["watermark"] == 3


async def test_a_flood_is_put_off(client, cast, monkeypatch):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    journal = (await begin(client(), meera))["journal"]
    monkeypatch.setattr("exam.auth.MOST_REQUESTS", 5)
    await early_in_a_window()
    told, answers = sealed(journal, 1, row(1, 1, "b")), []
    for _ in range(8):
        answers.append((await client().post("/api/handover", json=told)).status_code)
    assert answers[0] == 200 and answers[-1] == 429 and MOST_REQUESTS > 100


@pytest.mark.parametrize(
    "body", [{}, {"handover": "x", "epoch": 1, "rows": []}, {"handover": "x", "epoch": 0, "rows": [1]}]
)
async def test_malformed_hand_overs(client, body):
    assert (await client().post("/api/handover", json=body)).status_code == 400
