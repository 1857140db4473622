"""Settings are printed where the kind of model reads them."""

from __future__ import annotations

import pytest

from metasight.models.settings import ModelSettings
from metasight.report.model_settings import settings_read


def printed(kind: str, **settings: object) -> set[str]:
    model = ModelSettings.model_validate({"kind": kind, "name": "m", **settings})
    return set(settings_read(kind, model.model_dump(mode="json")))


def test_a_plain_cox_model_has_no_network_trees_or_penalty() -> None:
    assert printed("cox") == {"splines", "imputation"}


def test_a_forest_has_trees_and_no_splines() -> None:
    assert printed("forest") == {"imputation", "n_trees"}


def test_a_published_score_is_as_published() -> None:
    assert printed("npi") == set()


@pytest.mark.parametrize("kind", ["elastic_net_cox", "logistic"])
def test_penalised_models_show_how_the_penalty_was_chosen(kind: str) -> None:
    assert {"l1_ratios", "inner_folds"} <= printed(kind)
    assert printed(kind, penalty_factors={"clinical": 0.0}) - printed(kind) == {"penalty_factors"}


def test_a_ridge_by_modality_has_no_mix() -> None:
    shown = printed("modality_ridge", penalty_factors={"clinical": 0.0})
    assert {"inner_folds", "penalty_factors"} <= shown
    assert not shown & {"l1_ratios", "network", "n_trees"}


def test_networks_are_shown_where_they_are_trained() -> None:
    stacked = printed("stacked", modalities=["clinical", "embedding"])
    assert {"network", "scan_network"} <= stacked
    assert "network" in printed("attention_mil", modalities=["embedding"])
    assert "scan_network" not in printed("attention_mil", modalities=["embedding"])
