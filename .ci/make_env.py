"""`make env` and `make lock`: the environment in .venv from the lock, and the lock from pyproject.toml.

Runs under the machine's own Python before anything is installed. Indexes, certificates and proxies are the user's
own pip configuration: uv does not read that, so it is handed on. No address of an index ever gets into a lock.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

VENV = Path(".venv")
LOCK, UV_LOCK, PROJECT = Path(".ci/requirements.lock"), Path(".ci/requirements-uv.lock"), Path("pyproject.toml")

# gevent (of locust) has no wheels any more for the oldest Python on macOS.
CONSTRAINTS = "gevent<25.8 ; sys_platform == 'darwin' and python_version < '3.12'\n"


def main(what: str) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older one is told
        found = ".".join(map(str, sys.version_info[:2]))
        sys.exit(
            f"Python 3.11 or later is needed, and this one is {found}: install a newer one and name it, for "
            "instance `make demo PYTHON=python3.12`."
        )
    os.chdir(Path(__file__).resolve().parent.parent)
    make_env()
    if what == "lock":
        make_lock()


def make_env() -> None:
    """Nothing at all if the locks, pyproject.toml, Python and the place are those of the last time."""
    stamp, python = VENV / "made-from", VENV / "bin" / "python"
    wanted = [f"{sys.version_info[:2]} {VENV.resolve()}", digest(LOCK, UV_LOCK), digest(PROJECT)]
    made = stamp.read_text("utf-8").splitlines() if stamp.exists() and python.exists() else [""]
    if made == wanted:
        return
    stamp.unlink(missing_ok=True)
    if made[0] != wanted[0]:
        print("Making .venv and installing what is locked; the first time this takes a minute or so.", flush=True)
        if subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], check=False).returncode:
            sys.exit(
                "This Python cannot make virtual environments. On Debian and Ubuntu install the package python3-venv, "
                "elsewhere a complete Python, and try again."
            )
    if made[:2] != wanted[:2]:
        run(str(python), "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "-r", str(UV_LOCK))
        flags, settings = uv_settings(str(python))
        uv(settings, "pip", "sync", *flags, "--require-hashes", str(LOCK))
    # Built by the locked setuptools in the environment, so that nothing is fetched for it.
    uv({}, "pip", "install", "-q", "--offline", "--no-deps", "--no-build-isolation", "-e", ".")
    stamp.write_text("\n".join(wanted), "utf-8")


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"|".join(path.read_bytes() for path in paths)).hexdigest()


def make_lock() -> None:
    """Versions and hashes for every platform, from the main index alone: a local one may hold some wheels only."""
    import tomllib

    _, settings = uv_settings(str(VENV / "bin" / "python"))
    for several in ("UV_INDEX", "UV_FIND_LINKS"):
        settings.pop(several, None)
    build = tomllib.loads(PROJECT.read_text("utf-8"))["build-system"]["requires"]
    with tempfile.TemporaryDirectory() as folder:
        more, limits = Path(folder, "build.in"), Path(folder, "limits.in")
        more.write_text("\n".join(build), "utf-8")
        limits.write_text(CONSTRAINTS, "utf-8")
        extras = ["--extra", "local", "--extra", "dev"]
        compile_lock(settings, LOCK, [str(PROJECT), str(more), *extras, "-c", str(limits)])
        version = re.search(r"^uv==\S+", LOCK.read_text("utf-8"), re.MULTILINE)
        if version is None:
            sys.exit(f"uv is not in {LOCK}: it has to be in the extra `dev`.")
        more.write_text(version[0], "utf-8")
        compile_lock(settings, UV_LOCK, [str(more)])


def compile_lock(settings: dict[str, str], lock: Path, words: list[str]) -> None:
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    quiet = ["-q", "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    wide = ["--universal", "--python-version", "3.11", "--generate-hashes"]
    uv(settings, "pip", "compile", *quiet, *wide, *upgrade, "-o", str(lock), *words)
    if "://" in lock.read_text("utf-8"):
        sys.exit(f"There is an address in {lock}; it must not be kept like that.")


def uv_settings(python: str) -> tuple[list[str], dict[str, str]]:
    """What pip is configured to do, for uv: its flags, and environment variables that are not set already."""
    listed = subprocess.run(
        [python, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    pip: dict[str, list[str]] = {}
    # As in pip: what is said for `install` goes before what is said in general, and the environment before both.
    for section in ("global", "install", ":env:"):
        for name, value in re.findall(rf"^{section}\.([a-z-]+)=(.*)$", listed, re.MULTILINE):
            pip[name] = str(ast.literal_eval(value)).split()
    found = {
        "UV_DEFAULT_INDEX": " ".join(pip.get("index-url", [])),
        "UV_INDEX": " ".join(pip.get("extra-index-url", [])),
        "UV_FIND_LINKS": ",".join(pip.get("find-links", [])),
        "UV_INSECURE_HOST": " ".join(pip.get("trusted-host", [])),
        "UV_HTTP_TIMEOUT": " ".join(pip.get("timeout", pip.get("default-timeout", []))),
        "SSL_CERT_FILE": " ".join(pip.get("cert", [])),
        "ALL_PROXY": " ".join(pip.get("proxy", [])),
        # Like pip: any of the indexes may have the version. Which file it is, the hashes decide.
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    offline = ["--no-index"] if pip.get("no-index", ["0"])[0].lower() in ("1", "true", "yes", "on") else []
    return offline, {name: value for name, value in found.items() if value and name not in os.environ}


def uv(settings: dict[str, str], *words: str) -> None:
    run(str(VENV / "bin" / "uv"), *words, "--python", str(VENV / "bin" / "python"), more=settings)


def run(*words: str, more: dict[str, str] | None = None) -> None:
    code = subprocess.run(words, env={**os.environ, **(more or {})}, check=False).returncode
    if code:
        sys.exit(f"This did not work: {' '.join(words)}\nSee above for why. Nothing else was changed; try again.")


if __name__ == "__main__":
    main(sys.argv[1])
