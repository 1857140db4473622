"""The report: one self-contained HTML page and a tagged PDF, from one tree of blocks."""

from __future__ import annotations

from pathlib import Path

from metasight.report import (
    abstention,
    biology,
    conduct,
    development,
    external,
    heterogeneity,
    limitations,
    maps,
    methods,
    origins,
    participants,
    performance,
    populations,
    stability,
    staging,
    summary,
    tripod,
    verification,
)
from metasight.report.blocks import Document
from metasight.report.contents import ReportContents
from metasight.report.html import to_html
from metasight.report.pdf import to_pdf
from metasight.report.view import View

KIND = "Report of a prediction-model study"
VALIDATION = "Report of an external validation"


def write_report(contents: ReportContents, out: Path) -> None:
    """Write report.html and report.pdf into ``out``; the same contents give the same bytes."""
    document = compose(contents)
    (out / "report.html").write_bytes(to_html(document).encode("utf-8"))
    (out / "report.pdf").write_bytes(to_pdf(document))


def compose(contents: ReportContents) -> Document:
    """Put a run into words, tables and figures, in the order of a paper."""
    view = View(contents)
    own = VALIDATION if view.external else KIND
    kind = "Demonstration: " + own[0].lower() + own[1:] if contents.demonstration else own
    return Document(
        title=contents.title,
        kind=kind,
        running=contents.title,
        foot=f"metasight, run {contents.run}. {summary.NOT_A_DEVICE}",
        description=f"{kind}: {contents.title}. Run {contents.run}.",
        front=(*summary.title_block(view), *summary.section(view)),
        blocks=(
            *development.section(view),
            *participants.section(view),
            *methods.section(view),
            *maps.section(view),
            *performance.section(view),
            *external.section(view),
            *abstention.section(view),
            *verification.section(view),
            *staging.section(view),
            *biology.section(view),
            *stability.section(view),
            *populations.section(view),
            *heterogeneity.section(view),
            *conduct.stability(view),
            *conduct.leakage(view),
            *conduct.models(view),
            *limitations.section(view),
            *tripod.section(view),
            *origins.section(view),
        ),
    )
