"""Imports point down only; each library has one home; no module owns nothing."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# From the ground up: a module may import those above it in this list, never those below. Names in one line know nothing
# of each other.
FLOORS = [
    ["settings", "errors", "logs", "signals", "processes", "metrics", "tickets", "journals"],
    ["children"],
    ["db", "cache", "local", "supervisor"],
    ["jobs", "nginx", "migrations", "turns"],
    ["imports.report", "imports.html", "imports.maths"],
    ["imports.encoding", "imports.texts", "imports.pictures", "imports.elements"],
    ["imports.making"],
    ["imports.columns", "imports.gift_syntax", "imports.cloze", "imports.moodle_question"],
    ["imports.moodle_gaps"],
    ["imports.gift", "imports.aiken", "imports.moodle_xml", "imports.candidates"],
    ["imports.bilingual", "imports.formats", "imports.tables"],
    ["exports"],
    ["receipts", "timing", "auth", "browsers"],
    ["audit", "answers", "items", "roster", "papers", "stack"],
    ["attempts", "exams"],
    ["submissions", "events"],
    ["results", "sittings", "slots", "banks", "analyses"],
    ["grants", "notices", "monitor", "checks", "envelopes", "handovers", "statistics"],
    ["hall", "worker", "seed"],
    ["web.catalogues", "web.joining", "web.bare", "web.forms"],
    ["web.candidate", "web.files", "web.health", "web.guards"],
    ["web.pages"],
    ["web.refusals"],
    ["web.admin", "web.author", "web.invigilator", "web.planning", "web.receipts", "web.staff"],
    ["web.analyses"],
    ["app"],
    ["demo"],
    ["cli"],
]

# The only modules that may import a library; a folder stands for its modules.
HOMES = {
    "asyncpg": {"exam.db", "exam.checks", "exam.cli"},
    "redis": {"exam.cache", "exam.jobs", "exam.worker"},
    "arq": {"exam.jobs", "exam.worker"},
    "litestar": {"exam.app", "exam.web"},
    "uvicorn": {"exam.app"},
    "jinja2": {"exam.nginx", "exam.web"},
    "argon2": {"exam.auth"},
    "cryptography": {"exam.receipts", "exam.papers", "exam.journals", "exam.envelopes"},
    "prometheus_client": {"exam.metrics"},
    "nh3": {"exam.imports"},
    # One parser, with its refusals and bounds.
    "xml": {"exam.imports.elements"},
    "latex2mathml": {"exam.imports"},
    "openpyxl": {"exam.exports", "exam.imports.tables"},
    "brotli": {"exam.web.files"},
    "click": {"exam.cli"},
    "numpy": {"grading.statistics"},
}


def modules(package):
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, path, ast.parse(path.read_text("utf-8"))


def imports(tree):
    """Every module that is imported, also inside functions; names of `from package import name` with their package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


KNOWN = {name for name, _, _ in modules("exam")}


def test_every_module_has_its_floor():
    placed = [f"exam.{name}" for floor in FLOORS for name in floor]
    assert len(placed) == len(set(placed))
    packages = {"exam", "exam.web", "exam.imports"}
    assert set(placed) == KNOWN - packages


def test_imports_point_down():
    level = {f"exam.{name}": number for number, floor in enumerate(FLOORS) for name in floor}
    for name, _, tree in modules("exam"):
        for wanted in imports(tree):
            if wanted in level and name in level:
                assert level[wanted] < level[name], f"{name} imports {wanted}, which is not below it"


def test_grading_is_pure_and_nobody_below_knows_the_exam():
    allowed = {"msgspec", "grading", "numpy"}
    clocks = {"time", "datetime", "socket", "os", "random", "asyncio", "pathlib"}
    for name, _, tree in modules("grading"):
        for wanted in imports(tree):
            top = wanted.partition(".")[0]
            assert top in allowed or top in sys.stdlib_module_names, f"{name} imports {wanted}"
            assert top not in clocks, f"{name} is not pure: {wanted}"


def test_each_library_has_one_home():
    for name, _, tree in [*modules("exam"), *modules("grading")]:
        for wanted in imports(tree):
            homes = HOMES.get(wanted.partition(".")[0])
            if homes is not None:
                assert any(name == home or name.startswith(f"{home}.") for home in homes), f"{name} imports {wanted}"


def test_a_web_worker_needs_no_numpy():
    program = "import sys, exam.app; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0


def test_no_worker_carries_what_only_spreadsheets_need():
    for name, _, tree in modules("exam"):
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        assert not any(wanted.partition(".")[0] == "openpyxl" for wanted in imports(top)), f"{name} imports it at once"


def test_no_module_owns_nothing():
    for package in ("exam", "grading", "loadtest"):
        for name, path, tree in modules(package):
            assert path.stem not in {"utils", "util", "helpers", "common", "core", "base", "misc"}, name
            assert ast.get_docstring(tree), f"{name} does not say what it is for"
