"""The tumour's share of an H&E's scanned field, from the nuclei of the whole slide.

Tumour is where nuclei that look epithelial are dense: larger than the slide's own lymphocytes and
not long like a fibroblast's. Only some epithelial nuclei look so (a section cuts off caps), and
some others do. How many of either is read from the slide: of the epithelial ones from the places
that show most, of the others from the smaller of two rates that explain how unevenly such nuclei
lie. With both, the share of such nuclei at a place tells how many of all nuclei there are
epithelial.

What is uncertain is varied one at a time and joined as independent errors: the limit of size, the
limit of density, both rates, and how many nuclei are overlooked. Reactive epithelium and
histiocytes count as tumour, and carcinoma in situ does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError
from metasight.maps.density import DEFAULT_SPACING_UM
from metasight.maps.tumour import (
    EPITHELIUM_PER_MM2,
    LIMIT_FACTOR,
    NUCLEI_OF_HE,
    TumourArea,
    area_of,
    share_percent,
    smoothed_density,
    tumour_region,
)
from metasight.maps.window import TissueWindow
from metasight.segmentation.nucleus import Nuclei
from metasight.segmentation.slide_nuclei import NucleusTable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LEAST_NUCLEI = 100
_ROUND = 1.5
_LONG = 2.0  # a fibroblast's nucleus is two to four times as long as wide
_DARKEST = 0.75, 0.95  # quantiles of the amount of haematoxylin
_LYMPHOCYTE_UM2 = 28.0, 79.0  # discs of 6 and 10 µm, blur included
_USUAL_LYMPHOCYTE_UM2 = 50.3  # a disc of 8 µm
_SMALLER = 0.95  # than round nuclei as a whole: else the dark ones are no lymphocytes
_RICHEST = 0.9  # quantile of the nuclei, by the share of epithelial looks around them
_EPITHELIAL_LOOK = 0.4, 0.8
_OTHER_LOOK = 0.02, 0.25
"""Between which the share of epithelial, and of other, nuclei that look epithelial is believed."""
_MOST_OTHERS = 0.8  # of the epithelial rate: what looks alike cannot be told apart
_SQUARE_UM = 64.0  # some ten nuclei, and within a nest
_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One way to read nuclei.

    Attributes
    ----------
    size
        An epithelial nucleus looks so from this many times a lymphocyte's area on: 1.5 parts one
        of 9 µm from a lymphocyte's 7 to 8 µm.
    others, epithelial
        Times the rate that the slide shows, at which nuclei of other cells (endothelium,
        histiocytes, two lymphocytes taken for one) and of epithelial cells look epithelial.
    found
        Share of nuclei that are found: between F1 on real H&E (docs/biomarkers.md) and all.
    limit
        Epithelial cells per mm² from which a place is tumour.
    lymphocyte
        0: of the likelier size of the slide's lymphocytes; 1: of the other.
    """

    size: float = 1.5
    others: float = 1.0
    epithelial: float = 1.0
    found: float = 0.88
    limit: float = EPITHELIUM_PER_MM2
    lymphocyte: int = 0


_AS_WELL: tuple[dict[str, Any], ...] = (
    {"size": 1.25},
    {"size": 1.75},
    {"lymphocyte": 1},
    {"others": 1 / 1.5},
    {"others": 1.5},
    {"epithelial": 1 / 1.2},
    {"epithelial": 1.2},
    {"found": 0.77},
    {"found": 1.0},
    {"limit": EPITHELIUM_PER_MM2 / LIMIT_FACTOR},
    {"limit": EPITHELIUM_PER_MM2 * LIMIT_FACTOR},
)
"""What could as well be so."""


def tumour_from_nuclei(
    nuclei: NucleusTable | Nuclei, window: TissueWindow, *, scanned_area_um2: float
) -> TumourArea:
    """Tumour region from the nuclei of an H&E section.

    Parameters
    ----------
    nuclei
        Of the whole tissue, in the window's frame: sizes are told against the slide's own.
    window
        The tissue.
    scanned_area_um2
        Of the scanned field.

    Raises
    ------
    MarkerError
        Fewer than 100 nuclei, or the field is smaller than the tissue.
    """
    grid = (
        window if window.spacing_um == DEFAULT_SPACING_UM else window.resampled(DEFAULT_SPACING_UM)
    )
    inside = grid.contains(nuclei.x_um, nuclei.y_um)
    if int(inside.sum()) < _LEAST_NUCLEI:
        raise MarkerError("too few nuclei to tell a tumour by", value=str(int(inside.sum())))
    section = _Section(nuclei, inside, grid)
    usual = _Reading()
    found = area_of(section.epithelial(usual), grid, NUCLEI_OF_HE, scanned_area_um2)
    below, above = 0.0, 0.0
    for other in _AS_WELL:
        reading = replace(usual, **other)
        region = tumour_region(grid.mask & (section.epithelial(reading) >= reading.limit), grid)
        off = share_percent(region, grid, scanned_area_um2) - found.percent
        below, above = below + min(off, 0.0) ** 2, above + max(off, 0.0) ** 2
    return replace(
        found,
        lower=max(0.0, found.percent - float(np.sqrt(below))),
        upper=min(100.0, found.percent + float(np.sqrt(above))),
    )


