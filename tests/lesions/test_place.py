"""Place and centrality in a thorax of boxes and tubes, where every answer is arithmetic."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from metasight.errors import VolumeError
from metasight.lesions.measured import MeasureSettings, measure
from metasight.lesions.picture import picture_of
from metasight.lesions.place import DEFINITIONS, in_words, place_of
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

STEP_MM = 2.0
SHAPE = (100, 80, 140)
MIDDLE = 70  # column of the trachea


@pytest.fixture(scope="module")
def thorax() -> tuple[Volume, Lungs]:
    """Lungs 20 to 120 mm either side; trachea down to 120 mm, main bronchi 80 mm to each side."""
    z, y, x = np.indices(SHAPE)
    depth = (y >= 8) & (y < 72) & (z >= 5) & (z < 95)
    right, left = depth & (x >= 10) & (x < 60), depth & (x >= 80) & (x < 130)
    trachea = (z >= 60) & (np.hypot(x - MIDDLE, y - 40) <= 4)
    main = (np.abs(x - MIDDLE) <= 40) & (np.abs(z - (60 - np.abs(x - MIDDLE) / 2)) <= 4)
    airways = trachea | (main & (np.abs(y - 40) <= 3))
    hu = np.where(right | left, -870.0, 40.0)
    hu[airways] = -1000.0
    # the right oblique fissure, where the atlas does not quite have it
    sheet = right & (np.abs(z - (10 + 0.95 * y)) < 0.75)
    hu[sheet] = -600.0
    scan = Volume.from_array(hu, unit="HU", spacing_mm=(STEP_MM,) * 3)
    r, le = (Mask.from_array(m & ~airways, on=scan) for m in (right, left))
    return scan, Lungs(
        right=r,
        left=le,
        right_whole=Mask.from_array(right, on=scan),
        left_whole=Mask.from_array(left, on=scan),
        airways=Mask.from_array(airways, on=scan),
    )


def lesion(scan: Volume, z: int, y: int, x: int, radius_mm: float = 8.0) -> Mask:
    grid = np.indices(SHAPE)
    away = sum((g - c) ** 2 for g, c in zip(grid, (z, y, x), strict=True)) * STEP_MM**2
    return Mask.from_array(away <= radius_mm**2, on=scan)


def test_ratios_along_the_midline_ray(thorax: tuple[Volume, Lungs]) -> None:
    scan, lungs = thorax
    found = place_of(scan, lesion(scan, 50, 30, 25), lungs)
    assert found.side == "right"
    assert found.ratios["midline_centre"] == pytest.approx(90 / 120, abs=0.03)
    assert found.ratios["midline_edge"] == pytest.approx(82 / 120, abs=0.03)
    assert found.central("midline_centre_two_thirds") is False
    near = place_of(scan, lesion(scan, 50, 30, 105), lungs)
    assert near.side == "left"
    assert near.ratios["midline_centre"] == pytest.approx(70 / 120, abs=0.03)
    assert near.central("midline_centre_two_thirds") is True
    assert near.central("midline_centre_third") is False


def test_the_gap_to_the_pleura(thorax: tuple[Volume, Lungs]) -> None:
    scan, lungs = thorax
    found = place_of(scan, lesion(scan, 50, 30, 21), lungs)
    assert found.pleura_gap_mm == pytest.approx(22 - 8 + 1, abs=2)
    touching = place_of(scan, lesion(scan, 50, 30, 13), lungs)
    assert touching.pleura_gap_mm == pytest.approx(0, abs=1)


def test_the_gap_to_a_surface_at_the_hilum_is_not_told(thorax: tuple[Volume, Lungs]) -> None:
    scan, lungs = thorax
    # 8 mm from the mediastinal surface, 20 mm from where the main bronchus meets the lung
    found = place_of(scan, lesion(scan, 50, 40, 52), lungs)
    assert math.isnan(found.pleura_gap_mm)
    assert any(w.startswith("pleura: ") and "mm from the hilum" in w for w in found.not_found)
    # as far from the same surface, but far from the hilum
    away = place_of(scan, lesion(scan, 85, 20, 52), lungs)
    assert away.pleura_gap_mm == pytest.approx(8, abs=2)
    assert not any(w.startswith("pleura") for w in away.not_found)


def test_the_gap_to_the_bronchi_and_the_hilum(thorax: tuple[Volume, Lungs]) -> None:
    scan, lungs = thorax
    near, far = (place_of(scan, lesion(scan, 48, 40 + k, 50), lungs) for k in (14, 27))
    assert near.bronchi_gap_mm == pytest.approx(28 - 6 - 8, abs=2.5)
    assert far.bronchi_gap_mm == pytest.approx(54 - 6 - 8, abs=2.5)
    assert near.central("bronchi_2cm") is True and far.central("bronchi_2cm") is False
    assert near.ratios["hilum_edge"] < near.ratios["hilum_centre"] < 1


def test_the_fissure_seen_parts_the_lobes(thorax: tuple[Volume, Lungs]) -> None:
    scan, lungs = thorax
    y = 50
    under = place_of(scan, lesion(scan, round(10 + 0.95 * y) - 12, y, 35), lungs)
    assert under.lobe.lobe == "right lower" and not under.lobe.unsure
    assert under.lobe.upper_lobe is False
    across = 12 * STEP_MM / math.hypot(1, 0.95)
    assert under.lobe.fissure_gap_mm == pytest.approx(across - 8, abs=3)


def test_without_airways_the_hilum_is_not_guessed(thorax: tuple[Volume, Lungs]) -> None:
    scan, lungs = thorax
    blind = Lungs(
        right=lungs.right,
        left=lungs.left,
        right_whole=lungs.right_whole,
        left_whole=lungs.left_whole,
        airways=None,
    )
    found = place_of(scan, lesion(scan, 50, 30, 25), blind)
    assert found.central("hilum_centre_third") is None and found.central("bronchi_2cm") is None
    assert math.isnan(found.bronchi_gap_mm)
    assert any("hilum" in why for why in found.not_found)


def test_a_lesion_in_neither_lung_is_refused(thorax: tuple[Volume, Lungs]) -> None:
    scan, lungs = thorax
    with pytest.raises(VolumeError, match="in neither lung"):
        place_of(scan, lesion(scan, 20, 40, 70), lungs)


def test_the_row_holds_every_definition_and_the_picture_is_one(
    thorax: tuple[Volume, Lungs],
) -> None:
    scan, lungs = thorax
    mask = lesion(scan, 50, 30, 25)
    settings = MeasureSettings(central="midline_centre_two_thirds")
    found = measure(scan, mask, lungs=lungs, settings=settings)
    row = found.as_row()
    assert row["central"] is False and row["suvmax"] is None
    assert {f"central_{d}" for d in DEFINITIONS} <= set(row)
    assert any("no PET" in why for why in found.not_measured)
    png = picture_of(scan, mask, found)
    assert png == picture_of(scan, mask, found)
    drawn = cv2.imdecode(np.frombuffer(png, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None and drawn.shape[1] >= 4 * 360


def test_an_unknown_definition_is_refused() -> None:
    with pytest.raises(VolumeError, match='no such definition of "central"'):
        MeasureSettings(central="somewhere")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("bronchi_2cm", "within 2 cm of the proximal bronchial tree"),
        ("hilum_centre_third", "centre, inner third from the hilum"),
        ("midline_edge_two_thirds", "edge, inner 2 thirds from the midline"),
    ],
)
def test_central_is_said_as_one_would_say_it(definition, words):
    assert in_words(definition) == words
