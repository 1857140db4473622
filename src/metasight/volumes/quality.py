"""Whether a chest CT can be measured: each value, its limit, and the verdict.

What the header says, and what the image shows; where the two could differ the image is believed.
Nothing here is fitted: each value is a physical quantity, its limit comes from the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.volumes import vocabulary
from metasight.volumes.chest import Chest, edge_of_view, find_aorta, find_chest
from metasight.volumes.ct_limits import CtLimits, Limit, Verdict
from metasight.volumes.ct_metal import metal_ml, streak_share
from metasight.volumes.ct_motion import largest_jump_mm, widest_edge_mm
from metasight.volumes.ct_noise import noise_in_air, noise_in_lung, noise_in_tissue
from metasight.volumes.kernels import sharpness
from metasight.volumes.volume import Volume

_ENHANCED_HU = 100.0
_PLAIN_HU = 75.0  # blood without contrast reads 30–60, with much iron or a high haematocrit 70


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One value of a scan and what its limit says of it.

    Attributes
    ----------
    name
        As in :class:`CtLimits`; it ends in the unit where there is one.
    value
        None where it cannot be measured.
    limit
        What it may be.
    verdict
        ``passed``, ``failed`` or ``unknown``.
    said
        In words: the value, where it was found, or why it is unknown.
    """

    name: str
    value: float | None
    limit: Limit
    verdict: Verdict
    said: str

    def __str__(self) -> str:
        value = "unknown" if self.value is None else f"{self.value:.4g}"
        return f"{self.name} {value} ({self.limit}): {self.verdict}; {self.said}"


@dataclass(frozen=True, kw_only=True)
class CtQuality:
    """All findings of a scan.

    Attributes
    ----------
    findings
        In a fixed order.
    contrast
        ``enhanced``, ``none`` or ``unknown``, by the aorta.
    kernel
        ``smooth``, ``sharp`` or ``unknown``.
    """

    findings: tuple[Finding, ...]
    contrast: str
    kernel: str

    @property
    def verdict(self) -> Verdict:
        """``failed`` if any finding is, else ``unknown`` if a required one is, else ``passed``."""
        if any(f.verdict == "failed" for f in self.findings):
            return "failed"
        unknown = any(f.verdict == "unknown" and f.limit.required for f in self.findings)
        return "unknown" if unknown else "passed"

    @property
    def reasons(self) -> tuple[str, ...]:
        """The findings that failed, or those that leave the scan unknown."""
        verdict = self.verdict
        if verdict == "passed":
            return ()
        return tuple(
            str(f)
            for f in self.findings
            if f.verdict == verdict and (verdict == "failed" or f.limit.required)
        )

    def of(self, name: str) -> Finding:
        """The finding of a name."""
        return next(f for f in self.findings if f.name == name)


@dataclass(frozen=True, kw_only=True)
class _Value:
    name: str
    value: float | None
    said: str


def ct_quality(volume: Volume, limits: CtLimits | None = None) -> CtQuality:
    """Measure a chest CT's quality.

    Parameters
    ----------
    volume
        In HU, with the facts of its header.
    limits
        The protocol's; the default's reasons are in :class:`CtLimits`.

    Raises
    ------
    VolumeError
        The volume is not in HU.
    """
    allowed = limits or CtLimits()
    chest = find_chest(volume)
    aorta = find_aorta(volume, chest)
    aorta_hu = None if aorta is None else aorta.hu
    values = [
        *_of_header(volume),
        *_of_noise(volume, chest, None if aorta is None else aorta.noise_hu),
        *_of_hounsfield(chest),
        *_of_coverage(chest),
        *_of_motion(volume, chest),
        _Value(
            name="streak_share",
            value=streak_share(volume, chest),
            said="tissue round metal changed by 150 HU or more, worst slice",
        ),
        _Value(name="metal_ml", value=metal_ml(volume, chest), said="at or above 2500 HU"),
        _Value(name="contrast_hu", value=aorta_hu, said=_contrast_words(aorta_hu)),
    ]
    findings = tuple(
        Finding(
            name=v.name,
            value=v.value,
            limit=(limit := getattr(allowed, v.name)),
            verdict=limit.verdict(v.value),
            said=v.said,
        )
        for v in values
    )
    facts = volume.facts
    return CtQuality(
        findings=findings,
        contrast=_contrast(aorta_hu),
        kernel=sharpness(facts.kernel, facts.manufacturer),
    )


