"""Maps painted on H&E: how many, how well they agree with sections, what may be read from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.protocol.study import require_roles
from metasight.report.blocks import (
    Block,
    Callout,
    Column,
    DataTable,
    Figure,
    Heading,
    Paragraph,
    Ref,
    Row,
    csv_text,
    numeric,
)
from metasight.report.contents import MapExample, MapsResult
from metasight.report.drawing import PAGE_PT, canvas, place, to_svg
from metasight.report.view import View
from metasight.report.wording import NBSP, count, number, percent, plural

_LOW_ICC = 0.75
_FEWEST_FOR_A_FIGURE = 3

Row_ = Mapping[str, Any]


def section(view: View) -> list[Block]:
    """The section; empty where nothing was painted."""
    found = view.contents.maps
    if found is None:
        return []
    roles = require_roles(view.contents.protocol, where="generated maps")
    *others, last = roles.names
    return [
        Heading(1, "Generated maps", "maps"),
        Paragraph(
            f"Densities of {', '.join(others)} and {last} were painted on H&E by a generator that "
            "learnt from this study’s aligned sections. Patients were dealt into folds; each "
            "patient’s map is painted by the generator that was trained without his fold, and a "
            "generator that had seen him would have been refused."
        ),
        _counts(found),
        *_regions(found),
        *_examples(found, roles.t_cell),
        *_biomarkers(found),
        *_new_generator(view),
        Callout(
            "warning",
            "What a generated map may be used for",
            (
                "A painted density is an estimate for regions of 64 to 128 µm. It names no cell "
                "and replaces no stain. Agreement was checked on the patients with sections only; "
                "patients without them may differ.",
            ),
        ),
    ]


def _new_generator(view: View) -> Iterator[Block]:
    """The generator for new patients beside the folds', where neither saw the patient."""
    found = view.contents.new_generator
    if found is None:
        return
    yield Heading(2, "The generator for new patients", "new-generator")
    if not found["biomarkers"]:
        yield Paragraph(
            "The bundle’s generator learnt from all pairs. How its biomarkers compare with those "
            "that the models were fitted on was not measured: fewer than three patients with a map "
            "were seen by no generator."
        )
        return
    yield Paragraph(
        "The bundle’s generator learnt from all pairs; models were fitted on maps of the folds’ "
        "generators. Both painted the patients without marker sections, whom neither has seen. A "
        "shift of 0 and a correlation of 1 would mean that a new patient’s biomarkers are on the "
        "scale of those that the models know."
    )
    yield DataTable(
        "new-generator-table",
        "Biomarkers by the generator for new patients against those by the folds’ generators.",
        (Column("Biomarker", weight=2), numeric("Patients"), numeric("Shift, SD"), numeric("r")),
        tuple(
            Row(
                (
                    b["name"].replace("_", " "),
                    count(b["patients"]),
                    "–" if b["shift_sd"] is None else number(b["shift_sd"], 2, signed=True),
                    "–" if b["pearson"] is None else number(b["pearson"], 2),
                )
            )
            for b in found["biomarkers"]
        ),
        ("SD: of the folds’ values over these patients.",),
    )


def _counts(found: MapsResult) -> Paragraph:
    parts = [
        f"{count(found.painted)} of {plural(found.patients, 'patient')} with slides have a map; "
        f"{count(found.compared)} of them have sections to compare it with."
    ]
    if found.unlike:
        parts.append(
            f" {count(found.unlike)} slides are unlike those of training: their maps are not used."
        )
    if found.failed:
        parts.append(f" {count(found.failed)} could not be painted; the ledger says why.")
    return Paragraph("".join(parts))


def _regions(found: MapsResult) -> Iterator[Block]:
    if not found.regions:
        yield Paragraph("No patient has both a map and sections: its agreement is not known.")
        return
    yield Heading(2, "Agreement with sections by region", "map-regions")
    header = (
        "Marker, region",
        "Pearson (95 % interval)",
        "Nuclei alone",
        "Shuffled",
        "Ceiling",
        "Concordance",
        "Slope",
        "F1 (all positive)",
        "90 % interval covers",
    )
    yield DataTable(
        "map-regions-table",
        "Painted beside counted density in patients whom the generator did not see. Nuclei alone: "
        "the density of H&E nuclei instead of the map. Shuffled: regions of a slide at random. "
        "Ceiling: what a perfect map could reach, given counting noise and the alignment’s error. "
        "Intervals resample patients.",
        (Column(header[0], weight=1.5), *(numeric(h) for h in header[1:])),
        tuple(_region_row(r) for r in found.regions),
    )


