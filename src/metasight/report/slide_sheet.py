"""The sheet of a patient's slides: quality, alignment, maps and biomarkers on one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import matplotlib
import numpy as np
from matplotlib.figure import Figure

from metasight import __version__
from metasight.biomarkers.geojson import Outline
from metasight.biomarkers.names import in_words
from metasight.cohort.decided import decision_in, fate_by_rule
from metasight.estimate import Estimate
from metasight.maps.density import DensityMap
from metasight.slides.scale_bar import length_in_words, round_length_um

Found = dict[str, Any]
_UNKNOWN = "–"
_TOP = 32
"""Times the density from which a region is positive: with 500 per mm² four cells in a pixel of
16 µm, which is as close as lymphocytes lie."""
_DENSER = "magenta"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A PNG in base64, and what it shows; a wide one takes the page's width."""

    data: str
    caption: str
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells as text."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the sheet; ``tone`` is ``good``, ``bad`` or ``open``."""

    title: str
    verdict: str = ""
    tone: str = "open"
    reasons: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The page."""

    title: str
    about: str
    sections: tuple[Part, ...]

    @property
    def footer(self) -> str:
        """Who made it."""
        return f"metasight {__version__}. Values without a number could not be measured."


def write_sheet(sheet: Sheet, path: Path) -> None:
    """Write the page: one file, pictures within, no script and no network."""
    template = files("metasight.report").joinpath("slide_sheet.html.j2").read_text("utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    path.write_text(environment.from_string(template).render(sheet=sheet), "utf-8")


def quality_part(found: Found, folder: Path) -> Part:
    """A slide's quality, with its overview and its defects."""
    if "failed" in found:
        return Part(
            title=found["slide"],
            verdict="Could not be read",
            tone="bad",
            reasons=(found["failed"],),
        )
    words = {True: "Sufficient quality", False: "Refused", None: "Quality unknown"}
    return Part(
        title=f"{found['slide']} ({found['stain']})",
        verdict=words[found["sufficient"]],
        tone={True: "good", False: "bad", None: "open"}[found["sufficient"]],
        reasons=(*_decided(found, "sufficient"), *found["reasons"]),
        pictures=(
            png_picture(folder / "overview.png", "Overview"),
            png_picture(
                folder / "defects.png",
                "Tissue outlined; pen green, folds red, tears orange, knife lines blue, bubbles "
                "violet",
            ),
        ),
        tables=(
            Table(
                caption=f"{found['width']} × {found['height']} pixels of {found['mpp']:.4g} µm "
                f"(from the {found['mpp_source']}), read by {found['reader']}",
                header=("measurement", "value", "limit", "against the limit"),
                rows=tuple(
                    (
                        m["text"],
                        m["why_not"] or f"{shown(m['value'])} {m['unit']}".strip(),
                        m["limit"],
                        _against(m),
                    )
                    for m in found["measurements"]
                ),
            ),
        ),
    )


def _decided(found: Found, verdict: str) -> tuple[str, ...]:
    """What a reader decided in place of the rule's verdict."""
    decision = decision_in(found)
    if decision is None:
        return ()
    by = f"by {decision.reader} on {decision.day}"
    if fate_by_rule(found, verdict) is not decision.replaces:
        return (f"A decision {by} is not applied: it replaces “{decision.replaces}”",)
    return (f"Decided {by} in place of “{decision.replaces}”: {decision.reason}",)


def markers_part(slide: str, failed: str) -> Part:
    """A marker section whose markers could not be read, and why."""
    return Part(title=f"Markers of {slide}", verdict="Not read", tone="bad", reasons=(failed,))


def alignment_part(found: Found, folder: Path) -> Part:
    """Two sections as a checkerboard, with the predicted error."""
    accepted = found["accepted"]
    error = (
        f"median {shown(found['error_p50_um'])} µm, nine tenths within "
        f"{shown(found['error_p90_um'])} µm (gate {shown(found['gate_um'])} µm)"
    )
    return Part(
        title=f"{found['moving']} on {found['fixed']}",
        verdict=f"Aligned; predicted error: {error}" if accepted else f"Refused; {error}",
        tone="good" if accepted else "bad",
        reasons=(*_decided(found, "accepted"), *found["reasons"], *_way(found)),
        pictures=(
            png_picture(
                folder / "checkerboard.png",
                "Checkerboard of the two sections: structures continue across squares where the "
                "sections are aligned"
                + ("; yellow: borders of the pieces" if len(found["models"]) > 1 else ""),
            ),
            png_picture(
                folder / "alignment_error.png",
                f"Predicted error, tile by tile of {shown(found['tiles']['size_um'])} µm: nine "
                "tenths of points lie within it; dark grey: no error is known. Arrows: shifts "
                "beyond those of the piece as a whole, ten times as long",
            ),
        ),
        tables=(
            Table(
                caption="How",
                header=(
                    "model of each piece",
                    "overlap of tissue",
                    "tissue of both without counterpart",
                    "mirrored",
                ),
                rows=(
                    (
                        ", ".join(found["models"]) or _UNKNOWN,
                        shown(found["overlap"]),
                        shown(found["unmatched"]),
                        "yes" if found["mirrored"] else "no",
                    ),
                ),
            ),
        ),
    )


def _way(found: Found) -> list[str]:
    """By which sections a section was brought to the H&E, and how far other ways differ."""
    said = []
    if found.get("by_way_of"):
        said.append(f"brought to the H&E by way of {', '.join(found['by_way_of'])}")
        said += [f"its own pair with the H&E was refused: {r}" for r in found["own_reasons"]]
    if found.get("other_ways_differ_um") is not None:
        said.append(
            "another way round the patient's sections puts tissue "
            f"{shown(found['other_ways_differ_um'])} µm away in the median"
        )
    return said


