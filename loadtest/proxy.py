"""The fault proxy, and the independent witness of arrival: `python -m loadtest.proxy CONTROL LOG LINK…`.

Each link listens on one address and forwards to another (NAME,KIND,FROM,TO; a TCP port of 127.0.0.1 or the path of a
unix socket). Faults are asked for over the control socket, one JSON object on a line, and end by themselves. On a link
of kind `http` whole requests are forwarded, and the moment at which the last byte of each crossed is written to the log
under its `x-request-id`; what never crossed is not in it. A link of kind `raw` knows bytes only.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, Literal

import msgspec

Name = Literal["cut", "refuse", "delay", "cut_request", "lose_response", "hang_response", "replay"]

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.I)
_ID: Final = re.compile(rb"\r\nx-request-id: *([^\r]+)", re.I)
_RESET: Final = struct.pack("ii", 1, 0)


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to go wrong on a link: for so many seconds, with this chance each time.

    cut: every connection is reset now. refuse: new ones too, meanwhile. delay: everything waits `delay` seconds, more
    or less, in its order. cut_request: half of a request crosses, then a reset. lose_response: the request crosses, its
    answer is met by a reset. hang_response: its answer is swallowed. replay: it crosses once more, up to `delay` later.
    """

    link: str
    fault: Name
    seconds: float = 0.0
    chance: float = 1.0
    delay: float = 0.0


class Crossing(msgspec.Struct, frozen=True, array_like=True):
    """A line of the witness: when a request's last byte crossed, by both clocks; `replay`: sent again by the proxy."""

    request: str
    monotonic: float
    wall: float
    replay: bool


def _reset(transport: asyncio.Transport | None) -> None:
    """Ends a connection at once, with a TCP reset where there is TCP; what was not sent is lost."""
    if transport is None or transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family == socket.AF_INET:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


class Up(asyncio.Protocol):
    """The connection to the server behind, for one connection in front."""

    def __init__(self, down: "Down") -> None:
        self._down = down

    def data_received(self, data: bytes) -> None:
        self._down.answered(data)

    def connection_lost(self, _: Exception | None) -> None:
        self._down.server_gone()


