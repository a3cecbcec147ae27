"""Sentences: gettext catalogues, one a language. Those of pages that the service writes by itself are in words/."""

import re
from pathlib import Path
from typing import Final

import msgspec

WORDS: Final = Path(__file__).parent / "words"
_STRING = re.compile(r'^(msgid|msgid_plural|msgstr|msgstr\[\d\]) (".*")$')


def read_catalogue(language: str, folder: Path = WORDS) -> dict[str, list[str]]:
    """The forms of each sentence by its id: one, or singular and plural.

    The part of the format that the files here use (https://www.gnu.org/software/gettext/manual/html_node/PO-Files.html):
    a string is one line. ValueError for any other line.
    """
    found: dict[str, list[str]] = {}
    forms: list[str] = []
    text = (folder / f"{language}.po").read_text(encoding="utf-8")
    for block in text.split("\n\n")[1:]:  # the first is the header
        for line in block.strip().split("\n"):
            if line.startswith("#"):
                continue
            match = _STRING.match(line)
            if match is None:
                raise ValueError(f"{language}.po: {line}")
            words = msgspec.json.decode(match[2], type=str)
            if match[1] == "msgid":
                forms = found.setdefault(words, [])
            elif match[1] != "msgid_plural":
                forms.append(words)
    return found
