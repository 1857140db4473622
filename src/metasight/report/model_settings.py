"""Which settings of a model are printed: those that its kind reads, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metasight.models.published import SCORES

TUNED = {"elastic_net_cox", "logistic", "ordinal", "stacked", "modality_ridge"}
NETWORKS: Mapping[str, frozenset[str]] = {
    "network": frozenset({"attention_mil", "fused_network", "stacked"}),
    "scan_network": frozenset({"scan_network", "stacked"}),
}
"""Settings of networks, and the kinds that read them."""


def settings_read(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """A model's settings without those that its kind does not read or that are not set."""
    return {k: v for k, v in settings.items() if _read(kind, k) and not _empty(v)}


def _read(kind: str, setting: str) -> bool:
    """Whether a kind of model reads a setting (see ``metasight.models.settings``)."""
    if setting in {"kind", "name", "modalities"}:
        return False
    if kind in SCORES:
        return setting == "endpoints"
    if setting == "n_trees":
        return kind == "forest"
    if setting in {"splines", "knots"}:
        return kind != "forest"
    if setting == "l1_ratios" and kind == "modality_ridge":
        return False  # a ridge: there is no mix to choose
    if setting in {"l1_ratios", "inner_folds", "penalty_factors"}:
        return kind in TUNED
    if setting in NETWORKS:
        return kind in NETWORKS[setting]
    return True


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, list | tuple | dict) and not value)
