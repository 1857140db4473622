"""A state that no fit can have left is refused by name: one edit at a time, at every place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.outcome import NodalOutcome, SurvivalOutcome
from metasight.errors import FitError, MetasightError
from metasight.features.columns import Feature, FeatureTable, Kind
from metasight.models.registry import build, load
from metasight.models.settings import ModelSettings

HORIZONS = np.array([365, 1826])


def table(n: int = 120) -> FeatureTable:
    rng = np.random.default_rng(0)
    values = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n),
            "size": rng.gamma(5, 5, n),
            "er": rng.integers(0, 2, n).astype(float),
            "gene": rng.normal(size=n),
        },
        index=[f"P{k}" for k in range(n)],
    )
    features = (
        Feature(name="age", kind=Kind.CONTINUOUS, spline=True),
        Feature(name="size", kind=Kind.CONTINUOUS),
        Feature(name="er", kind=Kind.BINARY),
        Feature(name="gene", kind=Kind.CONTINUOUS, modality="genes"),
    )
    return FeatureTable(values, features)


def follow_up(n: int = 120, *, competing: bool = False) -> SurvivalOutcome:
    rng = np.random.default_rng(1)
    status = rng.integers(0, 3 if competing else 2, n).astype(np.int8)
    return SurvivalOutcome(rng.uniform(30, 3000, n).round(), status)


def nodes(n: int = 120) -> NodalOutcome:
    return NodalOutcome(np.random.default_rng(2).integers(0, 3, n).astype(np.int8))


SPECIFICATIONS = {
    "cox": (ModelSettings(kind="cox", name="m"), follow_up()),
    "csc": (ModelSettings(kind="cause_specific_cox", name="m"), follow_up(competing=True)),
    "fine_gray": (ModelSettings(kind="fine_gray", name="m"), follow_up(competing=True)),
    "forest": (ModelSettings(kind="forest", name="m", n_trees=10), follow_up()),
    "nodal forest": (ModelSettings(kind="forest", name="m", n_trees=10), nodes()),
    "logistic": (ModelSettings(kind="logistic", name="m"), nodes()),
    "ordinal": (
        ModelSettings(kind="ordinal", name="m", abstain_by=("clinical",)),
        nodes(),
    ),
    "modality ridge": (
        ModelSettings(kind="modality_ridge", name="m", modalities=("clinical", "genes")),
        follow_up(competing=True),
    ),
    "nodal modality ridge": (
        ModelSettings(kind="modality_ridge", name="m", modalities=("clinical", "genes")),
        nodes(),
    ),
    "stacked": (
        ModelSettings(kind="stacked", name="m", modalities=("clinical", "genes")),
        follow_up(),
    ),
}


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Any]]:
    found = {}
    for name, (settings, outcome) in SPECIFICATIONS.items():
        fitted = build(settings).fit(table(), outcome, seed=1)
        found[name] = json.loads(json.dumps(fitted.state))
    return found


def places(node: Any, path: tuple = ()) -> Iterator[tuple]:
    """Places of a state: every table's entry, and the first and last of every list."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key)
            yield from places(value, (*path, key))
    elif isinstance(node, list) and node:
        for k in dict.fromkeys((0, len(node) - 1)):
            yield (*path, k)
            yield from places(node[k], (*path, k))


def edits(value: Any) -> Iterator[Any]:
    if isinstance(value, bool) or value is None:
        yield "x"
    elif isinstance(value, int | float):
        yield from (-value - 1, float("inf"), 10**9, "x", None)
    elif isinstance(value, str):
        yield from ("no such thing", 3)
    elif isinstance(value, list):
        yield from ([], value[:-1], [*value, *value[-1:]], "x", None)
    else:
        yield from ({}, [], None)


def edited(state: dict, path: tuple, value: Any) -> dict:
    made = copy.deepcopy(state)
    node = made
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return made


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_what_was_fitted_loads_and_predicts_as_before(states, name):
    fitted = load(states[name])
    again = load(json.loads(json.dumps(states[name])))
    np.testing.assert_array_equal(
        fitted.predict(table(), HORIZONS), again.predict(table(), HORIZONS)
    )


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_an_edit_is_refused_by_name_or_gives_risks(states, name):
    """No raw exception, no endless tree, no risk outside 0 to 1 or that falls with time."""
    state = states[name]
    patients = table(12)
    tried = refused = 0
    for path in places(state):
        node: Any = state
        for key in path:
            node = node[key]
        for value in edits(node):
            tried += 1
            try:
                risk = load(edited(state, path, value)).predict(patients, HORIZONS)
            except MetasightError:
                refused += 1
                continue
            except (KeyError, TypeError, ValueError, IndexError, AttributeError):
                # a bundle's reader names these too; see metasight.bundle.read
                refused += 1
                continue
            assert np.isfinite(risk).all(), (path, value)
            assert (risk >= -1e-12).all(), (path, value)
            assert (risk <= 1 + 1e-12).all(), (path, value)
            if not isinstance(SPECIFICATIONS[name][1], NodalOutcome):
                assert (np.diff(risk, axis=1) >= -1e-12).all(), (path, value)
    assert tried > 100
    assert refused > tried / 4


@pytest.mark.parametrize(
    ("name", "path", "value", "said"),
    [
        ("cox", ("head", "causes", 0, "increments", 0), -0.1, "negative"),
        ("cox", ("head", "causes", 0, "times", 1), 0.0, "does not rise"),
        ("cox", ("head", "causes", 0, "coefficients", 0), float("inf"), "not finite"),
        ("cox", ("head", "causes", 0, "coefficients"), [1.0], "1 coefficients for"),
        ("csc", ("head", "scale"), "survival", "2 causes for survival"),
        ("forest", ("head", "trees", 0, "left", 0), 0, "leads back"),
        ("forest", ("head", "trees", 0, "right", 0), 10**6, "leads back or out"),
        ("forest", ("head", "edges", 0), -5.0, "not above 0"),
        ("ordinal", ("head", "thresholds"), [1.0, 0.0], "thresholds does not rise"),
        ("ordinal", ("likeness", "limit"), 0.0, "limit lies outside"),
        ("logistic", ("head", "n2_share"), 1.5, "n2_share lies outside 0 to 1"),
        ("stacked", ("reader", "scale", 0), 0.0, "scale is not above 0"),
        ("stacked", ("reader", "positions", 0, 0), 9, "reads a model that it does not have"),
    ],
)
def test_each_fault_has_its_name(states, name, path, value, said):
    with pytest.raises(FitError, match=said):
        load(edited(states[name], path, value))
