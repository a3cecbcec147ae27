"""Files that are for ever those of their address: what lies in static/, and what is made of it at the start.

Made are joined/*.js, the candidate's modules in few files (exam.web.joining), joined/candidate.css without comments,
and joined/words/*.json, the catalogues of the screen as the browser wants them. Each file is compressed once, when it
is first asked for; nginx keeps it then.
"""

import asyncio
import gzip
import re
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from litestar.handlers import ASGIRouteHandler, asgi
from litestar.types import Receive, Send

from exam.errors import NothingHere
from exam.web.bare import PUBLIC, Request, door, respond_bytes
from exam.web.catalogues import read_catalogue
from exam.web.joining import join

try:  # an eighth fewer bytes, where the host has it
    import brotli
except ImportError:
    brotli = None

STATIC_FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "static"
CANDIDATE: Final = STATIC_FOLDER / "candidate"
SHELLS: Final = Path(__file__).parent / "templates/candidate"
ENTRIES: Final = {"login.js": None, "exam.js": "login.js", "check.js": None}
"""Pages' modules, and the one from whose file they go on: who sits the exam has it from the log-in already."""

_REFUSED: Final = re.compile(rb";\s*q=0(?:\.0*)?\s*$")
_CSS_STRING: Final = re.compile(r"""("[^"\n]*"|'[^'\n]*')""")
_NAMED: Final = re.compile(r'"([a-z][\w.]*)"')
_TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".json": b"application/json",
    ".po": b"text/plain; charset=utf-8",
    ".svg": b"image/svg+xml",
}


@cache
def files() -> dict[str, bytes]:
    """Every file by its path. Unjoinable and ValueError where modules or catalogues are not as they have to be."""
    found = {str(path.relative_to(STATIC_FOLDER)): path.read_bytes() for path in sorted(STATIC_FOLDER.rglob("*.*"))}
    modules = {str(path.relative_to(CANDIDATE)): path.read_text("utf-8") for path in sorted(CANDIDATE.rglob("*.js"))}
    found["joined/candidate.css"] = shorten_css((STATIC_FOLDER / "candidate.css").read_text("utf-8")).encode()
    joined = join(modules, ENTRIES)
    shells = "".join(path.read_text("utf-8") for path in sorted(SHELLS.glob("*.j2")))
    first = shells + "".join(text for name, text in joined.items() if name in ENTRIES)
    for path in sorted((CANDIDATE / "words").glob("*.po")):
        words = {
            key: forms if len(forms) > 1 else forms[0] for key, forms in read_catalogue(path.stem, path.parent).items()
        }
        soon = _said(first, words)
        rest = {key: text for key, text in words.items() if key not in soon} | {"hall": words["hall"]}
        found[f"joined/words/{path.stem}.json"] = msgspec.json.encode({key: words[key] for key in sorted(soon)})
        found[f"joined/words/{path.stem}.rest.json"] = msgspec.json.encode(rest)
    for name, text in joined.items():
        if name not in ENTRIES and _said(text, words) - soon:
            head, _, body = text.partition("\n")
            joined[name] = f'{head}await $["words.js"].speakWhole();\n{body}'
    return found | {f"joined/{name}": text.encode() for name, text in joined.items()}


def _said(text: str, keys: Iterable[str]) -> set[str]:
    """Those of the sentences that a text names: "save.sent", or as a pattern with gaps, `save.${trouble}`."""
    named = set(_NAMED.findall(text))
    gaps = [re.split(r"\$\{[^}]*\}", each) for each in re.findall(r"`([a-z]+\.[^`\s]*\$\{[^`]*)`", text)]
    patterns = [re.compile(r"[\w.]*".join(map(re.escape, parts))) for parts in gaps]
    return {key for key in keys if key in named or any(pattern.fullmatch(key) for pattern in patterns)}


def shorten_css(text: str) -> str:
    """Without comments and needless blanks. ValueError for a comment's beginning in a string."""
    parts = _CSS_STRING.split(re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL))
    if any("/*" in part for part in _CSS_STRING.findall(text)):
        raise ValueError("a string with the beginning of a comment")
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"\s*([{};,]|: )\s*", lambda found: found[1].strip(), re.sub(r"\s+", " ", parts[place]))
    return "".join(parts)


@cache
def static_version() -> str:
    """Twelve hex digits that change with any file: modules name each other, so all change together."""
    parts = (part for path, body in sorted(files().items()) for part in (path.encode(), body))
    return sha256(b"".join(sha256(part).digest() for part in parts)).hexdigest()[:12]


def static(path: str) -> str:
    """The address of a file, for ever that of this content. FileNotFoundError for one that is not there."""
    if path not in files():
        raise FileNotFoundError(path)
    return f"/static/{static_version()}/{quote(path)}"


@cache
def candidate_files() -> list[str]:
    """The paths of everything that the candidate's screen may ever need."""
    return ["icons.svg", *(path for path in files() if path.startswith("joined/") and path != "joined/check.js")]


def encoding_of(accepted: bytes) -> str:
    """How a body may be compressed for a browser that sends this Accept-Encoding: "br", "gzip" or "" for not at all."""
    offered = {part.partition(b";")[0].strip() for part in accepted.split(b",") if not _REFUSED.search(part)}
    if brotli is not None and b"br" in offered:
        return "br"
    return "gzip" if b"gzip" in offered else ""


def compress(body: bytes, encoding: str) -> bytes:
    """As small as it gets; takes a tenth of a second for the largest."""
    if encoding == "br":
        return bytes(brotli.compress(body, quality=11))
    return gzip.compress(body, 9, mtime=0) if encoding else body


@cache
def compressed(path: str, encoding: str) -> bytes:
    """A file as it travels; KeyError for one that is not there."""
    return compress(files()[path], encoding)


def routes() -> list[ASGIRouteHandler]:
    """The one door of all these files; of this version only, so that no page ever mixes two. Raises as files() does."""
    ours = static_version()

    async def send_file(request: Request, receive: Receive, send: Send) -> None:
        version, _, path = request.path.strip("/").partition("/")
        if version != ours or path not in files():
            raise NothingHere
        encoding = encoding_of(request.encodings)
        body = await asyncio.to_thread(compressed, path, encoding)
        headers = [(b"vary", b"accept-encoding")]
        if encoding:
            headers.append((b"content-encoding", encoding.encode()))
        content_type = _TYPES.get(Path(path).suffix, b"application/octet-stream")
        await respond_bytes(send, body, content_type, *headers, kept=PUBLIC)

    return [asgi("/static", is_mount=True, copy_scope=False, opt={"audience": "anyone"})(door(GET=send_file))]
