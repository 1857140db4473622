"""Laboratories and scanners: what a section of the same tissue looks like in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metasight.simulate.breast.settings import BreastSettings

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Centre:
    """A laboratory with its scanner.

    Attributes
    ----------
    name
        As tables have it.
    haematoxylin, eosin
        Unit vectors of optical density in red, green, blue.
    haematoxylin_strength, eosin_strength
        Factors of the amounts.
    glass
        Grey levels of empty glass.
    blur_um
        Standard deviation of the scanner's point spread.
    noise
        Of the camera, in grey levels.
    gamma
        Of the scanner's tone curve.
    jpeg
        Quality.
    file_kind
        ``svs`` or ``ome``.
    score
        −1 to 1 from the first to the last centre: what `confounding` ties the outcome to.
    """

    name: str
    haematoxylin: Floats
    eosin: Floats
    haematoxylin_strength: float
    eosin_strength: float
    glass: Floats
    blur_um: float
    noise: float
    gamma: float
    jpeg: int
    file_kind: str
    score: float


_HAEMATOXYLIN = np.array([0.60, 0.74, 0.29])
_EOSIN = np.array([0.26, 0.93, 0.25])
_NAMES = ("North", "South", "East", "West")


def centre_of(settings: BreastSettings, seed: int, number: int) -> Centre:
    """Centre ``number``: the same for the same seed, whatever the other settings.

    Vectors spread about those of the real tiles in ``slides/he-tiles`` and
    ``slides/histolytics``: blue to magenta haematoxylin, strengths by a factor of two.
    """
    rng = np.random.default_rng([seed, 7001, number])
    drawn = np.clip(rng.standard_normal(12), -2, 2)
    stain, scanner = settings.stain_shift, settings.scanner_shift
    score = 0.0 if settings.centres == 1 else 2 * number / (settings.centres - 1) - 1
    # the first and last centre stand at the ends, so that a shift that goes with the outcome
    # can be planted
    bluer = 0.5 * drawn[0] + 0.8 * score
    haematoxylin = _HAEMATOXYLIN + stain * np.array([0.035 * bluer, -0.02 * bluer, 0.02 * drawn[1]])
    eosin = _EOSIN + stain * np.array([0.03 * drawn[2], 0.0, 0.04 * drawn[3]])
    name = _NAMES[number] if number < len(_NAMES) else f"Centre {number + 1}"
    return Centre(
        name=name,
        haematoxylin=_unit(haematoxylin),
        eosin=_unit(np.maximum(eosin, 0.02)),
        haematoxylin_strength=float(np.exp(stain * (0.10 * drawn[4] + 0.10 * score))),
        eosin_strength=float(np.exp(stain * (0.14 * drawn[5] - 0.08 * score))),
        glass=np.array([243.0, 243.0, 243.0])
        - scanner * np.array([1.5, 2.5, 2.0]) * np.abs(drawn[6:9]),
        blur_um=float(0.32 + 0.12 * scanner * abs(drawn[9])),
        noise=float(1.2 + 0.5 * scanner * abs(drawn[10])),
        gamma=float(np.exp(0.06 * scanner * drawn[11])),
        jpeg=int(np.clip(88 - 5 * scanner * number % 3, 75, 92)),
        file_kind="svs" if number % 2 == 0 else "ome",
        score=float(score),
    )


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float64)
