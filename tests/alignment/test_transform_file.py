"""What is stored is what is applied, and nothing else is loaded."""

import json

import numpy as np
import pytest

from alignment.made_up import bent_transform, grid, torn_transform
from metasight.alignment.transform import Transform
from metasight.alignment.transform_file import load_transform, save_transform
from metasight.errors import AlignmentError

ALL = {
    "identity": Transform(),
    "bent": bent_transform(),
    "torn": torn_transform(),
    "chain": bent_transform().inverse().then(torn_transform()),
}


@pytest.mark.parametrize("name", ALL)
def test_comes_back_as_it_was(name, tmp_path):
    path = tmp_path / "pair.transform"
    save_transform(ALL[name], path)
    np.testing.assert_array_equal(load_transform(path).points(grid()), ALL[name].points(grid()))


def test_the_same_transform_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_transform(bent_transform(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_the_file_is_as_documented(tmp_path):
    """Read without our code, as a pathologist's script would."""
    path = tmp_path / "t.npz"
    save_transform(torn_transform(), path)
    with np.load(path, allow_pickle=False) as archive:
        header = json.loads(archive["header"].tobytes())
        leg = header["legs"][0]
        matrix = archive[leg["pieces"][1]["matrix"]]
        label = archive[leg["labels"]][3, 15]
    assert (header["format"], header["version"], header["units"]) == (
        "metasight-transform",
        1,
        "um",
    )
    assert label == 1
    point = np.array([1550.0, 350.0])
    np.testing.assert_allclose(
        matrix @ [*point, 1], torn_transform().points(point[None])[0], atol=1e-9
    )


def broken(kind, path):
    save_transform(bent_transform(), path)
    content = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("not an archive")
    elif kind == "missing":
        path.unlink()
    else:
        with np.load(path) as archive:
            arrays = dict(archive)
        header = json.loads(arrays["header"].tobytes())
        if kind == "later":
            header["version"] = 2
        elif kind == "no array":
            del arrays["leg0_piece0_matrix"]
        elif kind == "pickle":
            arrays["leg0_piece0_matrix"] = np.array([{}], dtype=object)
        elif kind == "flat":
            arrays["leg0_piece0_matrix"] = np.zeros((2, 3))
        arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with path.open("wb") as file:
            np.savez(file, **arrays)


@pytest.mark.parametrize(
    "kind", ["truncated", "empty", "text", "missing", "later", "no array", "pickle", "flat"]
)
def test_bad_files_are_refused_by_name(kind, tmp_path):
    path = tmp_path / "pair.npz"
    broken(kind, path)
    with pytest.raises(AlignmentError):
        load_transform(path)
