"""The candidate's protocol through HTTP: the way, and every refusal it names."""

import asyncio
import base64
import gzip
import json
import time
from contextlib import asynccontextmanager
from hashlib import sha256

import asyncpg
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis

from exam.app import create_app
from exam.errors import NoSession
from exam.papers import compose, seal_paper
from exam.receipts import signature_holds
from grading.forms import FormPlace
from loadtest.protocol import Envelope, open_envelope
from tests.cast import ITEMS, MARKER, PUNE, RIGHT, begin, early_in_a_window, log_in, row, save


async def test_the_whole_way(client, cast, hall, owner):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera)
    phone = client()
    sitting = await log_in(phone, meera)
    assert sitting["state"] == "prepared" and sitting["attempt"] is None and sitting["candidate"]["name"] == "Meera"
    started = (await phone.post("/api/start", json={})).json()
    assert started["epoch"] == 1 and started["deadline"] - started["started_at"] == 3_600_000
    fetched = await phone.get(f"/api/papers/{started['form']}")
    assert fetched.status_code == 200, fetched.text
    paper = fetched.json()
    assert [item["no"] for item in paper["items"]] == [1, 2, 3, 4, 5]
    for seq, (item, response) in enumerate(RIGHT.items(), start=1):
        ack = await save(phone, row(seq, item, response))
        assert ack.status_code == 200 and ack.json()["watermark"] == seq and "kept" not in ack.json(), ack.text
    again = (await phone.get("/api/sitting")).json()
    assert {a["item"]: a["response"] for a in again["attempt"]["answers"]} == RIGHT
    done = await phone.post("/api/submit", json={"epoch": 1, "last_seq": 5, "answers": []})
    assert done.status_code == 200 and done.json()["receipt"]["answered"] == 5, done.text
    assert await owner.fetchval("SELECT count(*) FROM answer") == 5
    assert slot.attempts


async def refused(answer, status, error):
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.json()["message"].endswith(".")
    return answer.json()


# Log-in ---------------------------------------------------------------------------------------------------------


async def test_wrong_number_and_wrong_code_are_told_alike(client, cast):
    meera = await cast.candidate("meera")
    wrong_code = await client().post("/api/login", json={"registration": meera.registration, "code": "WRONG"})
    nobody = await client().post("/api/login", json={"registration": "NOBODY-1", "code": meera.code})
    await refused(wrong_code, 401, "wrong_login")
    assert nobody.content == wrong_code.content and "set-cookie" not in wrong_code.headers


