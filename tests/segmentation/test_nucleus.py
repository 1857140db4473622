import cv2
import numpy as np
import pytest
from scipy import ndimage

from metasight.errors import MarkerError
from metasight.segmentation.agreement import dice
from metasight.segmentation.nucleus import (
    NucleusSettings,
    detect_in_fluorescence,
    detect_in_he,
    detect_nuclei,
    levels_beside_dab,
    nuclear_levels,
    widely_blurred,
)
from oracles.matched_centres import match_centres

HISTOLYTICS_MPP = 0.5  # lymphocyte nuclei of 16 pixels are 8 µm
DEEPLIIF_MPP = 0.25


def discs(centres_um, radius_um, mpp, size_um=100.0, amount=1.0):
    n = round(size_um / mpp)
    y, x = (np.mgrid[:n, :n] + 0.5) * mpp
    image = np.zeros((n, n), dtype=np.float32)
    for (cx, cy), r in zip(centres_um, radius_um, strict=True):
        image[np.hypot(x - cx, y - cy) <= r] = amount
    rng = np.random.default_rng(0)
    return ndimage.gaussian_filter(image, 0.5 / mpp) + rng.normal(0.1, 0.03, (n, n))


CENTRES = [(20, 20), (50, 20), (80, 20), (20, 60), (29, 60), (70, 70)]
RADII = [3.5, 4, 6, 5, 5, 8]


@pytest.mark.parametrize("mpp", [0.25, 0.5, 1.0])
def test_discs_have_their_place_and_size_at_any_resolution(mpp):
    found = detect_nuclei(discs(CENTRES, RADII, mpp), mpp)
    assert len(found) == len(CENTRES)  # the two touching ones are parted
    for (x, y), radius in zip(CENTRES, RADII, strict=True):
        near = int(np.argmin(np.hypot(found.x_um - x, found.y_um - y)))
        assert np.hypot(found.x_um[near] - x, found.y_um[near] - y) < 1.0
        assert found.area_um2[near] == pytest.approx(np.pi * radius**2, rel=0.3)
    assert found.labels.max() == len(found)


def test_small_round_dense_is_like_a_lymphocyte():
    image = discs([(20, 20), (70, 20)], [4, 8], 0.5)
    pale = discs([(20, 70)], [4], 0.5, amount=0.55)
    y, x = (np.mgrid[:200, :200] + 0.5) * 0.5
    long = (np.abs(x - 70) < 2.2) & (np.abs(y - 70) < 8)
    found = detect_nuclei(image + pale + ndimage.gaussian_filter(long * 1.0, 1), 0.5)
    assert len(found) == 4
    (only,) = np.flatnonzero(found.lymphocyte_like)
    assert np.hypot(found.x_um[only] - 20, found.y_um[only] - 20) < 1


def test_a_tile_with_the_slides_levels_is_as_in_the_slide():
    image = discs(CENTRES, RADII, 0.5)
    levels = nuclear_levels(np.float32(image), 0.5, NucleusSettings())
    empty = np.random.default_rng(1).normal(0.1, 0.03, (80, 80))
    assert len(detect_nuclei(empty, 0.5, levels=levels)) == 0


PALE = [(15, 15), (40, 15), (65, 15), (15, 40), (40, 40), (65, 40)]
DARK = [(20, 75), (45, 75), (70, 75), (90, 60), (90, 35)]


def test_pale_nuclei_are_found_beside_dab_many_times_as_dark():
    """One threshold of both takes the dark ones alone, and calls every nucleus positive."""
    pale = discs(PALE, [4.0] * 6, 0.5, amount=0.3)
    dark = discs(DARK, [4.5] * 5, 0.5, amount=2.5)
    image = np.float32(pale + dark - 0.1)
    dab = np.clip(dark - 0.1, 0, 1)
    together = detect_nuclei(image, 0.5)
    assert len(together) < 11
    found = detect_nuclei(image, 0.5, levels=levels_beside_dab(image, dab, 0.5, NucleusSettings()))
    for x, y in PALE + DARK:
        assert np.hypot(found.x_um - x, found.y_um - y).min() < 1.5
    assert len(found) == len(PALE) + len(DARK)


def test_tissue_that_is_all_brown_has_its_own_levels():
    image = np.float32(discs(CENTRES, RADII, 0.5))
    told = levels_beside_dab(image, np.ones_like(image), 0.5, NucleusSettings())
    assert told == nuclear_levels(image, 0.5, NucleusSettings())


