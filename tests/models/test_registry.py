import subprocess
import sys

import pytest
from pydantic import ValidationError

from metasight.models.registry import KINDS, ModelSettings, build, outcomes_of


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_builds_under_its_own_name(kind):
    of_images = {"attention_mil": ("embedding",), "scan_network": ("scan_network",)}
    modalities = of_images.get(kind, ("clinical", "genes"))
    model = build(ModelSettings(kind=kind, name="mine", modalities=modalities))
    assert model.name == "mine"
    assert outcomes_of(kind) <= {"survival", "competing", "nodal"}
    assert outcomes_of(kind)


def test_settings_are_frozen_and_checked():
    settings = ModelSettings(kind="cox", name="a")
    with pytest.raises(ValidationError):
        settings.name = "b"
    for wrong in (
        {"kind": "coxx", "name": "a"},
        {"kind": "cox", "name": ""},
        {"kind": "cox", "name": "a", "l1_ratios": (1.5,)},
        {"kind": "cox", "name": "a", "penalty_factors": {"genes": 1.0}},
        {"kind": "cox", "name": "a", "features": ("x", "x")},
        {"kind": "cox", "name": "a", "unheard_of": 1},
    ):
        with pytest.raises(ValidationError):
            ModelSettings(**wrong)


def test_importing_the_registry_leaves_the_heavy_libraries_out():
    code = (
        "import sys, metasight.models.registry;"
        "print([m for m in ('greenwood', 'sklearn', 'matplotlib', 'torch', 'SimpleITK')"
        " if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
