import cv2
import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps.density import density_from_cells
from metasight.maps.fluorescence import Channels
from metasight.maps.markers import (
    MarkerSettings,
    chromogenic_cells,
    dab_map,
    dab_stains,
    fluorescence_cells,
)
from metasight.maps.window import TissueWindow
from metasight.slides.stain import background_colour, deconvolve
from oracles.matched_centres import match_centres

from .section import CHANNELS, MPP, paint, place

MARKERS = ("Pan-CK", "CD3", "CD20")


@pytest.fixture(scope="module")
def section():
    rng = np.random.default_rng(0)
    x, y, kind = place(rng)
    return x, y, kind, paint(rng, x, y, kind)


def agreement(found, x, y, kind, marker):
    positive = found.cells.positive[marker]
    truth = kind == marker
    return match_centres(
        found.cells.x_um[positive], found.cells.y_um[positive], x[truth], y[truth], 4.0
    )


def test_each_marker_finds_its_cells(section):
    x, y, kind, counts = section
    found = fluorescence_cells(Channels(counts=counts, names=CHANNELS, mpp=MPP), MARKERS)
    assert abs(len(found.cells) / len(x) - 1) < 0.05
    for marker in MARKERS:
        assert agreement(found, x, y, kind, marker).f1 > 0.95, marker
    assert found.cells.type_names == ("other", *MARKERS)
    window = TissueWindow.rectangle(256, 256, spacing_um=16)
    density = density_from_cells(found.cells, window)
    truth = ((kind == "CD3") & (x < 256) & (y < 256)).sum() / 0.256**2
    assert np.nanmean(density.plane("CD3")) == pytest.approx(truth, rel=0.1)


def test_a_section_without_a_marker_has_no_positive_cell(section):
    x, y, kind, _ = section
    kind = np.where(kind == "CD20", "other", kind)
    counts = paint(np.random.default_rng(1), x, y, kind)
    found = fluorescence_cells(Channels(counts=counts, names=CHANNELS, mpp=MPP), MARKERS)
    assert found.cells.positive["CD20"].sum() <= 2
    assert agreement(found, x, y, kind, "CD3").f1 > 0.95


def test_spill_over_is_undone_by_the_stated_matrix(section):
    x, y, kind, _ = section
    counts = paint(np.random.default_rng(2), x, y, kind, spill=0.5)
    channels = Channels(counts=counts, names=CHANNELS, mpp=MPP)
    mixed = fluorescence_cells(channels, MARKERS)
    matrix = np.eye(4)
    matrix[3, 2] = 0.5
    settings = MarkerSettings(spill_over=tuple(map(tuple, matrix.tolist())))
    pure = fluorescence_cells(channels, MARKERS, settings)
    assert agreement(mixed, x, y, kind, "CD20").precision < 0.6
    assert agreement(pure, x, y, kind, "CD20").f1 > 0.95


def test_the_laboratorys_threshold_decides(section):
    *_, counts = section
    channels = Channels(counts=counts, names=CHANNELS, mpp=MPP)
    found = fluorescence_cells(
        channels, MARKERS, MarkerSettings(thresholds={"CD3": 1e9, "CD20": -1e9})
    )
    assert found.cells.positive["CD3"].sum() == 0
    assert found.cells.positive["CD20"].all()
    assert found.positivity["CD3"].rule == "given"


def test_missing_marker(section):
    *_, counts = section
    channels = Channels(counts=counts[:3], names=CHANNELS[:3], mpp=MPP)
    with pytest.raises(MarkerError, match=r"a marker is missing from the stain.*CD20"):
        fluorescence_cells(channels, MARKERS)


@pytest.mark.parametrize("other", ["CD3", "CD20", "Pan-CK"])
def test_nuclear_name_swapped_with_a_marker(section, other):
    *_, counts = section
    names = list(CHANNELS)
    i = names.index(other)
    names[0], names[i] = names[i], names[0]
    with pytest.raises(MarkerError, match="swapped"):
        fluorescence_cells(Channels(counts=counts, names=tuple(names), mpp=MPP), MARKERS)


@pytest.mark.parametrize("other", ["CD3", "CD20"])
def test_tumour_marker_swapped_with_a_lymphocyte_marker(section, other):
    *_, counts = section
    names = [{"Pan-CK": other, other: "Pan-CK"}.get(n, n) for n in CHANNELS]
    swapped = Channels(counts=counts, names=tuple(names), mpp=MPP)
    roles = MarkerSettings(tumour_marker="Pan-CK", lymphocyte_markers=("CD3", "CD20"))
    with pytest.raises(MarkerError, match="swapped"):
        fluorescence_cells(swapped, MARKERS, roles)