class _Section:
    """Nuclei of a section on the grid of its window."""

    def __init__(self, nuclei: NucleusTable | Nuclei, inside: Mask, grid: TissueWindow) -> None:
        self._grid = grid
        self._at = nuclei.x_um[inside], nuclei.y_um[inside]
        self._area = nuclei.area_um2[inside]
        self._long = nuclei.axis_ratio[inside] > _LONG
        self._lymphocytes = _lymphocytes_um2(
            self._area, nuclei.amount[inside], nuclei.axis_ratio[inside] <= _ROUND
        )
        self._all = self._density(np.ones(len(self._area), dtype=np.bool_))
        self._known: dict[float, tuple[Floats, float, float]] = {}

    def _counts(self, which: Mask) -> Floats:
        counts = self._grid.counts(self._at[0][which], self._at[1][which]).astype(np.float64)
        return np.where(self._grid.mask, counts, 0.0)

    def _density(self, which: Mask) -> Floats:
        plane = self._counts(which) * 1e6 / self._grid.spacing_um**2
        return smoothed_density(plane, self._grid)

    def epithelial(self, reading: _Reading) -> Floats:
        """Density of epithelial cells per mm², overlooked ones included."""
        least_um2 = reading.size * self._lymphocytes[reading.lymphocyte]
        share, others, epithelial = self._looks(least_um2)
        epithelial = min(epithelial * reading.epithelial, 1.0)
        others = min(others * reading.others, _MOST_OTHERS * epithelial)
        of_all = np.clip((share - others) / (epithelial - others), 0.0, 1.0)
        return np.asarray(of_all * self._all / reading.found, dtype=np.float64)

    def _looks(self, least_um2: float) -> tuple[Floats, float, float]:
        """Share of nuclei that look epithelial by place, and the rates of other and epithelial."""
        if least_um2 not in self._known:
            large = ~self._long & (self._area >= least_um2)
            share = self._density(large) / np.maximum(self._all, 1.0)
            side = round(_SQUARE_UM / self._grid.spacing_um)
            every = np.ones(len(large), dtype=np.bool_)
            others = _rate_of_others(
                *(_in_squares(self._counts(which), side) for which in (large, every))
            )
            mask = self._grid.mask
            richest = _in_the_richest_places(share[mask], self._all[mask])
            self._known[least_um2] = share, others, float(np.clip(richest, *_EPITHELIAL_LOOK))
        return self._known[least_um2]


def _lymphocytes_um2(area_um2: Floats, amount: Floats, is_round: Mask) -> tuple[float, float]:
    """Two sizes that the slide's lymphocytes may have, the likelier first.

    One is that of the slide's darkest round nuclei, few or many (the smaller of the two); where
    these are no smaller than other round nuclei they are none, and the usual size is likelier.
    """
    round_um2, amount = area_um2[is_round], amount[is_round]
    if not len(round_um2):
        return _USUAL_LYMPHOCYTE_UM2, _USUAL_LYMPHOCYTE_UM2
    dark = [round_um2[amount >= np.quantile(amount, q)] for q in _DARKEST]
    own = min(float(np.median(d)) for d in dark)
    told = float(np.clip(own, *_LYMPHOCYTE_UM2))
    if own < _SMALLER * float(np.median(round_um2)):
        return told, _USUAL_LYMPHOCYTE_UM2
    return _USUAL_LYMPHOCYTE_UM2, told


def _in_the_richest_places(share: Floats, nuclei: Floats) -> float:
    """The share that a tenth of the nuclei have around them, or more."""
    order = np.argsort(share, kind="stable")
    below = np.cumsum(nuclei[order])
    at = int(np.searchsorted(below, _RICHEST * below[-1]))
    return float(share[order][min(at, len(order) - 1)])


def _in_squares(counts: Floats, side: int) -> Floats:
    """Sums over squares of ``side`` pixels, one after the other."""
    rows, columns = counts.shape
    wide = np.pad(counts, ((0, -rows % side), (0, -columns % side)))
    down, across = (n // side for n in wide.shape)
    return np.asarray(wide.reshape(down, side, across, side).sum(axis=(1, 3)).ravel())


def _rate_of_others(large: Floats, nuclei: Floats) -> float:
    """The smaller of two rates at which a square's nuclei look epithelial.

    By expectation and maximisation over squares, each of one kind: squares of nests and of the
    rest. Of a section without nests both rates are the others', and the smaller is kept.
    """
    there = nuclei > 0
    large, small = large[there], (nuclei - large)[there]
    other, nest, of_nests = 0.1, 0.6, 0.3
    for _ in range(_ROUNDS):
        odds = np.log(of_nests / (1 - of_nests)) + large * np.log(nest / other)
        odds += small * np.log((1 - nest) / (1 - other))
        is_nest = 1 / (1 + np.exp(np.clip(-odds, -500, 500)))
        nest = _rate(is_nest, large, small, (_OTHER_LOOK[1] + 0.1, 0.9))
        other = _rate(1 - is_nest, large, small, _OTHER_LOOK)
        of_nests = float(np.clip(is_nest.mean(), 0.01, 0.99))
    return other


def _rate(weight: Floats, large: Floats, small: Floats, between: tuple[float, float]) -> float:
    total = float((weight * (large + small)).sum())
    return float(np.clip((weight * large).sum() / max(total, 1e-9), *between))
