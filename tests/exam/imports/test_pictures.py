"""Pictures are known by their heads; what a phone could not show is refused before anybody decodes it."""

import struct
from pathlib import Path

import pytest

from exam.imports.pictures import picture_type
from exam.imports.report import Broken

DEMO = Path(__file__).parents[3] / "exam" / "demo" / "bank"


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)


def jpeg(width: int, height: int, before: bytes = b"\xff\xe0\0\x04xx\xff") -> bytes:
    return b"\xff\xd8" + before + b"\xff\xc2\0\x11\x08" + struct.pack(">HH", height, width) + b"\x03" * 9


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


def lossy_webp(width: int, height: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height)


def lossless_webp(width: int, height: int) -> bytes:
    return b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + struct.pack("<I", width - 1 | height - 1 << 14)


def extended_webp(width: int, height: int) -> bytes:
    sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + sizes


KINDS = [
    (png, "image/png"),
    (jpeg, "image/jpeg"),
    (gif, "image/gif"),
    (lossy_webp, "image/webp"),
    (lossless_webp, "image/webp"),
    (extended_webp, "image/webp"),
]


@pytest.mark.parametrize(("made", "kind"), KINDS)
def test_pictures_are_known_and_measured(made, kind):
    assert picture_type(made(640, 480)) == kind
    for width, height in ((9000, 10), (10, 9000), (8000, 8000)):
        with pytest.raises(Broken, match=f"it has {width} × {height} pixels"):
            picture_type(made(width, height))


def test_a_picture_of_billions_of_pixels_is_refused_by_its_head():
    for made in (png, jpeg, gif, extended_webp):
        with pytest.raises(Broken, match="it has 50000 × 50000 pixels"):
            picture_type(made(50_000, 50_000))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PNG"),
        (b"<svg/>", "not a PNG"),
        (b"RIFF\0\0\0\0WAVEfmt ", "not a PNG"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff\xd9", "damaged"),
        (b"\xff\xd8" + b"\xff\xe1\0\0" * 50_000, "damaged"),
        (png(0, 10), "damaged"),
        (b"RIFF\0\0\0\0WEBPXXXX", "damaged"),
        (png(10, 10) + b"\0" * 2_097_152, "at most 2097152"),
    ],
)
def test_what_is_no_picture_says_why(data, reason):
    with pytest.raises(Broken, match=reason):
        picture_type(data)


def test_the_pictures_of_the_demo_are_taken():
    for path in DEMO.glob("*.png"):
        assert picture_type(path.read_bytes()) == "image/png"
