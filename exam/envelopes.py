"""Envelopes: a paper's key under the code that the invigilator reads out when the server cannot be reached.

The code belongs to a slot and so to one hall. It is derived from the service's secret and stands nowhere; what stands
in the database, and goes to everybody who waits, can be opened with it and with nothing else.
"""

import asyncio
import secrets
from collections.abc import Mapping
from hashlib import pbkdf2_hmac, sha256
from hmac import digest
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exam.audit import only, record
from exam.auth import StaffSession
from exam.db import Connection, Row, load
from exam.errors import NotAllowed, NotPossible
from exam.papers import PAPERS, find_paper, seal_paper
from exam.settings import Settings
from exam.slots import one_slot

list_slot_forms, add_envelopes, find_opening = load("envelopes", "list_slot_forms", "add_envelopes", "find_opening")

CODES: Final = "codes to read out"
"""The purpose for which the key of the codes is derived."""
LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: without I, L, O and U, which are taken for others."""
ROUNDS: Final = 600_000
"""Of PBKDF2-HMAC-SHA-256: a tenth of a second here, one or two on an old phone."""


class Envelope(msgspec.Struct, frozen=True):
    """What a form's paper key is sealed in: opened with the code by PBKDF2 over `salt`, then AES-256-GCM."""

    form_hash: bytes
    salt: bytes
    sealed: bytes


def code_of(secret: bytes, slot_id: int) -> str:
    """The code of a slot: 13 letters of 65 bits and one that checks them, in groups, as it is read out."""
    number = int.from_bytes(digest(secret, slot_id.to_bytes(8), sha256)[:9]) >> 7
    values = [number >> 5 * place & 31 for place in reversed(range(13))]
    letters = "".join(LETTERS[value] for value in (*values, _check(values)))
    return "-".join((letters[:4], letters[4:8], letters[8:12], letters[12:]))


def _check(values: list[int]) -> int:
    # Each place weighs another power of 2 in GF(32), so one wrong letter or any two exchanged ones change the sum.
    check = 0
    for value in values:
        doubled = (check ^ value) << 1
        check = doubled ^ 0b100101 if doubled & 0b100000 else doubled
    return check


def seal_envelope(code: str, slot_id: int, form_hash: bytes, paper_key: bytes) -> Envelope:
    """Seals the 32-byte key of a form's paper for one slot. Takes a tenth of a second: not for the event loop."""
    salt = secrets.token_bytes(16)
    opener = pbkdf2_hmac("sha256", code.replace("-", "").encode(), salt, ROUNDS)
    beside = f"exam-envelope-1:{slot_id}:{form_hash.hex()}".encode()
    # Each salt makes a key that seals this only, so the nonce may always be the same.
    return Envelope(form_hash, salt, AESGCM(opener).encrypt(bytes(12), paper_key, beside))


async def seal_envelopes(secret: bytes, slot_id: int, paper_keys: Mapping[bytes, bytes]) -> list[Envelope]:
    """The envelopes of a slot, from its forms' hashes and the keys of their papers; made beside the event loop."""
    code = code_of(secret, slot_id)
    return [await asyncio.to_thread(seal_envelope, code, slot_id, *pair) for pair in paper_keys.items()]


async def lay_envelopes(connection: Connection, district_id: int, slot_id: int, envelopes: list[Envelope]) -> None:
    """Lays envelopes ready for those who wait; within the transaction that pins the slot."""
    await add_envelopes.run(
        connection,
        district_id=district_id,
        slot_id=slot_id,
        forms=[envelope.form_hash for envelope in envelopes],
        salts=[envelope.salt for envelope in envelopes],
        rounds=ROUNDS,
        sealed=[envelope.sealed for envelope in envelopes],
    )


async def lay_all(connection: Connection, settings: Settings, district_id: int, slot_id: int) -> None:
    """As seal_envelopes and lay_envelopes, for roles that may read a paper."""
    keys: dict[bytes, bytes] = {}
    for form in await list_slot_forms.many(connection, district_id=district_id, slot_id=slot_id):
        packed = (await find_paper.one(connection, form_hash=form["form_hash"]))["packed"]
        keys[form["form_hash"]] = seal_paper(settings.derived(PAPERS), form["form_hash"], packed).key
    await lay_envelopes(connection, district_id, slot_id, await seal_envelopes(settings.derived(CODES), slot_id, keys))


async def look_at_code(connection: Connection, staff: StaffSession, slot_id: int, secret: bytes) -> tuple[Row, str]:
    """A slot and its code, for those who print or read it out; each look is in the audit log.

    NotAllowed for an invigilator before the opening, NotPossible where nothing can be opened with it, NothingHere.
    """
    only(staff, "invigilator", "district_admin")
    slot = await one_slot(connection, staff, slot_id)
    opening = await find_opening.one(connection, district_id=slot["district_id"], slot_id=slot_id)
    if not opening["envelopes"]:
        raise NotPossible("This slot is not pinned yet. Its code opens something from the pin on.")
    if staff.role == "invigilator" and not opening["open"]:
        raise NotAllowed("The code is shown here from the opening on. Until then it is in the printed envelope.")
    await record(connection, "code.seen", staff=staff, district_id=slot["district_id"], slot_id=slot_id,
                 before_opening=not opening["open"])  # fmt: skip
    return slot, code_of(secret, slot_id)
