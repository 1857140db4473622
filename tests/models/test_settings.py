"""What a study file may say about a model, and what is refused by name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from metasight.models.settings import ModelSettings, file_name


def model(**changes):
    return ModelSettings(**{"kind": "elastic_net_cox", "name": "fusion", **changes})


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Fusion (H&E + CT)", "fusion_h_e_ct"),
        ("NPI", "npi"),
        ("…", "model"),
        ("Äpfel 2", "pfel_2"),
        ("../../etc", "etc"),
    ],
)
def test_a_file_name_holds_letters_digits_and_underscores_only(name, file):
    assert file_name(name) == file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"penalty_factors": {"genes": 1.0}}, "penalty_factors names modalities.*genes"),
        ({"harmonise": ("spatial",)}, "harmonise names modalities.*spatial"),
        ({"features": ("age", "age")}, "names one feature twice"),
        ({"kind": "attention_mil"}, "attention_mil reads the modality"),
        ({"kind": "scan_network"}, "scan_network reads the modality"),
        ({"penalty_factors": {"clinical": -1.0}}, "greater than or equal to 0"),
        ({"l1_ratios": (0.5, 1.1)}, "less than or equal to 1"),
        ({"l1_ratios": ()}, "at least 1 item"),
        ({"modalities": ()}, "at least 1 item"),
        ({"least_reliability": 1.0}, "less than 1"),
        ({"inner_folds": 2}, "greater than or equal to 3"),
        ({"kind": "coxph"}, "Input should be"),
        ({"colour": "red"}, "Extra inputs"),
        ({"knots": 2}, "Input should be 3, 4 or 5"),
        (
            {"kind": "modality_ridge", "penalty_factors": {"clinical": 0.5}},
            "modality_ridge chooses the penalty of clinical itself; only 0",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        model(**changes)


def test_a_modality_may_be_left_unpenalised():
    found = model(modalities=("clinical", "genes"), penalty_factors={"clinical": 0.0})
    assert found.penalty_factors == {"clinical": 0.0}


def test_abstention_may_rest_on_what_the_model_does_not_read():
    assert model(abstain_by=("acquisition",)).abstain_by == ("acquisition",)


def test_a_published_backbone_needs_its_file_and_hash():
    with pytest.raises(ValidationError, match="resnet18 needs weights"):
        model(kind="scan_network", modalities=("crop",), scan_network={"backbone": "resnet18"})
    for wrong in ("abc", "g" * 64):
        with pytest.raises(ValidationError, match="sha256"):
            model(scan_network={"weights": {"path": "w.pt", "sha256": wrong}})


def test_settings_do_not_change_once_they_are_read():
    with pytest.raises(ValidationError, match="frozen"):
        model().name = "another"
