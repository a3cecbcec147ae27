"""Arrival tickets: what a save that is put off takes along, so that its repetition is judged by the first arrival.

A ticket is bound to the session and to the bytes of the body: who holds one can prove when exactly these answers came,
and nothing else. Nothing is stored; the service only has to know its own secret again.
"""

from hashlib import sha256
from hmac import compare_digest, digest

_LENGTH = 32


def issue(key: bytes, token: bytes, body: bytes, arrived: float) -> str:
    """The ticket of a body that arrived at a Unix time: milliseconds in hex, a dot, 128 bits of HMAC-SHA256."""
    stamp = f"{round(arrived * 1000):x}"
    return f"{stamp}.{_seal(key, token, body, stamp)}"


def arrival(key: bytes, token: bytes, body: bytes, ticket: str) -> float | None:
    """The Unix time that a ticket proves for this body of this session; None if it proves nothing."""
    stamp, _, seal = ticket.partition(".")
    if not stamp or len(stamp) > 12 or set(stamp) - set("0123456789abcdef"):
        return None
    if not compare_digest(seal.encode("utf-8", "replace"), _seal(key, token, body, stamp).encode()):
        return None
    return int(stamp, 16) / 1000


def _seal(key: bytes, token: bytes, body: bytes, stamp: str) -> str:
    return digest(key, stamp.encode() + sha256(token).digest() + sha256(body).digest(), sha256).hex()[:_LENGTH]
