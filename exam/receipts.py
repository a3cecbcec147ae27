"""Receipts: what a candidate can hold up later. The format is section 6 of docs/candidate-protocol.md."""

import datetime as dt
import unicodedata
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
MISREAD: Final = str.maketrans("OIL", "011")
HYPHENS: Final = "-‐‑–—−"


class Receipt(msgspec.Struct, frozen=True):
    """Digest and signature over what counted; ended_by and ended_at are set once it is stored."""

    form_hash: bytes
    salt: bytes
    digest: bytes
    signature: bytes
    key_id: str
    answered: int
    ended_by: str | None = None
    ended_at: dt.datetime | None = None

    @property
    def code(self) -> str:
        """The first 60 bits of the digest as XXXX-XXXX-XXXX."""
        bits = int.from_bytes(self.digest[:8], "big") >> 4
        code = "".join(CROCKFORD[bits >> shift & 31] for shift in range(55, -1, -5))
        return f"{code[:4]}-{code[4:8]}-{code[8:]}"


class Signer:
    """Signs by the Ed25519 key of the deployment; `key_id` is the start of its public key's SHA-256, 8 hex digits."""

    def __init__(self, private_key: str) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private_key))
        self.public = self._key.public_key().public_bytes_raw()
        self.key_id = key_id_of(self.public)

    def sign(self, digest: bytes) -> bytes:
        return self._key.sign(digest)


def key_id_of(public: bytes) -> str:
    """The name of a public key: the start of its SHA-256, 8 hex digits."""
    return sha256(public).hexdigest()[:8]


def signature_holds(public: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is that of `public` (32 bytes) over `digest`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, digest)
    except InvalidSignature:
        return False
    return True


def digest_of(form_hash: bytes, salt: bytes, finals: Iterable[Mapping[str, Any]]) -> bytes:
    """SHA-256 over the canonical bytes of what counted; `finals` by item number, responses as canonical JSON."""
    entries = [
        [row["item"], row["epoch"], row["seq"], msgspec.Raw(row["response"].encode())]
        for row in sorted(finals, key=lambda row: int(row["item"]))
    ]
    return sha256(msgspec.json.encode(["exam-receipt-1", form_hash.hex(), salt.hex(), entries])).digest()


def make_receipt(signer: Signer, form_hash: bytes, salt: bytes, finals: Iterable[Mapping[str, Any]]) -> Receipt:
    """The signed receipt over the counted answers of one attempt."""
    finals = list(finals)
    digest = digest_of(form_hash, salt, finals)
    answered = sum(row["response"] != "null" for row in finals)
    return Receipt(form_hash, salt, digest, signer.sign(digest), signer.key_id, answered)


def digests_of_code(typed: str) -> tuple[bytes, bytes] | None:
    """The lowest and the highest digest with this code, as somebody typed it; None for what is no code.

    Letter case, spaces and hyphens do not matter, nor does the script of a digit; what is easily misread is put right
    as Crockford has it: O is 0, I and L are 1.
    """
    plain = "".join(str(unicodedata.decimal(c, c)) for c in typed.upper() if not c.isspace() and c not in HYPHENS)
    plain = plain.translate(MISREAD)
    if len(plain) != 12 or set(plain) - set(CROCKFORD):
        return None
    bits = 0
    for character in plain:
        bits = bits << 5 | CROCKFORD.index(character)
    return (bits << 4).to_bytes(8, "big") + bytes(24), (bits << 4 | 15).to_bytes(8, "big") + b"\xff" * 24
