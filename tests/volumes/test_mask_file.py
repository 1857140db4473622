"""A mask written and read back: the same voxels in the same place, or a named refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st

from metasight.errors import VolumeError
from metasight.volumes.mask_file import load_mask, save_mask
from metasight.volumes.volume import Mask


def mask(array: np.ndarray, spacing=(0.7, 0.8, 1.25), origin=(-10.5, 20.0, -300.0)) -> Mask:
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return Mask(image=image, name="GTV", notes=("slices filled in",))


@pytest.fixture
def drawn() -> Mask:
    rng = np.random.default_rng(1)
    return mask(rng.random((5, 7, 9)) < 0.3)


@given(seed=st.integers(0, 999), shape=st.tuples(*[st.integers(2, 12)] * 3))
def test_the_same_voxels_in_the_same_place(tmp_path_factory, seed, shape) -> None:
    array = np.random.default_rng(seed).random(shape) < 0.4
    array.flat[0] = True
    written = mask(array)
    path = tmp_path_factory.mktemp("masks") / "m.npz"
    save_mask(written, path)
    read = load_mask(path)
    assert (sitk.GetArrayFromImage(read.image) == sitk.GetArrayFromImage(written.image)).all()
    assert read.image.GetSpacing() == written.image.GetSpacing()
    assert read.image.GetOrigin() == written.image.GetOrigin()
    assert read.image.GetDirection() == written.image.GetDirection()


def test_the_same_mask_gives_the_same_bytes(drawn: Mask, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_mask(drawn, tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_no_text_of_a_file_is_written(drawn: Mask, tmp_path: Path) -> None:
    save_mask(drawn, tmp_path / "m.npz")
    assert load_mask(tmp_path / "m.npz").name == ""
    assert b"GTV" not in (tmp_path / "m.npz").read_bytes()


def test_what_is_no_mask_is_refused(drawn: Mask, tmp_path: Path) -> None:
    path = tmp_path / "m.npz"
    path.write_bytes(b"not a mask")
    with pytest.raises(VolumeError, match="cannot be read"):
        load_mask(path)
    with pytest.raises(VolumeError, match="cannot be read"):
        load_mask(tmp_path / "none.npz")
    save_mask(drawn, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(VolumeError, match="cannot be read"):
        load_mask(path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": np.array(2)}, "another format"),
        ({"size": np.array([90, 70, 50])}, "fewer voxels"),
        ({"size": np.array([9, 7])}, "fewer voxels"),
        ({"bits": np.zeros(40, dtype=np.uint8)}, "empty"),
    ],
)
def test_parts_that_do_not_fit(drawn: Mask, tmp_path: Path, changes, problem) -> None:
    path = tmp_path / "m.npz"
    save_mask(drawn, path)
    with np.load(path) as file:
        parts = {name: file[name] for name in file.files} | changes
    np.savez_compressed(path, **parts)
    with pytest.raises(VolumeError, match=problem):
        load_mask(path)
