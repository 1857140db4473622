"""Multiplex IHC → cells with their markers, in fluorescence and in DAB.

Fluorescence: background, autofluorescence and spill-over come off, nuclei are found in the
nuclear channel, each cell is its nucleus and 3 µm round it, and a marker's signal is the mean
over the cell. DAB: the dyes' vectors are estimated on the slide and separated; haematoxylin
gives the nuclei, DAB the signal.

What stands in the names is checked against what the picture can show: which channel has the
most nuclei, whose nuclei are larger, which colour the second dye absorbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from skimage.segmentation import expand_labels

from metasight.errors import MarkerError
from metasight.maps.cells import Cells
from metasight.maps.fluorescence import (
    Channels,
    background_of,
    require_markers,
    unmix,
    without_autofluorescence,
)
from metasight.maps.positivity import Positivity, positive_cells
from metasight.segmentation.nucleus import (
    Nuclei,
    NucleusSettings,
    blurred,
    detect_in_fluorescence,
    detect_nuclei,
    haematoxylin_image,
    levels_beside_dab,
)
from metasight.slides.stain import Rgb, Stains, deconvolve, estimate_stains

Floats = npt.NDArray[np.float64]
Image = npt.NDArray[np.float32]

DAB_LINEAR_TO_OD = 1.0
"""Above it DAB scatters, and its density says no more of the antigen."""

_LARGER_OBJECTS = 1.5
_SMALLER_NUCLEI = 0.8
_FEWEST_CELLS = 30
_CELL_RADIUS_UM = 5.0


@dataclass(frozen=True, kw_only=True)
class MarkerSettings:
    """How markers are read.

    Attributes
    ----------
    nuclear
        Name of the nuclear channel (fluorescence).
    autofluorescence
        Name of a channel without dye, or None.
    spill_over
        Matrix over the channels other than ``autofluorescence``, in their order, or None.
    thresholds
        Marker → the laboratory's own threshold; the stated rule decides for the others.
    tumour_marker, lymphocyte_markers
        For the check of swapped names; without them nothing is checked.
    cell_margin_um
        A cell reaches this far beyond its nucleus.
    nucleus
        For the detection of nuclei.
    """

    nuclear: str = "DAPI"
    autofluorescence: str | None = None
    spill_over: tuple[tuple[float, ...], ...] | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    tumour_marker: str = ""
    lymphocyte_markers: tuple[str, ...] = ()
    cell_margin_um: float = 3.0
    nucleus: NucleusSettings = field(default_factory=NucleusSettings)


@dataclass(frozen=True, kw_only=True)
class MarkedCells:
    """Cells of a section with the evidence for their markers.

    Attributes
    ----------
    cells
        ``positive`` by marker; the type is the marker that stands out most from its threshold,
        or ``other``.
    nuclei
        As found.
    signal
        Marker → mean signal of each cell.
    positivity
        Marker → threshold, rule and separation.
    """

    cells: Cells
    nuclei: Nuclei
    signal: Mapping[str, Floats]
    positivity: Mapping[str, Positivity]


def fluorescence_cells(
    channels: Channels,
    required: tuple[str, ...],
    settings: MarkerSettings | None = None,
    *,
    origin_um: tuple[float, float] = (0.0, 0.0),
) -> MarkedCells:
    """Cells of a fluorescence section.

    Parameters
    ----------
    channels
        Named channels with their µm per pixel.
    required
        Markers to read; each needs a channel.
    settings
        Nuclear channel, spill-over, thresholds.
    origin_um
        Of the field, in the slide's frame.

    Raises
    ------
    MarkerError
        A marker is missing, a picture is not fluorescence, names and channels contradict each
        other.
    """
    s = settings or MarkerSettings()
    require_markers(channels.names, [s.nuclear, *required])
    pure = pure_channels(channels, s)
    nuclei = detect_in_fluorescence(pure[s.nuclear], channels.mpp, s.nucleus)
    others = {name: pure[name] for name in required}
    check_nuclear_channel(nuclei, others, s)
    region = cell_regions(nuclei, s.cell_margin_um)
    signal, positivity = {}, {}
    for name, image in others.items():
        signal[name], noise = cell_signal(image, region, len(nuclei), channels.mpp)
        positivity[name] = positive_cells(signal[name], noise, threshold=s.thresholds.get(name))
    _check_sizes(nuclei, positivity, s)
    return MarkedCells(
        cells=cells_of_nuclei(nuclei, signal, positivity, origin_um),
        nuclei=nuclei,
        signal=signal,
        positivity=positivity,
    )


def chromogenic_cells(
    rgb: Rgb,
    mpp: float,
    marker: str,
    settings: MarkerSettings | None = None,
    *,
    origin_um: tuple[float, float] = (0.0, 0.0),
) -> MarkedCells:
    """Cells of a section with one marker in DAB and haematoxylin.

    Raises
    ------
    MarkerError
        The section is H&E, or carries no second dye.
    """
    s = settings or MarkerSettings()
    stains = dab_stains(rgb)
    # below zero is noise; cut off there, it could not be told how much of it there is
    amount = np.minimum(deconvolve(rgb, stains)[..., stains.names.index("dab")], DAB_LINEAR_TO_OD)
    image = haematoxylin_image(rgb)
    levels = levels_beside_dab(image, amount, mpp, s.nucleus)
    nuclei = detect_nuclei(image, mpp, s.nucleus, levels)
    signal, noise = cell_signal(amount, cell_regions(nuclei, s.cell_margin_um), len(nuclei), mpp)
    found = positive_cells(signal, noise, threshold=s.thresholds.get(marker))
    return MarkedCells(
        cells=cells_of_nuclei(nuclei, {marker: signal}, {marker: found}, origin_um),
        nuclei=nuclei,
        signal={marker: signal},
        positivity={marker: found},
    )


def dab_stains(rgb: Rgb) -> Stains:
    """Estimate haematoxylin and DAB on the slide, and refuse H&E.

    DAB absorbs blue most, eosin green: whichever published vector the second dye is nearer to
    says what the section is.

    Raises
    ------
    MarkerError
        The second dye is nearer to eosin than to DAB.
    """
    stains = estimate_stains(rgb, dyes=("haematoxylin", "dab"))
    red, green, blue = stains.vectors[stains.names.index("dab")]
    if green > blue:
        raise MarkerError(
            "an H&E section was given as DAB immunohistochemistry",
            value=f"second dye absorbs red {red:.2f}, green {green:.2f}, blue {blue:.2f}",
            remedy="DAB absorbs blue most, eosin green; check which file is which stain",
        )
    return stains


def dab_map(rgb: Rgb, stains: Stains) -> Image:
    """Amount of DAB in optical density, between 0 and the end of its linear range (1)."""
    amount = deconvolve(rgb, stains)[..., stains.names.index("dab")]
    return np.asarray(np.clip(amount, 0.0, DAB_LINEAR_TO_OD), dtype=np.float32)


def check_nuclear_channel(
    nuclei: Nuclei, others: Mapping[str, Image], settings: MarkerSettings
) -> None:
    """Refuse a nuclear channel that another channel is more nuclear than.

    A nuclear dye stains every cell, a marker only some, and round their nuclei: so the nuclear
    channel shows more separate nucleus-sized objects than any marker. A marker with over 1.5
    times as many is taken to be the nuclear channel under a wrong name. Lymphocyte markers
    swapped with each other look alike and cannot be told by any such check.

    Raises
    ------
    MarkerError
        Names the channel that looks nuclear.
    """
    objects = {settings.nuclear: _nucleus_like(nuclei)}
    for name, image in others.items():
        there = float(np.ptp(image)) > 0
        found = detect_in_fluorescence(image, nuclei.mpp, settings.nucleus) if there else None
        objects[name] = 0 if found is None else _nucleus_like(found)
    most = max(objects, key=lambda n: objects[n])
    if objects[most] > _LARGER_OBJECTS * max(objects[settings.nuclear], 1) and (
        objects[most] >= _FEWEST_CELLS
    ):
        raise MarkerError(
            f"the channel named {settings.nuclear} does not look nuclear: {most} does",
            value=f"{objects[settings.nuclear]} and {objects[most]} nucleus-like objects",
            remedy="Channel names seem to be swapped; check them in study.toml",
        )


def _nucleus_like(found: Nuclei) -> int:
    return int(((found.area_um2 <= 250) & (found.axis_ratio <= 3)).sum())


def _check_sizes(
    nuclei: Nuclei, positivity: Mapping[str, Positivity], settings: MarkerSettings
) -> None:
    """Tumour nuclei are not smaller than lymphocytes' nuclei: if they are, names are swapped."""
    tumour = positivity.get(settings.tumour_marker)
    if tumour is None or tumour.positive.sum() < _FEWEST_CELLS:
        return
    for name in settings.lymphocyte_markers:
        other = positivity.get(name)
        if other is None:
            continue
        only_tumour = tumour.positive & ~other.positive
        only_other = other.positive & ~tumour.positive
        if min(only_tumour.sum(), only_other.sum()) < _FEWEST_CELLS:
            continue
        sizes = [float(np.median(nuclei.area_um2[f])) for f in (only_tumour, only_other)]
        if sizes[0] < _SMALLER_NUCLEI * sizes[1]:
            raise MarkerError(
                f"{settings.tumour_marker} and {name} seem to be swapped",
                value=f"median nuclear area {sizes[0]:.0f} and {sizes[1]:.0f} µm²",
                remedy="Tumour nuclei are larger than lymphocytes'; check the channel names",
            )