async def test_wrong_tries_have_to_wait_but_the_right_code_always_opens(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    for registration in (meera.registration, "NOBODY-1"):
        answers = [
            await device.post("/api/login", json={"registration": registration, "code": "WRONG"}) for _ in range(6)
        ]
        assert [a.status_code for a in answers] == [401] * 5 + [429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert (await log_in(device, meera))["state"] == "prepared"


async def test_back_off_counts_parallel_tries_exactly(client, cast):
    meera = await cast.candidate("meera")
    device = client()
    body = {"registration": meera.registration, "code": "WRONG"}
    answers = await asyncio.gather(*(device.post("/api/login", json=body) for _ in range(40)))
    assert sorted(a.status_code for a in answers) == [401] * 5 + [429] * 35


async def test_code_may_be_typed_with_or_without_hyphens_in_any_case(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    typed = {"registration": meera.registration.lower(), "code": meera.code.replace("-", " ").lower()}
    assert (await client().post("/api/login", json=typed)).status_code == 200


async def test_session_is_new_at_each_log_in_and_never_the_clients_choice(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    device.cookies.set("exam", "ab" * 16)
    await log_in(device, meera)
    first = [cookie.value for cookie in device.cookies.jar if cookie.value != "ab" * 16]
    again = client()
    await log_in(again, meera)
    assert len(first) == 1 and first[0] != again.cookies["exam"]
    chosen = client()
    chosen.cookies.set("exam", "ab" * 16)
    await refused(await chosen.get("/api/sitting"), 401, "no_session")


async def test_cookie_is_http_only_strict_and_bound_to_the_host_under_tls(client, cast, settings):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    answer = await client().post("/api/login", json={"registration": meera.registration, "code": meera.code})
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie and "Domain" not in cookie
    secure = create_app(msgspec.structs.replace(settings, public_origin="https://hall.test"))
    hall = secure.state.hall
    await hall.open()
    try:
        transport = httpx.ASGITransport(app=secure)
        async with httpx.AsyncClient(transport=transport, base_url="https://hall.test") as device:
            body = {"registration": meera.registration, "code": meera.code}
            cookie = (await device.post("/api/login", json=body)).headers["set-cookie"]
            assert cookie.startswith("__Host-exam=") and "Secure" in cookie
    finally:
        await hall.close()


async def test_revoked_session_stays_revoked_when_redis_forgets(client, cast, hall):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await log_in(device, meera)
    token = device.cookies["exam"]
    assert (await device.post("/api/logout", json={})).status_code == 204
    stolen = client()
    stolen.cookies.set("exam", token)
    await refused(await stolen.get("/api/sitting"), 401, "no_session")
    redis = Redis.from_url(hall.settings.redis_state_url)
    await redis.flushall()
    await redis.aclose()
    await refused(await stolen.get("/api/sitting"), 401, "no_session")


async def test_a_rebuild_under_way_cannot_bring_a_revoked_session_back(client, cast, hall):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await log_in(device, meera)
    token = bytes.fromhex(device.cookies["exam"])
    session = await hall.sessions.candidate(token)
    await hall.state.forget(b"s:" + session.token_hash)
    read = hall.state.put_many

    async def slow_copy(values, seconds, *, only_new=False):
        if only_new:  # the row was read; now the session is revoked before its copy is made
            hall.state.put_many = read
            await hall.sessions.revoke(token)
        await read(values, seconds, only_new=only_new)

    hall.state.put_many = slow_copy
    await hall.sessions.candidate(token)
    with pytest.raises(NoSession):
        await hall.sessions.candidate(token)


async def test_without_a_booking_and_before_the_pin(client, cast, owner):
    meera = await cast.candidate("meera")
    device = client()
    answer = await device.post("/api/login", json={"registration": meera.registration, "code": meera.code})
    await refused(answer, 404, "nothing_here")
    slot = await cast.slot(meera, pinned=False)
    sitting = await log_in(device, meera)
    assert sitting["prepared"] is False and sitting["attempt"] is None
    await refused(await device.post("/api/start", json={}), 404, "nothing_here")
    await owner.execute(
        "INSERT INTO attempt (district_id, exam_day, slot_id, candidate_id, form_hash, seed, opens_at, closes_at, "
        "duration_s, grace_s, takeovers_left) SELECT 1, exam_day, slot_id, $1, $2, 1, opens_at, closes_at, 3600, 20, 2 "
        "FROM slot WHERE slot_id = $3",
        meera.candidate_id,
        slot.forms[0],
        slot.slot_id,
    )
    # The session was opened before the slot was pinned; it finds its attempt all the same.
    assert (await device.get("/api/sitting")).json()["prepared"] is True
    assert (await device.post("/api/start", json={})).status_code == 200


# Start ----------------------------------------------------------------------------------------------------------


async def test_start_before_the_opening_and_after_the_last_moment(client, cast):
    early, late = await cast.candidate("early"), await cast.candidate("late")
    await cast.slot(early, opens_in=300)
    await cast.slot(late, opens_in=-300, closes_in=-100)
    device = client()
    await log_in(device, early)
    told = await refused(await device.post("/api/start", json={}), 409, "too_early")
    assert told["opens_at"] > time.time() * 1000
    await refused(await device.post("/api/start", json={"by": "code"}), 409, "too_early")
    device = client()
    await log_in(device, late)
    await refused(await device.post("/api/start", json={}), 409, "too_late")


async def test_paper_is_closed_before_the_start_and_for_everybody_else(client, cast):
    meera, ravi = await cast.candidate("meera"), await cast.candidate("ravi", PUNE)
    slot = await cast.slot(meera)
    await cast.slot(ravi)
    device, other = client(), client()
    await log_in(device, meera)
    address = f"/api/papers/{slot.forms[0].hex()}"
    await refused(await device.get(address), 404, "nothing_here")
    await device.post("/api/start", json={})
    paper = await device.get(address)
    assert sha256(paper.content).hexdigest() == slot.forms[0].hex()
    await begin(other, ravi)
    foreign, nothing = await other.get(address), await other.get("/api/papers/" + "0" * 64)
    assert foreign.content == nothing.content and foreign.status_code == 404


async def test_a_paper_that_came_damaged_is_told_to_the_log_and_nothing_else_is(client, cast, caplog):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera)
    device = client()
    address = f"/api/papers/{slot.forms[0].hex()}"
    await begin(device, meera)
    for bad in ("sealed", "ab" * 32):
        assert (await device.get(f"{address}?bad={bad}")).status_code == 200
        assert caplog.messages[-1].startswith("a paper came damaged: form " + slot.forms[0].hex()[:12])
        assert caplog.messages[-1].endswith(bad)
    told = len(caplog.messages)
    for bad in ("?bad=AB", "?bad=%0aline", "?bad=" + "ab" * 33, "?good=sealed", "?bad="):
        assert (await device.get(address + bad)).status_code == 200
    assert not any("damaged" in message for message in caplog.messages[told:])


async def test_start_repeated_is_the_same_start(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    first = await begin(device, meera)
    await save(device, row(1, 1, "a"))
    again = (await device.post("/api/start", json={})).json()
    same = ("epoch", "started_at", "deadline", "form", "seed")
    assert [again[name] for name in same] == [first[name] for name in same] and again["watermark"] == 1


async def test_the_sitting_names_the_tools_of_the_exam(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    assert (await log_in(device, meera))["exam"]["tools"] == []
    await owner.execute("UPDATE exam SET tools = $1", ["calculator", "notes"])
    assert (await device.get("/api/sitting")).json()["exam"]["tools"] == ["calculator", "notes"]
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute("UPDATE exam SET tools = $1", ["abacus"])


async def test_fifty_starts_at_once_are_one(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await log_in(device, meera)
    answers = await asyncio.gather(*(device.post("/api/start", json={}) for _ in range(50)))
    assert {(a.status_code, a.json()["started_at"]) for a in answers} == {(200, answers[0].json()["started_at"])}
    assert await owner.fetchval("SELECT epoch FROM attempt") == 1


async def test_start_by_code_counts_from_the_opening(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera, opens_in=-600)
    device = client()
    opens_at = (await log_in(device, meera))["slot"]["opens_at"]
    started = (await device.post("/api/start", json={"by": "code"})).json()
    assert started["started_at"] == opens_at and started["deadline"] == opens_at + 3_600_000
    assert (await save(device, row(1, 1, "a"))).status_code == 200


async def opened(device, cast, slot, sitting):
    """The key of the paper, from the envelope that a waiting page has."""
    told = sitting["by_code"]
    return open_envelope(cast.code(slot), told["form"], msgspec.convert(told["envelope"], Envelope))


async def test_whoever_waits_has_what_the_code_begins_with_and_nothing_that_opens_without_it(client, cast, hall):
    meera, slow = await cast.candidate("meera"), await cast.candidate("slow", extra_time_pct=50)
    slot = await cast.slot(meera, slow, opens_in=300, envelopes=True)
    device = client()
    sitting = await log_in(device, meera)
    told = sitting["by_code"]
    assert told["started_at"] == sitting["slot"]["opens_at"] == told["deadline"] - 3_600_000
    assert (told["form"], told["seed"], told["grace_ms"]) == (slot.forms[0].hex(), 12345, 20_000)
    assert set(sitting["journal"]) == {"name", "key", "handover"} and told["envelope"]["rounds"] >= 600_000
    paper = await hall.papers.get(slot.forms[0])
    sealed = (await device.get(f"/papers/{sitting['sealed']}")).content
    key = paper.sealed.key
    for secret in (key, key.hex().encode(), paper.body[200:400], cast.code(slot)[:9].encode()):
        assert secret not in json.dumps(sitting).encode() and secret not in sealed
    assert await opened(device, cast, slot, sitting) == paper.sealed.key.hex()
    other = client()
    sitting = await log_in(other, slow)
    assert sitting["by_code"]["deadline"] - sitting["by_code"]["started_at"] == 5_400_000
    bare = client()
    assert (await log_in(bare, await waiting_without(cast)))["by_code"] is None


async def waiting_without(cast):
    """A candidate of a slot for which there are no envelopes."""
    bare = await cast.candidate("bare")
    await cast.slot(bare)
    return bare


async def test_a_start_by_code_gives_no_more_time_than_any_other_and_is_on_record(client, cast, owner):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera, opens_in=-600, closes_in=-300, envelopes=True)
    device = client()
    sitting = await log_in(device, meera)
    key = await opened(device, cast, slot, sitting)
    # After the last moment for a start only who has opened the envelope may come, for that time has been running.
    for body in ({}, {"by": "code"}, {"by": "code", "key": "0" * 64}, {"key": key}):
        await refused(await device.post("/api/start", json=body), 409, "too_late")
    for body in ({"by": "code", "key": "x"}, {"by": "call"}, {"by": "code", "code": "x"}):
        await refused(await device.post("/api/start", json=body), 400, "malformed")
    await owner.execute("UPDATE attempt SET grant_s = 120")
    stamp, body = {"X-Request-Start": f"t={time.time() - 7:.3f}"}, {"by": "code", "key": key}
    answers = await asyncio.gather(*(device.post("/api/start", json=body, headers=stamp) for _ in range(10)))
    begun = {(a.json()["started_at"], a.json()["deadline"], a.json()["epoch"], a.json()["key"]) for a in answers}
    told = sitting["by_code"]
    assert begun == {(told["started_at"], told["deadline"] + 120_000, 1, key)}
    held = await owner.fetchrow("SELECT by_code, delay_s, started_at = opens_at AS at_the_opening FROM attempt")
    assert tuple(held) == (True, 0, True)
    assert (await save(device, row(1, 1, "a"))).json()["watermark"] == 1
    again = (await device.get("/api/sitting")).json()
    assert again["by_code"] is None and again["attempt"]["started_at"] == told["started_at"]


async def test_a_start_by_code_after_an_ordinary_one_changes_nothing(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera, envelopes=True)
    device = client()
    first = await begin(device, meera)
    again = (await device.post("/api/start", json={"by": "code"})).json()
    assert (again["started_at"], again["deadline"]) == (first["started_at"], first["deadline"])
    assert await owner.fetchval("SELECT by_code FROM attempt") is False
    other = client()
    await log_in(other, meera)
    await refused(await other.post("/api/start", json={"by": "code"}), 409, "other_device")


async def test_a_start_by_code_keeps_the_common_end(client, cast):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera, opens_in=-600, closes_in=60, ends_in=1800, envelopes=True)
    device = client()
    told = (await log_in(device, meera))["by_code"]
    assert abs(told["deadline"] - time.time() * 1000 - 1_800_000) < 5000 and slot.attempts
    started = (await device.post("/api/start", json={"by": "code"})).json()
    assert (started["started_at"], started["deadline"]) == (told["started_at"], told["deadline"])


async def test_a_start_by_code_after_the_deadline_ends_at_once_and_its_answers_are_kept(client, cast, owner):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera, opens_in=-7200, closes_in=-7000, envelopes=True)
    device = client()
    key = await opened(device, cast, slot, await log_in(device, meera))
    started = (await device.post("/api/start", json={"by": "code", "key": key})).json()
    assert started["deadline"] < time.time() * 1000 - 3_500_000
    late = (await save(device, row(1, 1, "a"), row(2, 2, ["a"]))).json()
    assert late["kept"] == [{"seq": 1, "reason": "late"}, {"seq": 2, "reason": "late"}]
    assert await owner.fetchval("SELECT count(*) FROM answer") == 0


async def dark(device, *rows):
    """Sends rows under epoch 0, as a page does that began by code and found another device in its place."""
    return await device.put("/api/answers", json={"epoch": 0, "answers": list(rows)})


async def test_what_was_written_before_any_start_was_heard_of_never_counts(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera, envelopes=True)
    device, other = client(), client()
    await log_in(device, meera)
    await refused(await dark(device, row(1, 1, "a")), 409, "not_started")
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 0
    await begin(other, meera)
    await save(other, row(1, 1, "b"))
    kept = (await dark(device, row(1, 1, "a"), row(2, 2, ["a"]))).json()
    assert kept["kept"] == [{"seq": 1, "reason": "stale_device"}, {"seq": 2, "reason": "stale_device"}]
    assert (await dark(device, row(2, 2, ["a"]))).json()["watermark"] == 2
    await refused(await device.post("/api/submit", json={"epoch": 0, "last_seq": 2}), 400, "malformed")
    await other.post("/api/submit", json={"epoch": 1, "last_seq": 1})
    assert (await dark(device, row(3, 3, "x"))).json()["kept"] == [{"seq": 3, "reason": "stale_device"}]
    assert await owner.fetch("SELECT epoch, seq FROM answer") == [(1, 1)]


async def test_what_was_written_by_code_on_a_device_that_never_came_back_is_handed_over(client, cast, owner, settings):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera, envelopes=True)
    device, anybody = client(), client()
    journal = (await log_in(device, meera))["journal"]
    rows = [sealed_row(journal, 0, seq, {"item": 1, "response": "a", "flag": False, "at": 1}) for seq in (1, 2)]
    body = {"handover": journal["handover"], "epoch": 0, "rows": rows}
    await refused(await anybody.post("/api/handover", json=body), 409, "not_started")  # there is time to come back
    await owner.execute(
        "UPDATE attempt SET opens_at = opens_at - interval '3 hours', closes_at = closes_at - interval '3 hours'"
    )
    kept = (await anybody.post("/api/handover", json=body)).json()
    assert kept["watermark"] == 2 and {entry["reason"] for entry in kept["kept"]} == {"late"}
    assert await owner.fetchval("SELECT count(*) FROM quarantine WHERE epoch = 0") == 2 and slot.attempts
    assert await owner.fetchval("SELECT state FROM attempt") == "prepared"


def sealed_row(journal, epoch, seq, told):
    """A row as the candidate's page keeps it."""
    iv = bytes(11) + bytes([seq])
    beside = f"{journal['name']}:{epoch}:{seq}".encode()
    sealed = AESGCM(bytes.fromhex(journal["key"])).encrypt(iv, json.dumps(told).encode(), beside)
    return {"seq": seq, "iv": base64.b64encode(iv).decode(), "sealed": base64.b64encode(sealed).decode()}


async def test_common_end_and_extra_time(client, cast):
    common, slow = await cast.candidate("common"), await cast.candidate("slow", extra_time_pct=50)
    await cast.slot(common, closes_in=60, ends_in=1800)
    await cast.slot(slow)
    started = await begin(client(), common)
    assert abs(started["deadline"] - time.time() * 1000 - 1_800_000) < 5000
    started = await begin(client(), slow)
    assert started["deadline"] - started["started_at"] == 5_400_000


async def test_what_a_start_waited_for_the_service_is_given_back(client, cast, owner):
    common, alone, quick = [await cast.candidate(name) for name in ("common", "alone", "quick")]
    await cast.slot(common, quick, opens_in=-60, closes_in=60, ends_in=1800)
    await cast.slot(alone)
    deadlines = {}
    for who, waited in ((common, 7), (quick, 0.3), (alone, 7)):
        device = client()
        await log_in(device, who)
        stamp = {"X-Request-Start": f"t={time.time() - waited:.3f}"}
        started = (await device.post("/api/start", json={}, headers=stamp)).json()
        deadlines[who.registration] = started["deadline"] - started["started_at"]
        assert abs(time.time() * 1000 - started["started_at"] - waited * 1000) < 900
        again = (await device.post("/api/start", json={})).json()
        assert again["deadline"] == started["deadline"]
    delays = [row["delay_s"] for row in await owner.fetch("SELECT delay_s FROM attempt ORDER BY attempt_id")]
    assert sorted(round(delay) for delay in delays) == [0, 7, 7]
    ends = await owner.fetch("SELECT deadline - ends_at - delay_s * interval '1 second' AS off FROM attempt "
                             "WHERE ends_at IS NOT NULL")  # fmt: skip
    assert all(abs(row["off"].total_seconds()) < 0.002 for row in ends) and len(ends) == 2
    assert 3_606_900 <= deadlines[alone.registration] <= 3_608_000


# The sealed paper -------------------------------------------------------------------------------------------------


def unsealed(body, key, form):
    return gzip.decompress(AESGCM(bytes.fromhex(key)).decrypt(bytes(12), body, bytes.fromhex(form)))


async def test_the_sealed_paper_is_noise_until_the_start_gives_its_key(client, cast, hall):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    sitting = await log_in(device, meera)
    sealed = await client().get(f"/papers/{sitting['sealed']}")  # nobody in particular may fetch it
    assert sealed.status_code == 200 and "public" in sealed.headers["cache-control"]
    started = (await device.post("/api/start", json={})).json()
    assert started["key"] not in json.dumps(sitting) and sitting["sealed"].startswith(started["form"] + ".")
    paper = unsealed(sealed.content, started["key"], started["form"])
    assert sha256(paper).hexdigest() == started["form"]
    assert paper == (await device.get(f"/api/papers/{started['form']}")).content
    for word in (b'"prompt"', b'"salt"', b'"items"'):
        assert word in paper and word not in sealed.content
    again = (await device.get("/api/sitting")).json()
    assert again["attempt"]["key"] == started["key"]
    for wrong in (f"{started['form']}.{'0' * 16}", started["form"], f"{'0' * 64}.{'0' * 16}", "x"):
        assert (await client().get(f"/papers/{wrong}")).status_code == 404


def test_another_secret_gives_another_name():
    form, packed = sha256(b"paper").digest(), gzip.compress(b"paper", mtime=0)
    one, same, other = (seal_paper(secret * 32, form, packed) for secret in (b"a", b"a", b"b"))
    assert one == same and one.name != other.name and one.body != other.body
    assert seal_paper(b"a" * 32, form, packed + b"\0").key != one.key  # never two texts under one key


# Saves ----------------------------------------------------------------------------------------------------------


async def test_repeated_save_is_acknowledged_again_and_stored_once(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    acks = [await save(device, row(1, 1, "a"), row(2, 2, ["c", "a"])) for _ in range(3)]
    assert [a.json()["watermark"] for a in acks] == [2, 2, 2] and all("kept" not in a.json() for a in acks)
    assert [r["response"] for r in await owner.fetch("SELECT response FROM answer ORDER BY seq")] == [
        '"a"',
        '["a","c"]',
    ]


async def test_overlapping_resend_takes_what_is_new(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "a"), row(2, 1, "b"))
    ack = await save(device, row(2, 1, "b"), row(3, 1, "c"))
    assert ack.json()["watermark"] == 3 and await owner.fetchval("SELECT count(*) FROM answer") == 3


async def test_other_content_under_the_same_number_is_a_conflict(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "a"), row(2, 1, "b"))
    told = await refused(await save(device, row(2, 1, "c")), 409, "conflict")
    assert told["watermark"] == 2
    # The page asks for a new epoch, at no cost, and sends again.
    taken = (await device.post("/api/takeover", json={})).json()
    assert taken["epoch"] == 2 and taken["watermark"] == 0
    assert (await save(device, row(1, 1, "c"), epoch=2)).json()["watermark"] == 1
    assert (await device.get("/api/sitting")).json()["attempt"]["answers"][0]["response"] == "c"
    assert await owner.fetchval("SELECT takeovers_left FROM attempt") == 2


async def test_gap_is_refused_with_the_watermark(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "a"))
    told = await refused(await save(device, row(3, 1, "b")), 409, "gap")
    assert told["watermark"] == 1 and await owner.fetchval("SELECT count(*) FROM answer") == 1
    assert (await save(device, row(2, 1, "b"), row(3, 1, "c"))).json()["watermark"] == 3


