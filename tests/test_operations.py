"""What operators get: rules, board, units and nginx's configuration, each by its own tool; every figure is exported."""

import datetime as dt
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exam import cli
from exam.answers import OLDEST
from exam.children import ChildError, free_port
from exam.db import Connection, Database
from exam.hall import Hall
from exam.metrics import Metrics
from exam.nginx import Nginx
from exam.settings import Settings, read_settings
from exam.worker import GradingWorker
from loadtest.assumptions import Assumptions
from tests.cast import Cast
from tests.conftest import REPOSITORY

FOLDER = REPOSITORY / "docs" / "operations"
README = (FOLDER / "README.md").read_text("utf-8")
RULES = {
    rule["alert"]: rule
    for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
}
BOARD = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
SETTINGS = Settings(
    database_url="postgresql://nobody@127.0.0.1:1/exam",
    redis_state_url="redis://127.0.0.1:1/0",
    redis_cache_url="redis://127.0.0.1:1/1",
    secret_key="11" * 32,
    receipt_key="22" * 32,
    public_origin="https://exam.example.in",
)
FOREIGN = {"up", "ALERTS", "node_filesystem_avail_bytes", "node_filesystem_size_bytes"}
"""Prometheus' own, and those of its node exporter."""


def tool(name: str, package: str) -> str:
    """Where a tool is; a failure, not a skip, where it is missing: what nobody has checked does not work."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed here, so nothing was checked. Debian: apt-get install {package}.")
    return found


def told_by(*words: str | Path, cwd: Path = FOLDER) -> str:
    """What a tool says; it has to be content."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


# Figures ------------------------------------------------------------------------------------------------------------


def samples_of(metrics: Metrics) -> Iterator[str]:
    for family in metrics.collect():
        yield from (sample.name for sample in family.samples)


def exported() -> set[str]:
    """The names of everything that a web worker and a grading worker tell Prometheus."""
    worker = GradingWorker(SETTINGS)
    worker.metrics.states = {"started": 1}
    return {*samples_of(Hall(SETTINGS).metrics), *samples_of(worker.metrics)}


def names_in(expression: str) -> set[str]:
    """The metrics that a PromQL expression asks for."""
    bare = re.sub(r'"[^"]*"|\{[^{}]*\}|\[[^\]]*\]', " ", re.sub(r'"[^"]*"', '""', expression))
    bare = re.sub(r"\b(?:by|without|on|ignoring)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*(?!\w*\s*\()", bare)
    return set(words) - {"and", "or", "unless", "by", "bool", "offset"}


def board_expressions() -> list[str]:
    return [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]] + [
        note["expr"] for note in BOARD["annotations"]["list"]
    ]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('up{job=~"exam-.*"} == 0', {"up"}),
        ("histogram_quantile(0.99, sum by (le) (rate(a_bucket[2m]))) > 0.25", {"a_bucket"}),
        ('max(a{state="x"}) or vector(0)', {"a"}),
        ("a / on (instance) b:c unless d offset 5m", {"a", "b:c", "d", "m"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]) -> None:
    assert names_in(expression) - {"m"} == names - {"m"}


def test_every_alert_asks_for_figures_that_are_told() -> None:
    known = exported() | FOREIGN
    for name, rule in RULES.items():
        asked = names_in(rule["expr"])
        assert asked and asked <= known, f"{name}: nobody tells {asked - known}"


def test_the_board_asks_for_figures_that_are_told() -> None:
    known = exported() | FOREIGN
    for expression in board_expressions():
        asked = names_in(expression)
        assert asked and asked <= known, f"{expression}: nobody tells {asked - known}"


def test_every_figure_of_ours_is_on_the_board() -> None:
    shown = set().union(*map(names_in, board_expressions()))
    families = {re.sub(r"_(?:bucket|sum|count)$", "", name) for name in exported()}
    lacking = {name for name in families if not any(one.startswith(name) for one in shown)}
    assert not lacking


def test_the_board_is_whole() -> None:
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(numbers) == len(set(numbers))
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        assert panel["title"] and panel["fieldConfig"]["defaults"]["unit"]


