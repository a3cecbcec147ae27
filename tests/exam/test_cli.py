"""The command line as people run it: import from files, migrate, check, export."""

import csv
import json
import warnings
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from exam.cli import main
from exam.seed import seed
from tests.cast import begin, row, save

SHARED = Path(__file__).resolve().parent.parent.parent.parent / "shared" / "data"

GIFT = """$CATEGORY: Sums

::two plus two:: 2 + 2? {=4 ~3 ~5}

::broken:: What is { this

::true:: Three is odd. {T}

::text:: Tell us about your class.
"""

CSV = """registration_no,name,district,school,batch,language
MH-1,आशा पाटील,MUM,Sagar School,A,mr
MH-2,=cmd|' /C calc'!A0,Pune,Sagar School,B,en
MH-3,,MUM,Sagar School,A,mr
MH-4,Ravi Rao,Delhi,Sagar School,A,en
MH-1,Twice,MUM,Sagar School,A,en
"""


def exam(settings, *words):
    environment = {
        name.upper(): str(value) for name, value in msgspec.structs.asdict(settings).items() if name != "debug"
    }
    done = CliRunner().invoke(main, [str(word) for word in words], env=environment)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


async def exam_in_thread(settings, *words):
    import asyncio

    return await asyncio.to_thread(exam, settings, *words)


async def test_gift_dry_run_says_what_would_happen_and_stores_nothing(settings, owner, tmp_path):
    file = tmp_path / "sums.gift"
    file.write_text(GIFT)
    done = await exam_in_thread(settings, "import", file, "--dry-run", "--report", "json")
    report = json.loads(done.stdout)
    assert done.exit_code == 0 and (report["items"], report["taken"], report["refused"]) == (4, 2, 2)
    assert report["items"] == report["taken"] + report["lossy"] + report["refused"] == len(report["entries"])
    refused = {entry["id"]: entry for entry in report["entries"] if entry["status"] == "refused"}
    assert set(refused) == {"broken", "text"} and refused["broken"]["source"] == "sums.gift:5"
    assert all(entry["reasons"] for entry in refused.values())
    assert await owner.fetchval("SELECT count(*) FROM item") == 0


def test_dry_run_needs_no_database(tmp_path):
    file = tmp_path / "sums.gift"
    file.write_text(GIFT)
    done = CliRunner().invoke(main, ["import", str(file), "--dry-run"], env={"DATABASE_URL": "", "SECRET_KEY": ""})
    assert done.exit_code == 0 and "4 read: 2 taken whole" in done.stdout


async def test_gift_is_all_or_nothing_unless_the_rest_is_accepted(settings, owner, tmp_path):
    file = tmp_path / "sums.gift"
    file.write_text(GIFT)
    done = await exam_in_thread(settings, "import", file)
    assert "Nothing was stored" in done.stderr and await owner.fetchval("SELECT count(*) FROM item") == 0
    for told in ("2 new, 0 with a new version, 0 as they were", "0 new, 0 with a new version, 2 as they were"):
        done = await exam_in_thread(settings, "import", file, "--accept-rest")
        assert done.exit_code == 0 and told in done.stderr
    file.write_text(GIFT.replace("~5", "~6"))
    done = await exam_in_thread(settings, "import", file, "--accept-rest", "--bank", "sums")
    assert "0 new, 1 with a new version, 1 as they were" in done.stderr
    assert await owner.fetchval("SELECT count(*) FROM item_version") == 3
    assert await owner.fetchval("SELECT count(*) FROM item_key") == 3


async def test_real_gift_file(settings, owner):
    file = SHARED / "gift" / "examples.gift"
    if not file.exists():
        warnings.warn(f"{file.name} is not here: the import of a real GIFT file was not tried", stacklevel=1)
        return
    done = await exam_in_thread(settings, "import", file, "--report", "json")
    report = json.loads(done.stdout)
    assert (report["items"], report["refused"]) == (43, 0)
    assert await owner.fetchval("SELECT count(*) FROM item") == 43