async def test_save_before_the_start_and_of_an_epoch_to_come(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await log_in(device, meera)
    await refused(await save(device, row(1, 1, "a")), 409, "not_started")
    await device.post("/api/start", json={})
    await refused(await save(device, row(1, 1, "a"), epoch=2), 409, "unknown_epoch")


@pytest.mark.parametrize(
    ("item", "response"),
    [(6, "a"), (1, "z"), (1, ["a"]), (2, ["a", "a"]), (3, "x" * 41), (5, {"a": "z"}), (5, "a"), (3, "a\0b"), (0, "a")],
)
async def test_answer_that_is_not_in_the_paper(client, cast, owner, item, response):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    told = await refused(await save(device, row(1, 1, "a"), row(2, item, response)), 422, "not_in_paper")
    assert told["seq"] == 2 and await owner.fetchval("SELECT count(*) FROM answer") == 0
    # The page puts a void row in its place, and goes on.
    ack = await save(device, row(1, 1, "a"), row(2, 0, None), row(3, 4, "3.14"))
    assert ack.json()["watermark"] == 3
    assert [a["item"] for a in (await device.get("/api/sitting")).json()["attempt"]["answers"]] == [1, 4]


async def test_late_answers_are_kept_and_do_not_count(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "a"))
    await owner.execute("UPDATE attempt SET deadline = now() - interval '21 seconds'")
    for _ in range(2):
        ack = (await save(device, row(2, 1, "b"))).json()
        assert (
            ack["watermark"] == 2
            and ack["kept"] == [{"seq": 2, "reason": "late"}]
            and "does not count" in ack["message"]
        )
    sitting = (await device.get("/api/sitting")).json()["attempt"]
    assert sitting["kept"] == 1 and [a["response"] for a in sitting["answers"]] == ["a"]
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 1