async def test_the_figures_come_from_the_database(settings: Settings, owner: Connection, cast: Cast) -> None:
    """Overdue attempts and missing partitions are counted; the age of the figures starts anew with each look."""
    worker = GradingWorker(settings)
    await worker.db.open("grading")

    async def look() -> dict[str, float]:
        await worker.look()
        return {sample.name: sample.value for family in worker.metrics.collect() for sample in family.samples}

    async def runs_out(attempt_id: int, seconds_ago: int) -> None:
        await owner.execute(
            "UPDATE attempt SET state = 'started', epoch = 1, writer = 'w', started_at = now() - interval '2 hours', "
            "deadline = now() - $2 * interval '1 second' WHERE attempt_id = $1",
            attempt_id,
            seconds_ago,
        )

    try:
        before = await look()
        assert before["exam_attempts_overdue"] == 0 and before["exam_figures_age_seconds"] < 5
        people = [await cast.candidate(name) for name in ("chetan", "divya", "esha")]
        slot = await cast.slot(*people, grace_s=20)
        # Chetan's deadline, grace and the greatest age of a save are over; Divya's are not; Esha has not begun.
        await runs_out(slot.attempts["chetan"], 20 + round(OLDEST) + 2)
        await runs_out(slot.attempts["divya"], 20 + round(OLDEST) - 5)
        some_month = dt.date.today() + dt.timedelta(days=200)
        await owner.execute("UPDATE slot SET exam_day = $1", some_month)
        after = await look()
        assert after["exam_attempts_overdue"] == 1
        # attempt, answer, quarantine, event, submission and result of that month
        assert after["exam_partitions_missing"] == before["exam_partitions_missing"] + 6
    finally:
        await worker.db.close()
        await worker.state.close()


# Prometheus ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow  # where promtool is: in CI
def test_promtool_accepts_rules_and_configuration() -> None:
    promtool = tool("promtool", "prometheus")
    assert f"{len(RULES)} rules found" in told_by(promtool, "check", "config", "prometheus.yml")
    told_by(promtool, "check", "rules", "--lint=all", "--lint-fatal", "alerts.yml")


@pytest.mark.slow
def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in told_by(tool("promtool", "prometheus"), "test", "rules", "alerts_test.yml")


