"""The history checker's teeth: each planted defect is caught, and what was planted around it comes out clean."""

import pytest

from loadtest.defects import DEFECTS, SCENES
from tests.loadtest.test_history import checked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.parametrize("scene", SCENES)
def test_scene_alone_is_clean(tmp_path, scene):
    code, text, figures = checked(tmp_path, "--defect", f"scene:{scene}", "--seed", "5", timeout=140)
    print(text)
    assert code == 0, text
    assert figures["attempts"] > 30 and figures["acknowledged_saves"] > 300


@pytest.mark.parametrize("name", DEFECTS)
def test_defect_is_caught(tmp_path, name):
    code, text, figures = checked(tmp_path, "--defect", name, "--seed", "5", timeout=140)
    print(text)
    caught = [check for check in DEFECTS[name].caught_by if figures["checks"][check]["violations"]]
    assert code == 1 and caught, f"{DEFECTS[name].wrong}: nobody noticed\n{text}"