def _region_row(r: Row_) -> Row:
    def told(value: float | None) -> str:
        return "–" if value is None else number(value, 2)

    p = r["pearson"]
    interval = (
        "" if p["lower"] is None else f" ({number(p['lower'], 2)} to {number(p['upper'], 2)})"
    )
    covered = r["covered"]["value"]
    return Row(
        (
            f"{r['marker']}, {r['region_um']:g}{NBSP}µm",
            f"{told(p['value'])}{interval}",
            told(r["pearson_nuclei"]),
            told(r["pearson_shuffled"]),
            told(r["ceiling"]),
            told(r["concordance"]["value"]),
            told(r["slope"]["value"]),
            f"{told(r['f1']['value'])} ({told(r['f1_all_positive'])})",
            "–" if covered is None else percent(covered),
        )
    )


# ------------------------------------------------------------------ pictures


def _examples(found: MapsResult, t_cells: str) -> Iterator[Block]:
    if not found.examples:
        return
    yield Heading(2, "Examples", "map-examples")
    yield Paragraph(
        f"The patients at the worst, the middle and the best agreement of {t_cells}, so that the "
        "figures are not chosen."
    )
    for position, example in enumerate(found.examples, start=1):
        yield _example_figure(example, position, t_cells)


def _example_figure(example: MapExample, position: int, t_cells: str) -> Figure:
    markers = list(example.painted)
    anchor = f"map-example-{position}"
    title = f"Maps of {example.patient}"
    shape = next(iter(example.painted.values())).shape
    wide = (PAGE_PT - 40) / len(markers)
    high = min(wide * shape[0] / shape[1], 150.0)
    with canvas(PAGE_PT, 2 * high + 58) as figure:
        for column, marker in enumerate(markers):
            pair = (example.painted[marker], example.measured[marker])
            top = _highest(pair)
            for row, (name, values) in enumerate(zip(("painted", "counted"), pair, strict=True)):
                axes = place(figure, 20 + column * wide, 18 + row * (high + 20), wide - 12, high)
                shown = _smoothed(values) if name == "counted" else values
                extent = (
                    0.0,
                    values.shape[1] * example.spacing_um / 1000,
                    values.shape[0] * example.spacing_um / 1000,
                    0.0,
                )
                axes.imshow(
                    shown, cmap="magma", vmin=0, vmax=top, extent=extent, interpolation="nearest"
                )
                axes.set_xticks([])
                axes.set_yticks([])
                for spine in axes.spines.values():
                    spine.set_visible(False)
                axes.set_title(f"{marker}, {name} (0 to {count(top)}/mm²)", fontsize=7)
                if name == "painted":
                    for ring in example.outlines_um:
                        points = np.array(ring) / 1000
                        axes.plot(points[:, 0], points[:, 1], color="#00d0c0", linewidth=0.8)
                axes.set_xlim(extent[0], extent[1])
                axes.set_ylim(extent[2], extent[3])
        alt = (
            f"Densities of {', '.join(markers)} of patient {example.patient}, painted on H&E "
            f"above, counted on the next section below; Pearson of {t_cells} "
            f"{number(example.pearson, 2)}."
        )
        svg = to_svg(figure, anchor, title, alt)
    side = max(shape) * example.spacing_um / 1000
    caption = (
        f"Patient {example.patient}: painted on H&E (above) and counted on the next section, "
        f"averaged over 64 µm (below), {number(side, 1)} mm across. Pearson of {t_cells} in "
        f"regions of 128 µm: {number(example.pearson, 2)}. Outlined: tertiary lymphoid "
        "structures that the protocol’s definition finds on the painted map."
    )
    data = csv_text(
        ["marker", "painted mean", "counted mean"],
        (
            [m, float(np.nanmean(example.painted[m])), float(np.nanmean(example.measured[m]))]
            for m in markers
        ),
    )
    return Figure(anchor, svg, PAGE_PT, alt, caption, data)


def _highest(pair: tuple[NDArray[np.float32], NDArray[np.float32]]) -> float:
    """End of the colour scale: 99 % of both maps, to two figures."""
    values = np.concatenate([v[np.isfinite(v)] for v in (pair[0], _smoothed(pair[1]))])
    top = float(np.percentile(values, 99)) if len(values) else 1.0
    return max(float(f"{top:.2g}"), 1.0)


