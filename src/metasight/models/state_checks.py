"""Whether a stored state can be a fitted model at all.

A state comes from a file that somebody else wrote. Before it becomes a model it is checked for what
every fit of this package holds: numbers are finite, parts are as long as what they go with, times
rise, hazards are not negative, a tree's branches lead on and end. A state that fails gives no
sensible risk to anybody, and is refused by name here rather than in a patient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.errors import FitError

Floats = NDArray[np.float64]


def check_state(state: Mapping[str, Any]) -> None:
    """Refuse a state that no fit can have left.

    Models within it (of a stack) are checked when they are loaded in their turn.

    Raises
    ------
    FitError
        What is wrong with it.
    """
    head, reader = _part(state, "head"), _part(state, "reader")
    check = _HEADS.get(str(head.get("kind")))
    if check is not None:
        check(head)
    check = _READERS.get(str(reader.get("kind")))
    if check is not None:
        check(reader)
    if state.get("likeness") is not None:
        _likeness(_part(state, "likeness"))
    _same_width(head, reader)


def _refuse(problem: str, value: object = "") -> FitError:
    return FitError(
        problem,
        where="model state",
        value=str(value)[:60],
        remedy="Copy the model again from its source",
    )


def _part(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = state.get(name)
    if not isinstance(found, Mapping):
        raise _refuse(f"{name} is missing or is no table")
    return found


def _numbers(part: Mapping[str, Any], name: str, *, dimensions: int = 1) -> Floats:
    """Finite numbers of a list.

    Raises
    ------
    FitError
        It is no such list.
    """
    try:
        found = np.asarray(part[name], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _refuse(f"{name} is missing or holds what is no number") from None
    if found.ndim != dimensions:
        raise _refuse(f"{name} has {found.ndim} dimensions, not {dimensions}")
    if not bool(np.isfinite(found).all()):
        raise _refuse(f"{name} holds a number that is not finite")
    return found


def _whole(part: Mapping[str, Any], name: str) -> NDArray[np.int64]:
    found = _numbers(part, name)
    if not bool((found == np.round(found)).all()) or bool((np.abs(found) > 2**53).any()):
        raise _refuse(f"{name} holds what is no whole number")
    return np.asarray(found, dtype=np.int64)


def _number(part: Mapping[str, Any], name: str, low: float, high: float) -> float:
    found = _numbers({name: [part.get(name)]}, name)[0]
    if not low <= found <= high:
        raise _refuse(f"{name} lies outside {low:g} to {high:g}", found)
    return float(found)


def _rising(values: Floats, name: str) -> None:
    if bool((np.diff(values) <= 0).any()):
        raise _refuse(f"{name} does not rise")


def _positive(part: Mapping[str, Any], name: str) -> Floats:
    found = _numbers(part, name)
    if bool((found <= 0).any()):
        raise _refuse(f"{name} is not above 0")
    return found


# ------------------------------------------------------------------------------------- heads


def _hazards(head: Mapping[str, Any]) -> None:
    scale = head.get("scale")
    # cause-specific hazards of an outcome without competing events are of one cause
    wanted = {"survival": (1,), "subdistribution": (1,), "product_integral": (1, 2)}
    causes = head.get("causes")
    if not isinstance(scale, str) or scale not in wanted or not isinstance(causes, list):
        raise _refuse("the hazards are of no known kind", scale)
    if len(causes) not in wanted[scale]:
        raise _refuse(f"{len(causes)} causes for {scale} hazards")
    for cause in causes:
        if not isinstance(cause, Mapping):
            raise _refuse("a cause is no table")
        _numbers(cause, "coefficients")
        times, steps = _numbers(cause, "times"), _numbers(cause, "increments")
        if len(times) != len(steps):
            raise _refuse(f"{len(times)} times and {len(steps)} increments of a baseline hazard")
        _rising(times, "times of a baseline hazard")
        if bool((times < 0).any()) or bool((steps < 0).any()):
            raise _refuse("a baseline hazard is negative")


def _recalibrated(head: Mapping[str, Any]) -> None:
    if head.get("scale") not in {"cloglog", "logit"}:
        raise _refuse("a recalibration is on no known scale", head.get("scale"))
    _number(head, "intercept", -100.0, 100.0)
    if _number(head, "slope", 0.0, 1e3) <= 0:
        raise _refuse("the slope of a recalibration is not above 0", head.get("slope"))
    if head["scale"] == "cloglog" and _number(head, "horizon_days", 0.0, 1e6) <= 0:
        raise _refuse("a recalibration has no horizon")
    _numbers(head, "coefficients")
    inner = _part(head, "head")
    check = _HEADS.get(str(inner.get("kind")))
    if check is None or check is _recalibrated:
        raise _refuse("what is recalibrated is no fitted head", inner.get("kind"))
    check(inner)


def _logistic(head: Mapping[str, Any]) -> None:
    _numbers(head, "coefficients")
    _number(head, "intercept", -1e6, 1e6)
    _number(head, "n2_share", 0.0, 1.0)


def _ordinal(head: Mapping[str, Any]) -> None:
    classes, thresholds = _whole(head, "classes"), _numbers(head, "thresholds")
    _numbers(head, "coefficients")
    if len(thresholds) != len(classes) - 1 or not set(classes.tolist()) <= {0, 1, 2}:
        raise _refuse(f"{len(thresholds)} thresholds between stages {classes.tolist()}")
    _rising(classes.astype(np.float64), "stages")
    _rising(thresholds, "thresholds")


def _forest(head: Mapping[str, Any]) -> None:
    edges = _numbers(head, "edges")
    _rising(edges, "edges")
    if bool((edges <= 0).any()):
        raise _refuse("edges of intervals are not above 0")
    trees = head.get("trees")
    if not isinstance(trees, list) or not trees:
        raise _refuse("a forest has no trees")
    width = 3 * len(edges) + 1 if len(edges) else 3
    for tree in trees:
        if not isinstance(tree, Mapping):
            raise _refuse("a tree is no table")
        _tree(tree, width)


def _tree(tree: Mapping[str, Any], width: int) -> None:
    feature, left, right = (_whole(tree, name) for name in ("feature", "left", "right"))
    threshold, n = _numbers(tree, "threshold"), len(feature)
    cells, counts = _whole(tree, "cells"), _whole(tree, "counts")
    if tree.get("width") != width:
        raise _refuse("a tree counts other outcomes than its forest", tree.get("width"))
    if not n or {len(left), len(right), len(threshold)} != {n} or len(cells) != len(counts):
        raise _refuse("parts of a tree have different lengths")
    inner = feature >= 0
    number = np.arange(n)
    for branch in (left, right):
        # a branch leads to a later node: the tree ends
        if bool(((branch <= number) | (branch >= n))[inner].any()):
            raise _refuse("a branch of a tree leads back or out of it")
    if bool((counts <= 0).any()) or bool((cells < 0).any()) or bool((cells >= n * width).any()):
        raise _refuse("a tree counts patients in no node, or fewer than none")
    _rising(cells.astype(np.float64), "cells of a tree")
    held = set((cells // width).tolist())
    if not set(number[~inner].tolist()) <= held or held & set(number[inner].tolist()):
        raise _refuse("a leaf of a tree holds no patient")


# ------------------------------------------------------------------------------------ readers


def _preparation(reader: Mapping[str, Any]) -> None:
    design = _part(reader, "design")
    scale = _positive(design, "scale")
    mean, keep = _numbers(design, "mean"), _whole(design, "keep")
    columns, modalities = design.get("columns"), design.get("modalities")
    lengths = {len(scale), len(mean), len(keep)}
    if not isinstance(columns, list) or not isinstance(modalities, list):
        raise _refuse("the design names no columns")
    if lengths != {len(columns)} or len(modalities) != len(columns):
        raise _refuse("parts of a design have different lengths")
    chosen = _whole(reader, "chosen")
    if bool((chosen < 0).any()) or bool((chosen >= len(columns)).any()):
        raise _refuse("a column is chosen that the design does not have")
    _fills(_part(reader, "imputer"))
    if "logarithms" in reader:
        _logarithms(_part(reader, "logarithms"))


def _logarithms(part: Mapping[str, Any]) -> None:
    for name in part:
        found = _numbers(part, name)
        # of the floor itself there is a logarithm
        if len(found) != 2 or bool((found < 0).any()) or not found.sum() > 0:
            raise _refuse(f"the logarithm of {name} has no offset and floor")


def _fills(imputer: Mapping[str, Any]) -> None:
    for name, value in _part(imputer, "fills").items():
        if not isinstance(value, str):
            _numbers({name: [value]}, name)


def _score(reader: Mapping[str, Any]) -> None:
    _number(reader, "mean", -1e9, 1e9)
    if _number(reader, "scale", 0.0, 1e9) <= 0:
        raise _refuse("scale is not above 0")
    _fills(_part(reader, "imputer"))


def _stack(reader: Mapping[str, Any]) -> None:
    models, modalities = reader.get("models"), reader.get("modalities")
    if not isinstance(models, list) or not isinstance(modalities, list):
        raise _refuse("a stack has no models")
    positions = _numbers(reader, "positions", dimensions=2)
    mean, scale = _numbers(reader, "mean"), _positive(reader, "scale")
    if len(models) != len(modalities) or {len(positions), len(mean)} != {len(scale)}:
        raise _refuse("parts of a stack have different lengths")
    model, score = positions[:, 0], positions[:, 1]
    if bool((model < 0).any()) or bool((model >= len(models)).any()) or bool((score < 0).any()):
        raise _refuse("a stack reads a model that it does not have")


def _likeness(part: Mapping[str, Any]) -> None:
    names = part.get("features")
    if not isinstance(names, list):
        raise _refuse("likeness names no features")
    p = len(names)
    _numbers(part, "centre")
    _positive(part, "scale")
    _numbers(part, "power")
    covariance = _numbers(part, "covariance", dimensions=2)
    if covariance.shape != (p, p) or any(len(part[k]) != p for k in ("centre", "scale", "power")):
        raise _refuse("parts of likeness have different lengths")
    if bool((np.linalg.eigvalsh(covariance) <= 0).any()):
        raise _refuse("the covariance of likeness is none")
    _number(part, "limit", 1e-12, 1e12)


def _same_width(head: Mapping[str, Any], reader: Mapping[str, Any]) -> None:
    """The head has a coefficient for every column of the reader."""
    added: Any = ()
    if head.get("kind") == "recalibrated":
        added, head = head["coefficients"], head["head"]
    columns = {"preparation": "chosen", "stack": "positions"}.get(str(reader.get("kind")))
    parts = head.get("causes") if head.get("kind") == "hazards" else [head]
    if columns is None or not isinstance(parts, list):
        return
    width = len(reader[columns])
    if len(added) not in {0, width}:
        raise _refuse(f"{len(added)} coefficients of a refit for {width} columns")
    for part in parts:
        if "coefficients" in part and len(part["coefficients"]) != width:
            raise _refuse(f"{len(part['coefficients'])} coefficients for {width} columns")
    for tree in head.get("trees", ()):
        if max(tree["feature"]) >= width:
            raise _refuse("a tree reads a column that there is not")


_HEADS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "hazards": _hazards,
    "recalibrated": _recalibrated,
    "logistic": _logistic,
    "ordinal": _ordinal,
    "forest": _forest,
}
_READERS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "preparation": _preparation,
    "published_score": _score,
    "stack": _stack,
}
