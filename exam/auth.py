"""Who is there: access codes, passwords and sessions.

A session is a row in PostgreSQL. Its copy in Redis only saves the look-up: it lives for at most five minutes and is
made with SET NX, and a revocation leaves a tombstone there for longer than any rebuild takes, so that no rebuild can
bring a revoked session back.
"""

import asyncio
import datetime as dt
import secrets
from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final, Literal

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from exam.cache import Store
from exam.db import Again, Connection, Database, Group, Row, load
from exam.errors import NoSession, Wait, WrongLogin

(
    find_credentials,
    find_sitting,
    find_booking,
    add_candidate_sessions,
    attach_session,
    find_staff,
    add_staff_session,
    find_candidate_sessions,
    find_staff_session,
    revoke_session,
    list_revoked,
    list_districts,
) = load(
    "auth",
    "find_credentials",
    "find_sitting",
    "find_booking",
    "add_candidate_sessions",
    "attach_session",
    "find_staff",
    "add_staff_session",
    "find_candidate_sessions",
    "find_staff_session",
    "revoke_session",
    "list_revoked",
    "list_districts",
)

MOST_REQUESTS: Final = 200
REQUESTS_SECONDS: Final = 10
"""A candidate's session may make so many requests in so many seconds: some hundred times what a person does."""
FREE_TRIES: Final = 5
LONGEST_WAIT: Final = 60
GATHER: Final = 0.012
"""Seconds that a look-up waits for company. Those who were looked up together are written together, so on a quiet
server, where a round would hold one or two, this halves what a save costs; on a busy one it changes nothing."""
TOMBSTONE: Final = b"-"
TOMBSTONE_SECONDS: Final = 600
COPY_SECONDS: Final = 300
"""For how long a copy in Redis may stand; less where the session ends before."""

Role = Literal["invigilator", "author", "marker", "district_admin", "platform_admin"]


class CandidateSession(msgspec.Struct, frozen=True, array_like=True):
    """What every request of a candidate needs, and nothing that changes while an attempt runs."""

    token_hash: bytes
    district_id: int
    candidate_id: int
    exam_day: dt.date | None
    attempt_id: int | None
    slot_id: int | None
    form_hash: bytes | None


class StaffSession(msgspec.Struct, frozen=True):
    """A member of staff; `scope` are the districts they may see."""

    token_hash: bytes
    staff_id: int
    name: str
    role: Role
    district_id: int | None
    scope: tuple[int, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(CandidateSession).decode

# Access codes ---------------------------------------------------------------------------------------------------

# Without I, L, O, U and without 0, 1: what is read aloud or written by hand stays what it is. 13 characters of 30
# are 63 bits: nobody guesses one, so a keyed hash of microseconds is enough and argon2 (30 ms) is not needed.
ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH: Final = 13


def new_code() -> str:
    """A random access code of 63 bits, as printed on the hall ticket: XXXX-XXXX-XXXXX."""
    code = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))
    return f"{code[:4]}-{code[4:8]}-{code[8:]}"


def hash_code(key: bytes, registration: str, code: str) -> bytes:
    """The keyed hash of an access code, bound to its owner: HMAC-SHA256, 32 bytes."""
    plain = "".join(code.upper().split()).replace("-", "")
    return digest(key, f"{normal_registration(registration)}\n{plain}".encode("utf-8", "replace"), sha256)


def normal_registration(registration: str) -> str:
    """The one spelling of a registration number: upper case, without spaces."""
    return "".join(registration.upper().split())


