"""From bytes to text."""

import pytest

from exam.imports.encoding import SIZE_LIMIT, decode
from exam.imports.report import Unreadable

TEXT = "गोदावरी आणि Café – 5 €\nline two\n"


@pytest.mark.parametrize(
    "data",
    [
        TEXT.encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        b"\xff\xfe" + TEXT.encode("utf-16-le"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.encode() + b"\x1a",
    ],
)
def test_unicode_in_its_usual_clothes(data: bytes) -> None:
    assert decode(data) == TEXT


@pytest.mark.parametrize("name", ["utf-16-le", "utf-16-be"])
def test_utf_16_is_known_without_a_mark(name: str) -> None:
    assert decode("A question {=yes}".encode(name)) == "A question {=yes}"


def test_windows_1252_is_the_last_guess() -> None:
    assert decode("Café – “5 €”".encode("cp1252")) == "Café – “5 €”"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b" \n\n ", "empty"),
        (b"PK\x03\x04....", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n", "picture"),
        (b"a" * (SIZE_LIMIT + 1), "20 MB"),
        (b"abc\0def ghi jkl", "not text"),
        (bytes(range(1, 32)) * 40, "not text"),
        (b"caf\x81\x8d\x8f", "characters"),
        (b"\xff\xfea", "characters"),
    ],
)
def test_what_is_no_text_is_refused_with_a_reason(data: bytes, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        decode(data)


def test_damaged_utf_8_is_not_taken_for_windows_1252() -> None:
    with pytest.raises(Unreadable, match="Line 3 is damaged"):
        decode("गोदावरी\nकृष्णा\n".encode() + "तापी".encode()[:-1] + b"\n")