def biomarker_part(
    found: Found,
    density: DensityMap,
    outlines: Sequence[Outline],
    positive_per_mm2: Mapping[str, float],
) -> Part:
    """Density maps and biomarkers with their intervals.

    Parameters
    ----------
    found
        As the measuring step writes ``biomarkers.json``.
    density
        The map that is drawn.
    outlines
        Of the tertiary lymphoid structures, in µm.
    positive_per_mm2
        The protocol's, of each marker, by which the maps' colours are scaled.
    """
    tumour = Estimate.from_json(found["tumour_area_percent"])
    low, high = tumour.ends
    words = [
        f"{name.replace('_', ' ')}: {label}{_how_sure(label, found['probabilities'].get(name))}"
        for name, label in found["labels"].items()
        if label
    ]
    return Part(
        title="Maps and biomarkers",
        verdict=f"Measured from {found['from']} in {found['window_mm2']:.2f} mm² of tissue; "
        f"tumour area {tumour.value:.1f} % of the scanned field "
        f"({low:.1f} to {high:.1f})",
        tone="good",
        reasons=tuple(words),
        pictures=(density_picture(density, outlines, positive_per_mm2),),
        tables=(
            Table(
                caption="Intervals from resampled blocks of tissue; z relative to random labelling",
                header=("biomarker", "value", "95 % interval", "z", "not measured because"),
                rows=tuple(
                    (
                        in_words(m["name"]),
                        shown(m["value"]),
                        _interval((m["lower"], m["upper"])),
                        shown(m["null_z"]),
                        m["reason"],
                    )
                    for m in found["measures"]
                ),
            ),
        ),
    )


def _how_sure(label: str, probability: Mapping[str, float] | None) -> str:
    """A label's probability, or of each class it may be; nothing where the label has none."""
    if probability is None:
        return ""
    if not probability:
        return " (too little tissue to say how probable each class is)"
    if label in probability:
        return f" (probability {probability[label]:.2f})"
    each = ", ".join(f"{name} {share:.2f}" for name, share in probability.items())
    return f" (probabilities: {each})"


def _against(measurement: Mapping[str, Any]) -> str:
    """What is said beside the limit; what was not measured is within none, though it passes."""
    if measurement["holds"] and measurement["why_not"]:
        return "not judged"
    return {True: "within", False: "outside", None: "unknown"}[measurement["holds"]]


def png_picture(path: Path, caption: str) -> Picture:
    """A PNG file as it is."""
    return Picture(data=base64.b64encode(path.read_bytes()).decode(), caption=caption)


def density_picture(
    density: DensityMap, outlines: Sequence[Outline], positive_per_mm2: Mapping[str, float]
) -> Picture:
    """Cells per mm² of every marker, with a bar of round length.

    A marker's colours mean the same densities in every patient: they end at `_TOP` times the
    density from which the protocol calls a region positive, and what is denser has a colour of
    its own. A marker that the protocol does not name has the picture's own scale.
    """
    count = len(density.markers)
    height, width = density.support.shape
    tops = {m: _TOP * positive_per_mm2[m] for m in density.markers if m in positive_per_mm2}
    colours = matplotlib.colormaps["viridis"].with_extremes(over=_DENSER)
    figure = Figure(figsize=(4.2 * count, 0.6 + 4.2 * min(1.4, max(0.4, height / width))), dpi=110)
    with matplotlib.rc_context({"svg.hashsalt": "metasight"}):
        for i, marker in enumerate(density.markers):
            axes = figure.add_subplot(1, count, i + 1)
            plane = np.ma.masked_invalid(density.plane(marker))
            most = tops.get(marker) or max(float(plane.max()) if plane.count() else 1.0, 1.0)
            image = axes.imshow(plane, cmap=colours, vmin=0, vmax=most)
            axes.set_title(f"{marker}, cells/mm²", fontsize=10)
            axes.set_axis_off()
            for outline in outlines:
                for ring in getattr(outline, "geoms", [outline]):
                    corners = np.asarray(ring.exterior.coords) - density.origin_um
                    axes.plot(*(corners / density.spacing_um - 0.5).T, color="red", lw=1.2)
            bar = round_length_um(width * density.spacing_um)
            axes.plot([2, 2 + bar / density.spacing_um], [height - 3] * 2, color="black", lw=3)
            axes.text(2, height - 6, length_in_words(bar), fontsize=8, va="bottom")
            more = "max" if marker in tops else "neither"
            figure.colorbar(image, ax=axes, shrink=0.7, extend=more)
    figure.tight_layout()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return Picture(
        data=base64.b64encode(stream.getvalue()).decode(),
        caption=f"Density on a grid of {density.spacing_um:g} µm; white is outside the tissue"
        + ("; tertiary lymphoid structures outlined in red" if outlines else "")
        + _scales_in_words(density.markers, tops),
        wide=True,
    )


def _scales_in_words(markers: Sequence[str], tops: Mapping[str, float]) -> str:
    """Up to which density a marker's colours go, and which markers have a scale of their own."""
    told = ""
    if tops:
        each = ", ".join(f"{m} {shown(top)}" for m, top in tops.items())
        told += (
            f"; one scale a marker under this protocol, up to (cells/mm²) {each}, "
            "and magenta above it"
        )
    if own := [m for m in markers if m not in tops]:
        told += f"; scaled to this picture alone: {', '.join(own)}"
    return told


def shown(value: float | None) -> str:
    """Three significant figures, or a dash."""
    if value is None:
        return _UNKNOWN
    # from 999.5 on three figures would be written as a power of ten
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _interval(ends: Sequence[float | None]) -> str:
    found: Iterator[str] = (shown(e) for e in ends)
    return _UNKNOWN if None in ends else " to ".join(found)
