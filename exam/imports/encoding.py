"""From a file's bytes to its text: UTF-8, UTF-16 or Windows-1252, and a sentence for everything else."""

from exam.imports.report import Unreadable

SIZE_LIMIT = 20 * 1024 * 1024

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_KINDS = (
    (b"PK\x03\x04", "a ZIP file or an Excel or Word document"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word document"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"\x1f\x8b", "a compressed file"),
)


def decode(data: bytes) -> str:
    """The text of `data` with newlines as "\\n"; Unreadable where it is too large, empty, or not text.

    A byte order mark decides; without one UTF-8 is tried, UTF-16 where every other byte is zero, and at last
    Windows-1252, which old school computers write.
    """
    if len(data) > SIZE_LIMIT:
        raise Unreadable("The file is larger than 20 MB. Nothing was taken. Split it and bring the parts.")
    for magic, kind in _KINDS:
        if data.startswith(magic):
            raise Unreadable(f"The file is {kind}, not text. Nothing was taken. Save it as text (UTF-8) first.")
    text = _decoded(data).lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n").removesuffix("\x1a")
    if not text.strip():
        raise Unreadable("The file is empty. Nothing was taken.")
    controls = len(text) - len(text.translate(_CONTROLS))
    if "\0" in text or controls > 8 + len(text) // 200:
        raise Unreadable("The file is not text. Nothing was taken. Save it as text (UTF-8) and try again.")
    return text


_CONTROLS = dict.fromkeys([*range(0x09), *range(0x0E, 0x20), 0x7F])


def _decoded(data: bytes) -> str:
    for mark, name in _BOMS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], name)
    sample = data[:4096]
    if sample.count(0) > len(sample) // 4:
        return _strict(data, "utf-16-le" if sample[1::2].count(0) >= sample[::2].count(0) else "utf-16-be")
    try:
        return data.decode()
    except UnicodeDecodeError as broken:
        # A damaged UTF-8 file read as Windows-1252 would turn every Devanagari word into nonsense.
        read = data.decode(errors="replace")
        wrong = read.count("\ufffd")
        foreign = sum(char > "\x7f" for char in read) - wrong
        if foreign > 2 * wrong:
            line = data.count(b"\n", 0, broken.start) + 1
            raise Unreadable(
                f"Line {line} is damaged: it is not the UTF-8 that the rest of the file is. Nothing was taken."
            ) from None
        return _strict(data, "cp1252")


def _strict(data: bytes, name: str) -> str:
    try:
        return data.decode(name)
    except UnicodeDecodeError:
        raise Unreadable(
            "The file's characters cannot be read. Nothing was taken. Save it as text in UTF-8 and try again."
        ) from None