async def test_grace_is_for_the_journey(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '10 seconds'")
    assert "kept" not in (await save(device, row(1, 1, "a"))).json()


async def test_slow_processing_is_not_the_candidates_fault(client, cast, owner):
    """What counts is the stamp of the load balancer, up to 30 s back; nobody can claim more."""
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '40 seconds'")

    async def arrived(seconds_ago, seq):
        stamp = {"X-Request-Start": f"t={time.time() - seconds_ago:.3f}"}
        body = {"epoch": 1, "answers": [row(seq, 1, "a")]}
        return (await device.put("/api/answers", json=body, headers=stamp)).json()

    assert "kept" not in await arrived(25, 1)
    assert (await arrived(15, 2))["kept"] == [{"seq": 2, "reason": "late"}]
    await owner.execute("UPDATE attempt SET deadline = now() - interval '60 seconds'")
    assert (await arrived(3600, 3))["kept"] == [{"seq": 3, "reason": "late"}]


async def test_who_was_put_off_is_judged_by_the_first_arrival(client, cast, owner, hall, monkeypatch):
    meera, ravi = await cast.candidate("meera"), await cast.candidate("ravi")
    await cast.slot(meera, ravi)
    device, other = client(), client()
    await begin(device, meera)
    await begin(other, ravi)
    body = json.dumps({"epoch": 1, "answers": [row(1, 1, "a")]}).encode()
    changed = json.dumps({"epoch": 1, "answers": [row(1, 1, "b")]}).encode()
    json_type = {"Content-Type": "application/json"}
    monkeypatch.setattr(hall.answers._lane, "_bound", 0)
    put_off = await device.put("/api/answers", content=body, headers=json_type)
    monkeypatch.undo()
    refusal = await refused(put_off, 503, "unavailable")
    assert 1 <= int(put_off.headers["Retry-After"]) <= 4 and await owner.fetchval("SELECT count(*) FROM answer") == 0
    # The first arrival lay within the grace by two seconds; the repetition comes three later.
    await owner.execute("UPDATE attempt SET deadline = now() - interval '18 seconds'")
    await asyncio.sleep(3)
    ticket = {**json_type, "Arrival-Ticket": refusal["ticket"]}
    for who, what, with_it in ((device, changed, ticket), (other, body, ticket), (device, body, json_type)):
        async with hall_rolls_back(owner):
            late = await who.put("/api/answers", content=what, headers=with_it)
            assert late.status_code == 200 and late.json()["kept"] == [{"seq": 1, "reason": "late"}]
    for wrong in ("", "x", "." * 60, "f" * 12 + "." + "0" * 32, refusal["ticket"][:-1] + "0" * 2, "é"):
        header = {**json_type, "Arrival-Ticket": wrong.encode()}
        async with hall_rolls_back(owner):
            late = await device.put("/api/answers", content=body, headers=header)
            assert late.json()["kept"] == [{"seq": 1, "reason": "late"}]
    taken = await device.put("/api/answers", content=body, headers=ticket)
    assert taken.status_code == 200 and taken.json()["watermark"] == 1 and "kept" not in taken.json()
    again = await device.put("/api/answers", content=body, headers=ticket)
    assert again.status_code == 200 and again.json()["watermark"] == 1
    assert await owner.fetchval("SELECT count(*) FROM answer") == 1


@asynccontextmanager
async def hall_rolls_back(owner):
    """What a try has put into the quarantine is taken out again."""
    yield
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 1
    await owner.execute("DELETE FROM quarantine")


async def test_quarantine_has_a_bound(client, cast, owner, monkeypatch):
    monkeypatch.setattr("exam.answers.MOST_KEPT", 3)
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await owner.execute("UPDATE attempt SET deadline = now() - interval '1 minute'")
    for seq in (1, 2, 3):
        assert (await save(device, row(seq, 1, "a"))).status_code == 200
    await refused(await save(device, row(4, 1, "a")), 409, "too_many_kept")
    assert await owner.fetchval("SELECT count(*) FROM quarantine") == 3


async def test_flags_notes_of_time_and_clearing_are_stored(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "a", flag=True, at=1_790_000_000_000), row(2, 2, None))
    found = (await device.get("/api/sitting")).json()["attempt"]["answers"]
    assert [(a["item"], a["response"], a["flag"]) for a in found] == [(1, "a", True), (2, None, False)]
    assert await owner.fetchval("SELECT client_ms FROM answer WHERE seq = 1") == 1_790_000_000_000