@pytest.mark.parametrize("mpp", [0.01, 2.0, 0.0, float("nan")])
def test_resolution_out_of_range(mpp):
    with pytest.raises(MarkerError, match="resolution"):
        detect_nuclei(np.ones((9, 9)), mpp)


def test_flat_image():
    with pytest.raises(MarkerError, match="flat"):
        detect_nuclei(np.ones((64, 64)), 0.5)


@pytest.fixture(scope="module")
def histolytics(shared):
    folder = shared / "data/slides/histolytics"
    rgb = cv2.cvtColor(cv2.imread(str(folder / "hgsc_nest.jpg")), cv2.COLOR_BGR2RGB)
    labels = np.load(folder / "hgsc_nest_inst_mask.npz")["nuc_raster"]
    kinds = np.load(folder / "hgsc_nest_type_mask.npz")["nuc_raster"]
    number = np.unique(labels)[1:]
    centre = (np.array(ndimage.center_of_mass(labels > 0, labels, number)) + 0.5) * HISTOLYTICS_MPP
    kind = ndimage.median(kinds, labels, number)
    return rgb, labels, centre[:, 1], centre[:, 0], kind


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_detection_in_real_he(histolytics, scale):
    rgb, labels, x, y, kind = histolytics
    seen = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    found = detect_in_he(seen, HISTOLYTICS_MPP / scale)
    result = match_centres(found.x_um, found.y_um, x, y, 4.0)
    print(f"F1 {result.f1:.3f} precision {result.precision:.3f} recall {result.recall:.3f}")
    assert result.f1 >= 0.75
    inflammatory = int((kind == 2).sum())
    error = found.lymphocyte_like.sum() / inflammatory - 1
    print(f"inflammatory density error {100 * error:.1f} %")
    assert abs(error) <= 0.20
    if scale == 1.0:
        overlap = dice(found.labels, labels)
        print(f"Dice {overlap:.3f}")
        assert overlap >= 0.70


@pytest.mark.parametrize(("tile", "shift_px"), [("Bladder1", (10, -3)), ("Lung1", (-3, -5))])
def test_detection_beside_dab_and_in_dapi(shared, tile, shift_px):
    """Against DeepLIIF's own segmentation: nuclei are what its green outlines enclose.

    The outline panel lies in the IHC's frame, the DAPI panel ``shift_px`` off it: the place where
    DAPI and haematoxylin correlate best.
    """
    strip = cv2.imread(str(shared / f"data/slides/deepliif/train/{tile}.png"))
    panels = np.split(strip, 6, axis=1)
    nucleus = (panels[5][..., 0] > 120) | (panels[5][..., 2] > 120)
    reference, _ = ndimage.label(nucleus & ~(panels[5][..., 1] > 120))
    size = np.bincount(reference.ravel())[1:]
    number = np.flatnonzero(size * DEEPLIIF_MPP**2 >= 20) + 1
    centre = (np.array(ndimage.center_of_mass(nucleus, reference, number)) + 0.5) * DEEPLIIF_MPP
    ihc = detect_in_he(cv2.cvtColor(panels[0], cv2.COLOR_BGR2RGB), DEEPLIIF_MPP)
    dapi = detect_in_fluorescence(panels[2].mean(axis=-1), DEEPLIIF_MPP)
    for name, found, (dx, dy) in (("IHC", ihc, (0, 0)), ("DAPI", dapi, shift_px)):
        x, y = found.x_um + dx * DEEPLIIF_MPP, found.y_um + dy * DEEPLIIF_MPP
        result = match_centres(x, y, centre[:, 1], centre[:, 0], 4.0)
        print(f"{tile} {name}: F1 {result.f1:.3f} P {result.precision:.3f} R {result.recall:.3f}")
        assert result.precision >= 0.85
        assert result.f1 >= 0.60  # Bladder1 is packed: touching nuclei are merged


@pytest.mark.parametrize("shape", [(400, 403), (90, 57)])
@pytest.mark.parametrize("sigma_px", [5.0, 15.0, 30.0])
def test_a_wide_blur_is_the_gaussian(shape, sigma_px):
    image = np.float32(np.random.default_rng(0).random(shape) < 0.3)
    image[:, :20] = 1.0
    found = widely_blurred(image, sigma_px)
    exact = ndimage.gaussian_filter(image, sigma_px)
    assert found.shape == shape
    assert np.abs(found - exact).max() < 2e-3
