"""The fault proxy: what it does to requests and answers, and that the witness tells exactly what crossed."""

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from exam.children import Child, free_port, listening
from loadtest.history import read_witness
from loadtest.proxy import Fault

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Behind:
    """A server that answers every request with its own id, and remembers them."""

    seen: list[str] = field(default_factory=list)

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
                name = head.partition("x-request-id: ")[2].partition("\r")[0]
                self.seen.append(name)
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(name)}\r\n\r\n{name}".encode())
        writer.close()


@dataclass
class Way:
    """The proxy between us and the server."""

    child: Child
    port: int
    control: Path
    log: Path
    behind: Behind

    async def fault(self, **fault):
        reader, writer = await asyncio.open_unix_connection(str(self.control))
        writer.write(msgspec.json.encode(Fault("web", **fault)) + b"\n")
        await reader.readline()
        writer.close()

    async def ask(self, name, *, method="PUT", patience=2.0, streams=None):
        """The answer's body; the name of the error where there was none."""
        try:
            async with asyncio.timeout(patience):
                reader, writer = streams or await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(
                    f"{method} /api/answers HTTP/1.1\r\nX-Request-Id: {name}\r\nContent-Length: 9\r\n\r\n".encode()
                )
                await asyncio.sleep(0.01)  # the body comes in a piece of its own
                writer.write(b"the body.")
                await reader.readuntil(b"\r\n\r\n")
                return (await reader.readexactly(len(name))).decode()
        except (OSError, EOFError) as gone:
            return type(gone).__name__

    def crossings(self):
        self.child.stop()
        return {name: len(found) for name, found in read_witness(self.log).items()}


@pytest.fixture
async def way(tmp_path):
    behind, target, front = Behind(), free_port(), free_port()
    server = await asyncio.start_server(behind.serve, "127.0.0.1", target)
    control, log = tmp_path / "control.sock", tmp_path / "witness.jsonl"
    words = [sys.executable, "-m", "loadtest.proxy", control, log, f"web,http,{front},{target}"]
    child = Child("proxy", tmp_path, words, env={"PYTHONPATH": str(ROOT)}, ready=lambda: listening(control))
    await asyncio.to_thread(child.start)
    yield Way(child, front, control, log, behind)
    child.stop()
    server.close()


async def test_forwards_and_bears_witness(way):
    before = time.time()
    streams = await asyncio.open_connection("127.0.0.1", way.port)
    for name in ("a.1", "a.2"):
        assert await way.ask(name, streams=streams) == name
    way.child.stop()
    found = read_witness(way.log)
    assert way.behind.seen == ["a.1", "a.2"] == list(found)
    assert all(before < found[name][0].wall < time.time() and not found[name][0].replay for name in found)


async def test_half_a_request_never_crosses(way):
    await way.fault(fault="cut_request", seconds=5)
    assert await way.ask("a.1") in ("ConnectionResetError", "IncompleteReadError")
    assert way.behind.seen == [] and way.crossings() == {}


async def test_answers_are_lost_and_requests_are_not(way):
    await way.fault(fault="lose_response", seconds=5)
    assert await way.ask("a.1") in ("ConnectionResetError", "IncompleteReadError")
    await way.fault(fault="lose_response", seconds=0)
    await way.fault(fault="hang_response", seconds=5)
    assert await way.ask("a.2", patience=0.3) == "TimeoutError"
    assert way.behind.seen == ["a.1", "a.2"] and way.crossings() == {"a.1": 1, "a.2": 1}


async def test_requests_come_twice_but_only_those_that_may(way):
    await way.fault(fault="replay", seconds=5, delay=0.1)
    assert await way.ask("a.1") == "a.1"
    assert await way.ask("a.2", method="POST") == "a.2"
    await asyncio.sleep(0.4)
    assert sorted(way.behind.seen) == ["a.1", "a.1", "a.2"] and way.crossings() == {"a.1": 2, "a.2": 1}


async def test_delay_keeps_the_order_and_witnesses_the_crossing(way):
    await way.fault(fault="delay", seconds=5, delay=0.2)
    sent = time.time()
    assert await way.ask("a.1") == "a.1"
    assert time.time() - sent > 0.2
    way.child.stop()
    assert read_witness(way.log)["a.1"][0].wall - sent > 0.1, "it crossed when it left, not when it came"


async def test_cut_and_refuse(way):
    streams = await asyncio.open_connection("127.0.0.1", way.port)
    assert await way.ask("a.1", streams=streams) == "a.1"
    await way.fault(fault="cut")
    assert await way.ask("a.2", streams=streams) in ("ConnectionResetError", "IncompleteReadError")
    assert await way.ask("a.3") == "a.3"
    await way.fault(fault="refuse", seconds=0.5)
    assert await way.ask("a.4") in ("ConnectionResetError", "IncompleteReadError")
    await asyncio.sleep(0.6)
    assert await way.ask("a.5") == "a.5"
    assert way.behind.seen == ["a.1", "a.3", "a.5"]