async def test_moodle_xml_brings_its_pictures_along(settings, owner, tmp_path):
    picture = (Path(__file__).parents[2] / "exam" / "demo" / "bank" / "triangle.png").read_bytes()
    name, file = sha256(picture).hexdigest(), tmp_path / "maps.xml"
    file.write_text(
        '<quiz><question type="essay"><questiontext><text>&lt;img src="@@PLUGINFILE@@/a.png" alt="a"> Explain.</text>'
        f'<file name="a.png" encoding="base64">{b64encode(picture).decode()}</file></questiontext></question></quiz>'
    )
    for told in ("1 new, 0 with a new version, 0 as they were", "0 new, 0 with a new version, 1 as they were"):
        done = await exam_in_thread(settings, "import", file)
        assert done.exit_code == 0 and told in done.stderr
    body = await owner.fetchval("SELECT body FROM item_version")
    assert body["media"] == [name] and f'src="/media/{name}"' in body["prompt"]["en"]
    kept = await owner.fetchrow("SELECT content_type, bytes FROM media WHERE media_hash = $1", bytes.fromhex(name))
    assert (kept["content_type"], kept["bytes"]) == ("image/png", picture)


TABLE = """code,section,prompt_en,prompt_mr,answer,option_1_en,option_2_en
a,Sums,2 + 2?,२ + २?,2,3,4
b,Rivers,Longest?,सर्वात लांब?,1,Godavari,Tapi
c,Rivers,,,1,Godavari,Tapi
"""


def test_the_report_in_json_has_these_fields_and_no_others(tmp_path):
    file = tmp_path / "bank.csv"
    file.write_text(TABLE)
    nothing = {"DATABASE_URL": "", "SECRET_KEY": ""}
    done = CliRunner().invoke(main, ["import", str(file), "--dry-run", "--report", "json"], env=nothing)
    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert list(report) == ["items", "taken", "lossy", "refused", "entries"]
    assert [report[name] for name in ("items", "taken", "lossy", "refused")] == [3, 2, 0, 1]
    assert all(list(entry) == ["source", "id", "status", "reasons"] for entry in report["entries"])
    assert report["entries"][2]["source"] == "bank.csv:4" and report["entries"][2]["status"] == "refused"


async def test_a_bank_goes_out_and_comes_in_again(settings, owner, tmp_path):
    file = tmp_path / "bank.csv"
    file.write_text(TABLE)
    assert "Nothing was stored" in (await exam_in_thread(settings, "import", file)).stderr
    assert await owner.fetchval("SELECT count(*) FROM bank") == 0
    done = await exam_in_thread(settings, "import", file, "--accept-rest", "--bank", "Mixed")
    assert 'Bank "Mixed": 2 new' in done.stderr
    number = await owner.fetchval("SELECT bank_id FROM bank")
    for name in ("out.xlsx", "out.csv", "out.gift"):
        out = tmp_path / name
        done = await exam_in_thread(settings, "export", "--bank", "Mixed", "-o", out, "--report", "json")
        assert done.exit_code == 0 and json.loads(done.stdout)["taken"] == 2, done.stderr
        assert out.stat().st_mode & 0o077 == 0
        again = await exam_in_thread(settings, "import", out, "--bank", number)
        assert 'Bank "Mixed": 0 new, 0 with a new version, 2 as they were.' in again.stderr
    assert await owner.fetchval("SELECT count(*) FROM audit WHERE act = 'bank.exported'") == 3
    assert await owner.fetchval("SELECT count(*) FROM item_version") == 2


