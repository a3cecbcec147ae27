"""The page that checks receipts: what is genuine and what is not, for anybody, and nothing beyond that."""

import asyncio
import html
import json
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
from playwright.async_api import async_playwright, expect

from exam.answers import AnswerLog
from exam.app import create_app
from exam.db import Connection
from exam.hall import Hall
from exam.receipts import CROCKFORD, Receipt, Signer, digests_of_code, key_id_of
from exam.settings import Settings, SettingsError, read_settings
from exam.submissions import find_public_receipt, receipt_sealed, seal
from exam.web.receipts import WORDS
from tests.browser.conftest import QUIET, find_chromium
from tests.cast import Cast, begin, row, save
from tests.faults.stack import scene, stack

Devices = Callable[[], httpx.AsyncClient]
PROTOCOL = Path(__file__).parents[2] / "docs" / "candidate-protocol.md"


async def handed_in(client: Devices, cast: Cast, *responses: object, name: str = "meera") -> dict[str, Any]:
    """The sitting of somebody who has handed in these responses, item by item."""
    person = await cast.candidate(name)
    await cast.slot(person)
    device = client()
    await begin(device, person)
    for number, response in enumerate(responses, start=1):
        assert (await save(device, row(number, number, response))).status_code == 200
    done = await device.post("/api/submit", json={"epoch": 1, "last_seq": len(responses), "answers": []})
    assert done.status_code == 200, done.text
    found: dict[str, Any] = (await device.get("/api/sitting")).json()
    return found


def whole(receipt: dict[str, Any], **changed: str) -> dict[str, str]:
    return {name: str(receipt[name]) for name in ("digest", "signature", "key_id")} | changed


def told(page: httpx.Response) -> str:
    """What the page says, without its marks."""
    return " ".join(html.unescape(re.sub(r"<(?:title|style)>.*?</\w+>|<[^>]*>", " ", page.text)).split())


def verdict(page: httpx.Response) -> tuple[int, str]:
    found = re.search(r'data-verdict="(\w+)"', page.text)
    return page.status_code, found[1] if found else ""


GENUINE, UNKNOWN, SIGNED = (200, "genuine"), (404, "unknown"), (200, "signed")


# What is genuine ------------------------------------------------------------------------------------------------------


async def test_a_code_is_enough_and_nobody_is_named(client: Devices, cast: Cast) -> None:
    sitting = await handed_in(client, cast, "b", ["a", "c"], "Mumbai")
    receipt, stranger = sitting["receipt"], client()
    page = await stranger.post("/check", data={"code": receipt["code"]})
    assert verdict(page) == GENUINE
    assert "This receipt is genuine: 3 answers, handed in on" in told(page) and "(IST)" in told(page)
    for secret in ("Meera", "REG-", "Mumbai", "Exam", receipt["salt"], receipt["form"], receipt["digest"]):
        assert secret not in told(page), secret
    assert page.headers["cache-control"] == "no-store" and not stranger.cookies
    assert "unsafe" not in page.headers["content-security-policy"]


async def test_a_code_may_be_typed_as_people_type(client: Devices, cast: Cast) -> None:
    code = (await handed_in(client, cast, "b"))["receipt"]["code"]
    devanagari = code.translate(str.maketrans("0123456789", "०१२३४५६७८९"))
    misread = code.replace("0", "o").replace("1", "l").lower()
    for typed in (code.lower(), code.replace("-", ""), f" {code.replace('-', ' – ')} ", devanagari, misread):
        assert verdict(await client().post("/check", data={"code": typed})) == GENUINE, typed


async def test_digest_and_signature_say_the_same(client: Devices, cast: Cast) -> None:
    receipt = (await handed_in(client, cast, "b"))["receipt"]
    page = await client().post("/check", data=whole(receipt))
    assert verdict(page) == GENUINE and "This receipt is genuine: 1 answer, handed in" in told(page)
    groups = {name: " ".join(re.findall(".{1,8}", value)) for name, value in whole(receipt).items()}
    typed = {name: f"{value.upper()}\r\n" for name, value in groups.items()}
    assert verdict(await client().post("/check", data=typed)) == GENUINE
    assert verdict(await client().post("/check", data=whole(receipt, code=receipt["code"]))) == GENUINE


async def test_of_an_attempt_ended_by_the_clock_too(client: Devices, cast: Cast, hall: Hall, owner: Connection) -> None:
    meera = await cast.candidate("meera")
    await cast.slot(meera)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "b"), row(2, 2, None))
    await owner.execute("UPDATE attempt SET started_at = now() - interval '2 h', deadline = now() - interval '1 h'")
    assert await seal(hall.db) == 1 and await receipt_sealed(hall.db, hall.signer) == 1
    receipt = (await device.get("/api/sitting")).json()["receipt"]
    for fields in ({"code": receipt["code"]}, whole(receipt)):
        page = await client().post("/check", data=fields)
        assert verdict(page) == GENUINE and "1 answer," in told(page)


