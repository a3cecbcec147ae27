"""The load balancer before two stand-ins for the web workers: what it lets through, keeps, changes and refuses."""

import contextlib
import http.client
import json
import os
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exam.children import ChildError, free_port, leave_sockets, socket_folder
from exam.nginx import Nginx, nginx_config

STATIC = Path(__file__).parents[2] / "static"
PAPER = "a" * 64


class Worker(socketserver.ThreadingUnixStreamServer):
    """Answers with what it was asked; /die hangs up, /stuck does nothing, the rest below."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path) -> None:
        self.seen: list[tuple[str, str]] = []
        self.dying = False
        self.unknown = ""
        super().__init__(str(path), Answer)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def server_close(self) -> None:
        self.shutdown()
        super().server_close()
        Path(str(self.server_address)).unlink()


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Worker

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path))
        if self.server.dying and self.path.startswith("/api/"):
            # Read, perhaps even done, and never answered: what a kill -9 looks like from outside.
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        if self.path == self.server.unknown:
            self.send_error(404)
            return
        more: dict[str, str] = {}
        if self.path.startswith("/api/papers/"):
            more = {"X-Accel-Redirect": f"/_papers/{PAPER}", "Cache-Control": "private, max-age=60"}
        elif self.path.startswith(("/internal/papers/", "/papers/", "/media/")):
            time.sleep(0.2)
            more = {"Cache-Control": "public, max-age=1000, immutable"}
        elif self.path.startswith("/static/0123456789ab/"):
            more = {"Cache-Control": "public, max-age=1000, immutable", "Vary": "accept-encoding"}
        told = {"path": self.path, "length": len(body), "headers": dict(self.headers)}
        text = json.dumps(told).encode()
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(text)), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PUT = do_GET

    def address_string(self) -> str:
        return "a unix socket"

    def log_message(self, *_: object) -> None:
        pass


class Front:
    """A running nginx, its workers, and a short way to ask."""

    def __init__(self, nginx: Nginx, port: int, workers: list[Worker]) -> None:
        self.nginx, self.port, self.workers = nginx, port, workers

    def ask(
        self, path: str, method: str = "GET", body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def echo(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
        status, _, text = self.ask(path, method, body, **headers)
        assert status == 200, text
        return json.loads(text)

    def seen(self) -> list[tuple[str, str]]:
        return [one for worker in self.workers for one in worker.seen]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "दोन शब्द" / "two words"
    yield folder
    leave_sockets(folder)


@pytest.fixture
def front(folder: Path) -> Iterator[Callable[..., Front]]:
    """Opens one: `front(edit=function of the configuration's text, **options of nginx_config)`."""
    opened: list[Front] = []

    def open_front(edit: Callable[[str], str] = lambda text: text, **options: Any) -> Front:
        port = free_port()
        places = [socket_folder(folder) / f"web-{n}.sock" for n in (1, 2)]
        defaults: dict[str, Any] = {
            "listen": [f"127.0.0.1:{port}"],
            "upstreams": places,
            "static": STATIC,
            "temp": folder,
            "worker_connections": 256,
        }
        nginx = Nginx(folder, edit(nginx_config(**{**defaults, **options})))
        opened.append(Front(nginx, port, [Worker(place) for place in places]))
        nginx.start()
        return opened[0]

    yield open_front
    for one in opened:
        one.nginx.stop()
        for worker in one.workers:
            worker.server_close()


def test_both_workers_are_asked_and_the_front_speaks_for_the_client(front: Callable[..., Front]) -> None:
    one = front()
    before = time.time()
    told = one.echo(
        "/health/live?x=1",
        X_Request_Start="t=1.000",
        X_Forwarded_For="1.2.3.4",
        X_Forwarded_Proto="https",
        X_Forwarded_Host="evil.example",
        X_Real_IP="1.2.3.4",
        Forwarded="for=1.2.3.4",
        Cookie="exam=1",
    )
    headers = told["headers"]
    assert told["path"] == "/health/live?x=1"
    assert re.fullmatch(r"t=\d{10}\.\d{3}", headers["X-Request-Start"])
    assert before - 1 < float(headers["X-Request-Start"][2:]) < time.time() + 1
    assert (headers["X-Forwarded-For"], headers["X-Forwarded-Proto"]) == ("127.0.0.1", "http")
    assert not {"X-Forwarded-Host", "X-Real-Ip", "X-Real-IP", "Forwarded"} & set(headers)
    assert (headers["Host"], headers["Cookie"]) == (f"127.0.0.1:{one.port}", "exam=1")
    for _ in range(10):
        one.echo("/")
    assert all(worker.seen for worker in one.workers)


def test_starts_queue_before_the_workers_and_saves_pass_them(front: Callable[..., Front]) -> None:
    one = front(starts_per_second=20)
    began = time.time()
    with ThreadPoolExecutor(60) as hands:
        starts = [hands.submit(one.echo, "/api/start", "POST", b"{}") for _ in range(60)]
        time.sleep(0.3)
        before = time.time()
        for _ in range(20):
            one.echo("/api/answers", "PUT", b"{}")
        saving = time.time() - before
        arrived = [float(start.result()["headers"]["X-Request-Start"][2:]) for start in starts]
    assert 2.5 < time.time() - began < 6, "twenty a second"
    assert saving < 1.5, "a save waits for no start"
    assert max(arrived) - began < 2, "a start has arrived when it was pressed, not when its turn came"


def test_who_would_wait_longer_than_the_page_is_asked_to_come_again(front: Callable[..., Front]) -> None:
    one = front(starts_per_second=1)
    with ThreadPoolExecutor(30) as hands:
        answers = [hands.submit(one.ask, "/api/login", "POST", b"{}") for _ in range(30)]
        told = [answer.result() for answer in answers if answer.result()[0] == 503]
    assert 10 <= len(told) <= 18
    assert json.loads(told[0][2])["error"] == "unavailable" and told[0][1]["Retry-After"] in "2345"


def test_one_dead_worker_costs_nobody_an_answer(front: Callable[..., Front]) -> None:
    one = front()
    one.workers.pop().server_close()
    for _ in range(30):
        assert one.echo("/api/answers", "PUT", b"{}")["length"] == 2
    for _ in range(30):
        one.echo("/api/submit", "POST", b"{}")


def test_a_save_that_a_worker_took_to_its_grave_goes_to_another_and_a_post_does_not(
    front: Callable[..., Front],
) -> None:
    one = front(edit=lambda text: text.replace("max_fails=2", "max_fails=0"))
    one.workers[0].dying = True
    for _ in range(10):
        assert one.echo("/api/answers", "PUT", b"{}")["path"] == "/api/answers"
    assert ("PUT", "/api/answers") in one.workers[0].seen
    statuses = [one.ask("/api/submit", "POST", b"{}")[0] for _ in range(10)]
    posted = [(len(w.seen) - w.seen.count(("PUT", "/api/answers"))) for w in one.workers]
    assert sum(posted) == 10  # each was carried to one worker only
    assert set(statuses) == {200, 503}


def test_without_any_worker_a_client_gets_json_and_a_person_a_page(front: Callable[..., Front]) -> None:
    one = front()
    while one.workers:
        one.workers.pop().server_close()
    waits = set()
    for _ in range(30):
        status, headers, body = one.ask("/api/answers", "PUT", b"{}")
        assert (status, json.loads(body)["error"]) == (503, "unavailable")
        assert headers["Content-Type"] == "application/json"
        assert headers["Cache-Control"] == "no-store"
        waits.add(int(headers["Retry-After"]))
    assert waits <= {2, 3, 4, 5}
    assert len(waits) > 1
    for method in ("GET", "POST"):
        status, headers, body = one.ask("/login", method, b"")
        text = body.decode()
        assert (status, headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert headers["Retry-After"]
        assert "Answers on this device are kept" in text
        assert 'lang="mr"' in text
        assert 'http-equiv="refresh"' in text
        assert "<script" not in text


HIDDEN = ["/internal", "/internal/x", "//internal//x", "/%69nternal/x", "/a/../internal/x", "/a/%2e%2e/internal/x"]
HIDDEN += ["/metrics", "/metrics/", f"/_papers/{PAPER}", "/unavailable.html"]


@pytest.mark.parametrize("path", HIDDEN)
def test_what_is_for_the_machines_behind_is_not_there(front: Callable[..., Front], path: str) -> None:
    one = front()
    assert one.ask(path)[0] == 404
    assert one.seen() == []


def test_another_host_gets_no_answer_at_all(front: Callable[..., Front]) -> None:
    one = front(server_names=["exam.example.in", "127.0.0.1"])
    assert one.echo("/", Host="exam.example.in")["headers"]["Host"] == "exam.example.in"
    for host in ("evil.example", "exam.example.in.evil.example"):
        with pytest.raises(ConnectionResetError):
            one.ask("/", Host=host)
    assert len(one.seen()) == 1


def test_sizes_are_limited_and_a_save_is_not_written_to_disk(front: Callable[..., Front], folder: Path) -> None:
    one = front()
    assert one.echo("/api/answers", "PUT", b"x" * 128 * 1024)["length"] == 128 * 1024
    status, headers, body = one.ask("/api/answers", "PUT", b"x" * (128 * 1024 + 1))
    assert (status, json.loads(body)["error"], headers["Content-Type"]) == (413, "too_large", "application/json")
    assert one.echo("/login", "POST", b"x" * 64 * 1024)["length"] == 64 * 1024
    assert one.ask("/login", "POST", b"x" * (64 * 1024 + 1))[0] == 413
    assert one.echo("/staff/import", "POST", b"x" * 5_000_000)["length"] == 5_000_000
    # nginx warns of each body that it puts into a file: the page's and the import's, and not the save's.
    buffered = re.findall(r"buffered to a temporary file.*request: \"(\w+ \S+)", one.nginx.log.read_text())
    assert set(buffered) == {"POST /login", "POST /staff/import"}


FILE = "/static/0123456789ab/joined/exam.js"


def test_a_file_is_fetched_once_for_each_encoding_from_a_worker_that_has_it(front: Callable[..., Front]) -> None:
    one = front()
    one.workers[0].unknown = FILE
    told = []
    for accepted in ("gzip", "gzip, deflate", "gzip, deflate, br, zstd", "identity"):
        for query in ("", "?again"):
            status, headers, body = one.ask(FILE + query, Accept_Encoding=accepted, Cookie="exam=1")
            assert (status, headers["Vary"], headers["Cache-Control"]) == (
                200,
                "accept-encoding",
                "public, max-age=1000, immutable",
            )
            told.append(json.loads(body))
    assert [each["headers"].get("Accept-Encoding") for each in told] == ["gzip"] * 4 + ["br, gzip"] * 2 + [None] * 2
    assert {each["path"] for each in told} == {FILE} and "Cookie" not in told[0]["headers"]
    assert one.workers[1].seen.count(("GET", FILE)) == 3
    one.workers[1].unknown = FILE
    assert one.ask(FILE, Accept_Encoding="gzip")[0] == 200, "kept, also when nobody has it any more"
    one.workers[0].unknown = one.workers[1].unknown = FILE.replace("exam.js", "old.js")
    assert one.ask(one.workers[0].unknown)[0] == 404


def test_nothing_is_served_from_disk(front: Callable[..., Front]) -> None:
    one = front()
    for path in ("/static/page.css", "/static/../page.css", "/static/0123456789ab/%2e%2e/unavailable.html", "/static/"):
        assert one.echo(path)["path"] == path
    assert one.ask("/", Accept_Encoding="gzip")[1]["Content-Encoding"] is None


def test_a_paper_is_fetched_once_and_served_to_those_who_may(front: Callable[..., Front]) -> None:
    one = front()
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: one.ask("/api/papers/1", Cookie=f"exam={n}", Accept_Encoding="gzip, br"), range(16))
        )
    assert {status for status, _, _ in answers} == {200}
    assert {headers.get_all("Cache-Control")[0] for _, headers, _ in answers} == {"private, max-age=60"}  # type: ignore[index]
    assert {len(headers.get_all("Cache-Control") or []) for _, headers, _ in answers} == {1}
    asked = one.seen()
    assert asked.count(("GET", "/api/papers/1")) == 16
    assert asked.count(("GET", f"/internal/papers/{PAPER}")) == 1
    told = json.loads(answers[0][2])
    assert told["path"] == f"/internal/papers/{PAPER}"
    assert "Cookie" not in told["headers"]
    assert told["headers"]["Accept-Encoding"] == "br, gzip"


def test_media_are_kept_whatever_the_query_and_other_paths_are_not(front: Callable[..., Front]) -> None:
    one = front()
    for path in (f"/media/{PAPER}", f"/media/{PAPER}?x=1", f"/media/{PAPER}?x=2", "/papers/1/2.bin", "/papers/1/2.bin"):
        assert "Cookie" not in one.echo(path, Cookie="exam=1")["headers"]
    assert sorted(one.seen()) == [("GET", f"/media/{PAPER}"), ("GET", "/papers/1/2.bin")]
    for _ in range(2):
        assert one.echo("/media/short", Cookie="exam=1")["headers"]["Cookie"] == "exam=1"
    assert len(one.seen()) == 4


def test_a_client_that_dribbles_is_dropped_and_no_worker_hears_of_it(front: Callable[..., Front]) -> None:
    one = front(edit=lambda text: re.sub(r"(client_(header|body)_timeout) 10s;", r"\1 1s;", text))
    for start in (b"GET / HT", b"PUT /api/answers HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"):
        with socket.create_connection(("127.0.0.1", one.port), timeout=5) as client:
            client.sendall(start)
            began = time.monotonic()
            with contextlib.suppress(ConnectionResetError):
                client.recv(1000)
            assert 0.5 < time.monotonic() - began < 4
    assert one.seen() == []


def test_a_wrong_configuration_changes_nothing_and_a_right_one_is_taken_over(
    front: Callable[..., Front], folder: Path
) -> None:
    one = front()
    pid = one.nginx.pid
    good = (folder / "nginx.conf").read_text()
    with pytest.raises(ChildError, match=r'(?s)does not accept.*unknown directive "nonsense"'):
        one.nginx.reload("nonsense;" + good)
    assert one.echo("/")["path"] == "/"
    one.nginx.reload(good.replace("location / {", "location = /new { return 418; }\n location / {"))
    deadline = time.monotonic() + 5
    while (status := one.ask("/new")[0]) != 418 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (status, one.nginx.pid) == (418, pid)
    one.nginx.kill()
    with pytest.raises(ConnectionRefusedError):
        one.ask("/")  # not even a worker of the killed one holds the port
    one.nginx.start()
    assert one.echo("/")["path"] == "/"


def test_nginx_that_cannot_bind_says_so(front: Callable[..., Front]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ChildError, match=r"(?s)nginx ended while starting.*Address (already )?in use"):
            front(listen=[f"127.0.0.1:{port}"])


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for this name, signed by itself, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "the certificate.pem", folder / "its key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public, private


@pytest.mark.parametrize("http2", [False, True])
def test_tls_for_its_own_name_only_and_plain_requests_are_sent_there(
    front: Callable[..., Front], folder: Path, http2: bool
) -> None:
    public, private = certificate(folder, "exam.example.in")
    plain = free_port()
    one = front(
        certificate=public,
        certificate_key=private,
        server_names=["exam.example.in"],
        redirect=[f"127.0.0.1:{plain}"],
        http2=http2,
    )
    trust = ssl.create_default_context(cafile=public)
    trust.set_alpn_protocols(["h2", "http/1.1"])

    def connect(name: str) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", one.port), timeout=5)
        return trust.wrap_socket(raw, server_hostname=name)

    with connect("exam.example.in") as secure:
        assert secure.selected_alpn_protocol() == ("h2" if http2 else "http/1.1")
    trust.set_alpn_protocols(["http/1.1"])
    with connect("exam.example.in") as secure:
        secure.sendall(b"GET / HTTP/1.1\r\nHost: exam.example.in\r\nConnection: close\r\n\r\n")
        told = b"".join(iter(lambda: secure.recv(65536), b""))
    assert b'"X-Forwarded-Proto": "https"' in told
    trust.check_hostname = False
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        connect("evil.example")
    one.port = plain
    status, headers, _ = one.ask("/login?a=b", Host="exam.example.in")
    assert (status, headers["Location"]) == (301, "https://exam.example.in/login?a=b")
    with pytest.raises(ConnectionResetError):
        one.ask("/", Host="evil.example")


def test_values_that_would_break_the_configuration_are_refused(tmp_path: Path) -> None:
    good: dict[str, Any] = {
        "listen": ["127.0.0.1:8000"],
        "upstreams": [Path("/run/exam/web.sock"), "10.0.0.7:8000"],
        "static": tmp_path,
        "temp": tmp_path,
    }
    text = nginx_config(**good, user="www-data")
    assert "server unix:/run/exam/web.sock max_fails" in text
    assert "server 10.0.0.7:8000 max_fails" in text
    assert "user www-data;" in text
    assert (
        f"worker_processes {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()};"
        in text
    )
    for wrong in (
        {"listen": ["127.0.0.1:8000; return 200"]},
        {"server_names": ["exam.example.in evil.example"]},
        {"upstreams": [Path("/run/with a blank/web.sock")]},
        {"static": Path('/srv/"quoted"')},
        {"temp": Path("/srv/$host")},
        {"access_log": Path("/srv/line\nbreak")},
    ):
        with pytest.raises(ChildError):
            nginx_config(**{**good, **wrong})