async def test_a_bank_that_is_not_there(settings, owner, tmp_path):
    file = tmp_path / "bank.csv"
    file.write_text(TABLE)
    for words in (
        ("import", file, "--accept-rest", "--bank", "77"),
        ("export", "--bank", "77", "-o", tmp_path / "x.gift"),
    ):
        done = await exam_in_thread(settings, *words)
        assert done.exit_code == 1 and "There is no bank 77." in done.stderr
    assert await owner.fetchval("SELECT count(*) FROM item") == 0
    for words in (
        ("export", "-o", "x.csv"),
        ("export", "1", "--bank", "1", "-o", "x.csv"),
        ("export", "--bank", "1", "-o", "x"),
    ):
        assert (await exam_in_thread(settings, *words)).exit_code == 2


async def test_pictures_of_a_file_are_kept_with_its_questions(settings, owner, tmp_path):
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    file = tmp_path / "bank.xml"
    file.write_text(
        "<quiz><question type='truefalse'><name><text>n</text></name><questiontext format='html'>"
        "<text><![CDATA[Red? <img src='@@PLUGINFILE@@/p.png' alt='dot'>]]></text>"
        f"<file name='p.png' path='/' encoding='base64'>{pixel}</file></questiontext>"
        "<answer fraction='100'><text>true</text></answer><answer fraction='0'><text>false</text></answer>"
        "</question></quiz>"
    )
    done = await exam_in_thread(settings, "import", file)
    assert done.exit_code == 0 and "1 new" in done.stderr, (done.stdout, done.stderr)
    kept = await owner.fetchval("SELECT encode(media_hash, 'hex') FROM media")
    assert await owner.fetchval("SELECT body -> 'media' ->> 0 FROM item_version") == kept
    out = tmp_path / "out.csv"
    done = await exam_in_thread(settings, "export", "--bank", "bank", "-o", out)
    assert "1 with losses" in done.stdout and "only this hall has them" in done.stdout
    assert "1 as they were" in (await exam_in_thread(settings, "import", out, "--bank", "bank")).stderr
    out.write_text(out.read_text(encoding="utf-8-sig").replace(kept, "ab" * 32))
    done = await exam_in_thread(settings, "import", out, "--bank", "other", "--report", "json")
    assert json.loads(done.stdout)["entries"][0]["reasons"] == ["A picture that it names is not in this hall."]
    assert "Nothing was stored" in done.stderr and await owner.fetchval("SELECT count(*) FROM bank") == 1


async def test_five_thousand_questions_in_one_go(settings, owner, tmp_path):
    import time

    file = tmp_path / "many.csv"
    rows = [f"q{n},S{n % 9},Question {n}?,प्रश्न {n}?,1,yes {n},no {n}" for n in range(5000)]
    file.write_text(TABLE.split("\n")[0] + "\n" + "\n".join(rows))
    for told in ("5000 new", "5000 as they were"):
        began = time.monotonic()
        done = await exam_in_thread(settings, "import", file, "--report", "json")
        took = time.monotonic() - began
        assert done.exit_code == 0 and told in done.stderr
        print(f"5,000 questions, {told}: {took:.1f} s")
        assert took < 30
    assert await owner.fetchval("SELECT count(*) FROM item_key") == 5000


def test_a_template_is_written_once(tmp_path):
    for name in ("t.xlsx", "t.csv"):
        file = tmp_path / name
        assert CliRunner().invoke(main, ["template", str(file), "--language", "mr"]).exit_code == 0
        assert CliRunner().invoke(main, ["template", str(file)]).exit_code == 1
        done = CliRunner().invoke(main, ["import", str(file), "--dry-run"])
        assert done.exit_code == 2 and "no rows with questions" in done.stderr
    assert CliRunner().invoke(main, ["template", str(tmp_path / "t.pdf")]).exit_code == 2


@pytest.mark.parametrize(("name", "items"), [("economy-bilingual.json", 406), ("science-bilingual.json", 100)])
async def test_real_bilingual_files(settings, owner, tmp_path, name, items):
    file = SHARED / "bilingual" / name
    if not file.exists():
        warnings.warn(f"{name} is not here: the import of a real bilingual file was not tried", stacklevel=1)
        return
    for told in (f"{items} new", f"{items} as they were"):
        done = await exam_in_thread(settings, "import", file, "--report", "json")
        report = json.loads(done.stdout)
        assert (report["items"], report["refused"]) == (items, 0) and told in done.stderr
    out = tmp_path / "out.xlsx"
    await exam_in_thread(settings, "export", "--bank", file.stem, "-o", out)
    assert f"{items} as they were" in (await exam_in_thread(settings, "import", out, "--bank", file.stem)).stderr


