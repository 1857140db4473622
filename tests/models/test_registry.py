import subprocess
import sys

import pytest
from pydantic import ValidationError

from metasight.features.columns import Feature, Kind
from metasight.models.registry import (
    KINDS,
    ModelSettings,
    associations,
    build,
    outcomes_of,
    reads,
    refits_cheaply,
)


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


FEATURES = (
    Feature(name="grade", kind=Kind.ORDINAL),
    Feature(name="g1", kind=Kind.CONTINUOUS, modality="genes"),
    Feature(name="g1_error", kind=Kind.CONTINUOUS, modality="genes", error_of="g1"),
    Feature(name="tumour_size_mm", kind=Kind.CONTINUOUS, modality="additional"),
)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"kind": "cox"}, ("grade",)),
        ({"kind": "cox", "modalities": ("clinical", "genes")}, ("grade", "g1")),
        ({"kind": "cox", "modalities": ("genes",), "features": ("other",)}, ()),
        ({"kind": "npi"}, ("grade", "tumour_size_mm")),
    ],
)
def test_what_a_model_reads_is_its_modalities_features_or_a_score_s_inputs(settings, names):
    assert reads(ModelSettings(name="m", **settings), FEATURES) == names


@pytest.mark.parametrize(
    ("kind", "modalities", "cheap"),
    [
        ("elastic_net_cox", ("clinical", "genes"), True),
        ("npi", ("clinical",), True),
        ("forest", ("clinical",), False),
        ("fused_network", ("clinical",), False),
        ("stacked", ("clinical", "embedding"), False),
    ],
)
def test_forests_networks_and_models_of_images_do_not_refit_cheaply(kind, modalities, cheap):
    settings = ModelSettings(kind=kind, name="m", modalities=modalities)
    assert refits_cheaply(settings) == cheap


def test_associations_are_of_straight_terms_and_a_published_score_has_none():
    found = associations(ModelSettings(kind="elastic_net_cox", name="m", splines=True))
    assert found is not None
    assert not found.design.splines
    assert found.full_rank
    assert associations(ModelSettings(kind="npi", name="m")) is None
