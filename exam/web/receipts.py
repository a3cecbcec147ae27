"""The page on which anybody checks a receipt: by its code, or by digest, signature and key; and our public keys.

It tells whether the receipt is genuine, over how many answers and from when; never whose, and never an answer. What is
unknown and what is wrong look the same. A right code or signature is never made to wait: nobody finds one of 60 bits.
"""

import datetime as dt
from hashlib import sha256
from typing import Annotated, Final, NoReturn

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from msgspec import Meta

from exam.db import Row
from exam.errors import Malformed, NothingHere, Unavailable, Wait
from exam.hall import Hall
from exam.receipts import digests_of_code, key_id_of, signature_holds
from exam.submissions import public_receipt
from exam.web.catalogues import read_catalogue
from exam.web.forms import Form, asked, read_form
from exam.web.guards import StaffRequest
from exam.web.pages import HEADERS, LANGUAGES, Pages, preferred

LARGEST: Final = 8 * 1024
FREE_TRIES: Final = 5
LONGEST_WAIT: Final = 60
"""Wrong tries of one and the same thing, and seconds: as for access codes."""
FREE_TRIES_OF_ALL: Final = 200
LONGEST_WAIT_OF_ALL: Final = 2
"""Of everybody's together: it slows down who tries codes by the thousand, and is hardly felt by who mistypes one."""
WORDS: Final = {language: read_catalogue(language) for language in LANGUAGES}


class CheckForm(msgspec.Struct, frozen=True):
    code: Annotated[str, Meta(max_length=64)] = ""
    digest: Annotated[str, Meta(max_length=200)] = ""
    signature: Annotated[str, Meta(max_length=400)] = ""
    key_id: Annotated[str, Meta(max_length=40)] = ""
    language: Annotated[str, Meta(max_length=8)] = ""


def routes(hall: Hall) -> list[HTTPRouteHandler]:
    """The handlers of this door."""
    pages = Pages(hall)
    keys = {key_id_of(public): public for public in (*hall.settings.former_public_keys, hall.signer.public)}

    def page(form: Form, language: str, verdict: str = "", sentence: str = "", status: int = 200) -> Response[bytes]:
        words = {key: forms[-1] for key, forms in WORDS[language].items()}
        return pages.render(
            "candidate/check",
            status=status,
            lang=language,
            languages={tag: each["language"][0] for tag, each in WORDS.items()},
            words=words,
            form=form,
            verdict=verdict,
            sentence=sentence or words.get(verdict, ""),
        )

    async def wrong(typed: CheckForm) -> NoReturn:
        tried = "".join(f"{typed.code}{typed.digest}{typed.signature}{typed.key_id}".upper().split())
        one = b"r:" + sha256(tried.encode("utf-8", "replace")).digest()[:16]
        wait = await hall.state.count_try(one, FREE_TRIES, LONGEST_WAIT)
        wait = max(wait, await hall.state.count_try(b"r:", FREE_TRIES_OF_ALL, LONGEST_WAIT_OF_ALL))
        raise Wait(wait) if wait else NothingHere

    async def look(typed: CheckForm) -> Row | None:
        """What may be told of a genuine receipt; None where its signature is, but its record cannot be read.

        Raises NothingHere or Wait for one that is not ours, Malformed for an empty form, Unavailable.
        """
        bounds = digests_of_code(typed.code) if typed.code else None
        signed = bool(typed.digest or typed.signature or typed.key_id)
        if not (signed or typed.code):
            raise Malformed
        if signed:
            digest, signature = _bytes_of(typed.digest, 32), _bytes_of(typed.signature, 64)
            public = keys.get("".join(typed.key_id.split()).lower())
            if not (digest and signature and public and signature_holds(public, digest, signature)):
                await wrong(typed)
            if typed.code and not (bounds and bounds[0] <= digest <= bounds[1]):
                await wrong(typed)
            bounds = digest, digest
        if bounds is None:
            await wrong(typed)
        try:
            hall.let("report")
            found = await public_receipt(hall.db, *bounds)
        except Unavailable:
            if signed:
                return None
            raise
        if found is None and not signed:
            await wrong(typed)
        return found

    @get("/check", opt={"audience": "anyone"})
    async def show(request: StaffRequest) -> Response[bytes]:
        return page(Form(), _language(request, asked(request, "language")))

    @post("/check", opt={"audience": "anyone"}, status_code=200, request_max_body_size=LARGEST)
    async def check(request: StaffRequest) -> Response[bytes]:
        form = await read_form(request)
        language = _language(request, form.value("language"))
        words = WORDS[language]
        try:
            found = await look(form.take(CheckForm))
        except Malformed:
            return page(form, language, "missing", status=400)
        except NothingHere:
            return page(form, language, "unknown", status=404)
        except (Wait, Unavailable) as refusal:
            verdict = "wait" if isinstance(refusal, Wait) else "unavailable"
            sentence = words[verdict][0].format(n=_digits(refusal.retry_after, language))
            answer = page(form, language, verdict, sentence, refusal.status)
            answer.headers["retry-after"] = str(refusal.retry_after)
            return answer
        if found is None:
            return page(form, language, "signed")
        number = words["answers"][found["answered"] != 1].format(n=_digits(found["answered"], language))
        day, time = _spoken(found["ended_at"].astimezone(pages.zone), language)
        return page(form, language, "genuine", words["genuine"][0].format(answers=number, day=day, time=time))

    @get("/check/key.json", opt={"audience": "anyone"})
    async def public_keys(request: StaffRequest) -> Response[bytes]:
        body = msgspec.json.encode({key_id: public.hex() for key_id, public in keys.items()})
        headers = HEADERS | {"cache-control": "public, max-age=3600"}
        return Response(body, headers=headers, media_type="application/json")

    return [show, check, public_keys]


def _language(request: StaffRequest, asked_for: str) -> str:
    if asked_for in WORDS:
        return asked_for
    return preferred(request.headers.get("accept-language", ""), tuple(WORDS))


def _digits(number: object, language: str) -> str:
    return str(number).translate(str.maketrans("0123456789", WORDS[language]["digits"][0]))


def _spoken(moment: dt.datetime, language: str) -> tuple[str, str]:
    """A local moment as its day and its time of day, in words and digits of the language."""
    words = WORDS[language]
    month = words["months"][0].split()[moment.month - 1]
    day = words["day"][0].format(day=moment.day, month=month, year=moment.year)
    return _digits(day, language), f"{_digits(f'{moment:%H:%M}', language)} ({moment:%Z})"


def _bytes_of(typed: str, size: int) -> bytes | None:
    """So many bytes from hex digits with blanks anywhere between them; None for anything else."""
    try:
        found = bytes.fromhex("".join(typed.split()))
    except ValueError:
        return None
    return found if len(found) == size else None
