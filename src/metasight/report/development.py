"""Where locked models come from: the developing run's patients beside those of a validation."""

from __future__ import annotations

from metasight.report.blocks import (
    Block,
    Code,
    Column,
    DataTable,
    Heading,
    Paragraph,
    Row,
    numeric,
)
from metasight.report.contents import Origin
from metasight.report.view import View
from metasight.report.wording import count, listed, number, plural, years
from metasight.units import DAYS_PER_YEAR


def section(view: View) -> list[Block]:
    """The section; empty where models were developed in this run."""
    origin = view.contents.origin
    if origin is None:
        return []
    images = any(view.contents.settings.get(part) for part in ("slides", "scans"))
    return [
        Heading(1, "The models and their development patients", "development"),
        Paragraph(
            (
                f"{listed(m.name for m in view.contents.models)} were developed in run ",
                Code(origin.run),
                " and locked in the bundle ",
                Code(origin.bundle[:16]),
                ". Nothing was fitted, trained or chosen in the patients of this report"
                + ("; their images were measured by the bundle’s settings." if images else "."),
            )
        ),
        _beside(view, origin),
        *_left_out(origin),
    ]


def _beside(view: View, origin: Origin) -> DataTable:
    here = view.headline
    follow = here.follow_up.median_days if here.follow_up else None
    rows = [
        ("Patients", count(origin.patients), count(here.n)),
        ("Events", count(origin.events), count(here.events)),
        ("Centres", count(origin.centres), count(view.evaluation.data.n_centres)),
        ("Time zero", _span(origin.accrual), _span(view.contents.accrual)),
        (
            "Median follow-up, years",
            _number(origin.median_follow_up_years),
            _number(None if follow is None else follow / DAYS_PER_YEAR),
        ),
    ]
    own = {r.label: r.cells["All"] for r in here.table1.rows}
    rows += [(label, told, own.get(label, "–")) for label, told in origin.case_mix]
    return DataTable(
        "development-table",
        "Development patients and patients of this validation.",
        (Column("Patients", weight=2), numeric("Development"), numeric("Validation")),
        tuple(Row(cells) for cells in rows),
        (
            "Median (quartiles) or number (% of those recorded). Differences in case mix lead to "
            "differences in risk.",
        ),
    )


def _span(months: tuple[str, ...]) -> str:
    return " to ".join(dict.fromkeys(months)) if months else "–"


def _number(value: float | None) -> str:
    return "–" if value is None else number(value, 1)


def _left_out(origin: Origin) -> list[Block]:
    told = [f"{plural(n, 'patient')}: {why}" for why, n in sorted(origin.left_out.items())]
    blocks: list[Block] = []
    if told:
        blocks.append(Paragraph(f"Not among the patients evaluated: {'; '.join(told)}."))
    dropped = [h for h in origin.horizons_days if h not in origin.judged_days]
    if dropped:
        blocks.append(
            Paragraph(
                f"The models also predict {listed(years(h) for h in dropped)}; these patients were "
                "not followed long enough to judge that."
            )
        )
    return blocks