class LogIns:
    """Logs candidates in, those of one moment together: looked up in one statement, written in another."""

    def __init__(self, db: Database, state: Store, key: bytes) -> None:
        self._db, self._state, self._key = db, state, key
        self._finding: Group[str, Row | None] = Group(self._find, gather=0.002)
        self._opening: Group[CandidateSession, None] = Group(self._open, gather=0.002)

    async def candidate(self, registration: str, code: str) -> tuple[bytes, CandidateSession]:
        """A new session and its token (16 bytes). The right code always opens; wrong tries wait, per account.

        Never per address: 2,000 candidates may share one. Raises WrongLogin or Wait, the same for a number nobody has.
        """
        registration = normal_registration(registration)
        found = await self._finding.add(registration)
        # One hash and one comparison in any case, so that time tells nothing about who exists.
        right = compare_digest(found["code_hash"] if found else bytes(32), hash_code(self._key, registration, code))
        if found is None or not right:
            wait = await self._state.count_try(_tries_key(self._key, registration), FREE_TRIES, LONGEST_WAIT)
            raise Wait(wait) if wait else WrongLogin
        token = secrets.token_bytes(16)
        session = CandidateSession(
            sha256(token).digest(),
            found["district_id"],
            found["candidate_id"],
            found["exam_day"] if found["attempt_id"] is not None else None,
            found["attempt_id"],
            found["slot_id"],
            found["form_hash"],
        )
        await self._opening.add(session)
        return token, session

    async def _find(self, registrations: list[str]) -> list[Row | BaseException | Again | None]:
        async with self._db.web.connection() as connection:
            rows = await find_credentials.many(connection, registrations=registrations)
        found = {row["registration"]: row for row in rows}
        return [found.get(registration) for registration in registrations]

    async def _open(self, sessions: list[CandidateSession]) -> list[BaseException | Again | None]:
        async with self._db.web.connection() as connection:
            await add_candidate_sessions.run(
                connection,
                token_hashes=[session.token_hash for session in sessions],
                districts=[session.district_id for session in sessions],
                candidates=[session.candidate_id for session in sessions],
                days=[session.exam_day for session in sessions],
                attempts=[session.attempt_id for session in sessions],
                slots=[session.slot_id for session in sessions],
                forms=[session.form_hash for session in sessions],
            )
        await self._state.put_many({b"s:" + s.token_hash: _encode(s) for s in sessions}, COPY_SECONDS, only_new=True)
        return [None] * len(sessions)

    async def drain(self) -> None:
        await asyncio.gather(self._finding.drain(), self._opening.drain())


def _tries_key(key: bytes, account: str) -> bytes:
    # Hashed: what people type into the wrong field does not end up readable in Redis.
    return b"t:" + digest(key, account.encode("utf-8", "replace"), sha256)[:16]


# Passwords ------------------------------------------------------------------------------------------------------

_hasher = PasswordHasher()  # argon2id with the parameters of RFC 9106, second choice
_nobody = _hasher.hash(secrets.token_hex(16))
_hashing = asyncio.Semaphore(2)  # each verification takes 64 MB and some 30 ms of a core; candidates come first


def hash_password(password: str) -> str:
    """The argon2id hash of a staff password."""
    return _hasher.hash(password)


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, VerificationError, InvalidHashError):
        return False


async def log_in_staff(db: Database, state: Store, key: bytes, email: str, password: str) -> bytes:
    """A new session token (16 bytes) for an active member of staff. Raises WrongLogin or Wait, the same for nobody."""
    email = email.strip().lower()
    if wait := await state.count_try(_tries_key(key, email), FREE_TRIES, LONGEST_WAIT):
        raise Wait(wait)
    async with db.staff.connection() as connection:
        found = await find_staff.one_or_none(connection, email=email)
    async with _hashing:
        right = await asyncio.to_thread(_verify, found["password_hash"] if found else _nobody, password)
    if found is None or not right or not found["active"]:
        raise WrongLogin("The e-mail address or the password is not right.")
    token = secrets.token_bytes(16)
    async with db.staff.connection() as connection:
        await add_staff_session.run(connection, token_hash=sha256(token).digest(), staff_id=found["staff_id"])
    await state.forget(_tries_key(key, email))
    return token


# Sessions -------------------------------------------------------------------------------------------------------


