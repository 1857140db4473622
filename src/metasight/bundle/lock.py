"""Write a bundle: a folder of JSON and safetensors, hashed, and the zip of the same files."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from metasight.bundle.card import model_card
from metasight.bundle.content import DISCLAIMER, FORMAT, Bundle
from metasight.bundle.sbom import bill_of_materials
from metasight.cohort.published import published
from metasight.errors import StoreError
from metasight.models.settings import file_name
from metasight.provenance import canonical_json, hash_file
from metasight.units import DAYS_PER_YEAR

LISTING = "hashes.json"
INTERVALS = "intervals.json"
_MONTH_DAYS = DAYS_PER_YEAR / 12
_APART = {"states", "refits", "intervals", "protocol", "settings", "generator"}
"""Parts that have files of their own."""


def save(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into an empty folder; the same bundle gives the same bytes.

    Raises
    ------
    StoreError
        Two models have the same file name.
    """
    (folder / "models").mkdir(parents=True)
    (folder / "refits").mkdir()
    files: dict[str, str] = {}
    known = [*bundle.grid_days, *bundle.horizons_days]
    for name, state in bundle.states.items():
        file = f"models/{file_name(name)}.json"
        if file in files.values():
            raise StoreError(
                "two models have the same file name",
                value=name,
                remedy="Rename one in study.toml",
            )
        files[name] = file
        (folder / file).write_text(canonical_json(by_month(state, known)), "utf-8")
    for number, state in enumerate(bundle.refits):
        text = canonical_json(by_month(state, known))
        (folder / "refits" / f"{number:03d}.json").write_text(text, "utf-8")
    if bundle.intervals is not None:
        (folder / INTERVALS).write_text(canonical_json(bundle.intervals), "utf-8")
    if bundle.generator is not None:
        shutil.copytree(bundle.generator, folder / "generator")
    about = {k: v for k, v in asdict_shallow(bundle).items() if k not in _APART}
    about |= {"format": FORMAT, "models": files, "refits": len(bundle.refits)}
    about |= {"disclaimer": DISCLAIMER}
    _write(folder / "bundle.json", about)
    _write(folder / "protocol.json", bundle.protocol.model_dump(mode="json", by_alias=True))
    _write(folder / "settings.json", published(bundle.settings))
    _write(folder / "sbom.json", bill_of_materials(bundle.versions))
    (folder / "model_card.md").write_text(model_card(bundle), "utf-8")
    hashes = {
        str(p.relative_to(folder)): hash_file(p) for p in sorted(folder.rglob("*")) if p.is_file()
    }
    _write(folder / LISTING, hashes)


def asdict_shallow(bundle: Bundle) -> dict[str, Any]:
    """Fields as plain data; parts with files of their own stay as they are."""
    found: dict[str, Any] = {}
    for name in bundle.__dataclass_fields__:
        value = getattr(bundle, name)
        if name == "features":
            value = [asdict(f) for f in value]
        elif name not in _APART and hasattr(value, "__dataclass_fields__"):
            value = asdict(value)
        found[name] = value
    return found


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, sort_keys=True, indent=1, allow_nan=False), "utf-8")


def pack(folder: Path, target: Path) -> None:
    """Write a bundle's folder as one zip; the same bundle gives the same bytes."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            member = zipfile.ZipInfo(str(path.relative_to(folder)), date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, path.read_bytes())


# --------------------------------------------------------------- no exact day of any patient


def by_month(state: Mapping[str, Any], days: Iterable[int]) -> dict[str, Any]:
    """A model's state whose baselines jump at ends of months, and at no patient's event day.

    Parameters
    ----------
    state
        Of a fitted model; states within it are treated alike.
    days
        Horizons of which the baseline's cumulative hazard stays what it is.

    Notes
    -----
    Where risk depends on the cumulative hazard alone, hazards are summed by month, cut at horizons,
    and the sum stands at the month's end: risk is unchanged at every horizon. Where a cumulative
    incidence is assembled from two causes, the jumps of a month keep their sizes and are spread
    evenly over it; their order between the causes is lost, which changes risk in its third digit
    or below.
    """
    edges = sorted({float(d) for d in days} | set(_months(state)))
    out: dict[str, Any] = _moved(state, np.asarray(edges))
    return out


def _months(state: Any) -> Iterable[float]:
    """Ends of months up to the last jump of any baseline."""
    last = max(_times(state), default=0.0)
    return (round(k * _MONTH_DAYS, 4) for k in range(1, int(last / _MONTH_DAYS) + 2))


def _times(state: Any) -> Iterable[float]:
    if isinstance(state, Mapping):
        if state.get("kind") == "hazards":
            for cause in state["causes"]:
                yield from cause["times"]
        for value in state.values():
            yield from _times(value)
    elif isinstance(state, list | tuple) and state and isinstance(state[0], Mapping):
        for value in state:
            yield from _times(value)


def _moved(state: Any, edges: np.ndarray[Any, Any]) -> Any:
    if isinstance(state, Mapping):
        moved = {name: _moved(value, edges) for name, value in state.items()}
        if state.get("kind") == "hazards":
            moving = _spread if state["scale"] == "product_integral" else _summed
            moved["causes"] = [moving(c, edges, k) for k, c in enumerate(state["causes"])]
        return moved
    if isinstance(state, list | tuple) and state and isinstance(state[0], Mapping):
        return [_moved(value, edges) for value in state]
    return state


def _summed(cause: Mapping[str, Any], edges: np.ndarray[Any, Any], _: int) -> dict[str, Any]:
    """One jump a month, at its end."""
    times = np.asarray(cause["times"], dtype=np.float64)
    if not times.size:
        return dict(cause)
    ends, which = np.unique(edges[np.searchsorted(edges, times)], return_inverse=True)
    steps = np.bincount(which, weights=np.asarray(cause["increments"], dtype=np.float64))
    return {**cause, "times": ends.tolist(), "increments": steps.tolist()}


def _spread(cause: Mapping[str, Any], edges: np.ndarray[Any, Any], number: int) -> dict[str, Any]:
    """The jumps of a month evenly over it; those of a second cause halfway between the first's."""
    times = np.asarray(cause["times"], dtype=np.float64)
    if not times.size:
        return dict(cause)
    month = np.searchsorted(edges, times)
    starts = np.concatenate([[0.0], edges])[month]
    first = np.searchsorted(month, month)  # of the month of each jump
    rank = np.arange(len(times)) - first + 1 - 0.5 * number
    held = np.bincount(month)[month]
    spread = starts + (edges[month] - starts) * rank / held
    if number == 0:
        last = rank == held
        spread[last] = edges[month][last]
    return {**cause, "times": spread.tolist()}