class Down(asyncio.Protocol):
    """One connection in front, and what it does with the one behind."""

    def __init__(self, link: "Link") -> None:
        self._link = link
        self._front: asyncio.Transport | None = None
        self._behind: asyncio.Transport | None = None
        self._unsent: list[Callable[[], None]] = []
        self._buffer = b""
        self._last = {"up": 0.0, "down": 0.0}
        self._swallow: Name | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._front = transport
        if self._link.active("refuse"):
            _reset(transport)
            return
        self._link.connections.add(self)
        self._link.loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            behind = await self._link.connect(lambda: Up(self))
        except OSError:
            _reset(self._front)
            return
        self._behind = behind
        if self._front is None or self._front.is_closing():
            _reset(behind)
            return
        unsent, self._unsent = self._unsent, []
        for send in unsent:
            send()

    def data_received(self, data: bytes) -> None:
        if not self._link.http:
            self._forward(lambda: self._write(data))
            return
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            self._request(request, end)

    def _request(self, request: bytes, end: int) -> None:
        found = _ID.search(request, 0, end)
        name = found[1].decode("latin-1") if found else ""
        if self._link.strikes("cut_request"):
            self._forward(lambda: self._break_off(request[: max(end, len(request) // 2)]))
            return
        if self._link.strikes("lose_response"):
            self._swallow = "lose_response"
        elif self._link.strikes("hang_response"):
            self._swallow = "hang_response"
        if self._link.strikes("replay") and request.startswith((b"PUT", b"POST /api/submit")):
            wait = self._link.random.uniform(0, self._link.faults["replay"].delay)
            self._link.loop.call_later(wait, lambda: self._link.loop.create_task(self._link.again(name, request)))

        def cross() -> None:
            if self._write(request):
                self._link.witness(name)

        self._forward(cross)

    def answered(self, data: bytes) -> None:
        """Bytes from the server behind, on their way to the front."""
        if self._swallow is None and not self._link.http and self._link.strikes("lose_response"):
            self._swallow = "lose_response"
        if self._swallow == "lose_response":
            self.reset()
        elif self._swallow is None:
            self._later(
                "down", lambda: self._front.write(data) if self._front and not self._front.is_closing() else None
            )

    def _forward(self, send: Callable[[], object]) -> None:
        if self._behind is None:
            self._unsent.append(lambda: self._later("up", send))
        else:
            self._later("up", send)

    def _write(self, data: bytes) -> bool:
        if self._behind is None or self._behind.is_closing():
            return False
        self._behind.write(data)
        return True

    def _break_off(self, data: bytes) -> None:
        self._write(data)
        self.reset()

    def _later(self, way: str, act: Callable[[], object]) -> None:
        now = self._link.loop.time()
        at = max(now + self._link.delay(), self._last[way])
        self._last[way] = at
        if at <= now:
            act()
        else:
            self._link.loop.call_at(at, act)

    def server_gone(self) -> None:
        """The server behind has closed: the front learns it after what was on its way."""
        if self._swallow != "hang_response":
            self._later("down", lambda: self._front.close() if self._front else None)

    def connection_lost(self, _: Exception | None) -> None:
        self._link.connections.discard(self)
        if self._behind is not None:
            self._later("up", lambda: self._behind.close() if self._behind else None)

    def reset(self) -> None:
        """Resets both sides."""
        _reset(self._front)
        _reset(self._behind)


class Link:
    """One address that is forwarded to another, with its present faults."""

    def __init__(self, name: str, kind: str, listen: str, target: str, log: IO[bytes]) -> None:
        self.name, self.http, self.listen, self.target = name, kind == "http", listen, target
        self.loop = asyncio.get_running_loop()
        self.connections: set[Down] = set()
        self.faults: dict[str, Fault] = {}
        self.random = random.Random()
        self._until: dict[str, float] = {}
        self._log = log

    async def open(self) -> asyncio.Server:
        """Listens."""
        if self.listen.isdigit():
            return await self.loop.create_server(lambda: Down(self), "127.0.0.1", int(self.listen), backlog=1024)
        _remove(self.listen)
        return await self.loop.create_unix_server(lambda: Down(self), self.listen, backlog=1024)

    async def connect(self, factory: Callable[[], asyncio.Protocol]) -> asyncio.Transport:
        """A connection to the server behind; OSError where nobody listens."""
        if self.target.isdigit():
            transport, _ = await self.loop.create_connection(factory, "127.0.0.1", int(self.target))
        else:
            transport, _ = await self.loop.create_unix_connection(factory, self.target)
        return transport

    def start(self, fault: Fault) -> None:
        """Lets a fault begin; it ends by itself."""
        self.faults[fault.fault] = fault
        self._until[fault.fault] = self.loop.time() + fault.seconds
        if fault.fault in ("cut", "refuse"):
            for connection in list(self.connections):
                connection.reset()

    def active(self, name: Name) -> bool:
        """Is this fault on?"""
        return self._until.get(name, 0.0) > self.loop.time()

    def strikes(self, name: Name) -> bool:
        """Is it on, and does it happen now?"""
        return self.active(name) and self.random.random() < self.faults[name].chance

    def delay(self) -> float:
        """For how many seconds the next piece has to wait."""
        if not self.strikes("delay"):
            return 0.0
        return self.faults["delay"].delay * self.random.uniform(0.5, 1.5)

    def witness(self, request: str, *, replay: bool = False) -> None:
        """Writes down that a request has crossed."""
        if request:
            crossing = Crossing(request, time.monotonic(), time.time(), replay)
            self._log.write(msgspec.json.encode(crossing) + b"\n")

    async def again(self, name: str, request: bytes) -> None:
        """Sends a request once more on a connection of its own, and listens to no answer."""
        with contextlib.suppress(OSError):
            transport = await self.connect(asyncio.Protocol)
            transport.write(request)
            self.witness(name, replay=True)
            await asyncio.sleep(10)
            transport.close()


def _remove(socket_path: str) -> None:
    Path(socket_path).unlink(missing_ok=True)


async def run(control: str, log: IO[bytes], links: list[str]) -> None:
    """Forwards until SIGTERM."""
    opened = {}
    servers = []
    for link in links:
        name, kind, listen, target = link.split(",")
        opened[name] = Link(name, kind, listen, target, log)
        servers.append(await opened[name].open())
    decoder = msgspec.json.Decoder(Fault)

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for line in reader:
            fault = decoder.decode(line)
            opened[fault.link].start(fault)
            writer.write(b"\n")
            await writer.drain()
        writer.close()

    _remove(control)
    servers.append(await asyncio.start_unix_server(obey, control))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    for server in servers:
        server.close()


def main() -> None:
    control, path, *links = sys.argv[1:]
    with Path(path).open("ab", buffering=1 << 16) as log:
        asyncio.run(run(control, log, links))
        log.flush()
        os.fsync(log.fileno())


if __name__ == "__main__":
    main()