def test_he_given_as_mihc(shared):
    bgr = cv2.imread(str(shared / "data/slides/histolytics/hgsc_nest.jpg"))
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    with pytest.raises(MarkerError, match="transmitted light"):
        Channels(counts=np.moveaxis(rgb, -1, 0), names=MARKERS, mpp=0.5)
    with pytest.raises(MarkerError, match="H&E section"):
        chromogenic_cells(rgb, 0.5, "CD3")
    folder = shared / "data/slides/he-tiles"
    scanned = [p for p in folder.rglob("*.png") if "result" not in p.name]  # not a scan
    for path in scanned:
        tile = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        if "ihc" in path.name:
            dab_stains(tile)
        else:
            with pytest.raises(MarkerError, match="H&E section"):
                dab_stains(tile)
    assert len(scanned) == 5


@pytest.fixture(scope="module", params=["Bladder1", "Lung1"])
def deepliif(request, shared):
    strip = cv2.imread(str(shared / f"data/slides/deepliif/train/{request.param}.png"))
    return [cv2.cvtColor(p, cv2.COLOR_BGR2RGB) for p in np.split(strip, 6, axis=1)]


def correlation(a, b):
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def on_grid(image, pixels):
    n = 512 // pixels
    return image[: n * pixels, : n * pixels].reshape(n, pixels, n, pixels).mean(axis=(1, 3))


def test_dab_map_is_the_fluorescent_marker(deepliif):
    """On the maps' grid as the panels come; pixel by pixel once the panels are registered.

    The IHC panel lies up to 11 pixels off the fluorescence panels. The shift is taken from DAPI
    and haematoxylin, which are not what is compared.
    """
    ihc, _, dapi, _, marker, _ = (p.astype(np.float64) for p in deepliif)
    amount = dab_map(deepliif[0], dab_stains(deepliif[0]))
    light = marker.mean(axis=-1)
    assert correlation(on_grid(amount, 64), on_grid(light, 64)) >= 0.90  # 16 µm
    assert correlation(on_grid(amount, 32), on_grid(light, 32)) >= 0.80  # 8 µm
    nuclear = cv2.GaussianBlur(np.clip(np.log10(220 / (ihc[..., 0] + 1)), 0, 0.6), (0, 0), 2)
    counts = cv2.GaussianBlur(np.sqrt(dapi.mean(axis=-1)), (0, 0), 2)
    inner = slice(20, 492)
    moves = [(dy, dx) for dy in range(-15, 16) for dx in range(-15, 16)]
    dy, dx = max(
        moves,
        key=lambda m: correlation(
            nuclear[20 + m[0] : 492 + m[0] : 4, 20 + m[1] : 492 + m[1] : 4],
            counts[20:492:4, 20:492:4],
        ),
    )
    moved = amount[20 + dy : 492 + dy, 20 + dx : 492 + dx]
    assert correlation(moved, light[inner, inner]) >= 0.75


def test_positive_cells_beside_dab(deepliif):
    found = chromogenic_cells(deepliif[0], 0.25, "Ki67")
    positive = found.cells.positive["Ki67"]
    assert found.positivity["Ki67"].rule == "between two populations"
    assert 5 <= positive.sum() <= 0.35 * len(positive)


def test_the_share_of_positive_cells_does_not_hang_on_how_dark_the_dab_is(deepliif):
    """The same section, haematoxylin a third and DAB twice as dark (bench/nuclei_beside_dab.py)."""
    rgb = deepliif[0]
    stains = dab_stains(rgb)
    amounts = np.maximum(deconvolve(rgb, stains), 0)
    factor = np.where(np.array(stains.names) == "dab", 2.0, 0.35)
    density = (amounts * factor) @ np.asarray(stains.vectors)
    harsh = np.clip(background_colour(rgb) * 10.0**-density, 0, 255).astype(np.uint8)
    usual, found = (chromogenic_cells(image, 0.25, "Ki67") for image in (rgb, harsh))
    shares = [float(read.cells.positive["Ki67"].mean()) for read in (usual, found)]
    assert abs(shares[0] - shares[1]) <= 0.1
    assert len(found.cells) > 0.85 * len(usual.cells)