# What is not ----------------------------------------------------------------------------------------------------------


def other(text: str, at: int) -> str:
    """The same with another character at one place."""
    wrong = next(c for c in ("7", "8") if c != text[at])
    return text[:at] + wrong + text[at + 1 :]


async def test_unknown_and_wrong_look_the_same(client: Devices, cast: Cast) -> None:
    sitting = await handed_in(client, cast, "b")
    another = (await handed_in(client, cast, "c", name="asmita"))["receipt"]
    receipt, stranger = sitting["receipt"], Signer("33" * 32)
    digest = bytes.fromhex(receipt["digest"])
    nobodys = {"digest": secrets.token_hex(32), "signature": secrets.token_hex(64), "key_id": receipt["key_id"]}
    tried: list[dict[str, str]] = [
        {"code": "0000-0000-0000"},
        {"code": other(receipt["code"], 13)},
        {"code": receipt["code"][:-1]},
        {"code": "UUUU-UUUU-UUUU"},
        {"code": "ऱ" * 12},
        nobodys,
        whole(receipt, digest=other(receipt["digest"], 63)),
        whole(receipt, signature=other(receipt["signature"], 0)),
        whole(receipt, key_id="00000000"),
        whole(receipt, signature=another["signature"]),
        whole(receipt, digest=another["digest"]),
        whole(receipt, code=another["code"]),
        whole(receipt, signature=stranger.sign(digest).hex()),
        whole(receipt, signature=stranger.sign(digest).hex(), key_id=stranger.key_id),
        whole(receipt, signature="not hex"),
        whole(receipt, signature=""),
        {"digest": receipt["digest"]},
    ]
    pages = [await client().post("/check", data=fields) for fields in tried]
    assert [verdict(page) for page in pages] == [UNKNOWN] * len(tried)
    without = {re.sub(r' value="[^"]*"|(<textarea[^>]*>)[^<]*', r"\1", page.text) for page in pages}
    assert len(without) == 1
    assert "This receipt is not one of ours, or a character is wrong." in told(pages[0])


async def test_an_empty_form_and_what_is_no_form(client: Devices) -> None:
    device = client()
    for fields in ({"code": ""}, {"code": "  "}, {"code": "x" * 65}, {"language": "mr"}, {"name": "Meera"}):
        assert (await device.post("/check", data=fields)).status_code == 400, fields
    assert (await device.post("/check", json={"code": "0"})).status_code == 415
    assert (await device.post("/check", data={"code": "x" * 9000})).status_code == 413
    typed = await device.post("/check", data={"code": '"><b>x'})
    assert "<b>" not in typed.text and "&#34;&gt;&lt;b&gt;x" in typed.text


# Limits and outages ---------------------------------------------------------------------------------------------------


async def test_wrong_tries_have_to_wait_and_the_right_code_never(client: Devices, cast: Cast) -> None:
    receipt = (await handed_in(client, cast, "b"))["receipt"]
    device = client()
    for wrong in ({"code": "0000-0000-0000"}, whole(receipt, signature="00" * 64)):
        pages = await asyncio.gather(*(device.post("/check", data=wrong) for _ in range(12)))
        assert sorted(verdict(page) for page in pages) == [UNKNOWN] * 5 + [(429, "wait")] * 7
        waiting = next(page for page in pages if page.status_code == 429)
        seconds = int(waiting.headers["retry-after"])
        assert 1 <= seconds <= 60 and f"wait {seconds} seconds" in told(waiting)
    assert verdict(await device.post("/check", data={"code": receipt["code"]})) == GENUINE
    assert verdict(await device.post("/check", data=whole(receipt))) == GENUINE


async def test_who_tries_many_codes_is_slowed_down_with_everybody_who_is_wrong(client: Devices, cast: Cast) -> None:
    receipt = (await handed_in(client, cast, "b"))["receipt"]
    device = client()
    pages: list[httpx.Response] = []
    for number in range(0, 240, 40):  # so many at once that none has to wait for a connection
        fields = [{"code": f"{code:012d}"} for code in range(number, number + 40)]
        pages += await asyncio.gather(*(device.post("/check", data=each) for each in fields))
    states = [page.status_code for page in pages]
    assert 200 <= states.count(404) <= 204 and states.count(404) + states.count(429) == 240
    assert states[:160] == [404] * 160
    assert {int(page.headers["retry-after"]) for page in pages if page.status_code == 429} <= {1, 2}
    assert verdict(await device.post("/check", data={"code": receipt["code"]})) == GENUINE


