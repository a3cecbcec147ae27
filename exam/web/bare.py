"""Requests and responses without a framework's layers between: for the doors that forty thousand use at once.

Litestar routes to these handlers; reading, refusing and answering cost a few microseconds here and some hundred there.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import msgspec
from litestar.types import Receive, Scope, Send

from exam.errors import ForeignOrigin, Malformed, NoSession, Refusal, TooLarge, WrongMethod, WrongType

log = logging.getLogger("exam.web")

LARGEST_BODY: Final = 128 * 1024
JSON: Final = b"application/json"

# Personal and private by default: nothing is stored on the way, sniffed or framed.
_ALWAYS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_JSON_HEADERS: Final = ((b"content-type", JSON), *_ALWAYS)

encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct):
    """What the doors look at: the headers that matter, in one pass, and the moment of arrival."""

    method: str
    path: str
    query: bytes
    cookie: bytes = b""
    content_type: bytes = b""
    origin: bytes = b""
    host: bytes = b""
    site: bytes = b""
    encodings: bytes = b""
    stamp: float = 0.0
    """Unix time at which the load balancer had the request complete."""
    judged: float = 0.0
    """The arrival by which it is judged, where a ticket proves an earlier one than `stamp`; else 0."""
    ticket: str = ""
    """What a client holds from an earlier, refused sending of this body."""
    body: bytes = b""
    headers: Iterable[tuple[bytes, bytes]] = ()
    """All of them, for the few who look for another one."""
    target: bytes = b""
    """The path as it was asked for."""
    accel: bool = False
    """Whether a load balancer is in front that can send cached bytes by itself."""

    def header(self, name: bytes) -> str:
        """The value of a header by its name in small letters; "" where there is none."""
        return next((value.decode("latin-1") for header, value in self.headers if header == name), "")

    def token(self, name: bytes) -> str:
        """The value of the session cookie; NoSession where there is none."""
        for part in self.cookie.split(b";"):
            key, _, value = part.strip().partition(b"=")
            if key == name:
                return value.decode("latin-1")
        raise NoSession


def read_request(scope: Scope) -> Request:
    """The request line and the headers that matter. ForeignOrigin for a changing request from another site."""
    request = Request(scope["method"], scope["path"], scope["query_string"])  # type: ignore[typeddict-item]
    request.headers, request.target = scope["headers"], scope["raw_path"]
    for name, value in scope["headers"]:
        if name == b"cookie":
            request.cookie = value if not request.cookie else request.cookie + b"; " + value
        elif name == b"content-type":
            request.content_type = value
        elif name == b"origin":
            request.origin = value
        elif name == b"host":
            request.host = value
        elif name == b"sec-fetch-site":
            request.site = value
        elif name == b"accept-encoding":
            request.encodings = value
        elif name == b"x-request-start":
            request.stamp = _stamp(value)
        elif name == b"x-accel":
            request.accel = True
        elif name == b"arrival-ticket":
            request.ticket = value.decode("latin-1")
    if not request.stamp:
        request.stamp = time.time()
    if request.method not in ("GET", "HEAD"):
        if request.site and request.site not in (b"same-origin", b"none"):
            raise ForeignOrigin
        if request.origin and request.origin.partition(b"://")[2] != request.host:
            raise ForeignOrigin
    return request


def _stamp(value: bytes) -> float:
    try:
        return float(value.removeprefix(b"t="))
    except ValueError:
        return 0.0


async def read_json(request: Request, receive: Receive, decoder: msgspec.json.Decoder[Any]) -> Any:
    """The body, decoded strictly; its bytes stay in the request. WrongType, TooLarge, or Malformed with the place."""
    if request.content_type.partition(b";")[0].strip() != JSON:
        raise WrongType
    message = await receive()
    body: bytes = message.get("body", b"")  # type: ignore[assignment]
    while message.get("more_body"):
        if len(body) > LARGEST_BODY:
            raise TooLarge
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed
        body += message.get("body", b"")  # type: ignore[operator]
    if len(body) > LARGEST_BODY:
        raise TooLarge
    request.body = body
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as wrong:
        raise Malformed(field=str(wrong)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed from None


async def respond(
    send: Send, content: Any, status: int = 200, headers: tuple[tuple[bytes, bytes], ...] = _JSON_HEADERS
) -> None:
    """Sends `content` as JSON."""
    body = content if isinstance(content, bytes) else encode(content)
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": False})


PRIVATE: Final = b"private, max-age=31536000, immutable"
PUBLIC: Final = b"public, max-age=31536000, immutable"


async def respond_bytes(
    send: Send, body: bytes, content_type: bytes, *extra: tuple[bytes, bytes], kept: bytes = PRIVATE
) -> None:
    """Sends bytes that never change; PRIVATE ones the browser may keep, PUBLIC ones whoever passes them on."""
    await respond(send, body, 200, ((b"content-type", content_type), (b"cache-control", kept), *_ALWAYS[1:], *extra))


async def refuse(send: Send, refusal: Refusal) -> None:
    """Sends a refusal: the one place where a candidate's error becomes a response."""
    headers: tuple[tuple[bytes, bytes], ...] = _JSON_HEADERS
    if refusal.retry_after is not None:
        headers = (*headers, (b"retry-after", str(refusal.retry_after).encode()))
    await respond(send, {"error": refusal.error, "message": refusal.message, **refusal.extra}, refusal.status, headers)


Handler = Callable[[Request, Receive, Send], Awaitable[None]]


def door(**methods: Handler) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """An ASGI application that reads the request, calls the handler of its method and renders its refusal."""

    async def opened(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = read_request(scope)
            handler = methods.get(request.method)
            if handler is None:
                raise WrongMethod
            await handler(request, receive, send)
        except Refusal as refusal:
            await refuse(send, refusal)
        except Exception:
            log.exception("a defect at %s", scope["path"])
            await respond(send, {"error": "defect", "message": DEFECT}, 500)

    return opened


DEFECT: Final = "Something went wrong on the server. What was safe is safe; please try again."