@pytest.mark.parametrize("data", [b"\x00\x01\x02" * 100, b""], ids=["junk", "empty"])
async def test_unreadable_file(settings, tmp_path, data):
    file = tmp_path / "x.gift"
    file.write_bytes(data)
    done = await exam_in_thread(settings, "import", file, "--dry-run")
    assert done.exit_code in (0, 2)
    if data:
        assert done.exit_code == 2 and done.stderr.strip().endswith(".")
    other = tmp_path / "x.docx"
    other.write_bytes(b"PK")
    assert (await exam_in_thread(settings, "import", other)).exit_code == 2


async def test_candidates_are_enrolled_and_their_codes_told_once(settings, owner, tmp_path, client, cast):
    file, codes = tmp_path / "people.csv", tmp_path / "codes.csv"
    file.write_text(CSV)
    done = await exam_in_thread(settings, "import", file, "--codes", codes)
    assert "Nothing was stored" in done.stderr and not codes.exists()
    assert "people.csv:4" in done.stdout and "people.csv:5" in done.stdout and "Delhi" in done.stdout
    assert "people.csv:6" in done.stdout
    done = await exam_in_thread(settings, "import", file, "--accept-rest", "--codes", codes)
    assert done.exit_code == 0 and "2 new" in done.stderr, done.stderr
    told = list(csv.DictReader(codes.open(encoding="utf-8")))
    assert [(line["registration_no"], line["name"]) for line in told] == [
        ("MH-1", "आशा पाटील"),
        ("MH-2", "'=cmd|' /C calc'!A0"),
    ]
    assert codes.stat().st_mode & 0o077 == 0
    hashes = await owner.fetch("SELECT code_hash FROM credential")
    assert len(hashes) == 2 and not any(told[0]["access_code"].encode() in row["code_hash"] for row in hashes)
    answer = await client().post("/api/login", json={"registration": "MH-1", "code": told[0]["access_code"]})
    assert answer.json()["error"] == "nothing_here"  # let in, but nothing is booked
    again = await exam_in_thread(settings, "import", file, "--accept-rest", "--codes", tmp_path / "more.csv")
    assert "0 new, 0 changed, 2 as they were" in again.stderr
    assert len(list(csv.reader((tmp_path / "more.csv").open(encoding="utf-8")))) == 1
    over = await exam_in_thread(settings, "import", file, "--accept-rest", "--codes", codes)
    assert over.exit_code == 1 and "there already" in over.stderr


async def test_migrate_again_changes_nothing(settings):
    done = await exam_in_thread(settings, "migrate")
    assert done.exit_code == 0 and "Nothing to apply." in done.stdout


async def test_missing_settings_are_named(tmp_path):
    done = CliRunner().invoke(main, ["check"], env={"DATABASE_URL": "", "SECRET_KEY": "", "PUBLIC_ORIGIN": ""})
    assert done.exit_code == 1 and "DATABASE_URL" in done.stderr and "SECRET_KEY" in done.stderr
    weak = {"DATABASE_URL": "x", "REDIS_STATE_URL": "x", "REDIS_CACHE_URL": "x", "SECRET_KEY": "abc",
            "RECEIPT_KEY": "22" * 32, "PUBLIC_ORIGIN": "http://127.0.0.1"}  # fmt: skip
    done = CliRunner().invoke(main, ["check"], env=weak)
    assert done.exit_code == 1 and "32 random bytes" in done.stderr


