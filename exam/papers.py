"""Papers: what a form looks like to a candidate, as immutable bytes named by their SHA-256, and never a key.

A worker asks its own memory, then the cache Redis, then PostgreSQL; one load per paper, however many wait for it.
Before the exam opens a browser may fetch the sealed paper, which nobody can read; the start hands out what opens it.
"""

import asyncio
import gzip
import secrets
import zlib
from collections import OrderedDict
from hashlib import sha256
from hmac import digest
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exam.cache import Store
from exam.db import Connection, Database, load
from exam.errors import NothingHere, NotPossible
from grading.forms import Blueprint, FormPlace, Navigation, NotEnoughItems, draw_forms
from grading.items import Interaction, Item, Response, Text, response_fits

(
    find_paper,
    find_media,
    find_exam_to_freeze,
    list_items_to_draw,
    add_form,
    add_form_items,
    freeze_key,
    mark_frozen,
    list_forms,
) = load(
    "papers",
    "find_paper",
    "find_media",
    "find_exam_to_freeze",
    "list_items_to_draw",
    "add_form",
    "add_form_items",
    "freeze_key",
    "mark_frozen",
    "list_forms",
)

PAPERS: Final = "sealed papers"
"""The purpose for which the secret of the papers' keys is derived."""
CACHE_SECONDS: Final = 24 * 3600
MOST_IN_MEMORY: Final = 64


class PaperItem(msgspec.Struct, frozen=True):
    """One question as it is delivered; `no` counts from 1."""

    no: int
    prompt: Text
    marks: str
    interaction: Interaction


class PaperSection(msgspec.Struct, frozen=True, omit_defaults=True):
    section: str
    title: Text
    items: list[int]
    minutes: int | None = None


class Paper(msgspec.Struct, frozen=True, omit_defaults=True):
    """Section 3 of docs/candidate-protocol.md, `GET /api/papers/{form}`."""

    version: int
    salt: str
    """Random, so that nobody who knows the questions can know the paper's name, and no two forms share one."""
    title: Text
    languages: list[str]
    sections: list[PaperSection]
    items: list[PaperItem]
    navigation: Navigation = "free"


class Loaded(msgspec.Struct, frozen=True):
    """A paper in a worker's memory: its bytes, compressed too, and what a response is checked against."""

    body: bytes
    compressed: bytes
    sealed: "Sealed"
    interactions: list[Interaction]
    sections: list[PaperSection]
    navigation: Navigation
    timed: list[int]
    """Where sections have their own time: the section of each item, counted from 1; else empty."""

    def takes(self, item: int, response: Response) -> bool:
        """Whether the paper has this item and the response fits it; item 0 takes the empty response only."""
        if item == 0:
            return response is None
        return 0 < item <= len(self.interactions) and response_fits(self.interactions[item - 1], response)

    def section_of(self, item: int) -> int:
        """The section by whose time an answer is judged, from 1; 0 where there is none, and for item 0."""
        return self.timed[item - 1] if item and self.timed else 0


class Sealed(msgspec.Struct, frozen=True):
    """A paper that cannot be read: the compressed bytes under AES-256-GCM, nonce of noughts, the form's hash beside.

    A key is a function of the form and of the service's secret, and seals these bytes and no others, so that no nonce
    is needed. `name` tells form and key, so that nobody keeps bytes that another secret has sealed.
    """

    name: str
    key: bytes
    body: bytes


def seal_paper(secret: bytes, form_hash: bytes, packed: bytes) -> Sealed:
    """The sealed paper of a form: the same bytes from every worker."""
    key = digest(secret, form_hash + sha256(packed).digest(), sha256)
    body = AESGCM(key).encrypt(bytes(12), packed, form_hash)
    return Sealed(f"{form_hash.hex()}.{sha256(key).hexdigest()[:16]}", key, body)


class Papers:
    """The papers of one worker."""

    def __init__(self, db: Database, cache: Store, secret: bytes) -> None:
        """`secret`: what the keys of sealed papers are derived from, 32 bytes."""
        self._db, self._cache, self._secret = db, cache, secret
        self._loaded: OrderedDict[bytes, Loaded] = OrderedDict()
        self._loading: dict[bytes, asyncio.Task[Loaded]] = {}

    async def get(self, form_hash: bytes | None) -> Loaded:
        """The paper of a form; NothingHere where there is none."""
        if form_hash is None:
            raise NothingHere
        loaded = self._loaded.get(form_hash)
        if loaded is not None:
            return loaded
        task = self._loading.get(form_hash)
        if task is None:
            task = self._loading[form_hash] = asyncio.create_task(self._load(form_hash))
            task.add_done_callback(lambda _: self._loading.pop(form_hash, None))
        return await asyncio.shield(task)

    async def _load(self, form_hash: bytes) -> Loaded:
        key = b"p:" + form_hash
        (packed,) = await self._cache.get_many([key])
        body = b"" if packed is None else _unpacked(packed)
        if packed is None or sha256(body).digest() != form_hash:  # a cache may forget, and may be wrong
            async with self._db.saves.connection() as connection:
                row = await find_paper.one_or_none(connection, form_hash=form_hash)
            if row is None:
                raise NothingHere
            packed = row["packed"]
            body = _unpacked(packed)
            await self._cache.put_many({key: packed}, CACHE_SECONDS)
        paper = msgspec.json.decode(body, type=Paper)
        loaded = Loaded(
            body,
            packed,
            seal_paper(self._secret, form_hash, packed),
            [item.interaction for item in paper.items],
            paper.sections,
            paper.navigation,
            _timed(paper),
        )
        self._loaded[form_hash] = loaded
        while len(self._loaded) > MOST_IN_MEMORY:
            self._loaded.popitem(last=False)
        return loaded