# Devices --------------------------------------------------------------------------------------------------------


async def test_another_device_takes_over_and_the_first_is_told(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    phone, desk = client(), client()
    await begin(phone, meera)
    await save(phone, row(1, 1, "a"))
    seen = (await log_in(desk, meera))["attempt"]
    assert seen["writer"] is False and seen["epoch"] is None and seen["answers"][0]["response"] == "a"
    await refused(await desk.post("/api/start", json={}), 409, "other_device")
    taken = (await desk.post("/api/takeover", json={})).json()
    assert taken["epoch"] == 2
    assert (await save(desk, row(1, 1, "b"), epoch=2)).status_code == 200
    told = (await save(phone, row(2, 1, "c"))).json()
    assert told["kept"] == [{"seq": 2, "reason": "stale_device"}]
    await refused(await phone.post("/api/submit", json={"epoch": 1, "last_seq": 2}), 409, "stale_device")
    assert (await desk.get("/api/sitting")).json()["attempt"]["answers"][0]["response"] == "b"


async def test_changes_of_device_are_counted_and_the_hall_can_allow_more(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera, device_changes=1)
    first, second, third = client(), client(), client()
    await begin(first, meera)
    await log_in(second, meera)
    assert (await second.post("/api/takeover", json={})).json()["epoch"] == 2
    await log_in(third, meera)
    await refused(await third.post("/api/takeover", json={}), 403, "not_allowed")
    await owner.execute("UPDATE attempt SET takeovers_left = takeovers_left + 1")
    assert (await third.post("/api/takeover", json={})).json()["epoch"] == 3


async def test_takeovers_at_once_leave_one_writer(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera, device_changes=100)
    await begin(client(), meera)
    devices = [client() for _ in range(10)]
    for device in devices:
        await log_in(device, meera)
    answers = await asyncio.gather(*(device.post("/api/takeover", json={}) for device in devices))
    assert sorted(a.json()["epoch"] for a in answers) == list(range(2, 12))
    assert await owner.fetchval("SELECT epoch FROM attempt") == 11


# The end --------------------------------------------------------------------------------------------------------


async def test_submit_carries_the_rest_and_is_the_same_again(client, cast, owner, hall):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "b"))
    body = {"epoch": 1, "last_seq": 3, "answers": [row(2, 2, None), row(3, 3, "Mumbai")]}
    done = (await device.post("/api/submit", json=body)).json()
    receipt = done["receipt"]
    assert done["state"] == "submitted" and receipt["answered"] == 2 and "kept" not in done
    again = (await device.post("/api/submit", json={"epoch": 1, "last_seq": 3})).json()
    assert again["receipt"] == receipt
    # Anybody can compute it from the protocol's text.
    canonical = json.dumps(
        [
            "exam-receipt-1",
            slot.forms[0].hex(),
            receipt["salt"],
            [[1, 1, 1, "b"], [2, 1, 2, None], [3, 1, 3, "Mumbai"]],
        ],
        separators=(",", ":"),
        ensure_ascii=False,
    )
    assert sha256(canonical.encode()).hexdigest() == receipt["digest"]
    digest, signature = bytes.fromhex(receipt["digest"]), bytes.fromhex(receipt["signature"])
    assert signature_holds(hall.signer.public, digest, signature)
    assert not signature_holds(hall.signer.public, sha256(digest).digest(), signature)
    kept = (await save(device, row(4, 1, "c"))).json()["kept"]
    assert kept == [{"seq": 4, "reason": "closed"}]
    late = (await device.post("/api/submit", json={"epoch": 1, "last_seq": 5, "answers": [row(5, 1, "a")]})).json()
    assert late["receipt"] == receipt and late["kept"] == [{"seq": 5, "reason": "closed"}]
    assert await owner.fetchval("SELECT count(*) FROM submission") == 1
    await refused(await device.post("/api/start", json={}), 409, "ended")
    await refused(await device.post("/api/takeover", json={}), 409, "ended")