def _smoothed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Counts averaged over 4 × 4 pixels of 16 µm, for a count in one of them is 0 or some."""
    known = np.isfinite(values)
    out = np.zeros(values.shape, dtype=np.float64)
    share = np.zeros(values.shape, dtype=np.float64)
    for dy in range(-2, 2):
        for dx in range(-2, 2):
            out += np.roll(np.where(known, values, 0.0), (dy, dx), axis=(0, 1))
            share += np.roll(known, (dy, dx), axis=(0, 1))
    return np.where(known, out / np.maximum(share, 1.0), np.nan).astype(np.float32)


# ------------------------------------------------------------------ biomarkers


def _biomarkers(found: MapsResult) -> Iterator[Block]:
    if not found.biomarkers:
        return
    yield Heading(2, "Agreement of biomarkers", "map-biomarkers")
    low = [b["name"] for b in found.biomarkers if b["icc"] is not None and b["icc"] < _LOW_ICC]
    told = (
        f"{plural(len(low), 'biomarker')} of {count(len(found.biomarkers))} agree by less than "
        f"{_LOW_ICC} and should not be read patient by patient."
        if low
        else f"All agree by at least {_LOW_ICC}."
    )
    yield Paragraph(
        (
            "The same biomarker, measured on the painted map and on the densities of the sections "
            "brought onto the H&E (",
            Ref("map-biomarkers-table"),
            f"). {told}",
        )
    )
    yield DataTable(
        "map-biomarkers-table",
        "Intraclass correlation (absolute agreement, single measurement) and Bland and Altman’s "
        "bias and 95 % limits, painted less measured, in the biomarker’s unit.",
        (
            Column("Biomarker", weight=2.4),
            numeric("Patients"),
            numeric("ICC (95 % interval)"),
            numeric("Bias"),
            numeric("Limits of agreement"),
        ),
        tuple(_biomarker_row(b) for b in found.biomarkers),
    )
    if found.labels:
        words = [
            f"{r['name'].replace('_', ' ')}: "
            + ("not known" if r["kappa"] is None else f"κ {number(r['kappa'], 2)}")
            + f", {percent(r['observed'])} equal of {r['n']}"
            for r in found.labels
        ]
        yield Paragraph(f"Classes in words: {'; '.join(words)}.")
    tls = found.tls
    if tls.get("measured") or tls.get("generated"):
        yield Paragraph(
            f"Tertiary lymphoid structures: {count(tls['hit'])} of {count(tls['measured'])} on the "
            "sections lie where the map shows one, give or take the alignment’s error "
            f"({number(tls['by_chance'], 1)} by chance); {count(tls['confirmed'])} of "
            f"{count(tls['generated'])} on the maps are confirmed by the section."
        )
    structures = next((b for b in found.biomarkers if b["name"].startswith("tls_count")), None)
    if structures and structures["n"] >= _FEWEST_FOR_A_FIGURE:
        yield _bland_altman(structures)


def _biomarker_row(b: Row_) -> Row:
    icc = "–"
    if b["icc"] is not None:
        icc = f"{number(b['icc'], 2)} ({number(b['icc_lower'], 2)} to {number(b['icc_upper'], 2)})"
    return Row(
        (
            b["name"].replace("_", " "),
            str(b["n"]),
            icc,
            f"{b['bias']:.3g}",
            f"{b['limit_lower']:.3g} to {b['limit_upper']:.3g}",
        )
    )


def _bland_altman(b: Row_) -> Figure:
    pairs = [
        (m, p)
        for m, p in zip(b["measured"], b["painted"], strict=True)
        if m is not None and p is not None
    ]
    measured, painted = np.array(pairs, dtype=float).T
    mean, difference = (measured + painted) / 2, painted - measured
    name = b["name"].replace("_", " ")
    title = f"Agreement of {name}"
    alt = (
        f"Bland–Altman plot of {name} in {len(pairs)} patients: bias {b['bias']:.3g}, limits of "
        f"agreement {b['limit_lower']:.3g} to {b['limit_upper']:.3g}."
    )
    with canvas(PAGE_PT, 190) as figure:
        axes = place(figure, 120, 8, 250, 140)
        axes.axhline(b["bias"], color="#555555", linewidth=0.9)
        for level in (b["limit_lower"], b["limit_upper"]):
            axes.axhline(level, color="#555555", linewidth=0.9, dashes=(4, 3))
        axes.plot(mean, difference, linestyle="", marker="o", markersize=3.5, color="#22456e")
        axes.set_xlabel(f"Mean of painted and measured {name}")
        axes.set_ylabel("Painted less measured")
        svg = to_svg(figure, "map-bland-altman", title, alt)
    caption = f"{title}: difference against mean; bias (line) and 95 % limits (dashed)."
    data = csv_text(["measured", "painted"], pairs)
    return Figure("map-bland-altman", svg, PAGE_PT, alt, caption, data)