def _timed(paper: Paper) -> list[int]:
    places = {no: place for place, section in enumerate(paper.sections, start=1) for no in section.items}
    return [places[item.no] for item in paper.items] if paper.sections[0].minutes is not None else []


def _unpacked(packed: bytes) -> bytes:
    try:
        return gzip.decompress(packed)
    except (OSError, EOFError, zlib.error):
        return b""


async def warm(connection: Connection, cache: Store, form_hashes: list[bytes]) -> None:
    """Puts papers into the cache Redis before anybody asks for them; for roles that may read a paper."""
    for form_hash in form_hashes:
        row = await find_paper.one(connection, form_hash=form_hash)
        await cache.put_many({b"p:" + form_hash: row["packed"]}, CACHE_SECONDS)


async def picture(db: Database, media_hash: bytes) -> tuple[str, bytes]:
    """Content type and bytes of a picture; NothingHere where there is none."""
    async with db.web.connection() as connection:
        row = await find_media.one_or_none(connection, media_hash=media_hash)
    if row is None:
        raise NothingHere
    return row["content_type"], row["bytes"]


def compose(
    salt: str,
    title: Text,
    section_titles: dict[str, Text],
    places: list[FormPlace],
    items: dict[str, Item],
    blueprint: Blueprint | None = None,
) -> bytes:
    """The bytes of a paper: the same for the same items, whatever their keys are; rules are those of the blueprint."""
    sections: dict[str, list[int]] = {}
    for place in places:
        sections.setdefault(place.section, []).append(place.item_no)
    minutes = {section.section: section.minutes for section in blueprint.sections} if blueprint else {}
    languages = list(dict.fromkeys(language for place in places for language in items[place.code].prompt))
    paper = Paper(
        1,
        salt,
        title,
        languages,
        [
            PaperSection(name, section_titles.get(name, {"en": name}), numbers, minutes.get(name))
            for name, numbers in sections.items()
        ],
        [
            PaperItem(place.item_no, items[place.code].prompt, place.marks, items[place.code].interaction)
            for place in places
        ],
        blueprint.navigation if blueprint else "free",
    )
    return msgspec.json.encode(paper)


async def freeze(connection: Connection, exam_id: int, forms: int) -> list[bytes]:
    """Draws and freezes the forms of an exam with the keys as they are now; their hashes.

    Runs inside the caller's transaction, with the staff's scope. NotPossible where the exam is frozen already or the
    bank cannot fill the blueprint, NothingHere where there is no such exam.
    """
    exam = await find_exam_to_freeze.one_or_none(connection, exam_id=exam_id)
    if exam is None:
        raise NothingHere
    if exam["frozen_at"] is not None or not await mark_frozen.run(connection, exam_id=exam_id):
        raise NotPossible("This exam is frozen already. Its forms cannot change any more.")
    blueprint = msgspec.convert(exam["blueprint"], Blueprint)
    rows = await list_items_to_draw.many(
        connection, bank_id=exam["bank_id"], sections=[section.section for section in blueprint.sections]
    )
    items = {row["code"]: msgspec.convert(row["body"], Item) for row in rows}
    versions: dict[str, tuple[int, int]] = {row["code"]: (row["item_id"], row["version"]) for row in rows}
    try:
        drawn = draw_forms(blueprint, list(items.values()), secrets.token_hex(16), forms)
    except NotEnoughItems as shortage:
        raise NotPossible(str(shortage)) from None
    hashes = []
    for form_no, places in enumerate(drawn, start=1):
        paper = compose(secrets.token_hex(16), exam["title"], exam["sections"], places, items, blueprint)
        form_hash = sha256(paper).digest()
        values: dict[str, Any] = {
            "form_hash": form_hash,
            "exam_id": exam_id,
            "form_no": form_no,
            "paper": paper,
            "packed": gzip.compress(paper, 9, mtime=0),
        }
        await add_form.run(connection, **values, items=len(places))
        await add_form_items.run(
            connection,
            form_hash=form_hash,
            numbers=[place.item_no for place in places],
            items=[versions[place.code][0] for place in places],
            versions=[versions[place.code][1] for place in places],
        )
        if (await freeze_key.one(connection, form_hash=form_hash))["fixed"] != len(places):
            raise NotPossible("An item of this bank has no key. Give it one before you freeze the exam.")
        hashes.append(form_hash)
    return hashes
