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
from exam.web.forms import Form, asked, read_form
from exam.web.guards import StaffRequest
from exam.web.pages import HEADERS, Pages, preferred

LARGEST: Final = 8 * 1024
FREE_TRIES: Final = 5
LONGEST_WAIT: Final = 60
"""Wrong tries of one and the same thing, and seconds: as for access codes."""
FREE_TRIES_OF_ALL: Final = 200
LONGEST_WAIT_OF_ALL: Final = 2
"""Of everybody's together: it slows down who tries codes by the thousand, and is hardly felt by who mistypes one."""


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
        words = WORDS[language]
        return pages.render(
            "candidate/check",
            status=status,
            lang=language,
            languages={tag: each["language"] for tag, each in WORDS.items()},
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
            sentence = words[verdict].format(n=_digits(refusal.retry_after, language))
            answer = page(form, language, verdict, sentence, refusal.status)
            answer.headers["retry-after"] = str(refusal.retry_after)
            return answer
        if found is None:
            return page(form, language, "signed")
        number = words["answer" if found["answered"] == 1 else "answers"].format(n=_digits(found["answered"], language))
        day, time = _spoken(found["ended_at"].astimezone(pages.zone), language)
        return page(form, language, "genuine", words["genuine"].format(answers=number, day=day, time=time))

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
    return str(number) if language == "en" else str(number).translate(DEVANAGARI)


def _spoken(moment: dt.datetime, language: str) -> tuple[str, str]:
    """A local moment as its day and its time of day, in words and digits of the language."""
    day = DAYS[language].format(day=moment.day, month=MONTHS[language].split()[moment.month - 1], year=moment.year)
    return _digits(day, language), f"{_digits(f'{moment:%H:%M}', language)} ({moment:%Z})"


def _bytes_of(typed: str, size: int) -> bytes | None:
    """So many bytes from hex digits with blanks anywhere between them; None for anything else."""
    try:
        found = bytes.fromhex("".join(typed.split()))
    except ValueError:
        return None
    return found if len(found) == size else None


# What the page says -----------------------------------------------------------------------------------------------

DEVANAGARI: Final = str.maketrans("0123456789", "०१२३४५६७८९")
DAYS: Final = {"en": "{day} {month} {year}", "mr": "{day} {month}, {year}", "hi": "{day} {month} {year}"}
MONTHS: Final = {
    "en": "January February March April May June July August September October November December",
    "mr": "जानेवारी फेब्रुवारी मार्च एप्रिल मे जून जुलै ऑगस्ट सप्टेंबर ऑक्टोबर नोव्हेंबर डिसेंबर",
    "hi": "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
}
WORDS: Final = {
    "en": {
        "language": "English",
        "title": "Check a receipt",
        "lead": "At the end of an exam every candidate gets a receipt. Here anybody can see whether one is genuine. "
        "There is no log-in; no name and no answer is shown.",
        "code": "Receipt code",
        "code_hint": "12 letters and digits, such as 4QF7‑0M2K‑9WZB. "
        "Capital letters, spaces and hyphens do not matter.",
        "check": "Check",
        "whole": "By digest and signature",
        "whole_hint": "They stand on the receipt under the code and prove by themselves who made it. "
        "Spaces do not matter.",
        "digest": "Digest",
        "signature": "Signature",
        "key": "Key",
        "genuine": "This receipt is genuine: {answers}, handed in on {day} at {time}.",
        "answer": "{n} answer",
        "answers": "{n} answers",
        "compare": "The number and the time have to be the same on the receipt in your hand.",
        "signed": "This receipt is genuine: its signature is ours. Its record cannot be read here just now, so we "
        "cannot say over how many answers it is, and from when.",
        "unknown": "This receipt is not one of ours, or a character is wrong.",
        "again": "Compare each character with the receipt, then try again.",
        "wait": "This was not right, and there were many tries. Compare each character with the receipt, wait "
        "{n} seconds, then try again.",
        "unavailable": "We cannot look it up just now. Nothing is lost, and the receipt is worth what it was. "
        "Try again in {n} seconds.",
        "missing": "Type the code, or the digest, the signature and the key together.",
        "public": "Our public keys, for whoever checks by their own means",
        "candidate": "You are a candidate? Log in here.",
    },
    "mr": {
        "language": "मराठी",
        "title": "पावती तपासा",
        "lead": "परीक्षेच्या शेवटी प्रत्येक उमेदवाराला पावती मिळते. ती खरी आहे का, हे येथे कोणीही पाहू शकते. "
        "लॉग इन करावे लागत नाही; कोणाचेही नाव किंवा उत्तर दाखवले जात नाही.",
        "code": "पावती कोड",
        "code_hint": "१२ अक्षरे आणि अंक, उदाहरणार्थ 4QF7‑0M2K‑9WZB. "
        "अक्षरे लहान-मोठी, मोकळ्या जागा किंवा जोडरेषा यांमुळे फरक पडत नाही.",
        "check": "तपासा",
        "whole": "डायजेस्ट आणि स्वाक्षरीने",
        "whole_hint": "ही माहिती पावतीवर कोडच्या खाली आहे; पावती कोणी तयार केली हे ती स्वतःच सिद्ध करते. "
        "मोकळ्या जागांमुळे फरक पडत नाही.",
        "digest": "डायजेस्ट",
        "signature": "स्वाक्षरी",
        "key": "की",
        "genuine": "ही पावती खरी आहे: {answers}, {day} रोजी {time} वाजता जमा.",
        "answer": "{n} उत्तर",
        "answers": "{n} उत्तरे",
        "compare": "उत्तरांची संख्या आणि वेळ हातातील पावतीवरही हीच असायला हवी.",
        "signed": "ही पावती खरी आहे: तिच्यावरील स्वाक्षरी आमची आहे. तिची नोंद सध्या येथे वाचता येत नाही, म्हणून "
        "उत्तरांची संख्या आणि वेळ सांगता येत नाही.",
        "unknown": "ही पावती आमची नाही, किंवा एखादे अक्षर चुकले आहे.",
        "again": "प्रत्येक अक्षर पावतीशी ताडून पाहा आणि पुन्हा प्रयत्न करा.",
        "wait": "हे बरोबर नव्हते आणि अनेकदा प्रयत्न झाले आहेत. प्रत्येक अक्षर पावतीशी ताडून पाहा, {n} सेकंद थांबा आणि पुन्हा प्रयत्न करा.",
        "unavailable": "सध्या हे शोधता येत नाही. काहीही गेलेले नाही; पावती पूर्वीइतकीच ग्राह्य आहे. {n} सेकंदांनी पुन्हा प्रयत्न करा.",
        "missing": "कोड लिहा, किंवा डायजेस्ट, स्वाक्षरी आणि की हे तिन्ही लिहा.",
        "public": "स्वतःच्या साधनाने तपासणाऱ्यांसाठी आमच्या सार्वजनिक की",
        "candidate": "तुम्ही उमेदवार आहात? येथे लॉग इन करा.",
    },
    "hi": {
        "language": "हिन्दी",
        "title": "रसीद जाँचें",
        "lead": "परीक्षा के अंत में हर परीक्षार्थी को रसीद मिलती है। वह असली है या नहीं, यह यहाँ कोई भी देख सकता है। "
        "लॉग इन करना ज़रूरी नहीं; किसी का नाम या उत्तर नहीं दिखाया जाता।",
        "code": "रसीद कोड",
        "code_hint": "१२ अक्षर और अंक, जैसे 4QF7‑0M2K‑9WZB. छोटे-बड़े अक्षर, खाली जगह और हाइफ़न से फ़र्क नहीं पड़ता।",
        "check": "जाँचें",
        "whole": "डाइजेस्ट और हस्ताक्षर से",
        "whole_hint": "ये रसीद पर कोड के नीचे हैं और स्वयं साबित करते हैं कि रसीद किसने बनाई। खाली जगह से फ़र्क नहीं पड़ता।",
        "digest": "डाइजेस्ट",
        "signature": "हस्ताक्षर",
        "key": "कुंजी",
        "genuine": "यह रसीद असली है: {answers}, {day} को {time} बजे जमा।",
        "answer": "{n} उत्तर",
        "answers": "{n} उत्तर",
        "compare": "आपके हाथ की रसीद पर भी उत्तरों की यही संख्या और यही समय होना चाहिए।",
        "signed": "यह रसीद असली है: उस पर हस्ताक्षर हमारा है। उसका अभिलेख अभी यहाँ पढ़ा नहीं जा सकता, इसलिए उत्तरों की "
        "संख्या और समय नहीं बताए जा सकते।",
        "unknown": "यह रसीद हमारी नहीं है, या कोई अक्षर गलत है।",
        "again": "हर अक्षर को रसीद से मिलाएँ और फिर से कोशिश करें।",
        "wait": "यह सही नहीं था और कई बार कोशिश हो चुकी है। हर अक्षर को रसीद से मिलाएँ, {n} सेकंड रुकें और फिर से कोशिश करें।",
        "unavailable": "अभी इसे खोजा नहीं जा सकता। कुछ खोया नहीं है; रसीद पहले जितनी ही मान्य है। {n} सेकंड बाद फिर से कोशिश करें।",
        "missing": "कोड लिखें, या डाइजेस्ट, हस्ताक्षर और कुंजी तीनों लिखें।",
        "public": "अपने साधन से जाँचने वालों के लिए हमारी सार्वजनिक कुंजियाँ",
        "candidate": "आप परीक्षार्थी हैं? यहाँ लॉग इन करें।",
    },
}
