"""The question bank: items and keys in versions. An edit never changes a version that may be in somebody's form."""

from collections.abc import Container, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from exam.db import Connection, Row, load
from exam.errors import NothingHere, NotPossible
from exam.imports.pictures import picture_type
from exam.imports.report import Broken
from grading.items import Item, Text
from grading.keys import Key

(
    find_or_add_bank,
    find_bank_called,
    list_latest,
    add_items,
    raise_versions,
    add_versions,
    add_keys,
    add_picture,
    list_pictures,
) = load(
    "items",
    "find_or_add_bank",
    "find_bank_called",
    "list_latest",
    "add_items",
    "raise_versions",
    "add_versions",
    "add_keys",
    "add_picture",
    "list_pictures",
)


class Imported(msgspec.Struct, frozen=True):
    """How many items were new, got a new version, or were there already just as they are."""

    new: int
    changed: int
    same: int


async def import_items(
    connection: Connection, bank: str, titles: dict[str, Text], pairs: Sequence[tuple[Item, Key]]
) -> Imported:
    """Puts items and their keys into a bank, inside the caller's transaction; repeating it changes nothing.

    `titles` are those of the bank's sections. NotPossible where two of the items have the same code.
    """
    codes = [item.code for item, _ in pairs]
    if len(set(codes)) < len(codes):
        double = next(code for code in codes if codes.count(code) > 1)
        raise NotPossible(f"Two questions are called {double}. Nothing was imported.")
    bank_id = (await find_or_add_bank.one(connection, name=bank, sections=titles))["bank_id"]
    known = {row["code"]: row for row in await list_latest.many(connection, bank_id=bank_id)}
    new = [(item, key) for item, key in pairs if item.code not in known]
    changed = [
        (item, key)
        for item, key in pairs
        if item.code in known and (_plain(item), _plain(key)) != (known[item.code]["body"], known[item.code]["key"])
    ]
    rows = await add_items.many(
        connection,
        bank_id=bank_id,
        codes=[item.code for item, _ in new],
        sections=[item.section for item, _ in new],
    )
    places = {row["code"]: (row["item_id"], 1) for row in rows}
    for item, _ in changed:
        places[item.code] = (known[item.code]["item_id"], known[item.code]["version"] + 1)
    await raise_versions.run(
        connection,
        items=[places[item.code][0] for item, _ in changed],
        versions=[places[item.code][1] for item, _ in changed],
        sections=[item.section for item, _ in changed],
    )
    written = new + changed
    at: dict[str, Any] = {
        "items": [places[item.code][0] for item, _ in written],
        "versions": [places[item.code][1] for item, _ in written],
    }
    await add_versions.run(connection, **at, bodies=[item for item, _ in written])
    await add_keys.run(connection, **at, keys=[key for _, key in written])
    return Imported(len(new), len(changed), len(pairs) - len(written))


async def bank_called(connection: Connection, called: str) -> Row:
    """The bank of this number, or else of this name: bank_id, district_id, name. NothingHere."""
    number = int(called) if called.isdecimal() and len(called) < 10 else None
    row = await find_bank_called.one_or_none(connection, bank_id=number, name=called)
    if row is None:
        raise NothingHere(f"There is no bank {called}.")
    return row


async def items_of(connection: Connection, bank_id: int) -> list[tuple[Item, Key]]:
    """The latest version of every item of a bank with its key, by section and code; for the author's role.

    NotPossible where one has no key.
    """
    rows = await list_latest.many(connection, bank_id=bank_id)
    if lacking := [row["code"] for row in rows if row["key"] is None]:
        raise NotPossible(f"{lacking[0]} has no key. Nothing was exported.")
    pairs = [(msgspec.convert(row["body"], Item), msgspec.convert(row["key"], Key)) for row in rows]
    return sorted(pairs, key=lambda pair: (pair[0].section, pair[0].code))


async def lacking_pictures(connection: Connection, items: Sequence[Item], brought: Container[str]) -> set[str]:
    """The codes of those items that name a picture which is neither kept here nor among the `brought`."""
    names = {name for item in items for name in item.media if name not in brought}
    rows = await list_pictures.many(connection, hashes=[bytes.fromhex(name) for name in names]) if names else []
    names -= {row["name"] for row in rows}
    return {item.code for item in items if not names.isdisjoint(item.media)}


async def keep_picture(connection: Connection, data: bytes) -> str:
    """Stores a picture; its SHA-256 in hex, under which it is served. NotPossible for anything but a picture."""
    try:
        content_type = picture_type(data)
    except Broken as why:
        raise NotPossible(f"The picture was not taken: {why}") from None
    digest = sha256(data).digest()
    await add_picture.run(connection, media_hash=digest, content_type=content_type, bytes=data)
    return digest.hex()


def _plain(value: Item | Key) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
