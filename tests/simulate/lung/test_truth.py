"""What is said to be true of a lesion, against bodies and places known by geometry."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from metasight.simulate.lung.nodule import Shape, directions
from metasight.simulate.lung.settings import NoduleSettings, ScanSettings, ThoraxSettings
from metasight.simulate.lung.thorax import Thorax, distance_to_tubes, draw_thorax
from metasight.simulate.lung.truth import NOTHING, lesion_truth, size_of


def ellipsoid(a: float, b: float, c: float, centre=(0.0, 0.0, 0.0)) -> Shape:
    return Shape(centre_mm=centre, half_axes_mm=(a, b, c), turn=np.eye(3), bumps=np.empty((0, 5)))


def test_sizes_of_an_ellipsoid() -> None:
    """Half axes 12 (x), 9 (y), 6 (z): each plane sees its own two."""
    size = size_of(ellipsoid(12, 9, 6, (1.0, 2.0, 40.0)))
    assert size.longest_mm == pytest.approx(24, rel=0.003)
    assert size.axial_mm == pytest.approx(24, rel=0.003)
    assert size.coronal_mm == pytest.approx(24, rel=0.003)
    assert size.sagittal_mm == pytest.approx(18, rel=0.003)
    assert size.section_longest_mm == pytest.approx(24, rel=0.003)
    assert size.section_perpendicular_mm == pytest.approx(18, rel=0.005)
    assert size.section_area_mm2 == pytest.approx(np.pi * 12 * 9, rel=0.005)
    assert size.section_z_mm == pytest.approx(40, abs=0.4)
    assert size.volume_mm3 == pytest.approx(4 / 3 * np.pi * 12 * 9 * 6, rel=0.005)


def test_of_nothing_all_is_zero() -> None:
    assert size_of(None) == NOTHING
    assert set(dataclasses.astuple(NOTHING)) == {0.0}


@pytest.fixture(scope="module")
def thorax() -> Thorax:
    settings = ThoraxSettings(
        nodule=NoduleSettings(diameter_mm=16.0, solid_diameter_mm=16.0, lobe=4),
        scan=ScanSettings(pixel_mm=2.0, interval_mm=2.5, thickness_mm=2.5),
        vessel_ends=600,
    )
    return draw_thorax(settings, np.random.default_rng(2))


def moved(thorax: Thorax, shape: Shape) -> Thorax:
    nodule = dataclasses.replace(thorax.lesion, whole=shape, solid=shape)
    return dataclasses.replace(thorax, nodule=nodule)


def test_a_ball_is_nearer_to_everything_by_its_radius(thorax: Thorax) -> None:
    """Centre to bronchi less the radius is surface to bronchi; so for pleura and fissure."""
    centre = thorax.lesion.whole.centre_mm
    small, large = (
        lesion_truth(moved(thorax, ellipsoid(r, r, r, centre))).place for r in (2.0, 6.0)
    )
    assert small.bronchi_centre_mm == large.bronchi_centre_mm
    assert small.bronchi_gap_mm == pytest.approx(small.bronchi_centre_mm - 2, abs=0.15)
    assert large.bronchi_gap_mm == pytest.approx(large.bronchi_centre_mm - 6, abs=0.3)
    assert small.pleura_gap_mm - large.pleura_gap_mm == pytest.approx(4, abs=0.4)
    assert small.fissure_gap_mm - large.fissure_gap_mm == pytest.approx(4, abs=0.6)
    assert small.hilum_ratio == large.hilum_ratio
    assert large.hilum_ratio_medial < small.hilum_ratio_medial < small.hilum_ratio


def test_ratios_are_distance_over_the_way_to_the_pleura(thorax: Thorax) -> None:
    """The hilum's ratio times the whole way is the centre's distance, and the edge's is less."""
    centre = np.array(thorax.lesion.whole.centre_mm)
    ball = moved(thorax, ellipsoid(3, 3, 3, tuple(centre)))
    place = lesion_truth(ball).place
    hilum = thorax.anatomy.hila[1]
    distance = float(np.linalg.norm(centre - hilum))
    way = distance / place.hilum_ratio
    wall = hilum + way * (centre - hilum) / distance
    assert abs(thorax.levels(wall[None])[0, 0]) < 0.5
    assert place.hilum_ratio - place.hilum_ratio_medial == pytest.approx(3 / way, rel=1e-6)
    for name in ("hilum", "axial", "midline"):
        ratio = getattr(place, f"{name}_ratio")
        assert 0 <= getattr(place, f"{name}_ratio_medial") < ratio < 1


def test_central_is_within_two_centimetres_of_the_bronchi(thorax: Thorax) -> None:
    """A ball put just nearer and just farther than 20 mm from the proximal bronchial tree."""
    line = directions(400)
    near = thorax.proximal.ends[:, 3:].mean(axis=0)
    at = np.concatenate([near + r * line for r in (30.0, 45.0, 60.0)])
    inside = thorax.levels(at)[:, 0] < -6
    away = distance_to_tubes(at, thorax.proximal)
    for wanted, central in ((22.5, True), (25.0, False)):
        k = int(np.where(inside, np.abs(away - wanted), np.inf).argmin())
        assert abs(away[k] - wanted) < 1
        place = lesion_truth(moved(thorax, ellipsoid(4, 4, 4, tuple(at[k])))).place
        assert place.central_2cm is central
        assert place.bronchi_gap_mm == pytest.approx(away[k] - 4, abs=0.3)


def test_all_of_it_is_json_and_ratios_are_of_like_with_like(thorax: Thorax) -> None:
    centre = thorax.lesion.whole.centre_mm
    whole, solid = ellipsoid(10, 8, 8, centre), ellipsoid(5, 4, 4, centre)
    nodule = dataclasses.replace(thorax.lesion, whole=whole, solid=solid, attenuation="part-solid")
    truth = lesion_truth(dataclasses.replace(thorax, nodule=nodule))
    assert truth.ctr_1d == pytest.approx(0.5, rel=1e-3)
    assert truth.ctr_axial == pytest.approx(0.5, rel=1e-3)
    assert truth.ctr_3d == pytest.approx(0.125, rel=1e-3)
    assert json.loads(json.dumps(truth.to_json()))["place"]["lobe"] == truth.place.lobe
