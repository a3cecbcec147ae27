"""Liveness, readiness, figures and logs; a route without an audience stops the start."""

import asyncio
import json
import logging
import time
import urllib.request

import msgspec
import pytest
from litestar import get
from prometheus_client.parser import text_string_to_metric_families

from exam.app import UndeclaredAudience, create_app
from exam.children import free_port
from exam.logs import JsonLines
from tests.cast import PASSWORD, begin, log_in, row, save


async def test_ready_and_what_is_missing(client, owner):
    device = client()
    assert (await device.get("/health/live")).json() == {"status": "live"}
    ready = await device.get("/health/ready")
    assert ready.status_code == 200 and set(ready.json().values()) == {"ready", "ok"}
    await owner.execute("DROP TABLE result_d3")
    answer = await device.get("/health/ready")
    assert answer.status_code == 503 and "result_d3" in answer.json()["partitions"]
    await owner.execute("DELETE FROM migration")
    answer = await device.get("/health/ready")
    assert answer.status_code == 503 and "0001" in answer.json()["migrations"]


async def test_without_redis_it_is_degraded_and_still_serves(settings):
    """A balancer that took every worker out because Redis is away would end the exams that go on without it."""
    import httpx

    app = create_app(
        msgspec.structs.replace(settings, redis_state_url="unix:///nowhere", redis_cache_url="unix:///nowhere")
    )
    hall = app.state.hall
    await hall.open()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hall.test") as device:
            answer = await device.get("/health/ready")
            assert answer.status_code == 200
            assert answer.json()["status"] == "degraded" and answer.json()["redis_state"] == "away"
    finally:
        await hall.close()


async def test_without_postgresql_it_is_not_ready_but_alive(settings):
    import httpx

    app = create_app(msgspec.structs.replace(settings, database_web_url="postgresql://x@/x?host=/nowhere"))
    hall = app.state.hall
    await hall.open()
    try:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://hall.test") as device:
            assert (await device.get("/health/live")).status_code == 200
            answer = await device.get("/health/ready")
            assert answer.status_code == 503 and answer.json()["postgresql"] == "away"
            told = await device.post("/api/login", json={"registration": "X", "code": "Y"})
            assert told.status_code == 503 and int(told.headers["retry-after"]) >= 1
            assert "kept on this device" in told.json()["message"]
    finally:
        await hall.close()


async def test_figures_count_saves_and_flushes(client, cast, hall):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "a"), row(2, 1, "b"))
    port = free_port()
    hall.metrics.serve(port)
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    found = {
        sample.name: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("le") in (None, "+Inf")
    }
    assert found["exam_saves_total"] == 1
    assert found["exam_round_rows_sum"] == 2 and found["exam_round_rows_count"] == 1
    assert found["exam_save_seconds_count"] == 1 and 0 < found["exam_save_seconds_sum"] < 5
    assert found["exam_round_seconds_count"] == 1 and found["exam_waiting_saves"] == 0


def test_route_without_an_audience_stops_the_start(settings):
    @get("/forgotten")
    async def forgotten() -> str:
        return "seen by anyone"

    with pytest.raises(UndeclaredAudience, match="forgotten"):
        create_app(settings, [forgotten])

    @get("/odd", opt={"audience": "everyone"})
    async def odd() -> str:
        return ""

    with pytest.raises(UndeclaredAudience, match="odd"):
        create_app(settings, [odd])


def test_logs_say_what_and_where_and_quote_nothing():
    secret = "the-answer-is-b"
    try:
        raise ValueError(f"could not read {secret}")
    except ValueError:
        record = logging.getLogger("exam.web").makeRecord(
            "exam.web", logging.ERROR, __file__, 1, "a defect at %s", ("/api/answers",), __import__("sys").exc_info()
        )
    line = JsonLines().format(record)
    told = json.loads(line)
    assert secret not in line and told["exception"] == "ValueError" and told["message"] == "a defect at /api/answers"
    assert told["level"] == "error" and any("test_health.py" in place for place in told["at"])


async def test_nothing_of_a_sitting_is_logged(client, cast, caplog):
    caplog.set_level(logging.DEBUG, logger="exam")
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 3, "a very private answer"))
    await save(device, row(1, 3, "another private answer"))
    await device.post("/api/login", json={"registration": meera.registration, "code": "a-wrong-code"})
    told = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("exam"))
    for secret in ("private", "wrong-code", meera.code, device.cookies["exam"]):
        assert secret not in told


async def test_overload_sheds_in_order_and_never_saves_or_submits(client, cast, hall, monkeypatch):
    meera, ravi, new = [await cast.candidate(name) for name in ("meera", "ravi", "new")]
    slot = await cast.slot(meera, ravi, new)
    await cast.staff()
    writing, waiting, desk = client(), client(), client()
    await begin(writing, meera)
    await log_in(waiting, ravi)
    await desk.post("/staff/login", data={"email": "asha@hall.test", "password": PASSWORD})
    shed = {}
    for lag in (0.0, 0.25, 0.4, 0.8, 1.2, 2.0):
        monkeypatch.setattr(type(hall.answers), "lag", property(lambda _, lag=lag: lag))
        noticed = [{"n": 1, "kind": "away", "age": 0}]
        asked = {
            "event": await writing.post("/api/events", json={"page": 1, "events": noticed}),
            "report": await desk.get(f"/staff/slots/{slot.slot_id}/results"),
            "board": await desk.get(f"/staff/slots/{slot.slot_id}/day"),
            "login": await client().post("/api/login", json={"registration": new.registration, "code": new.code}),
            "start": await waiting.post("/api/start", json={}),
        }
        shed[lag] = [kind for kind, answer in asked.items() if answer.status_code == 503]
        assert all(int(asked[kind].headers["retry-after"]) >= 1 for kind in shed[lag])
        assert all(answer.status_code in (200, 503) for answer in asked.values())
    order = ["event", "report", "board", "login", "start"]
    assert list(shed.values()) == [order[:many] for many in range(6)]
    assert (await save(writing, row(1, 1, "a"))).status_code == 200
    assert (await writing.post("/api/submit", json={"epoch": 1, "last_seq": 1})).status_code == 200
    assert hall.metrics.shed == 15


async def test_lag_is_that_of_the_saves_and_fades(client, cast, hall, monkeypatch):
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    body = {"epoch": 1, "answers": [row(1, 1, "a")]}
    stamp = {"X-Request-Start": f"t={time.time() - 5:.3f}"}
    assert (await device.put("/api/answers", json=body, headers=stamp)).status_code == 200
    assert 5 <= hall.answers.lag < 6
    monkeypatch.setattr("exam.answers.LAG_FADES", 0.0)
    assert hall.answers.lag == 0.0
