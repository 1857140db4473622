"""The study's page: protocol, state, flow, downloads, and whether the plan is locked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from metasight.errors import MetasightError
from metasight.serve.last_run import LastRun
from metasight.study.analysis_plan import PAGE_FILE, PLAN_FILE, LockedPlan, read_plan
from metasight.study.file import Study

DOWNLOADS = {
    "report.html": "Report, as a page",
    "report.pdf": "Report, as PDF",
    "ledger.parquet": "Ledger: what happened to each patient, slide and scan",
    "predictions.parquet": "Predictions of every model, fold by fold",
    "predictions_as_written.parquet": "Predictions in the population as written",
    "predictions_centres.parquet": "Predictions with centres left out",
    "predictions_temporal.parquet": "Predictions of the temporal split",
    "features.parquet": "Features that the models read",
    "headline.csv": "Table of the headline figures",
    "headline.R": "R script that checks the headline figures",
    "manifest.json": "Manifest: versions, hashes, settings",
    "bundle.zip": "Locked models",
}
"""Files of a run that the page offers, and what each is."""


@dataclass(frozen=True, kw_only=True)
class Download:
    """A file of the run that may be downloaded."""

    name: str
    label: str
    size: str


@dataclass(frozen=True, kw_only=True)
class FlowLine:
    """A line of the flow diagram.

    Attributes
    ----------
    criterion, kind, text, waived
        As the screening left them.
    excluded, unknown, remaining
        Counts.
    """

    criterion: str
    kind: str
    text: str
    waived: str
    excluded: int
    unknown: int
    remaining: int


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Who was screened and who is left.

    Attributes
    ----------
    screened, failed
        Rows of the table, and those that could not be read.
    lines
        Criterion by criterion.
    as_written, all_eligible
        Sizes of the populations.
    """

    screened: int
    failed: int
    lines: tuple[FlowLine, ...]
    as_written: int
    all_eligible: int


def flow_of(run: LastRun) -> Flow:
    """The flow diagram as the screening left it."""
    found = run.cohort
    return Flow(
        screened=found["screened"],
        failed=found["failed"],
        lines=tuple(
            FlowLine(**{name: s[name] for name in FlowLine.__annotations__}) for s in found["steps"]
        ),
        as_written=len(found["as_written"]),
        all_eligible=len(found["all_eligible"]),
    )


def downloads_of(run: LastRun) -> tuple[Download, ...]:
    """Files of the last run that are there."""
    return tuple(
        Download(name=name, label=label, size=_size((run.published / name).stat().st_size))
        for name, label in DOWNLOADS.items()
        if (run.published / name).is_file()
    )


def download(run: LastRun, name: str) -> Path | None:
    """The file of a download; None where the page offers no such file."""
    path = run.published / name
    return path if name in DOWNLOADS and path.is_file() else None


def plan_of(study: Study) -> tuple[LockedPlan | None, str]:
    """The locked analysis plan; None, and why it cannot be read, where there is none."""
    try:
        return read_plan(study.folder), ""
    except MetasightError as error:
        return None, str(error)


def plan_page(study: Study) -> str:
    """The plan's text; empty where there is none."""
    path = study.folder / PAGE_FILE
    if not path.is_file() or not (study.folder / PLAN_FILE).is_file():
        return ""
    return path.read_text("utf-8", errors="replace")


def _size(size: int) -> str:
    if size < 10_000:
        return f"{size:,} bytes"
    return f"{size / 1000:,.0f} kB" if size < 10_000_000 else f"{size / 1e6:,.0f} MB"