async def test_a_signature_holds_without_our_records(
    client: Devices, cast: Cast, hall: Hall, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = (await handed_in(client, cast, "b"))["receipt"]
    lost = secrets.token_bytes(32)  # signed by us, in a month that has been put away since
    fields = {"digest": lost.hex(), "signature": hall.signer.sign(lost).hex(), "key_id": hall.signer.key_id}
    page = await client().post("/check", data=fields)
    assert verdict(page) == SIGNED and "answers, handed in" not in told(page)
    async with owner.transaction():
        await owner.execute("LOCK TABLE submission IN ACCESS EXCLUSIVE MODE")
        assert verdict(await client().post("/check", data=whole(receipt))) == SIGNED
        page = await client().post("/check", data={"code": receipt["code"]})
    assert verdict(page) == (503, "unavailable") and int(page.headers["retry-after"]) >= 1
    # While saves are slow this page stands back, and asks the database nothing.
    monkeypatch.setattr(AnswerLog, "lag", property(lambda _: 10.0))
    assert verdict(await client().post("/check", data=whole(receipt))) == SIGNED
    assert verdict(await client().post("/check", data={"code": receipt["code"]})) == (503, "unavailable")


# Keys -----------------------------------------------------------------------------------------------------------------


async def test_anybody_can_check_without_us(client: Devices, cast: Cast, tmp_path: Path) -> None:
    """The example of docs/candidate-protocol.md, as it stands there."""
    tricky = ["b", ["c", "a"], '"\\/\b\t\n\f\r\x01\x1f\x7f\u2028 😀 प्रश्न é', "३.५", {"b": "a", "a": "c"}]
    sitting = await handed_in(client, cast, *tricky)
    keys = await client().get("/check/key.json")
    assert keys.headers["content-type"] == "application/json" and "max-age" in keys.headers["cache-control"]
    (tmp_path / "keys.json").write_bytes(keys.content)
    (code,) = re.findall(r"```python\n(.*?)```", PROTOCOL.read_text("utf-8"), re.S)

    def run(changed: dict[str, Any]) -> str:
        (tmp_path / "sitting.json").write_text(json.dumps(changed), "utf-8")
        words = [sys.executable, "-c", code, tmp_path / "keys.json", tmp_path / "sitting.json"]
        return subprocess.run(words, capture_output=True, text=True).stderr

    assert run(sitting) == ""
    assert "InvalidSignature" in run(sitting | {"receipt": sitting["receipt"] | {"signature": "00" * 64}})
    sitting["attempt"]["answers"][2]["response"] += "."
    assert "over other answers" in run(sitting)


async def test_what_a_former_key_signed_stays_genuine(client: Devices, cast: Cast, settings: Settings) -> None:
    receipt = (await handed_in(client, cast, "b"))["receipt"]
    former = Signer(settings.receipt_key).public
    changed = msgspec.structs.replace(settings, receipt_key="44" * 32)
    for known, expected in (("", UNKNOWN), (f" {former.hex()} ", GENUINE)):
        app = create_app(msgspec.structs.replace(changed, former_receipt_keys=known))
        await app.state.hall.open()
        try:
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://hall.test") as device:
                assert verdict(await device.post("/check", data=whole(receipt))) == expected
                keys = (await device.get("/check/key.json")).json()
        finally:
            await app.state.hall.close()
        assert keys == {
            key_id_of(public): public.hex() for public in (Signer("44" * 32).public, former)[: 1 + bool(known)]
        }


@pytest.mark.parametrize("former", ["ab", "zz" * 32, "22" * 32 + "," + "33" * 32])
def test_a_former_key_that_is_none_stops_the_start(former: str) -> None:
    environ = {
        "DATABASE_URL": "postgresql:///x",
        "REDIS_STATE_URL": "redis://x",
        "REDIS_CACHE_URL": "redis://x",
        "SECRET_KEY": "11" * 32,
        "RECEIPT_KEY": "22" * 32,
        "PUBLIC_ORIGIN": "http://x",
    }
    assert read_settings(environ | {"FORMER_RECEIPT_KEYS": "33" * 32}).former_public_keys == [b"\x33" * 32]
    with pytest.raises(SettingsError, match="FORMER_RECEIPT_KEYS"):
        read_settings(environ | {"FORMER_RECEIPT_KEYS": former})


# Codes, words, rights -------------------------------------------------------------------------------------------------


def test_the_bounds_of_a_code_are_just_its_digests() -> None:
    for digest in (bytes(32), b"\xff" * 32, *(secrets.token_bytes(32) for _ in range(200))):
        code = Receipt(b"", b"", digest, b"", "", 0).code
        bounds = digests_of_code(code)
        assert bounds is not None and bounds[0] <= digest <= bounds[1]
        number = int.from_bytes(bounds[0], "big"), int.from_bytes(bounds[1], "big")
        assert number[1] - number[0] == 2**196 - 1 and number[0] % 2**196 == 0
    assert set(CROCKFORD).isdisjoint("ILOU") and digests_of_code("") is None and digests_of_code("²" * 12) is None


NOT_ALWAYS = (
    "language",
    "digits",
    "day",
    "months",
    "answers",
    "genuine",
    "compare",
    "signed",
    "unknown",
    "again",
    "wait",
    "unavailable",
    "missing",
)


@pytest.mark.parametrize("language", WORDS)
async def test_the_page_speaks_three_languages(client: Devices, cast: Cast, language: str) -> None:
    receipt = (await handed_in(client, cast, "b", ["a"]))["receipt"]
    words = {key: forms[-1] for key, forms in WORDS[language].items()}
    assert words.keys() == WORDS["en"].keys() and len(words["months"].split()) == 12
    page = await client().get("/check", headers={"accept-language": f"{language}-IN,en;q=0.1"})
    assert page.status_code == 200 and f'<html lang="{language}"' in page.text and words["lead"] in told(page)
    shown = {words[name] for name in words if name not in NOT_ALWAYS}
    assert {sentence for sentence in shown if sentence not in told(page)} == set()
    page = await client().get(f"/check?language={language}")
    assert f'<html lang="{language}"' in page.text
    page = await client().post("/check", data={"code": receipt["code"], "language": language})
    start = words["genuine"].partition("{")[0]
    number = {"en": "2 answers", "mr": "२ उत्तरे", "hi": "२ उत्तर"}[language]
    assert verdict(page) == GENUINE and f"{start}{number}, " in told(page)
    unknown = await client().post("/check", data={"code": "0" * 12, "language": language})
    assert words["unknown"] in told(unknown) and "{" not in told(unknown)


async def test_the_delivery_role_is_told_no_more_and_by_an_index(hall: Hall, owner: Connection) -> None:
    columns = await owner.fetch("SELECT attname FROM pg_attribute WHERE attrelid = 'public_receipt'::regclass")
    assert {column["attname"] for column in columns} == {"digest", "answered", "ended_at"}
    for role in ("exam_staff", "exam_author", "exam_grading"):
        assert not await owner.fetchval("SELECT has_table_privilege($1, 'public_receipt', 'SELECT')", role)
    async with hall.db.web.connection() as connection:
        for forbidden in ("UPDATE public_receipt SET answered = 0", "DELETE FROM public_receipt"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)
        lines = await connection.fetch(f"EXPLAIN {find_public_receipt.text}", b"\x00", b"\x01")
    plan = "\n".join(line[0] for line in lines)
    assert "Seq Scan" not in plan and "digest_idx" in plan


# On a whole hall ------------------------------------------------------------------------------------------------------


@pytest.mark.browser
async def test_from_the_receipt_on_the_screen_to_genuine(tmp_path: Path) -> None:
    """A teacher hands in, the device finds the same digest, and the link on the receipt leads to a yes."""
    async with stack(tmp_path) as whole_hall, async_playwright() as playwright:
        (person,), _ = await scene(whole_hall, 1)
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(QUIET))
        context = await browser.new_context(base_url=whole_hall.address)
        page = await context.new_page()
        await page.goto("/")
        await page.fill("[data-test=registration]", person.registration)
        await page.fill("[data-test=code]", person.code)
        await page.click("[data-test=login]")
        await page.click("[data-test=start]")
        await page.locator("[data-test=option]").first.check()
        await page.locator("aside [data-test=square]").nth(2).click()
        await page.fill("[data-test=text]", '"\\ \u2028 😀 श्री')
        await page.locator("aside [data-test=square]").last.click()
        for name in ("next", "submit", "submit-now"):
            await page.click(f"[data-test={name}]")
        own = page.locator("[data-test=receipt-own]")
        await expect(own).to_have_attribute("data-kind", "safe")
        assert await own.inner_text() == "तुमच्या उपकरणाने तुमच्या उत्तरांवरून हाच डायजेस्ट काढला आहे."
        async with context.expect_page() as opened:
            await page.click("[data-test=receipt-check]")
        checked = await opened.value
        await expect(checked.locator("[data-verdict=genuine]")).to_contain_text("ही पावती खरी आहे: २ उत्तरे, ")
        await browser.close()