def _of_header(volume: Volume) -> Iterator[_Value]:
    facts = volume.facts
    x, y, z = volume.spacing_mm
    thickness = facts.slice_thickness_mm
    yield _Value(name="slice_thickness_mm", value=thickness, said="by the header")
    yield _Value(name="slice_distance_mm", value=z, said="from the slices' positions")
    gap = None if thickness is None else max(0.0, z - thickness)
    yield _Value(name="slice_gap_mm", value=gap, said="distance less thickness")
    yield _Value(name="pixel_spacing_mm", value=max(x, y), said="by the header")
    missing = facts.missing_slices_mm
    where = ", ".join(f"{p:g}" for p in missing[:10])
    yield _Value(
        name="missing_slices",
        value=float(len(missing)),
        said=f"interpolated at {where} mm of the stack" if missing else "none is missing",
    )
    yield _Value(name="tilt_degrees", value=facts.tilt_degrees, said="from the slices' positions")
    yield _Value(name="lossy", value=float(facts.lossy), said="by the header")
    sharp = sharpness(facts.kernel, facts.manufacturer)
    yield _Value(
        name="kernel_known",
        value=None if sharp == "unknown" else 1.0,
        said=f"kernel {vocabulary.kernel(facts.kernel)}, {sharp}",
    )


def _of_noise(volume: Volume, chest: Chest, in_aorta: float | None) -> Iterator[_Value]:
    lung = noise_in_lung(volume, chest)
    yield _Value(
        name="noise_lung_hu",
        value=lung,
        said="too little lung" if lung is None else "commonest deviation in windows of 7 mm",
    )
    tissue = noise_in_tissue(volume, chest)
    yield _Value(
        name="noise_tissue_hu",
        value=tissue,
        said="too little tissue" if tissue is None else "commonest deviation in windows of 7 mm",
    )
    yield _Value(
        name="noise_aorta_hu",
        value=in_aorta,
        said="aorta not found" if in_aorta is None else "in discs of the descending aorta",
    )
    air = noise_in_air(volume, chest)
    yield _Value(
        name="noise_air_hu",
        value=air,
        said="too little air, or the scanner cut it off" if air is None else "round the body",
    )


def _of_hounsfield(chest: Chest) -> Iterator[_Value]:
    air = float(np.median(chest.blocks[chest.outside_air])) if chest.outside_air.any() else None
    yield _Value(
        name="air_hu",
        value=air,
        said="no air round the body in the field" if air is None else "median round the body",
    )
    tissue = chest.blocks[chest.body]
    yield _Value(
        name="muscle_hu",
        value=_peak(tissue, -40.0, 200.0),
        said="commonest value of solid tissue above fat",
    )
    yield _Value(name="fat_hu", value=_peak(tissue, -200.0, -45.0), said="commonest value of fat")


def _of_coverage(chest: Chest) -> Iterator[_Value]:
    z, y, x = chest.block_mm
    area = chest.lungs.sum(axis=(1, 2)) * y * x / 100.0
    yield _Value(
        name="lung_volume_ml",
        value=float(chest.lungs.sum()) * chest.block_ml,
        said="gas denser than air, airways too",
    )
    planes = chest.lung_planes
    height = 0.0 if planes is None else (planes[1] - planes[0] + 1) * z
    yield _Value(name="lung_height_mm", value=height, said="slices with 10 cm² of lung")
    yield _Value(name="lung_first_slice_cm2", value=float(area[0]), said="at the lower end")
    yield _Value(name="lung_last_slice_cm2", value=float(area[-1]), said="at the upper end")
    at_edge = int(np.count_nonzero(chest.lungs & edge_of_view(chest.view)))
    yield _Value(
        name="lung_at_view_edge_cm2",
        value=at_edge * z * (y + x) / 2 / 100.0,
        said="lung on the rim of the field of view",
    )


def _of_motion(volume: Volume, chest: Chest) -> Iterator[_Value]:
    jump = largest_jump_mm(volume, chest)
    yield _Value(
        name="slice_jump_mm",
        value=jump,
        said="too few slices of lung" if jump is None else "largest between two slices",
    )
    width = widest_edge_mm(volume, chest)
    yield _Value(
        name="edge_width_mm",
        value=width,
        said="too few edges of lung" if width is None else "widest over three planes",
    )


def _peak(values: npt.NDArray[np.float32], low: float, high: float) -> float | None:
    """The commonest value between two, from bins of 5 HU smoothed over three.

    None if it lies at an end of the range: then it is the flank of a peak outside.
    """
    edges = np.arange(low, high + 5.0, 5.0)
    counts, _ = np.histogram(values, edges)
    smooth = ndimage.uniform_filter1d(counts.astype(float), 3)
    best = int(np.argmax(smooth))
    if counts.sum() < 100 or best in (0, len(smooth) - 1):
        return None
    return float((edges[best] + edges[best + 1]) / 2)


def _contrast(aorta_hu: float | None) -> str:
    if aorta_hu is None or _PLAIN_HU < aorta_hu < _ENHANCED_HU:
        return "unknown"
    return "enhanced" if aorta_hu >= _ENHANCED_HU else "none"


def _contrast_words(aorta_hu: float | None) -> str:
    if aorta_hu is None:
        return "aorta not found"
    return f"contrast {_contrast(aorta_hu)} by the descending aorta"
