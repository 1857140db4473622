"""Painting a slide tile by tile: no seams, bounded memory, nothing off the tissue."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from metasight.errors import LeakageError, MarkerError
from metasight.maps.generator import PaintedTile, PaintsPixels
from metasight.maps.glass import glass_of, over_white
from metasight.maps.predict import CORE_UM, MARGIN_UM, paint
from metasight.slides.picture import PictureReader


class Averaging(PaintsPixels):
    """Paints how dark each map pixel and its neighbourhood are: what it looks at is 48 µm wide."""

    markers = ("dark",)
    spacing_um, mpp, step_px = 16.0, 4.0, 8
    identity = "b" * 64
    outliers = None

    def __init__(self, trained_on=()):
        self.trained_on, self.sizes = frozenset(trained_on), []

    def paint_tile(self, rgb):
        self.sizes.append(rgb.shape[:2])
        dark = 255.0 - rgb.astype(np.float32).mean(axis=2)
        k = rgb.shape[0] // 4, rgb.shape[1] // 4
        pooled = dark.reshape(k[0], 4, k[1], 4).mean(axis=(1, 3))
        near = cv2.blur(pooled, (3, 3), borderType=cv2.BORDER_REPLICATE)
        return PaintedTile(
            density=near[None],
            error=np.ones_like(near)[None],
            features=np.zeros((1, *k), np.float32),
        )


@pytest.fixture
def slide(tmp_path):
    """2.4 × 1.6 mm at 4 µm, white glass with a dark gradient in it; larger than two tiles."""
    rng = np.random.default_rng(0)
    picture = np.full((400, 600, 3), 255, np.uint8)
    smooth = cv2.GaussianBlur(rng.random((400, 600)), (0, 0), 12)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    picture[20:380, 20:580] = (255 - 200 * smooth[20:380, 20:580, None]).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "s.png"), picture)
    reader = PictureReader(tmp_path / "s.png", name="slide", mpp=4.0)
    return reader, picture


def whole(shape=(400, 600)):
    return np.ones(shape, bool)


def test_the_map_is_that_of_the_whole_slide_at_once(slide):
    reader, picture = slide
    found = paint(reader, whole(), 4.0, Averaging())
    assert found.map.density.shape == (1, 100, 150)
    at_once = Averaging().paint_tile(over_white(picture, glass_of(reader))).density
    # at the slide's own edge the tile sees the glass beyond it
    np.testing.assert_allclose(found.map.density[0, 2:-2, 2:-2], at_once[0, 2:-2, 2:-2], atol=0.51)
    assert found.generator == "b" * 64
    assert found.outlier is None


def test_memory_is_bounded_by_a_tile(slide):
    generator = Averaging()
    paint(slide[0], whole(), 4.0, generator)
    most = (CORE_UM + 2 * MARGIN_UM) / 4.0 + 2 * 8
    assert len(generator.sizes) == 2 * 3
    assert max(max(s) for s in generator.sizes) <= most


def test_nothing_is_said_off_the_tissue_and_tiles_without_any_are_not_painted(slide):
    tissue = np.zeros((400, 600), bool)
    tissue[40:200, 40:200] = True
    generator = Averaging()
    seen = []
    found = paint(slide[0], tissue, 4.0, generator, progress=lambda k, n: seen.append((k, n)))
    assert len(generator.sizes) == 1
    assert seen == [(1, 1)]
    assert np.isnan(found.map.density[0][~found.map.support]).all()
    assert np.isfinite(found.map.density[0][found.map.support]).all()
    assert found.map.support.sum() == 40 * 40
    assert found.map.support[10:50, 10:50].all()


def test_refusals(slide, tmp_path):
    reader, _ = slide
    with pytest.raises(LeakageError, match="learnt from the same patient") as error:
        paint(reader, whole(), 4.0, Averaging({"P1"}), patients=["P1", "P2"])
    assert error.value.value == "1 of 2"
    assert "P1" not in str(error.value)
    with pytest.raises(MarkerError, match="no tissue"):
        paint(reader, np.zeros((400, 600), bool), 4.0, Averaging())
    reader.channels = ("DAPI", "CD3", "CD20")
    with pytest.raises(MarkerError, match="brightfield"):
        paint(reader, whole(), 4.0, Averaging())
