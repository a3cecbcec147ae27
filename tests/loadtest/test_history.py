"""The history checker on a whole hall: whatever falls, nothing that was acknowledged is lost, and every rule holds."""

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def checked(folder, *words, timeout):
    """A run of the command; its exit code, its text and its figures."""
    figures = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "loadtest.history", "--json", figures, *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert figures.exists(), done.stdout + done.stderr
    return done.returncode, done.stdout, json.loads(figures.read_text())


@pytest.mark.timeout(180)
def test_twenty_seconds_of_trouble(tmp_path):
    code, text, figures = checked(tmp_path, "--seconds", "20", "--candidates", "20", timeout=150)
    print(text)
    assert code == 0, text
    assert figures["acknowledged_saves"] > 500 and figures["faults"] >= 4
    assert all(check["looked"] for check in figures["checks"].values()), "no rule went unasked"


@pytest.mark.timeout(480)
def test_every_rule_holds_through_all_kinds_of_faults(tmp_path):
    code, text, figures = checked(tmp_path, timeout=420)
    print(text)
    assert code == 0, text
    assert figures["acknowledged_saves"] >= 20_000
    assert figures["faults"] >= 40 and len(figures["kinds"]) >= 8