@pytest.mark.slow
def test_the_tests_of_the_alerts_have_teeth(tmp_path: Path) -> None:
    """A rule that cannot fire fails its test."""
    promtool = tool("promtool", "prometheus")
    shutil.copy(FOLDER / "alerts_test.yml", tmp_path)
    for name in RULES:
        rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
        for rule in rules["groups"][0]["rules"]:
            if rule["alert"] == name:
                rule["expr"] = f"({rule['expr']}) and vector(0) > 1"
        (tmp_path / "alerts.yml").write_text(yaml.safe_dump(rules))
        words = [promtool, "test", "rules", "alerts_test.yml"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode != 0, f"{name} may fall silent and no test sees it"


@pytest.mark.slow
def test_the_boards_expressions_are_promql(tmp_path: Path) -> None:
    rules = [
        {"record": f"board:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(board_expressions())
    ]
    (tmp_path / "board.yml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    told_by(tool("promtool", "prometheus"), "check", "rules", "board.yml", cwd=tmp_path)


def test_every_alert_says_what_to_do_here_and_in_the_table() -> None:
    table = set(re.findall(r"^\| (Exam\w+) \|", README, re.M))
    assert table == set(RULES)
    tests = (FOLDER / "alerts_test.yml").read_text("utf-8")
    for name, rule in RULES.items():
        assert rule["annotations"].keys() == {"summary", "action"} and rule["labels"]["severity"] in ("page", "ticket")
        assert re.search(r"Exam(?:Saves|Flush)Slow|ExamShedding", name) or name in tests


# systemd ------------------------------------------------------------------------------------------------------------

UNITS = sorted(FOLDER.glob("*.service"))


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """With the programs of this machine in the places of a hall host's."""
    verify = tool("systemd-analyze", "systemd")
    text = unit.read_text("utf-8").replace("/opt/exam/.venv/bin/exam", shutil.which("true") or "/bin/true")
    (tmp_path / unit.name).write_text(text.replace("/usr/sbin/nginx", shutil.which("true") or "/bin/true"))
    told = told_by(verify, "verify", "--man=no", f"./{unit.name}", cwd=tmp_path)
    # Of an unknown key it only warns.
    assert not [line for line in told.splitlines() if "exam-" in line], told


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_commands_of_the_units_exist(unit: Path) -> None:
    """Every option that a unit gives to `exam` is one."""
    for line in re.findall(r"^ExecStart=/opt/exam/\.venv/bin/exam (.+)$", unit.read_text("utf-8"), re.M):
        name, *words = line.split()
        known = {option for parameter in cli.main.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


def test_the_environment_file_knows_the_settings(tmp_path: Path) -> None:
    """As a shell reads it, and with the two secrets filled in, it is enough to start."""
    words = ["sh", "-c", 'set -a; . "$0"; env -0', FOLDER / "exam.env"]
    told = subprocess.run(words, capture_output=True, check=True, env={"PATH": os.environ["PATH"]}).stdout.decode()
    given = dict(line.split("=", 1) for line in told.split("\0") if line)
    names = {field.name.upper() for field in msgspec.structs.fields(Settings)}
    named = set(re.findall(r"^([A-Z_]+)=", (FOLDER / "exam.env").read_text(), re.M))
    assert named - names == {"METRICS_ADDRESS"}
    settings = read_settings(given | {"SECRET_KEY": "11" * 32, "RECEIPT_KEY": "22" * 32})
    assert settings.max_candidates == 24_000
    assert settings.database_staff_url.endswith("target_session_attrs=read-write&sslmode=verify-full")


def test_the_number_of_database_connections_is_the_one_that_is_told() -> None:
    database = Database(SETTINGS)
    web = sum(pool._size for pool in (database.saves, database.web, database.staff, database.author))
    assert f"{web} for each web worker, {database.grading._size} for each worker" in README
    assumed = Assumptions(candidates=1)
    assert (assumed.connections_per_web, assumed.connections_per_grader) == (web, database.grading._size)


# nginx --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for exam.example.in and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "exam.example.in")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now).not_valid_after(now + dt.timedelta(days=1)).sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = tmp_path / "tls.pem", tmp_path / "tls.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def run_exam(*words: str) -> subprocess.CompletedProcess[str]:
    exam = Path(sys.executable).parent / "exam"
    return subprocess.run([exam, *words], capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]})


def nginx_takes(config: str, folder: Path) -> None:
    """`nginx -t`; a ChildError with its words if it does not."""
    (folder / "nginx").mkdir(exist_ok=True)
    Nginx(folder / "nginx", config).prepare()


def test_the_readmes_command_gives_a_configuration_that_nginx_takes(
    certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    """Word for word, but for the files and the user of this machine."""
    found = re.search(r"exam (nginx-config .*?) > /etc/exam/nginx\.conf", README, re.S)
    assert found
    words = found[1].replace("\\\n", " ").replace("'", "").split()
    # `nginx -t` also binds, which needs rights, IPv6 and ports that nobody else has.
    addresses = ("0.0.0.0:443", "[::]:443", "0.0.0.0:80", "[::]:80")
    own = {address: f"127.0.0.1:{free_port()}" for address in addresses}
    own |= {"/etc/exam/tls.pem": str(certificate[0]), "/etc/exam/tls.key": str(certificate[1])}
    assert own.keys() <= set(words)
    temp = tmp_path / "cache"
    temp.mkdir()
    user = pwd.getpwuid(os.geteuid()).pw_name
    done = run_exam(*(own.get(word, word) for word in words), "--temp", str(temp), "--user", user)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("server unix:/run/exam/web0") == 4
    assert "server_name exam.example.in;" in done.stdout and "ssl_reject_handshake on;" in done.stdout
    nginx_takes(done.stdout, tmp_path)
    with pytest.raises(ChildError):
        nginx_takes(done.stdout.replace("least_conn;", "least_con;"), tmp_path)


def test_a_plain_configuration_for_a_test_host(tmp_path: Path) -> None:
    words = ["--listen", f"127.0.0.1:{free_port()}", "--upstream", "127.0.0.1:9001", "--temp", str(tmp_path)]
    words += ["--user", pwd.getpwuid(os.geteuid()).pw_name, "--processes", "3", "--connections", "640"]
    done = run_exam("nginx-config", *words)
    assert done.returncode == 0, done.stderr
    assert "worker_processes 3;" in done.stdout and "worker_connections 640;" in done.stdout
    assert "server 127.0.0.1:9001 max_fails=2" in done.stdout
    nginx_takes(done.stdout, tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--certificate", "a.pem"], "Give --certificate and --certificate-key together"),
        (["--redirect", "0.0.0.0:80"], "--redirect leads to https"),
        (["--server-name", "a; }"], "cannot stand in nginx's configuration"),
        (["--upstream", "/run/a b"], "cannot stand in nginx's configuration"),
        (["--user", "www-data; }"], "--user is the name of a user"),
        (["--temp", 'a"b'], "cannot use the path"),
    ],
)
def test_what_would_break_the_configuration_is_refused(words: list[str], says: str) -> None:
    done = run_exam("nginx-config", "--listen", "127.0.0.1:8080", "--upstream", "127.0.0.1:9001", *words)
    assert done.returncode != 0 and says in done.stderr and not done.stdout
