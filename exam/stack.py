"""The processes of a whole exam hall on one machine, as children: for the demo, the fault tests and the load tests."""

import asyncio
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from exam.children import Child, socket_folder
from exam.db import connect
from exam.local import Postgres, Valkey
from exam.nginx import Nginx, nginx_config
from exam.settings import Settings

STATIC: Final = Path(__file__).resolve().parent.parent / "static"
DATABASE: Final = "exam"


def server_urls(postgres: Postgres | None, valkey: Valkey | None) -> dict[str, str]:
    """The URLs of these servers by the names of the settings; each database role has its own."""
    urls: dict[str, str] = {}
    if postgres is not None:
        urls["database_url"] = postgres.url("postgres", DATABASE)
        for role in ("web", "staff", "author", "grading"):
            urls[f"database_{role}_url"] = postgres.url(f"exam_{role}", DATABASE)
    if valkey is not None:
        urls |= {"redis_state_url": valkey.url(0), "redis_cache_url": valkey.url(1)}
    return urls


def create_database(postgres: Postgres) -> None:
    """The database of the hall in a new cluster; nothing if it is there."""

    async def create() -> None:
        connection = await connect(postgres.url("postgres", "postgres"))
        try:
            if not await connection.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    asyncio.run(create())


def environment(settings: Settings) -> dict[str, str]:
    """The settings as environment variables for a child."""
    plain = msgspec.structs.asdict(settings)
    return {name.upper(): str(value) for name, value in plain.items() if not isinstance(value, bool)}


def _exam() -> Path:
    return Path(sys.executable).parent / "exam"


def web_worker(folder: Path, number: int, settings: Settings, metrics_port: int | None = None) -> Child:
    """A web worker that listens on `web_socket(folder, number)`."""
    path = web_socket(folder, number)
    words: list[str | Path] = [_exam(), "serve", "--socket", str(path)]
    if metrics_port is not None:
        words += ["--metrics-port", str(metrics_port)]
    return Child(f"web{number}", folder / "web", words, env=environment(settings), socket=path)


def web_socket(folder: Path, number: int) -> Path:
    """Where the web worker of this number listens."""
    return socket_folder(folder) / f"web{number}.sock"


def grading_worker(folder: Path, settings: Settings, number: int = 1, metrics_port: int | None = None) -> Child:
    """A worker that seals and grades."""
    words: list[str | Path] = [_exam(), "worker"]
    if metrics_port is not None:
        words += ["--metrics-port", str(metrics_port)]
    return Child(f"worker{number}", folder / "web", words, env=environment(settings))


def balancer(folder: Path, port: int, workers: int, **options: Any) -> Nginx:
    """nginx at 127.0.0.1:`port` before so many web workers; `options` are nginx_config's."""
    temp = folder / "nginx"
    temp.mkdir(parents=True, exist_ok=True)
    upstreams = [web_socket(folder, number) for number in range(1, workers + 1)]
    config = nginx_config(listen=[f"127.0.0.1:{port}"], upstreams=upstreams, static=STATIC, temp=temp, **options)
    return Nginx(temp, config)