async def test_submit_with_something_missing_is_refused_with_the_watermark(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "b"))
    told = await refused(await device.post("/api/submit", json={"epoch": 1, "last_seq": 2}), 409, "gap")
    assert told["watermark"] == 1 and await owner.fetchval("SELECT state FROM attempt") == "started"
    await refused(await device.post("/api/submit", json={"epoch": 2, "last_seq": 0}), 409, "unknown_epoch")


async def test_submits_at_once_are_one(client, cast, owner):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "b"))
    body = {"epoch": 1, "last_seq": 1}
    answers = await asyncio.gather(*(device.post("/api/submit", json=body) for _ in range(10)))
    assert {a.status_code for a in answers} == {200}
    assert len({a.json()["receipt"]["digest"] for a in answers}) == 1
    assert await owner.fetchval("SELECT count(*) FROM submission") == 1


async def test_saves_and_a_submit_at_once_never_let_a_row_slip_in_behind(client, cast, owner):
    """Whatever wins, the receipt is over exactly the rows that count."""
    people = [await cast.candidate(f"c{number}") for number in range(20)]
    await cast.slot(*people)
    devices = [client() for _ in people]
    for device, person in zip(devices, people, strict=True):
        await begin(device, person)
        await save(device, row(1, 1, "a"))

    async def both(device, number):
        await asyncio.sleep(number % 7 / 1000)
        body = {"epoch": 1, "last_seq": 1}
        return await asyncio.gather(save(device, row(2, 1, "b")), device.post("/api/submit", json=body))

    for saved, submitted in await asyncio.gather(*(both(d, n) for n, d in enumerate(devices))):
        if submitted.status_code == 200:
            assert saved.json().get("kept") == [{"seq": 2, "reason": "closed"}]
        else:
            assert submitted.json()["error"] == "gap" and "kept" not in saved.json()
    wrong = await owner.fetchval(
        "SELECT count(*) FROM submission s JOIN answer a USING (district_id, exam_day, attempt_id) WHERE a.seq = 2"
    )
    assert wrong == 0


