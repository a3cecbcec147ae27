"""The formats that questions come in: which one a file is, and its reader, imported when the first such file comes."""

import re
from importlib import import_module
from pathlib import PurePath
from typing import Final

from exam.imports.encoding import decode
from exam.imports.report import Report, Unreadable
from grading.items import Item
from grading.keys import Key

READERS: Final = {
    "aiken": ("exam.imports.aiken", "read_aiken"),
    "csv": ("exam.imports.tables", "read_csv"),
    "gift": ("exam.imports.gift", "read_gift"),
    "json": ("exam.imports.bilingual", "read_bilingual"),
    "moodle_xml": ("exam.imports.moodle_xml", "read_moodle_xml"),
    "xlsx": ("exam.imports.tables", "read_xlsx"),
}
SUFFIXES: Final = {
    ".csv": "csv",
    ".gift": "gift",
    ".json": "json",
    ".tsv": "csv",
    ".xls": "xlsx",
    ".xlsm": "xlsx",
    ".xlsx": "xlsx",
    ".xml": "moodle_xml",
}

_AIKEN: Final = re.compile(r"^\s*ANSWER\s*:\s*[A-Za-z]\s*$", re.MULTILINE)
_AIKEN_OPTION: Final = re.compile(r"^\s*[A-Z][.)]\s", re.MULTILINE)


def format_of(data: bytes, name: str) -> str:
    """The format of a file, by its first bytes and by how its name ends; Unreadable where it is none of READERS."""
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "xlsx"
    suffix = PurePath(name).suffix.lower()
    if suffix in SUFFIXES:
        return SUFFIXES[suffix]
    if suffix not in (".txt", ""):
        raise Unreadable(f"{name}: questions come as .gift, .txt, .xml, .csv, .xlsx or .json. Nothing was taken.")
    text = decode(data)
    start = text.lstrip()
    if start.startswith(("<?xml", "<quiz")):
        return "moodle_xml"
    if _AIKEN.search(text) and _AIKEN_OPTION.search(text) and not re.search(r"(?<!\\)\{", text):
        return "aiken"
    return "gift"


def read_items(
    data: bytes, name: str, *, language: str = "", pictures: dict[str, bytes] | None = None
) -> tuple[list[tuple[Item, Key]], Report]:
    """The items of the file `name` in whichever format it is, and what became of each.

    Pictures inside the file are put into `pictures` by their SHA-256 in hex. Unreadable as the readers say.
    """
    kind = format_of(data, name)
    module, function = READERS[kind]
    reader = getattr(import_module(module), function)
    more = {"pictures": pictures} if kind == "moodle_xml" else {}
    taken: tuple[list[tuple[Item, Key]], Report] = reader(data, name, language=language, **more)
    return taken
