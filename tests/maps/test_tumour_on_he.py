"""Tumour area from tiles of an H&E: which tiles are looked at, and of what it is a share."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.errors import MarkerError
from metasight.maps import tumour_on_he
from metasight.maps.tumour import TumourArea
from metasight.maps.tumour_on_he import tumour_share_on_he
from metasight.slides.reader import Region


class Glass:
    """A slide of 4096 × 2048 pixels without anything on it."""

    def __init__(self, mpp: float) -> None:
        self.mpp, self.read_at = mpp, []

    def size_at(self, mpp: float) -> tuple[int, int]:
        return round(4096 * self.mpp / mpp), round(2048 * self.mpp / mpp)

    def read(self, region: Region, mpp: float) -> np.ndarray:
        self.read_at.append((region.x // 512, region.y // 512, mpp))
        return np.full((region.height, region.width, 3), 240, dtype=np.uint8)


@pytest.fixture
def thirty_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tile that is looked at is 30 % tumour, 20 to 50 %."""
    area = TumourArea(
        percent=30.0, lower=20.0, upper=50.0, epithelium_percent=0.0, region=None, basis="H&E"
    )
    monkeypatch.setattr(tumour_on_he, "detect_in_he", lambda *_: None)
    monkeypatch.setattr(tumour_on_he, "tumour_from_nuclei", lambda *_, **__: area)


def left(of: int, out_of: int) -> np.ndarray:
    """Tissue of a 4096 × 2048 slide at 1/64, on the left ``of`` parts of ``out_of``."""
    mask = np.zeros((32, 64), dtype=bool)
    mask[:, : 64 * of // out_of] = True
    return mask


@pytest.mark.usefixtures("thirty_percent")
def test_glass_holds_no_tumour() -> None:
    slide = Glass(0.5)
    found = tumour_share_on_he(slide, left(1, 2), 0.5 * 64)
    # half of the field is tissue, and 30 % of tissue is tumour
    assert (found.value, found.lower, found.upper) == pytest.approx((15.0, 10.0, 25.0))
    # tiles of 512 pixels on the tissue's half: 4 columns of 8, 4 rows of 4
    assert sorted({(c, r) for c, r, _ in slide.read_at}) == [
        (c, r) for c in range(4) for r in range(4)
    ]


@pytest.mark.usefixtures("thirty_percent")
def test_finer_slides_are_read_at_half_a_micrometre() -> None:
    slide = Glass(0.25)
    found = tumour_share_on_he(slide, left(1, 1), 0.25 * 64)
    assert found.value == pytest.approx(30.0)
    assert {mpp for *_, mpp in slide.read_at} == {0.5}
    assert len(slide.read_at) == 4 * 2


def test_pixels_too_coarse_for_nuclei() -> None:
    with pytest.raises(MarkerError) as caught:
        tumour_share_on_he(Glass(1.1), left(1, 1), 64.0)
    assert caught.value.problem == "1.1 µm per pixel are too coarse to recognise nuclei"


def test_a_tile_without_any_nucleus_is_a_named_error() -> None:
    with pytest.raises(MarkerError, match="the nuclear image is flat"):
        tumour_share_on_he(Glass(0.5), left(1, 1), 0.5 * 64)


def test_too_little_tissue() -> None:
    with pytest.raises(MarkerError) as caught:
        tumour_share_on_he(Glass(0.5), left(1, 32), 0.5 * 64)  # a quarter of a tile wide
    assert caught.value.problem == "too little tissue"