# Form of requests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"epoch": 1}',
        b'{"epoch": "1", "answers": []}',
        b'{"epoch": 1, "answers": []}',
        b'{"epoch": 1, "answers": [{"seq": 0, "item": 1, "response": null}]}',
        b'{"epoch": 1, "answers": [{"seq": 1, "item": 1, "response": null, "attempt_id": 7}]}',
        b'{"epoch": 1, "answers": [{"seq": 1, "item": 1, "response": null}], "deadline": 1}',
        b'{"epoch": 1, "answers": [{"seq": 1, "item": 1, "response": 5}]}',
        b'{"epoch": 1, "answers": [{"seq": 1, "item": 1, "response": "\\ud800"}]}',
        b'{"epoch": 1, "answers": [{"seq": 1, "item": 1, "response": "\xff"}]}',
        b'{"epoch": 1, "answers": [{"seq": 2, "item": 1, "response": null}, {"seq": 4, "item": 1, "response": null}]}',
        b'{"epoch": 1, "answers": ' + b"[" * 20_000,
    ],
)
async def test_malformed_bodies_change_nothing(client, cast, owner, body):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    answer = await device.put("/api/answers", content=body, headers={"content-type": "application/json"})
    await refused(answer, 400, "malformed")
    assert await owner.fetchval("SELECT count(*) FROM answer") == 0


