"""Whether a slide looks like those that a generator learnt from.

A generator paints something on any picture. Each half-millimetre block of tissue is described by
mean and spread of its colour and of what the network's first layers see; a slide's score is how
far its blocks lie, on average, from those of the training slides (Mahalanobis distance with a
shrunk covariance; Ledoit & Wolf, J Multivar Anal 2004;88:365). How far a slide that is no outlier
lies is told by leaving out each training patient in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.errors import MarkerError

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BLOCK_UM = 512.0
LEAST_TISSUE = 0.25
_FEWEST_PATIENTS = 3
_FAR = 3.5  # robust spreads above the median of the left-out patients, in logarithms
_MAD_TO_SPREAD = 1.4826
_LEAST_SPREAD = 0.15  # logarithms: with few patients the spread itself is poorly known


@dataclass(frozen=True, kw_only=True)
class OutlierScore:
    """How unlike a slide is.

    Attributes
    ----------
    score
        Mean squared distance of its blocks over that of the training slides' own; about 1 for a
        slide like those, above 0. NaN where there is no block.
    threshold
        Beyond it the slide is flagged; inf where too few patients were seen to set one.
    flagged
        Whether its map should not be used unseen.
    """

    score: float
    threshold: float

    @property
    def flagged(self) -> bool:
        """Whether its map should not be used unseen; a slide without a block is."""
        return not self.score <= self.threshold


@dataclass(frozen=True, kw_only=True)
class OutlierModel:
    """Blocks of the training slides, as a normal distribution.

    Attributes
    ----------
    centre
        (f,) mean.
    whitening
        (f, f): a block's distance is the length of ``(block - centre) @ whitening``.
    threshold
        Of a slide's score.
    """

    centre: Floats
    whitening: Floats
    threshold: float

    def score(self, blocks: Floats) -> OutlierScore:
        """Score of a slide from its blocks (n, f).

        Raises
        ------
        MarkerError
            The blocks have another number of features.
        """
        if blocks.ndim != 2 or blocks.shape[1] != len(self.centre):
            raise MarkerError(
                "the slide's features are of another generator", value=f"{blocks.shape}"
            )
        score = _distance(blocks, self.centre, self.whitening) if len(blocks) else float("nan")
        return OutlierScore(score=score, threshold=self.threshold)


def block_features(features: Floats32, tissue: Mask, spacing_um: float) -> Floats:
    """Mean and spread of each feature over the tissue of each block.

    Parameters
    ----------
    features
        (f, rows, columns) on the map's grid.
    tissue
        (rows, columns).
    spacing_um
        Of the grid.

    Returns
    -------
    (blocks, 2 f), of the blocks of 512 µm, or of what the map's shorter side holds, of which at
    least a quarter is tissue.
    """
    side = max(1, min(round(BLOCK_UM / spacing_um), *tissue.shape))
    found = []
    for row in range(0, tissue.shape[0], side):
        for column in range(0, tissue.shape[1], side):
            there = tissue[row : row + side, column : column + side]
            if there.sum() < LEAST_TISSUE * side * side:
                continue
            own = features[:, row : row + side, column : column + side][:, there]
            own = own.astype(np.float64)
            found.append(np.concatenate([own.mean(axis=1), own.std(axis=1)]))
    return np.asarray(found, dtype=np.float64).reshape(len(found), 2 * len(features))


def fit_outliers(blocks: Mapping[str, Floats]) -> OutlierModel:
    """Describe the training slides.

    Parameters
    ----------
    blocks
        Patient → (n, f) blocks.

    Raises
    ------
    MarkerError
        There is no block at all.
    """
    told = {name: own for name, own in sorted(blocks.items()) if len(own)}
    if not told:
        raise MarkerError("no training tile holds tissue enough to describe it")
    centre, whitening = _fitted(np.concatenate(list(told.values())))
    if len(told) < _FEWEST_PATIENTS:
        return OutlierModel(centre=centre, whitening=whitening, threshold=float("inf"))
    left_out = []
    for name, own in told.items():
        others = np.concatenate([b for other, b in told.items() if other != name])
        left_out.append(np.log(_distance(own, *_fitted(others))))
    middle = float(np.median(left_out))
    spread = _MAD_TO_SPREAD * float(np.median(np.abs(np.asarray(left_out) - middle)))
    threshold = float(np.exp(middle + _FAR * max(spread, _LEAST_SPREAD)))
    return OutlierModel(centre=centre, whitening=whitening, threshold=threshold)


def _fitted(blocks: Floats) -> tuple[Floats, Floats]:
    """Centre and whitening of the shrunk covariance, of features in their own spreads."""
    centre = blocks.mean(axis=0)
    own = blocks.std(axis=0)
    own = np.maximum(own, 1e-3 * max(float(own.max()), 1e-6))
    unit = (blocks - centre) / own
    covariance = _shrunk(unit)
    value, vector = np.linalg.eigh(covariance)
    root = vector / np.sqrt(np.maximum(value, 1e-6)) @ vector.T
    return centre, root / own[:, None]


def _shrunk(unit: Floats) -> Floats:
    """Ledoit and Wolf's covariance of centred rows: drawn towards a multiple of the identity."""
    n, f = unit.shape
    sample = unit.T @ unit / n
    mean = float(np.trace(sample)) / f
    distance = float(((sample - mean * np.eye(f)) ** 2).sum())
    noise = (float(((unit**2).sum(axis=1) ** 2).sum()) / n - float((sample**2).sum())) / n
    share = min(1.0, max(noise, 0.0) / distance) if distance > 0 else 1.0
    return np.asarray((1 - share) * sample + share * mean * np.eye(f), dtype=np.float64)


def _distance(blocks: Floats, centre: Floats, whitening: Floats) -> float:
    return float(np.mean(((blocks - centre) @ whitening) ** 2))
