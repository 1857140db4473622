"""Which patients a generator may learn from: folds, the inner splits, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from metasight.errors import MarkerError
from metasight.maps.training_tiles import Tiles, TilesHeader, load_tiles, tiles_header

_SPLITS_TRIED = 200


def generator_folds(patients: Sequence[str], n_folds: int, seed: int) -> dict[str, int]:
    """A fold for every patient, with a pair or without.

    The generator of fold ``f`` learns from the pairs of the patients of the other folds, and
    paints the patients of fold ``f``: no patient's map comes from a generator that saw him.

    Parameters
    ----------
    patients
        Pseudonyms, in any order; the result does not depend on it.
    n_folds
        At least 2, at most the number of patients.
    seed
        Of the draw.

    Returns
    -------
    Pseudonym → 0 … n_folds − 1; the folds' sizes differ by one at most.

    Raises
    ------
    MarkerError
        A patient is named twice, or the number of folds is impossible.
    """
    names = sorted(patients)
    if len(set(names)) != len(names):
        raise MarkerError("a patient is named twice in the generator's folds")
    if not 2 <= n_folds <= len(names):
        raise MarkerError(
            "a generator needs between 2 folds and one for each patient",
            value=f"{n_folds} folds of {len(names)} patients",
        )
    order = np.random.default_rng(seed).permutation(len(names))
    return {names[int(at)]: number % n_folds for number, at in enumerate(order)}


@dataclass(frozen=True, kw_only=True)
class Material:
    """What a training has: files, and what they hold.

    Attributes
    ----------
    headers
        Pseudonym → header of the file, sorted.
    markers
        Planes, in the order of the first file that names each.
    groups
        Markers (indices) that are displaced together: of one section in every file.
    seen
        Pseudonym → markers that were looked at.
    typical
        Marker → mean density, cells/mm², above 0.
    """

    headers: Mapping[str, TilesHeader]
    markers: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    seen: Mapping[str, frozenset[str]]
    typical: Mapping[str, float]


def survey(tiles: Mapping[str, Path], markers: Sequence[str] | None, mpp: float) -> Material:
    """Look through the patients' files once, one at a time.

    Raises
    ------
    MarkerError
        There are fewer than two patients, their tiles differ in size or resolution, or a marker
        was seen in fewer than two of them or is nowhere positive.
    """
    if not tiles:
        raise MarkerError(
            "no pair was accepted: there is nothing to learn from",
            remedy="See the reasons in the ledger (stage alignment); a generator needs pairs of "
            "at least two patients",
        )
    if len(tiles) == 1:
        raise MarkerError(
            "one patient has pairs: a generator cannot be stopped or calibrated on others",
            value="1 patient",
            remedy="It needs pairs of at least two patients",
        )
    headers = {name: tiles_header(tiles[name]) for name in sorted(tiles)}
    sizes = {(h.tile_px, h.mpp, h.spacing_um) for h in headers.values()}
    if len(sizes) > 1 or next(iter(sizes))[1] != mpp:
        raise MarkerError(
            "training tiles differ in size or resolution, or are not of the generator's",
            value="; ".join(f"{px} px of {m:g} µm" for px, m, _ in sorted(sizes)),
            remedy="Collect all tiles with the same settings",
        )
    found = list(
        dict.fromkeys(m for h in headers.values() for m in (*h.markers, *h.region_markers))
    )
    wanted = tuple(markers) if markers is not None else tuple(found)
    seen: dict[str, frozenset[str]] = {}
    total, area = dict.fromkeys(wanted, 0.0), dict.fromkeys(wanted, 0.0)
    for name in headers:
        part = load_tiles(tiles[name])
        there = set()
        for plane, marker in enumerate(part.markers):
            if marker in wanted and part.support[:, plane].any():
                there.add(marker)
                total[marker] += float(part.density[:, plane].sum(dtype=np.float64))
                area[marker] += int(part.support[:, plane].sum())
        for marker, cells, pixels in _of_regions(part):
            if marker in wanted:
                there.add(marker)
                total[marker] += cells / (part.spacing_um**2 / 1e6)
                area[marker] += pixels
        seen[name] = frozenset(there)
    _refuse_unseen(wanted, seen, total)
    return Material(
        headers=headers,
        markers=wanted,
        groups=_groups(wanted, list(headers.values())),
        seen=seen,
        typical={m: total[m] / area[m] for m in wanted},
    )


def _of_regions(part: Tiles) -> Iterator[tuple[str, float, float]]:
    """Marker, its cells in a table's regions, and the pixels of the map that these cover."""
    if part.regions is None:
        return
    pixels = part.regions.covered.sum(axis=(2, 3), dtype=np.float64)
    for at, marker in enumerate(part.regions.markers):
        count = part.regions.count[:, :, at].astype(np.float64)
        told = np.isfinite(count) & (pixels > 0)
        if told.any():
            yield marker, float(count[told].sum()), float(pixels[told].sum())


def _refuse_unseen(
    wanted: Sequence[str], seen: Mapping[str, frozenset[str]], total: Mapping[str, float]
) -> None:
    for marker in wanted:
        n = sum(marker in there for there in seen.values())
        if n < 2 or total[marker] == 0:
            raise MarkerError(
                "a marker was looked at in fewer than two patients"
                if n < 2
                else "a marker has no positive cell in any pair",
                where=marker,
                value=f"{n} of {len(seen)} patients",
                remedy="Leave the marker out, or add pairs that show it",
            )


def _groups(markers: Sequence[str], headers: Sequence[TilesHeader]) -> tuple[tuple[int, ...], ...]:
    together: dict[tuple[str, ...], list[int]] = {}
    for number, marker in enumerate(markers):
        own = tuple(
            h.sections[h.markers.index(marker)] if marker in h.markers else "" for h in headers
        )
        together.setdefault(own, []).append(number)
    return tuple(tuple(members) for members in together.values())


def inner_splits(
    material: Material, share: float, members: int, seed: int
) -> list[tuple[list[str], list[str]]]:
    """Patients to learn from and patients held out, of each member.

    Members hold out other patients as long as there are any, so that the error is calibrated on
    more than one member's; every marker is seen on both sides of each.

    Raises
    ------
    MarkerError
        No such splits were found.
    """
    names = list(material.headers)
    n = min(max(1, round(share * len(names))), len(names) - 1)
    rng = np.random.default_rng([seed, 1])
    # a marker that few patients show is on both sides of few splits: members then share one
    for other in (n, 0):
        for _ in range(_SPLITS_TRIED):
            order = [names[int(i)] for i in rng.permutation(len(names))]
            held = [
                {order[(member * other + i) % len(order)] for i in range(n)}
                for member in range(members)
            ]
            splits = [(sorted(set(order) - own), sorted(own)) for own in held]
            if all(_shown(material, side) for split in splits for side in split):
                return splits
    raise MarkerError(
        "no split of the patients shows every marker on both sides",
        value=f"{len(names)} patients, {n} held out",
        remedy="Hold out a larger share, or leave out the marker that few pairs show",
    )


def _shown(material: Material, patients: Sequence[str]) -> bool:
    """Whether ``patients`` show every marker."""
    return all(any(m in material.seen[p] for p in patients) for m in material.markers)
