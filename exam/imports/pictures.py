"""Which pictures the hall takes: PNG, JPEG, GIF and WebP of a size that a phone can show. Only their heads are read."""

from exam.imports.report import Broken

BYTE_LIMIT = 2 * 1024 * 1024
SIDE_LIMIT = 8192
PIXEL_LIMIT = 16_000_000

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def picture_type(data: bytes) -> str:
    """The content type of a picture; Broken, with a sentence that begins in lower case, for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        kind, size = "image/png", (_big(data, 16, 4), _big(data, 20, 4))
    elif data.startswith(b"\xff\xd8\xff"):
        kind, size = "image/jpeg", _jpeg_size(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        kind, size = "image/gif", (_little(data, 6, 2), _little(data, 8, 2))
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        kind, size = "image/webp", _webp_size(data)
    else:
        raise Broken("it is not a PNG, JPEG, GIF or WebP picture.")
    width, height = size
    if len(data) > BYTE_LIMIT:
        raise Broken(f"it has {len(data)} bytes; at most {BYTE_LIMIT} are taken.")
    if not width or not height:
        raise Broken("it is damaged.")
    if max(size) > SIDE_LIMIT or width * height > PIXEL_LIMIT:
        raise Broken(f"it has {width} × {height} pixels; at most {SIDE_LIMIT} a side and {PIXEL_LIMIT} are taken.")
    return kind


def _big(data: bytes, start: int, count: int) -> int:
    return int.from_bytes(data[start : start + count], "big")


def _little(data: bytes, start: int, count: int) -> int:
    return int.from_bytes(data[start : start + count], "little")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the frame's header, 0 where there is none."""
    at = 2
    while at + 9 < len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            return _big(data, at + 7, 2), _big(data, at + 5, 2)
        # Fill bytes stand alone; every other segment says how long it is.
        at += 1 if marker == 0xFF else 2 + max(2, _big(data, at + 2, 2))
    return 0, 0


def _webp_size(data: bytes) -> tuple[int, int]:
    match data[12:16]:
        case b"VP8 ":
            return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
        case b"VP8L":
            bits = _little(data, 21, 4)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
    return 0, 0