class Sessions:
    """Looks sessions up: those that arrive while a look-up is under way share the next one."""

    def __init__(self, db: Database, state: Store) -> None:
        self._db, self._state = db, state
        self._group: Group[bytes, CandidateSession] = Group(self._find, gather=GATHER, most=2000, bound=20_000)

    async def candidate(self, token: bytes) -> CandidateSession:
        """The candidate's session behind a token of 16 bytes; NoSession where there is none."""
        return await self._group.add(sha256(token).digest())

    async def limit(self, name: bytes) -> None:
        """Counts a request that comes under another name than a session's; Wait when there are too many."""
        ((_, requests),) = await self._state.look_up([name], REQUESTS_SECONDS)
        if requests > MOST_REQUESTS:
            raise Wait(REQUESTS_SECONDS)

    async def _find(self, hashes: list[bytes]) -> list[CandidateSession | BaseException | Again]:
        looked_up = await self._state.look_up([b"s:" + h for h in hashes], REQUESTS_SECONDS)
        copies = [copy for copy, _ in looked_up]
        missing = [h for h, copy in zip(hashes, copies, strict=True) if copy is None]
        rows = await self._rebuild(missing) if missing else {}
        found: list[CandidateSession | BaseException | Again] = []
        for token_hash, (copy, requests) in zip(hashes, looked_up, strict=True):
            if requests > MOST_REQUESTS:
                found.append(Wait(REQUESTS_SECONDS))
            elif copy is None:
                found.append(rows.get(token_hash) or NoSession())
            elif copy == TOMBSTONE:
                found.append(NoSession())
            else:
                found.append(_decode(copy))
        return found

    async def _rebuild(self, hashes: Sequence[bytes]) -> dict[bytes, CandidateSession]:
        async with self._db.saves.connection() as connection:
            rows = await find_candidate_sessions.many(connection, token_hashes=hashes)
        sessions = {row["token_hash"]: _session(row) for row in rows}
        if rows:
            seconds = max(1, min(row["seconds"] for row in rows))
            copies = {b"s:" + token_hash: _encode(session) for token_hash, session in sessions.items()}
            await self._state.put_many(copies, seconds, only_new=True)
        return sessions

    async def attach(self, connection: Connection, session: CandidateSession) -> CandidateSession:
        """The session with the attempt that has been prepared since it was opened, or as it is."""
        slot_id = session.slot_id
        who = {"district_id": session.district_id, "candidate_id": session.candidate_id}
        if slot_id is None:
            booking = await find_booking.one_or_none(connection, **who)
            if booking is None:
                return session
            slot_id = booking["slot_id"]
        sitting = await find_sitting.one_or_none(connection, **who, slot_id=slot_id)
        if sitting is None:
            return msgspec.structs.replace(session, slot_id=slot_id)
        now_for = dict(sitting)
        await attach_session.run(connection, token_hash=session.token_hash, **now_for)
        await self._state.forget(b"s:" + session.token_hash)
        return msgspec.structs.replace(session, **now_for)

    async def staff(self, token: bytes) -> StaffSession:
        """The member of staff behind a token, read afresh each time: a suspension holds from the next click."""
        token_hash = sha256(token).digest()
        async with self._db.staff.connection() as connection:
            row = await find_staff_session.one_or_none(connection, token_hash=token_hash)
            if row is None:
                raise NoSession("You are not logged in here, or no longer. Please log in again.")
            scope = (row["district_id"],)
            if row["district_id"] is None:
                scope = tuple(r["district_id"] for r in await list_districts.many(connection))
        return StaffSession(token_hash, row["staff_id"], row["name"], row["role"], row["district_id"], scope)

    async def revoke(self, token: bytes) -> None:
        """Ends a session of either kind for good, at once and on every worker."""
        token_hash = sha256(token).digest()
        async with self._db.web.connection() as connection:
            await revoke_session.run(connection, token_hash=token_hash)
        await bury(self._state, [token_hash])


async def bury(state: Store, token_hashes: Sequence[bytes]) -> None:
    """Puts tombstones where the copies of revoked sessions may be."""
    await state.put_many({b"s:" + token_hash: TOMBSTONE for token_hash in token_hashes}, TOMBSTONE_SECONDS)


async def bury_revoked(db: Database, state: Store) -> None:
    """Repeats the tombstones of the last minutes, for a Redis that was away when they were first put."""
    async with db.grading.connection() as connection:
        await bury(state, [row["token_hash"] for row in await list_revoked.many(connection)])


def _session(row: Row) -> CandidateSession:
    return CandidateSession(
        row["token_hash"],
        row["district_id"],
        row["candidate_id"],
        row["exam_day"],
        row["attempt_id"],
        row["slot_id"],
        row["form_hash"],
    )


def read_token(text: str) -> bytes:
    """The 16 bytes of a session cookie; NoSession for anything else."""
    try:
        token = bytes.fromhex(text)
    except ValueError:
        token = b""
    if len(token) != 16:
        raise NoSession
    return token