def pure_channels(channels: Channels, s: MarkerSettings) -> dict[str, Image]:
    """Background, autofluorescence and spill-over taken off."""
    names = [n for n in channels.names if n != s.autofluorescence]
    planes = {}
    for name in channels.names:
        image = channels.plane(name)
        planes[name] = np.maximum(image - background_of(image, channels.mpp), 0)
    if s.autofluorescence is not None:
        require_markers(channels.names, [s.autofluorescence])
        tissue = planes[s.autofluorescence]
        for name in names:
            if name != s.nuclear:
                planes[name] = without_autofluorescence(planes[name], tissue)
    stack = np.stack([planes[name] for name in names]).astype(np.float32)
    if s.spill_over is not None:
        stack = unmix(stack, np.array(s.spill_over))
    return dict(zip(names, stack, strict=True))


def cell_regions(nuclei: Nuclei, margin_um: float) -> npt.NDArray[np.int32]:
    """Each nucleus with ``margin_um`` round it, where no other cell is nearer."""
    grown = expand_labels(nuclei.labels, margin_um / nuclei.mpp)
    return np.asarray(grown, dtype=np.int32)


def cell_signal(
    image: Image, region: npt.NDArray[np.int32], n: int, mpp: float
) -> tuple[Floats, float]:
    """Mean over each cell above the level off the cells, and the noise of such a mean.

    Level and noise are those of a normal with the 5th and 25th percentile, at the scale of a
    cell, of the image off the cells: three quarters of it may hold signal of cells whose nucleus
    lies in another section.
    """
    total = np.bincount(region.ravel(), weights=image.ravel(), minlength=n + 1)[1:]
    size = np.bincount(region.ravel(), minlength=n + 1)[1:]
    smooth = blurred(image, _CELL_RADIUS_UM / mpp)
    off = smooth[region == 0] if (region == 0).any() else smooth.ravel()
    low, quarter = np.percentile(off, [5, 25])
    spread = float(quarter - low) / 0.970  # a normal's 25th and 5th percentile are 0.970 σ apart
    zero = float(quarter) + 0.674 * spread
    # a detector cannot tell less than a thousandth of its range
    noise = max(spread, 1e-3 * float(np.percentile(image, 99.9)), 1e-6)
    return np.asarray(total / np.maximum(size, 1) - zero, dtype=np.float64), noise


def cells_of_nuclei(
    nuclei: Nuclei,
    signal: Mapping[str, Floats],
    positivity: Mapping[str, Positivity],
    origin_um: tuple[float, float],
) -> Cells:
    """Cells with their markers; the type is the marker that stands out most."""
    names = tuple(signal)
    level = np.stack([positivity[m].threshold * np.ones(len(nuclei)) for m in names])
    value = np.stack([signal[m] for m in names])
    positive = np.stack([positivity[m].positive for m in names])
    noise = np.array([positivity[m].noise for m in names])[:, None]
    above = np.where(positive, value / np.maximum(level, noise), -np.inf)
    code = np.where(positive.any(axis=0), above.argmax(axis=0) + 1, 0)
    return Cells(
        x_um=nuclei.x_um + origin_um[0],
        y_um=nuclei.y_um + origin_um[1],
        type_code=code.astype(np.int16),
        type_names=("other", *names),
        positive={m: positivity[m].positive for m in names},
    )
