"""Files of patch features as TRIDENT and CLAM write them, and what is wrong with others."""

import contextlib

import h5py
import numpy as np
import pytest

from metasight.errors import EncoderError
from metasight.features.bags import (
    BagFolder,
    PatchFeatures,
    join_bags,
    read_patch_features,
    write_patch_features,
)


def bag(n=5, d=3, encoder="e 1", seed=0):
    rng = np.random.default_rng(seed)
    return PatchFeatures(
        features=rng.normal(size=(n, d)).astype(np.float32),
        coords=rng.integers(0, 9, (n, 2)),
        patch_px=448,
        encoder=encoder,
    )


def test_written_and_read_it_is_the_same_and_so_are_the_bytes(tmp_path):
    for name in ("a.h5", "b.h5"):
        write_patch_features(bag(), tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    read = read_patch_features(tmp_path / "a.h5", "a")
    np.testing.assert_array_equal(read.features, bag().features)
    np.testing.assert_array_equal(read.coords, bag().coords)
    assert (read.patch_px, read.encoder) == (448, "e 1")


def test_a_file_of_trident_is_read_as_it_is(tmp_path):
    """Layout of TRIDENT 0.2: attributes on coords, none of ours; half precision; batch of one."""
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["features"] = np.ones((1, 4, 6), np.float16)
        file["coords"] = np.arange(8).reshape(4, 2)
        file["coords"].attrs["patch_size_level0"] = 512
        file["coords"].attrs["level0_magnification"] = 40
    read = read_patch_features(tmp_path / "t.h5", "t")
    assert read.features.shape == (4, 6)
    assert read.features.dtype == np.float32
    assert read.patch_px == 512


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda f: f.update(features=np.ones((3, 2))), "no such array.*coords"),
        (lambda f: f.update(features=np.ones((3, 2)), coords=np.ones((2, 2))), "belong together"),
        (lambda f: f.update(features=np.ones((0, 2)), coords=np.ones((0, 2))), "no patch"),
        (lambda f: f.update(features=np.full((3, 2), np.nan), coords=np.ones((3, 2))), "3 of 3"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, write, told):
    arrays = {}
    write(arrays)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    with pytest.raises(EncoderError, match=told):
        read_patch_features(tmp_path / "x.h5", "x")


def test_no_hdf5_is_refused(tmp_path):
    (tmp_path / "x.h5").write_text("nothing")
    with pytest.raises(EncoderError, match="cannot be read"):
        read_patch_features(tmp_path / "x.h5", "x")


def test_three_slides_are_one_bag_and_two_encoders_are_refused():
    joined = join_bags([bag(4), bag(2, seed=1), bag(1, seed=2)], "P1")
    assert len(joined) == 7
    with pytest.raises(EncoderError, match="different encoders"):
        join_bags([bag(), bag(encoder="f 2")], "P1")
    with pytest.raises(EncoderError, match="different encoders"):
        join_bags([bag(d=3), bag(d=4)], "P1")


def test_a_large_bag_is_thinned_evenly(tmp_path):
    write_patch_features(bag(100), tmp_path / "k.h5")
    read = BagFolder(tmp_path, most_patches=10).read("k")
    np.testing.assert_array_equal(read.features, bag(100).features[::11])


def test_a_flipped_bit_is_refused_by_name_or_read_and_never_a_traceback(tmp_path):
    """Values carry no checksum, so some are read as others; the structure is what can be told."""
    write_patch_features(bag(40), tmp_path / "k.h5")
    whole = (tmp_path / "k.h5").read_bytes()
    random = np.random.default_rng(7)
    for _ in range(300):
        damaged = bytearray(whole)
        # half of them in the structure, which is at the beginning
        end = len(whole) if random.integers(2) else 2000
        damaged[random.integers(end)] ^= 1 << int(random.integers(8))
        (tmp_path / "k.h5").write_bytes(bytes(damaged))
        with contextlib.suppress(EncoderError):
            read_patch_features(tmp_path / "k.h5", "k")


@pytest.mark.parametrize("kind", ["external", "linked", "virtual"])
def test_numbers_of_another_file_are_not_read(tmp_path, kind):
    other, path = tmp_path / "other.h5", tmp_path / "a.h5"
    (tmp_path / "secret").write_bytes(bytes(128))
    with h5py.File(other, "w") as file:
        file["features"] = np.zeros((8, 4), "f4")
    with h5py.File(path, "w") as file:
        file["coords"] = np.zeros((8, 2), "i8")
        if kind == "external":
            secret = [(str(tmp_path / "secret"), 0, 128)]
            file.create_dataset("features", (8, 4), "f4", external=secret)
        elif kind == "linked":
            file["features"] = h5py.ExternalLink(str(other), "/features")
        else:
            layout = h5py.VirtualLayout((8, 4), "f4")
            layout[:] = h5py.VirtualSource(str(other), "features", shape=(8, 4))
            file.create_virtual_dataset("features", layout)
    with pytest.raises(EncoderError, match="outside of the file"):
        read_patch_features(path, "bag")


def test_an_array_that_was_never_written_is_not_made(tmp_path):
    path = tmp_path / "u.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("features", (4_000_000, 512), "f4", chunks=(1024, 512))
        file.create_dataset("coords", (4_000_000, 2), "i8", chunks=(1024, 2))
    with pytest.raises(EncoderError, match="larger than a slide's features"):
        read_patch_features(path, "bag")
