"""The width of edges in µm: of a known blur, whatever pixel size, contrast and place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from metasight.slides.focus import edge_width_um


def edges(width_um: float, mpp: float, contrast: float = 1.0) -> np.ndarray:
    """Bars 60 µm wide, blurred by a Gaussian of ``width_um``."""
    n = round(480 / mpp)
    x = np.arange(n) * mpp
    bars = ((x // 60) % 2 * contrast).astype(np.float32)
    picture = np.repeat(bars[None], n, axis=0)
    return cv2.GaussianBlur(picture, (0, 0), width_um / mpp)


@pytest.mark.parametrize("width", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("mpp", [0.5, 1.0])
def test_an_edge_has_its_width_at_any_resolution(width, mpp):
    assert edge_width_um(edges(width, mpp), mpp) == pytest.approx(width, rel=0.14)


def test_contrast_and_offset_do_not_matter():
    one = edge_width_um(edges(2.0, 0.5), 0.5)
    assert edge_width_um(edges(2.0, 0.5, contrast=0.1), 0.5) == pytest.approx(one, rel=1e-3)
    assert edge_width_um(edges(2.0, 0.5) + 5, 0.5) == pytest.approx(one, rel=1e-3)
    assert edge_width_um(-edges(2.0, 0.5), 0.5) == pytest.approx(one, rel=1e-3)
    assert edge_width_um(edges(2.0, 0.5).T, 0.5) == pytest.approx(one, rel=1e-3)


def test_only_the_mask_is_looked_at():
    picture = edges(1.0, 0.5)
    half = picture.shape[0] // 2
    picture[half:] = edges(6.0, 0.5)[half:]
    mask = np.zeros(picture.shape, dtype=bool)
    mask[: half - 20] = True
    assert edge_width_um(picture, 0.5, mask) == pytest.approx(1.0, rel=0.15)
    assert edge_width_um(picture, 0.5, ~mask) > 2


def test_blurring_once_more_adds_in_quadrature():
    sharp = edges(1.5, 0.5)
    soft = cv2.GaussianBlur(sharp, (0, 0), 3.0 / 0.5)
    assert edge_width_um(soft, 0.5) == pytest.approx(np.hypot(1.5, 3.0), rel=0.1)


def test_nothing_to_judge_by():
    assert np.isnan(edge_width_um(np.full((50, 50), 0.3), 1.0))


def test_what_is_too_coarse_holds_no_sign_of_focus():
    with pytest.raises(ValueError, match=r"focus cannot be seen at 1\.2"):
        edge_width_um(np.zeros((9, 9)), 1.2)
