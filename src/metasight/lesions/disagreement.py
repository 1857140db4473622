"""How far outlines of one lesion lie apart, and what that does to its measures.

An outline from a click is one of several that a network, rules and neighbouring clicks give. Models
are told the error, and the reader the probability that the outline is wrong. A lesion is bounded by
a second point: the other end of its longest diameter, or a box's opposite corner.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from metasight.errors import VolumeError
from metasight.lesions.size import size_of
from metasight.lesions.solidity import Attenuation, Solidity, solidity_of
from metasight.lesions.wrong_outline import FLAGGED_FROM, wrong_probability
from metasight.segmentation.agreement import dice
from metasight.segmentation.lesion import Outlines
from metasight.volumes.volume import Mask


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Of the outlines of one lesion.

    Attributes
    ----------
    n
        Outlines compared with the one that is measured.
    dice_distance
        Mean of one minus their Dice overlap with it, within [0, 1].
    size_apart_mm
        Mean absolute difference of their longest diameters from its own.
    volume_factor
        Typical factor (root mean square of the logarithm) between their volumes and its own, ≥ 1.
    cut_share
        Share of the half-way outline's surface at which something as dense goes on, within [0, 1].
    errors
        Root mean square difference of size, volume and CTR between the rules that vote and the
        outline, by the measurement's name; models take them for its standard error.
    classes
        Attenuation of the outlines of the rules that vote, as often as they were drawn.
    ctr_lower, ctr_upper
        Ends of their CTRs' ranges, within [0, 1].
    wrong_probability
        That the outline is wrong, see :mod:`metasight.lesions.wrong_outline`; None where it was
        not drawn by network and rules from one click.
    """

    n: int
    dice_distance: float
    size_apart_mm: float
    volume_factor: float
    cut_share: float
    errors: dict[str, float]
    classes: tuple[Attenuation, ...] = ()
    ctr_lower: float = 1.0
    ctr_upper: float = 0.0
    wrong_probability: float | None = None

    @property
    def flagged(self) -> bool | None:
        """Whether somebody must look before the outline is used; None where that is not known."""
        return None if self.wrong_probability is None else self.wrong_probability >= FLAGGED_FROM

    def on(self, found: Solidity) -> Solidity:
        """What is left of a lesion's class and CTR: it needs more than half of the outlines."""
        alike = sum(c == found.attenuation for c in self.classes)
        lower, upper = min(found.ctr_lower, self.ctr_lower), max(found.ctr_upper, self.ctr_upper)
        found = replace(found, ctr_lower=lower, ctr_upper=upper)
        if not self.classes or 2 * alike > len(self.classes) or found.attenuation == "undecided":
            return found
        doubt = f"{found.attenuation} by {alike} of {len(self.classes)} outlines only"
        return replace(found, attenuation="undecided", doubts=(*found.doubts, doubt))

    def in_words(self) -> str:
        """One line for ledger and picture."""
        said = ""
        if self.wrong_probability is not None:
            said = f"probability that the outline is wrong {self.wrong_probability:.2f}"
            said += f" (flagged from {FLAGGED_FROM:.2f}): look at it" if self.flagged else ""
            said += "; "
        return (
            f"{said}"
            f"{self.n} other outlines: size {self.size_apart_mm:.1f} mm apart, volume by a factor "
            f"of {self.volume_factor:.2f}, Dice distance {self.dice_distance:.2f}; "
            f"{100 * self.cut_share:.0f} % of the border runs through something as dense"
        )


def disagreement_of(outlines: Outlines) -> Disagreement:
    """Compare the outlines of a click or a box with the one that they vote for."""
    answer = outlines.answer
    size, volume = size_of(answer).longest_mm, answer.n_voxels
    others = _distinct([*outlines.voters, *outlines.others])
    apart, factor, overlap, weight = [], [], [], []
    for mask, times in others:
        apart.append(abs(size_of(mask).longest_mm - size))
        factor.append(np.log(mask.n_voxels / volume))
        overlap.append(dice(mask.array, answer.array))
        weight.append(times)
    if not weight:
        apart, factor, overlap, weight = [0.0], [0.0], [1.0], [1]
    voted = _voted(outlines)
    return Disagreement(
        n=len(outlines.voters) + len(outlines.others),
        dice_distance=float(1 - np.average(overlap, weights=weight)),
        size_apart_mm=float(np.average(apart, weights=weight)),
        volume_factor=float(np.exp(np.sqrt(np.average(np.square(factor), weights=weight)))),
        cut_share=outlines.cut_share,
        errors=_errors(outlines, voted),
        classes=tuple(found.attenuation for found, times in voted for _ in range(times)),
        ctr_lower=min((found.ctr_lower for found, _ in voted), default=1.0),
        ctr_upper=max((found.ctr_upper for found, _ in voted), default=0.0),
        wrong_probability=wrong_probability(outlines, size),
    )


def _distinct(masks: list[Mask]) -> list[tuple[Mask, int]]:
    """Each outline once, with how often it was drawn."""
    seen: dict[bytes, tuple[Mask, int]] = {}
    for mask in masks:
        key = np.packbits(mask.array).tobytes()
        first, times = seen.get(key, (mask, 0))
        seen[key] = first, times + 1
    return list(seen.values())


def _voted(outlines: Outlines) -> list[tuple[Solidity, int]]:
    """What the voting rules' outlines give, with how often each was drawn."""
    found = []
    for mask, times in _distinct(list(outlines.voters)):
        try:
            found.append((solidity_of(outlines.scan, mask), times))
        except VolumeError:  # a speck has no diameter
            continue
    return found


def _errors(outlines: Outlines, voted: list[tuple[Solidity, int]]) -> dict[str, float]:
    own = _measures(solidity_of(outlines.scan, outlines.answer))
    squares: dict[str, float] = dict.fromkeys(own, 0.0)
    for found, times in voted:
        for name, value in _measures(found).items():
            squares[name] += times * (value - own[name]) ** 2
    n = sum(times for _, times in voted)
    return {name: float(np.sqrt(total / max(n, 1))) for name, total in squares.items()}


def _measures(found: Solidity) -> dict[str, float]:
    return {
        "tumour_size_mm": found.whole.longest_mm,
        "tumour_perpendicular_mm": found.whole.longest.perpendicular_mm,
        "tumour_volume_mm3": found.whole.volume_mm3,
        "solid_size_mm": found.main.longest_mm,
        "solid_volume_mm3": found.main.volume_mm3,
        "ctr": found.main.ctr,
        "ctr_volume": found.main.ctr_volume,
    }