async def test_check_says_what_is_wrong(settings, owner, servers):
    quick = msgspec.structs.replace(settings, public_origin="http://127.0.0.1:8000")
    done = await exam_in_thread(quick, "check")
    # The tests' server has fsync off, and check says so.
    assert done.exit_code == 1 and "WRONG  fsync" in done.stdout and "WRONG  full_page_writes" in done.stdout
    assert "ok   roles" in done.stdout and "ok   state Redis" in done.stdout and "ok   partitions" in done.stdout
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await owner.execute("GRANT SELECT ON item_key TO exam_web")
    await owner.execute("DROP TABLE answer_d2")
    lru = msgspec.structs.replace(quick, redis_cache_url="unix:///nowhere.sock", public_origin="http://hall.test")
    done = await exam_in_thread(lru, "check")
    for wrong in ("synchronous_commit", "roles", "partitions", "cache Redis", "TLS"):
        assert f"WRONG  {wrong}" in done.stdout, done.stdout
    assert "Run `exam migrate`" in done.stdout


async def test_check_names_an_evicting_policy_and_debug(settings, servers):
    from redis.asyncio import Redis

    redis = Redis.from_url(settings.redis_state_url)
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        done = await exam_in_thread(settings, "check")
        assert "WRONG  state Redis" in done.stdout and "noeviction" in done.stdout
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
        await redis.aclose()
    from exam.checks import check_all

    found = await check_all(msgspec.structs.replace(settings, debug=True))
    assert any(finding.part == "debug" and not finding.well for finding in found)


async def test_check_without_a_database(settings):
    away = msgspec.structs.replace(settings, database_url="postgresql://nobody@/exam?host=/nowhere")
    done = await exam_in_thread(away, "check")
    assert done.exit_code == 1 and "WRONG  PostgreSQL" in done.stdout and "Traceback" not in done.output


async def test_export_of_results_is_safe_in_a_spreadsheet(settings, cast, client, hall, owner, tmp_path):
    from exam.results import Grader

    meera, absent = await cast.candidate("meera"), await cast.candidate("absent")
    slot = await cast.slot(meera, absent)
    await owner.execute("UPDATE candidate SET name = '=1+1' WHERE registration = $1", meera.registration)
    device = client()
    await begin(device, meera)
    await save(device, row(1, 1, "b"))
    await device.post("/api/submit", json={"epoch": 1, "last_seq": 1})
    await Grader(hall.db).grade_all()
    out = tmp_path / "results.csv"
    done = await exam_in_thread(settings, "export", slot.slot_id, "-o", out)
    assert done.exit_code == 0 and "2 candidates" in done.stdout
    lines = list(csv.DictReader(out.open(encoding="utf-8-sig")))
    assert [(line["name"], line["state"], line["total"]) for line in lines] == [
        ("Absent", "prepared", ""),
        ("'=1+1", "graded", "2.00"),
    ]
    assert await owner.fetchval("SELECT act FROM audit") == "results.exported"
    assert (await exam_in_thread(settings, "export", 999, "-o", out)).exit_code == 1


async def test_seed_twice_adds_what_has_run_out(settings, owner):
    first = await seed(owner, settings, {}, "a password")
    assert await owner.fetchval("SELECT count(*) FROM candidate") == 200
    assert await owner.fetchval("SELECT count(*) FROM form") == 3
    assert await owner.fetchval("SELECT count(*) FROM item") >= 60
    assert {role for role, _, _ in first.staff} == {
        "district_admin", "invigilator", "author", "marker", "platform_admin"
    }  # fmt: skip
    kinds = [what for what, _, _ in first.candidates]
    assert kinds.count("open now") == 5 and kinds.count("opens in three minutes") == 1
    second = await seed(owner, settings, first.codes, "a password")
    assert await owner.fetchval("SELECT count(*) FROM form") == 3
    assert await owner.fetchval("SELECT count(*) FROM slot") == 7
    assert [code for what, _, code in second.candidates if what == "open now"] == [
        code for what, _, code in first.candidates if what == "open now"
    ]
