"""The journal that a candidate's browser keeps: what it is called, sealed with, and handed over by.

A browser writes every answer into its journal, sealed with a key that it has from the service and forgets when the
candidate leaves. So what an earlier candidate left on a shared machine can be read by nobody there, and still be
handed over by whoever comes next: the hand-over names the attempt, and only the page that had the key can have sealed
the rows.
"""

import base64
import binascii
import datetime as dt
from hashlib import sha256
from hmac import compare_digest, digest

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_SEAL = 16


class Owner(msgspec.Struct, frozen=True, array_like=True):
    """Whose journal it is: an attempt, and the form that its answers have to fit."""

    district_id: int
    exam_day: dt.date
    attempt_id: int
    form_hash: bytes


class Journal(msgspec.Struct, frozen=True):
    """What a page needs to keep the journal of an attempt. `name` tells nothing about the candidate."""

    name: str
    key: bytes
    handover: str


_owner = msgspec.msgpack.Decoder(Owner)


def journal_of(secret: bytes, owner: Owner) -> Journal:
    """The journal of an attempt; always the same one."""
    claim = msgspec.msgpack.encode(owner)
    token = base64.urlsafe_b64encode(digest(secret, b"token" + claim, sha256)[:_SEAL] + claim).decode()
    return Journal(_name(secret, owner.attempt_id), _key(secret, owner.attempt_id), token)


def owner_of(secret: bytes, token: str) -> Owner | None:
    """The attempt that a hand-over names; None if the service has never named it so."""
    try:
        told = base64.urlsafe_b64decode(token)
    except (binascii.Error, ValueError):
        return None
    seal, claim = told[:_SEAL], told[_SEAL:]
    if not compare_digest(seal, digest(secret, b"token" + claim, sha256)[:_SEAL]):
        return None
    return _owner.decode(claim)


def unseal(secret: bytes, owner: Owner, epoch: int, seq: int, iv: str, sealed: str) -> bytes | None:
    """The JSON of a row that the owner's page has sealed under these numbers; None for anything else.

    AES-256-GCM; `iv` (12 bytes) and `sealed` in base64, `name:epoch:seq` as additional data.
    """
    beside = f"{_name(secret, owner.attempt_id)}:{epoch}:{seq}".encode()
    try:
        nonce, body = base64.b64decode(iv, validate=True), base64.b64decode(sealed, validate=True)
        return AESGCM(_key(secret, owner.attempt_id)).decrypt(nonce, body, beside) if len(nonce) == 12 else None
    except (InvalidTag, binascii.Error, ValueError):
        return None


def _key(secret: bytes, attempt_id: int) -> bytes:
    return digest(secret, b"key" + attempt_id.to_bytes(8), sha256)


def _name(secret: bytes, attempt_id: int) -> str:
    return digest(secret, b"name" + attempt_id.to_bytes(8), sha256).hex()[:16]
