"""Safe Exam Browser: which slots ask for it, and whether what a request shows proves it.

Safe Exam Browser never tells its keys. It tells the SHA-256 of an address with a key behind it: in headers of each
request over that request's own address, or, where it cannot add any, to the scripts of a page over the page's address.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest
from typing import Final
from urllib.parse import urlsplit

import msgspec

from exam.db import Database, load
from exam.errors import OtherBrowser, Unavailable

(list_locked,) = load("browsers", "list_locked")

PAGES: Final = ("/", "/sitting")
"""Where the candidate's screen is; what a page elsewhere was told proves nothing."""
LONGEST_ADDRESS: Final = 1000


class Keys(msgspec.Struct, frozen=True):
    """The keys of an exam, 64 hex digits each: one of each kind has to be shown, if there are any of it."""

    config: tuple[str, ...]
    browser: tuple[str, ...]


class Shown(msgspec.Struct, frozen=True):
    """What a request shows: an address, and the hashes over it, in hex; "" where there is none."""

    address: str
    config: str
    browser: str


@lru_cache(maxsize=10_000)
def shown_hash(address: str, key: str) -> str:
    """What Safe Exam Browser shows of a key at an address without its fragment: SHA-256 in hex."""
    return sha256((address + key).encode("utf-8", "replace")).hexdigest()


def proves(keys: Keys, shown: Shown) -> bool:
    """Whether the hashes are of one of the keys of each kind that is asked for."""
    if len(shown.address) > LONGEST_ADDRESS:
        return False
    return _one_of(keys.config, shown.address, shown.config) and _one_of(keys.browser, shown.address, shown.browser)


def _one_of(keys: Sequence[str], address: str, shown: str) -> bool:
    found = shown.strip().lower().encode("utf-8", "replace")
    return not keys or any(compare_digest(shown_hash(address, key).encode(), found) for key in keys)


class Browsers:
    """What the slots of these days ask for, read every second or so: a request pays for no look-up."""

    def __init__(self, db: Database, public_origin: str) -> None:
        self._db = db
        self.origin = normal_origin(public_origin)
        self._locked: dict[int, Keys] | None = None

    def asked(self, slot_id: int | None) -> Keys | None:
        """The keys that a slot asks for; None where any browser will do. Unavailable while nobody knows."""
        if self._locked is None:
            raise Unavailable
        return self._locked.get(slot_id or 0)

    def check(self, keys: Keys, own: Shown, page: Shown) -> None:
        """OtherBrowser, unless the request proves it by its own address (`own`) or by that of a page of ours."""
        if proves(keys, own):
            return
        if not (self._is_ours(page.address) and proves(keys, page)):
            raise OtherBrowser

    def _is_ours(self, address: str) -> bool:
        if not address.startswith(f"{self.origin}/") or "#" in address:
            return False
        return address[len(self.origin) :].partition("?")[0] in PAGES

    async def refresh(self) -> None:
        """Reads them all anew."""
        async with self._db.web.connection() as connection:
            rows = await list_locked.many(connection)
        self._locked = {row["slot_id"]: Keys(tuple(row["config_keys"]), tuple(row["browser_keys"])) for row in rows}


def normal_origin(origin: str) -> str:
    """An origin as browsers write it: in small letters, without a slash at the end and without the usual port."""
    parts = urlsplit(origin.strip().lower())
    usual = {"http": 80, "https": 443}[parts.scheme]
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host.removesuffix(f':{usual}')}"
