"""The clinical features of a study: the predictors of its data dictionary that its table holds."""

from __future__ import annotations

import pandas as pd

from metasight.errors import FitError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.protocol.study import Protocol, Variable

CLINICAL, ADDITIONAL = "clinical", "additional"


def clinical_features(table: pd.DataFrame, protocol: Protocol) -> FeatureTable:
    """Predictors as features; nothing is fitted.

    Predictors that the protocol lists in ``clinical_predictors`` have modality ``clinical`` and
    make the clinical reference model. Others have modality ``additional``: published scores
    read them, models only if they ask for that modality.

    Parameters
    ----------
    table
        Canonical values of the population.
    protocol
        Its data dictionary.

    Raises
    ------
    FitError
        The table holds no predictor.
    """
    features = tuple(
        _feature(variable, clinical=name in protocol.clinical_predictors)
        for name, variable in protocol.variables.items()
        if variable.role == "predictor" and name in table
    )
    if not features:
        raise FitError(
            "the table holds no predictor of the protocol",
            remedy=f"Map some of {', '.join(protocol.clinical_predictors)} in [columns]",
        )
    return FeatureTable(table[[f.name for f in features]].copy(), features)


def _feature(variable: Variable, *, clinical: bool) -> Feature:
    few = variable.maximum is not None and variable.maximum <= 5
    kind = {
        "boolean": Kind.BINARY,
        "category": Kind.CATEGORICAL,
        "integer": Kind.ORDINAL if few else Kind.CONTINUOUS,
    }.get(variable.type, Kind.CONTINUOUS)
    return Feature(
        name=variable.name,
        kind=kind,
        modality=CLINICAL if clinical else ADDITIONAL,
        unit=variable.unit,
        levels=variable.values,
        spline=variable.spline and kind is Kind.CONTINUOUS,
    )
