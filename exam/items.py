"""The question bank: items and keys in versions. An edit never changes a version that may be in somebody's form."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec

from exam.db import Connection, load
from exam.errors import NotPossible
from grading.items import Item, Text
from grading.keys import Key

(
    find_or_add_bank,
    list_latest,
    add_items,
    raise_versions,
    add_versions,
    add_keys,
    add_picture,
) = load(
    "items",
    "find_or_add_bank",
    "list_latest",
    "add_items",
    "raise_versions",
    "add_versions",
    "add_keys",
    "add_picture",
)

PICTURE_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"RIFF": "image/webp",
}


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


async def keep_picture(connection: Connection, data: bytes) -> str:
    """Stores a picture; its SHA-256 in hex, under which it is served. NotPossible for anything but a picture."""
    for start, content_type in PICTURE_TYPES.items():
        if data.startswith(start):
            digest = sha256(data).digest()
            await add_picture.run(connection, media_hash=digest, content_type=content_type, bytes=data)
            return digest.hex()
    raise NotPossible("This is not a PNG, JPEG, GIF or WebP picture.")


def _plain(value: Item | Key) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))
