"""What is read back of a patient's alignments."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.alignment.error import CALIBRATION
from metasight.alignment.transform import Transform
from metasight.alignment.transform_file import save_transform
from metasight.steps.files import write_json
from metasight.steps.slides.pairs import error_of, he_window, pairs_of


def alignment(folder, section, *, accepted, p90=95.0):
    place = folder / f"alignment-{section}"
    place.mkdir()
    tiles = {
        "size_um": 500.0,
        "origin_um": [150.0, 60.0],
        "p50_um": [[30.0, None]],
        "p90_um": [[90.0, None]],
    }
    told = {"accepted": accepted, "error_p50_um": 32.0, "error_p90_um": p90, "tiles": tiles}
    write_json(place / "alignment.json", told)
    save_transform(Transform(), place / "transform.npz")


def test_only_accepted_pairs_are_used(tmp_path):
    alignment(tmp_path, "one", accepted=True)
    alignment(tmp_path, "two", accepted=False)
    sections = {"one": ("T",), "two": ("B",), "never aligned": ("C",)}
    (pair,) = pairs_of(tmp_path, sections)
    assert (pair.section, pair.markers) == ("one", ("T",))
    assert pair.transform.points(np.array([[3.0, 4.0]])).tolist() == [[3.0, 4.0]]


def test_the_error_of_a_tile_without_one_is_not_known(tmp_path):
    alignment(tmp_path, "one", accepted=True)
    error = error_of(tmp_path, "one")
    assert (error.origin_um, error.tile_um) == ((150.0, 60.0), 500.0)
    assert np.isnan(error.tile_p90_um[0, 1])


def test_maps_are_told_the_alignments_own_error_where_the_tissue_lies(tmp_path):
    """Without the experts' part, and from the corner where the tiles begin, not the slide's."""
    alignment(tmp_path, "one", accepted=True)
    error = error_of(tmp_path, "one")
    assert error.p90_um == pytest.approx(np.sqrt(95.0**2 - CALIBRATION.marks_p90_um**2))
    p50, p90 = error.at(np.array([[160.0, 70.0], [140.0, 70.0], [640.0, 70.0], [660.0, 70.0]]))
    there = np.sqrt(90.0**2 - CALIBRATION.marks_p90_um**2)
    np.testing.assert_allclose(p90, [there, np.nan, there, np.nan])
    assert p50[0] == pytest.approx(np.sqrt(30.0**2 - CALIBRATION.marks_p50_um**2))


def test_tissue_is_brought_to_the_grid_of_densities(tmp_path):
    with (tmp_path / "tissue.npz").open("wb") as file:
        np.savez_compressed(file, tissue=np.ones((40, 40), dtype=bool), mpp=np.array(8.0))
    window = he_window(tmp_path)
    assert window.spacing_um == 16.0
    assert window.mask.shape == (20, 20)
    assert window.area_um2 == pytest.approx(320.0**2)
