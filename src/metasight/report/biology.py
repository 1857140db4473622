"""What the risk has to do with gene expression: volcano, sets, and the check on nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metasight.report.blocks import (
    Block,
    Column,
    DataTable,
    Figure,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.drawing import INK, PAGE_PT, RULE, SOFT, canvas, place, to_svg
from metasight.report.view import View
from metasight.report.wording import count, listed, number, percent, plural
from metasight.spreadsheet import csv_text

Found = Mapping[str, Any]

_HIGHER, _LOWER = "#c25100", "#22456e"
_SHOWN_SETS = 15
_SIGNIFICANT = 0.05


def section(view: View) -> list[Block]:
    """The section; empty where the study has no expression data."""
    found = view.contents.biology
    if found is None:
        return []
    blocks: list[Block] = [Heading(1, "Risk and gene expression", "biology")]
    if "skipped" in found:
        return [*blocks, Paragraph(f"Not related: {found['skipped']}")]
    blocks.append(_how(found))
    blocks += _genes(found)
    blocks += _sets(found)
    blocks += _null(found)
    return blocks


def _how(found: Found) -> Paragraph:
    adjusted = listed(found["adjusted"]) if found["adjusted"] else "nothing"
    text = (
        f"Of {plural(found['predicted'], 'patient')} with a risk by {found['model']}, "
        f"{count(found['patients'])} have expression data and all covariates "
        f"({count(found['without_expression'])} have no expression). Each of "
        f"{plural(found['genes'], 'gene')} was regressed on the log-odds of the out-of-fold risk, "
        f"adjusted for {adjusted}. Association is not causation, and only patients with available "
        "tissue are included."
    )
    if found["not_adjusted"]:
        text += (
            " Requested, but the same or unknown in every patient: "
            f"{listed(found['not_adjusted'])}."
        )
    if found["genes_left_out"]:
        text += f" {plural(found['genes_left_out'], 'gene')} with a missing value are excluded."
    return Paragraph(text)


# ------------------------------------------------------------------ genes


def _genes(found: Found) -> Iterator[Block]:
    yield Heading(2, "Genes", "biology-genes")
    yield Paragraph(
        f"{plural(found['genes_below_5_percent'], 'gene')} of {count(found['genes'])} at a false "
        "discovery rate below 5 % (Benjamini–Hochberg)."
    )
    yield _volcano(found)
    yield DataTable(
        "biology-genes-table",
        "Genes with the largest statistic; effect is log₂ expression per unit of the risk’s "
        "log-odds.",
        (Column("Gene"), numeric("Effect"), numeric("t"), numeric("p"), numeric("FDR")),
        tuple(
            Row(
                (
                    g["gene"],
                    number(g["effect"], 2, signed=True),
                    number(g["t"], 1, signed=True),
                    _p(g["p"]),
                    _p(g["fdr"]),
                )
            )
            for g in found["leading_genes"]
        ),
    )


def _p(value: float | None) -> str:
    """A p value: three decimals, or its order of magnitude; 0 is what resampling never reached."""
    if value is None:
        return "–"
    if value <= 0:
        return "< 0.001"
    return number(value, 3) if value >= 0.001 else f"{value:.0e}".replace("e-0", "e-")


def _volcano(found: Found) -> Figure:
    anchor = "biology-volcano"
    effect = np.array(found["volcano"]["effect"], dtype=float)
    strength = -np.log10(np.maximum(np.array(found["volcano"]["p"], dtype=float), 1e-300))
    fdr = np.array(found["volcano"]["fdr"], dtype=float)
    alt = (
        "Effect size of each gene against the strength of its association with the risk; genes at "
        "a false "
        "discovery rate below 5 % are coloured by direction."
    )
    with canvas(PAGE_PT, 220) as figure:
        axes = place(figure, 46, 10, PAGE_PT - 180, 170)
        for keep, colour, label in (
            (fdr >= _SIGNIFICANT, RULE, "FDR 5 % or above"),
            ((fdr < _SIGNIFICANT) & (effect > 0), _HIGHER, "Higher with the risk"),
            ((fdr < _SIGNIFICANT) & (effect < 0), _LOWER, "Lower with the risk"),
        ):
            if keep.any():
                axes.plot(
                    effect[keep],
                    strength[keep],
                    ".",
                    color=colour,
                    markersize=4,
                    label=f"{label} ({count(int(keep.sum()))})",
                    linestyle="none",
                    rasterized=False,
                )
        axes.axvline(0, color=SOFT, linewidth=0.6)
        axes.set_xlabel("Change of log₂ expression per unit of the risk’s log-odds")
        axes.set_ylabel("−log₁₀ p")
        axes.set_ylim(bottom=0)
        axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=8)
        svg = to_svg(figure, anchor, "Genes and the risk", alt)
    data = csv_text(
        ["effect", "p", "fdr"],
        zip(
            found["volcano"]["effect"], found["volcano"]["p"], found["volcano"]["fdr"], strict=True
        ),
    )
    return Figure(
        anchor, svg, PAGE_PT, alt, "Genes and the risk; all of them are in genes.csv.", data
    )


# ------------------------------------------------------------------ sets


def _sets(found: Found) -> Iterator[Block]:
    yield Heading(2, "Sets of genes", "biology-sets")
    sets = found["sets"]
    yield Paragraph(
        f"{plural(len(sets), 'set')} of the study’s GMT file, ranked by preranked GSEA. For p "
        f"values and FDR the risk is permuted across patients ({count(found['permutations'])} "
        "times), which preserves the correlation of genes within a set. The p value of gseapy "
        "permutes genes, as is usual, which ignores this correlation and calls more sets "
        "significant. Single-sample "
        "scores (ssGSEA) are regressed on the risk like a gene."
    )
    yield DataTable(
        "biology-sets-table",
        f"Sets with the smallest p value ({min(len(sets), _SHOWN_SETS)} of {count(len(sets))}; all "
        "are in gene_sets.csv).",
        (
            Column("Set"),
            numeric("Genes"),
            numeric("NES"),
            numeric("p"),
            numeric("FDR"),
            numeric("gseapy p"),
            numeric("ssGSEA t"),
            numeric("ssGSEA FDR"),
        ),
        tuple(
            Row(
                (
                    s["set"].replace("_", " "),
                    count(s["size"]),
                    number(s["nes"], 2, signed=True),
                    _p(s["p"]),
                    _p(s["fdr"]),
                    _p(s["gseapy_p"]),
                    number(s["single_sample_t"], 1, signed=True),
                    _p(s["single_sample_fdr"]),
                )
            )
            for s in sets[:_SHOWN_SETS]
        ),
    )
    if found["drawn"]:
        yield _running(found["drawn"], found["genes"])


def _running(drawn: Sequence[Found], genes: int) -> Figure:
    anchor = "biology-running"
    width, height = (PAGE_PT - 110) / 2, 84.0
    lines = (len(drawn) + 1) // 2
    alt = (
        "Running enrichment score of the sets with the smallest p values over genes ranked from "
        "those highest with the risk to those lowest; ticks mark the sets’ genes."
    )
    with canvas(PAGE_PT, lines * (height + 62) + 6) as figure:
        for k, one in enumerate(drawn):
            left, top = 46 + (k % 2) * (width + 58), 20 + (k // 2) * (height + 62)
            axes = place(figure, left, top, width, height)
            running = np.array(one["running"], dtype=float)
            rising = running[np.abs(running).argmax()] > 0
            colour = _HIGHER if rising else _LOWER
            axes.plot(np.arange(1, genes + 1), running, color=colour, linewidth=1.1)
            axes.axhline(0, color=SOFT, linewidth=0.6)
            low, high = axes.get_ylim()
            axes.set_ylim(low - 0.18 * (high - low), high)
            base = low - 0.16 * (high - low)
            axes.vlines(
                [r + 1 for r in one["ranks"]],
                base,
                base + 0.1 * (high - low),
                color=INK,
                linewidth=0.6,
            )
            axes.set_title(one["set"].replace("_", " "))
            axes.set_xlim(1, genes)
            if k % 2 == 0:
                axes.set_ylabel("Running score")
            if k >= len(drawn) - 2:
                axes.set_xlabel("Rank of the gene")
        svg = to_svg(figure, anchor, "Running enrichment scores", alt)
    rows = ([d["set"], " ".join(str(r + 1) for r in d["ranks"])] for d in drawn)
    data = csv_text(["set", "ranks of its genes"], rows)
    return Figure(
        anchor,
        svg,
        PAGE_PT,
        alt,
        "Running enrichment scores of the sets with the smallest p values.",
        data,
    )


# ------------------------------------------------------------------ the check on nothing


def _null(found: Found) -> Iterator[Block]:
    null = found["null"]
    yield Heading(2, "Negative control: permuted risks", "biology-null")
    yield Paragraph(
        f"{count(null['replicates'])} times the risk was permuted at random across patients and "
        f"analysed like the real one. {percent(null['below_5_percent'], 1)} of the p values were "
        "below 5 %, and a set reached a false discovery rate below 5 % in "
        f"{percent(null['any_discovery'])} of these; both should be near 5 %, because permuted "
        "risks have no association with expression."
    )
    anchor = "biology-null-figure"
    counts = np.array(null["counts"], dtype=float)
    alt = "Histogram of p values with permuted risks; flat if the procedure is valid."
    with canvas(PAGE_PT, 150) as figure:
        axes = place(figure, 46, 10, 260, 100)
        edges = np.linspace(0, 1, len(counts) + 1)
        axes.bar(
            edges[:-1],
            counts,
            width=np.diff(edges),
            align="edge",
            color="#9db3cc",
            edgecolor="white",
            linewidth=0.6,
        )
        axes.axhline(counts.mean(), color=INK, linewidth=0.8, dashes=(4, 2))
        axes.set_xlim(0, 1)
        axes.set_xlabel("p value of a gene set, permuted risks")
        axes.set_ylabel("Sets × replicates")
        svg = to_svg(figure, anchor, "p values of permuted risks", alt)
    bars = ([float(e), int(c)] for e, c in zip(edges[:-1], counts, strict=True))
    data = csv_text(["from", "count"], bars)
    yield Figure(
        anchor,
        svg,
        PAGE_PT,
        alt,
        "p values with permuted risks; the line is what is expected by chance.",
        data,
    )