async def test_type_size_method_and_origin(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    good = json.dumps({"epoch": 1, "answers": [row(1, 1, "a")]})
    kind = {"content-type": "application/json"}
    await refused(
        await device.put("/api/answers", content=good, headers={"content-type": "text/plain"}), 415, "wrong_type"
    )
    await refused(await device.put("/api/answers", content=b" " * 200_000, headers=kind), 413, "too_large")
    await refused(await device.get("/api/answers"), 405, "wrong_method")
    await refused(
        await device.put("/api/answers", content=good, headers=kind | {"origin": "http://evil.test"}),
        403,
        "foreign_origin",
    )
    await refused(
        await device.put("/api/answers", content=good, headers=kind | {"sec-fetch-site": "cross-site"}),
        403,
        "foreign_origin",
    )
    await refused(await client().put("/api/answers", content=good, headers=kind), 401, "no_session")
    own = {"origin": "http://hall.test", "sec-fetch-site": "same-origin"}
    assert (await device.put("/api/answers", content=good, headers=kind | own)).status_code == 200


async def test_every_answer_is_private_and_framed_by_nobody(client, cast):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    for answer in (
        await device.get("/api/sitting"),
        await save(device, row(1, 1, "a")),
        await device.get("/api/notices?after=0"),
        await client().get("/api/sitting"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_announcements_ride_on_the_next_save(client, cast, owner, hall):
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera)
    staff = await cast.staff()
    device = client()
    await begin(device, meera)
    number = await owner.fetchval(
        "INSERT INTO announcement (district_id, slot_id, text, staff_id) VALUES (1, $1, $2, $3) "
        "RETURNING announcement_id",
        slot.slot_id,
        {"en": "Please keep calm."},
        staff["asha"],
    )
    await owner.execute("UPDATE attempt SET grant_s = 600, deadline = deadline + interval '10 minutes'")
    await hall.notices.refresh()
    ack = (await save(device, row(1, 1, "a"))).json()
    sitting = (await device.get("/api/sitting")).json()["attempt"]
    assert ack["notices"] == number and ack["deadline"] - sitting["started_at"] == 4_200_000
    listed = (await device.get("/api/notices?after=0")).json()["notices"]
    assert [(n["notice"], n["text"]["en"]) for n in listed] == [(number, "Please keep calm.")]
    assert (await device.get(f"/api/notices?after={number}")).json()["notices"] == []
    await refused(await device.get("/api/notices?after=x"), 400, "malformed")


async def test_no_byte_of_a_key_leaves(client, cast, owner, hall):
    """The keys of the cast carry a marker; two papers that differ in the key alone are the same bytes."""
    meera = await cast.candidate("meera")
    slot = await cast.slot(meera)
    device = client()
    seen = json.dumps(await begin(device, meera))
    for address in (f"/api/papers/{slot.forms[0].hex()}", "/api/sitting"):
        answer = await device.get(address)
        seen += answer.text + str(answer.headers)
    redis = Redis.from_url(hall.settings.redis_state_url)
    for url in (hall.settings.redis_state_url, hall.settings.redis_cache_url):
        redis = Redis.from_url(url)
        for key in await redis.keys("*"):
            seen += repr(await redis.dump(key))
        await redis.aclose()
    assert MARKER not in seen
    other_keys = [(item, msgspec.structs.replace(key, general={"en": "quite another"})) for item, key in ITEMS]
    await owner.execute("DELETE FROM form_key; UPDATE item_key SET key = '{}'")
    place = [FormPlace(number, "main", item.code, "2") for number, (item, _) in enumerate(ITEMS, start=1)]
    papers = {compose("5a", {"en": "x"}, {}, place, {i.code: i for i, _ in pairs}) for pairs in (ITEMS, other_keys)}
    assert len(papers) == 1
    async with hall.db.web.connection() as connection:
        for table in ("item_key", "form_key", "item_version", "result", "staff"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT * FROM {table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("UPDATE answer SET response = 'null'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM answer")


async def test_a_flood_of_one_candidate_is_put_off_and_harms_nobody(client, cast, monkeypatch):
    monkeypatch.setattr("exam.auth.MOST_REQUESTS", 30)
    meera, ravi = await cast.candidate("meera"), await cast.candidate("ravi")
    await cast.slot(meera, ravi)
    device, other = client(), client()
    await begin(device, meera)
    await begin(other, ravi)
    await early_in_a_window()
    answers = [await device.get("/api/sitting") for _ in range(40)]
    statuses = [answer.status_code for answer in answers]
    assert statuses in ([200] * 29 + [429] * 11, [200] * 30 + [429] * 10)  # the start may have been the first
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    assert (await save(other, row(1, 1, "a"))).status_code == 200
