"""Real PostgreSQL and Valkey as child processes: any folder, any user, any kind of crash."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from arq.connections import RedisSettings
from redis import Redis

from exam import local
from exam.children import ChildError, free_port, listening, socket_folder
from exam.local import Postgres, Valkey

SMALL = "16MB"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Deeper than a socket's path may be long, with blanks and letters of another script."""
    return tmp_path.joinpath("दोन शब्द", *["a long name"] * 8)


@pytest.fixture
def postgres(folder: Path) -> Iterator[Postgres]:
    postgres = Postgres(folder / "postgres", shared_buffers=SMALL, settings={"fsync": "off"})
    yield postgres
    postgres.stop()


async def ask(postgres: Postgres, *statements: str) -> object:
    """Run them all in one connection; the value of the last."""
    connection = await asyncpg.connect(postgres.url("postgres", "postgres"))
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


def children(pid: int) -> list[int]:
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True).stdout
    return [int(one) for one, parent in (line.split() for line in table.splitlines()) if int(parent) == pid]


def alive(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()
    return bool(state) and not state.startswith("Z")


async def test_starts_in_any_folder_stops_cleanly_and_keeps_what_was_committed(postgres: Postgres) -> None:
    postgres.start()
    await ask(postgres, "CREATE TABLE kept (word text)", "INSERT INTO kept VALUES ('शब्द')", "SELECT 1")
    for name, value in {"synchronous_commit": "on", "wal_compression": "off", "max_connections": "100"}.items():
        assert await ask(postgres, f"SHOW {name}") == value
    assert await ask(postgres, "SHOW server_encoding") == "UTF8"
    assert await ask(postgres, "SHOW listen_addresses") == ""
    place = socket_folder(postgres.folder)
    postgres.stop()
    assert "database system is shut down" in postgres.log.read_text().splitlines()[-1]
    assert not place.exists()
    postgres.start()
    assert await ask(postgres, "SELECT word FROM kept") == "शब्द"
    assert "automatic recovery" not in postgres.log.read_text()


async def test_kill_ends_every_process_and_what_was_committed_is_there_again(postgres: Postgres) -> None:
    postgres.start()
    await ask(postgres, "CREATE TABLE kept (n int)", "INSERT INTO kept SELECT 7", "SELECT 1")
    connection = await asyncpg.connect(postgres.url("postgres", "postgres"))
    family = [postgres.pid, *children(postgres.pid)]
    assert len(family) > 4
    assert await connection.fetchval("SELECT pg_backend_pid()") in family
    postgres.kill()
    assert [pid for pid in family if alive(pid)] == []
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    postgres.start()
    assert await ask(postgres, "SELECT n FROM kept") == 7


async def test_starts_although_a_stranger_bears_the_pid_in_its_lock_file(postgres: Postgres) -> None:
    postgres.start()
    postgres.kill()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    try:
        lock = postgres.folder / "data" / "postmaster.pid"
        lock.write_text("\n".join([str(stranger.pid), *lock.read_text().splitlines()[1:], ""]))
        postgres.start()
        assert await ask(postgres, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


async def test_orphans_of_a_killed_starter_are_stopped_at_the_next_start(folder: Path, postgres: Postgres) -> None:
    starter = f"""
        import os, signal
        from pathlib import Path
        from exam.local import Postgres, Valkey
        folder = Path({str(folder)!r})
        postgres, valkey = Postgres(folder / "postgres", shared_buffers="16MB"), Valkey(folder / "valkey")
        postgres.start(), valkey.start()
        print(postgres.pid, valkey.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    words = [sys.executable, "-c", textwrap.dedent(starter)]
    killed = subprocess.run(words, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert killed.returncode == -signal.SIGKILL
    orphans = [int(pid) for pid in killed.stdout.split()]
    assert all(map(alive, orphans))
    with Valkey(folder / "valkey") as valkey:
        postgres.start()
        assert (postgres.orphan_stopped, valkey.orphan_stopped) == (True, True)
        assert not any(map(alive, orphans))
        assert await ask(postgres, "SELECT 1") == 1
    # It was asked, not killed: the orphan wrote everything down before it went.
    assert "automatic recovery" not in postgres.log.read_text()


async def test_an_interrupted_initdb_leaves_no_half_of_a_cluster(postgres: Postgres) -> None:
    half = postgres.folder / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    postgres.start()
    assert await ask(postgres, "SELECT 1") == 1
    assert not half.exists()


def test_a_cluster_of_another_version_is_not_touched(postgres: Postgres) -> None:
    data = postgres.folder / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9\n")
    with pytest.raises(ChildError, match=r"was made by PostgreSQL 9, but 1\d\.\d+ is installed\. Nothing was changed"):
        postgres.start()
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


async def test_a_port_asks_for_a_password_the_private_socket_does_not(folder: Path) -> None:
    port = free_port()
    with Postgres(folder / "postgres", port=port, shared_buffers=SMALL, settings={"fsync": "off"}) as postgres:
        await ask(postgres, "CREATE ROLE exam_web LOGIN PASSWORD 'a b'", "SELECT 1")
        who = {"host": "127.0.0.1", "port": port, "user": "exam_web", "database": "postgres"}
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(**who, password="wrong", ssl=False)
        connection = await asyncpg.connect(**who, password="a b", ssl=False)
        await connection.close()
        connection = await asyncpg.connect(postgres.url("exam_web", "postgres"))
        await connection.close()


async def test_as_root_it_runs_as_somebody_else_by_one_way_or_the_other(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second way is taken where the first is refused, as in most containers; without any there is a sentence."""
    refuse = tmp_path / "refuse"
    refuse.mkdir()
    monkeypatch.setenv("PATH", f"{refuse}:{os.environ['PATH']}")
    try:
        for program in ("", "unshare", "setpriv"):
            if program:
                (refuse / program).write_text("#!/bin/sh\nexit 1\n")
                (refuse / program).chmod(0o755)
            local._not_root.cache_clear()
            if program == "setpriv" and os.geteuid() == 0:
                with pytest.raises(ChildError, match="refuses to run as root, and neither"):
                    postgres.start()
            else:
                postgres.start()
                assert await ask(postgres, "SELECT 1") == 1
                postgres.stop()
    finally:
        local._not_root.cache_clear()


def test_valkey_keeps_its_state_through_a_kill(folder: Path) -> None:
    with Valkey(folder / "state") as valkey:
        client = Redis.from_url(valkey.url())
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        client.set("session", "शब्द")
        assert Redis.from_url(valkey.url(1)).get("session") is None
        assert RedisSettings.from_dsn(valkey.url(1)).unix_socket_path == str(valkey.socket)
        valkey.kill()
        assert not listening(valkey.socket)
        valkey.start()
        assert client.get("session") == "शब्द".encode()
        valkey.restart()
        assert client.get("session") == "शब्द".encode()
        client.close()


def test_valkey_as_a_cache_evicts_and_forgets(folder: Path) -> None:
    port = free_port()
    with Valkey(folder, policy="allkeys-lfu", appendonly=False, maxmemory="64mb", port=port, name="cache") as valkey:
        client = Redis(port=port)
        asked = client.config_get("maxmemory*", "appendonly")
        assert asked["maxmemory-policy"] == "allkeys-lfu"
        assert asked["maxmemory"] == str(64 * 2**20)
        client.set("paper", "bytes")
        valkey.restart()
        assert client.get("paper") is None
        client.close()
    assert (folder / "cache.log").exists()


def test_what_is_not_installed_is_told() -> None:
    with pytest.raises(ChildError, match=r"package no_such_wheel is not installed.*DATABASE_URL"):
        local.packaged("no_such_wheel", "bin/program")


def test_a_packaged_program_is_made_executable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "some_wheel" / "bin" / "program"
    program.parent.mkdir(parents=True)
    (tmp_path / "some_wheel" / "__init__.py").write_text("raise SystemExit('imported')")
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o644)
    monkeypatch.syspath_prepend(tmp_path)
    assert subprocess.run([local.packaged("some_wheel", "bin/program")], capture_output=True).stdout == b"hello\n"
