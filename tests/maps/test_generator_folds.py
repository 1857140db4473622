"""Folds of patients, and what is refused before anything is trained."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maps.painted_sections import MARKERS, made_up, tiles_of
from metasight.errors import MarkerError
from metasight.maps.generator_folds import generator_folds, inner_splits, survey
from metasight.maps.training_tiles import Tiles, save_tiles


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(2, 8), st.integers(0, 99))
def test_every_patient_is_in_one_fold_whatever_the_order(n: int, folds: int, seed: int) -> None:
    names = [f"P{i}" for i in range(n)]
    if folds > n:
        with pytest.raises(MarkerError):
            generator_folds(names, folds, seed)
        return
    found = generator_folds(names, folds, seed)
    assert found == generator_folds(names[::-1], folds, seed)
    sizes = Counter(found.values())
    assert sorted(found) == sorted(names)
    assert set(sizes) == set(range(folds))
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_a_patient_named_twice_is_refused() -> None:
    with pytest.raises(MarkerError, match="twice"):
        generator_folds(["A", "A", "B"], 2, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiles")
    out = {}
    for i in range(4):
        # the last two have no B-cell stain
        markers = MARKERS if i < 2 else MARKERS[:2]
        out[f"P{i}"] = folder / f"P{i}.h5"
        save_tiles(tiles_of(made_up(i, 512), folder, f"P{i}", markers=markers), out[f"P{i}"])
    return out


def test_no_pair_and_one_pair_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(MarkerError, match="no pair was accepted"):
        survey({}, None, 1.0)
    with pytest.raises(MarkerError, match="at least two patients"):
        survey({"P0": files["P0"]}, None, 1.0)


def test_a_marker_missing_in_some_pairs_works(files: dict[str, Path]) -> None:
    material = survey(files, None, 1.0)
    assert material.markers == MARKERS
    assert material.seen["P3"] == {"Pan-CK", "CD3"}
    assert set(material.groups) == {(0, 1), (2,)}
    [(learn, held)] = inner_splits(material, 0.25, 1, 1)
    assert len(held) == 1
    assert sum("CD20" in material.seen[p] for p in learn) == 1
    assert "CD20" in material.seen[held[0]]
    two = inner_splits(material, 0.25, 2, 1)
    assert sorted(held[0] for _, held in two) == sorted(
        p for p in material.seen if "CD20" in material.seen[p]
    )
    # a third patient who shows it there is not: members share a split
    three = inner_splits(material, 0.25, 3, 1)
    assert three[0] == three[1] == three[2]


def test_members_hold_out_other_patients(files: dict[str, Path]) -> None:
    shown = {p: f for p, f in files.items() if p != "P3"}
    material = survey(shown, ["Pan-CK", "CD3"], 1.0)
    splits = inner_splits(material, 0.2, 3, 5)
    assert [len(held) for _, held in splits] == [1, 1, 1]
    assert {held[0] for _, held in splits} == set(shown)
    assert all(sorted([*learn, *held]) == sorted(shown) for learn, held in splits)


def test_a_marker_that_one_patient_or_nobody_shows_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(MarkerError, match="CD20: a marker was looked at in fewer than two"):
        survey({p: files[p] for p in ("P0", "P2", "P3")}, None, 1.0)
    with pytest.raises(MarkerError, match="Ki-67"):
        survey(files, ["Pan-CK", "Ki-67"], 1.0)


def test_a_marker_that_is_nowhere_positive_is_refused(tmp_path: Path) -> None:
    files = {}
    for i in range(2):
        tiles = tiles_of(made_up(i, 512), tmp_path, f"N{i}", markers=("CD3",))
        empty = Tiles(**{**vars(tiles), "density": np.zeros_like(tiles.density)})
        files[f"N{i}"] = tmp_path / f"N{i}.h5"
        save_tiles(empty, files[f"N{i}"])
    with pytest.raises(MarkerError, match="no positive cell"):
        survey(files, None, 1.0)


def test_tiles_of_another_resolution_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(MarkerError, match="resolution"):
        survey(files, None, 0.5)
