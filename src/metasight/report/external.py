"""External patients: how many a validation needs, and what recalibrating the model would change."""

from __future__ import annotations

from collections.abc import Iterator

from metasight.report.blocks import Block, Column, DataTable, Heading, Paragraph, Row, numeric
from metasight.report.view import View
from metasight.report.wording import count, listed, number, percent, plural, years
from metasight.validation.recalibration import (
    FOLDS,
    IN_THE_LARGE,
    REFIT,
    REPEATS,
    SLOPE,
    RecalibrationFit,
    Recalibrations,
)
from metasight.validation.results import NotEstimable
from metasight.validation.validation_size import (
    C_WIDTH,
    NET_BENEFIT_WIDTH,
    OE_WIDTH,
    SLOPE_WIDTH,
    ValidationSize,
)

NAMES = {
    IN_THE_LARGE: "in the large (intercept)",
    SLOPE: "intercept and slope",
    REFIT: "refit of the last step",
}


def section(view: View) -> list[Block]:
    """The section; nothing where models were developed."""
    found = view.headline
    if found.recalibration is None or found.validation_size is None:
        return []
    return [
        Heading(1, "Size of the validation and recalibration", "external"),
        Heading(2, "Number of patients", "validation-size"),
        *_size(view, found.validation_size),
        Heading(2, "Recalibration", "recalibration"),
        *_recalibration(view, found.recalibration),
    ]


# ------------------------------------------------------------------------------------------ size


def _size(view: View, size: ValidationSize | NotEstimable) -> Iterator[Block]:
    if isinstance(size, NotEstimable):
        yield Paragraph(f"The size needed could not be computed: {size.not_estimable}.")
        return
    n, events = _judged(view)
    enough = n >= size.n
    censored = (
        ""
        if size.seen > 0.995
        else f" Censoring is counted as it is in these patients: {percent(size.seen)} of the "
        "events by the horizon occur before it."
    )
    yield Paragraph(
        f"There are {plural(n, 'patient')} with {plural(events, 'event')}; for the predicted risks "
        f"of “{view.lead}” (mean {percent(size.risk, 1)}, implied C {number(size.c, 2)}) "
        f"{count(size.n)} with {count(size.events)} events are needed for all of O/E, slope and C "
        f"to be precise. The validation is {'large enough' if enough else 'smaller than that'} by "
        f"the criteria of Riley and others (Stat Med 2021;40:4230; 2022;41:1280).{censored}"
    )
    rows = [
        _needed("Observed over expected", OE_WIDTH, size.oe_n, n),
        _needed("Calibration slope", SLOPE_WIDTH, size.slope_n, n),
        _needed("C", C_WIDTH, size.c_n, n),
        *(
            _needed(
                f"Standardised net benefit at {100 * b.threshold:g} %", NET_BENEFIT_WIDTH, b.n, n
            )
            for b in size.net_benefit
        ),
    ]
    yield DataTable(
        "validation-size-table",
        "Patients needed for a precise validation, if the predicted risks are true.",
        (
            Column("Measure", weight=2),
            numeric("Width of the 95 % interval", 1),
            numeric("Patients needed", 1),
            numeric("Patients there are", 1),
            Column("Enough", weight=0.8),
        ),
        tuple(rows),
        (
            "Net benefit is standardised: a share of the greatest possible. A dash: at this "
            "threshold no patient, or every patient, would be treated.",
        ),
    )


def _needed(name: str, width: float, needed: int | None, there: int) -> Row:
    if needed is None:
        return Row((name, number(width, 1), "–", count(there), "–"))
    return Row(
        (
            name,
            number(width, 1),
            count(needed),
            count(there),
            "yes" if there >= needed else "no",
        )
    )


def _judged(view: View) -> tuple[int, int]:
    """Patients judged, and events at the target of the sizes."""
    data = view.evaluation.data
    lead = view.evaluation.models[view.lead].targets
    name = lead[0].target if view.nodal else lead[-1].target
    return data.n_patients, data.events_by_horizon[name]


# --------------------------------------------------------------------------------- recalibration


def _recalibration(view: View, found: Recalibrations | NotEstimable) -> Iterator[Block]:
    if isinstance(found, NotEstimable):
        yield Paragraph(f"No recalibration is offered: {found.not_estimable}.")
        return
    where = (
        "for all cuts of the stage, on the scale of the log odds"
        if found.horizon_days is None
        else f"at {years(found.horizon_days)}, on the scale of the log cumulative hazard; the "
        "whole curve of risk follows"
    )
    yield Paragraph(
        f"Recalibration moves the risks of “{found.model}” by a line estimated in these patients "
        f"{where}; a refit also corrects the coefficients of the columns that the model’s last "
        "step reads, drawn towards those it has. Either agrees with these patients by "
        "construction, so each is judged by the log loss of patients left out of its estimation "
        f"({FOLDS}-fold cross-validation within the external "
        f"patients, {REPEATS} repeats). {_advice(found)} A recalibrated model has to be validated "
        "in other patients."
    )
    rows = [
        Row(("as it is", "0", "1", number(found.log_loss, 4), "", number(found.brier, 4))),
        *(_line(f) for f in found.fits),
    ]
    missing = [m for m in NAMES if m not in {f.method for f in found.fits}]
    yield DataTable(
        "recalibration-table",
        f"Recalibrations of “{found.model}”, judged on external patients left out.",
        (
            Column("Recalibration", weight=1.8),
            numeric("Intercept", 0.9),
            numeric("Slope", 0.9),
            numeric("Log loss", 0.9),
            numeric("Difference to as it is (standard error)", 1.7),
            numeric("Brier score", 0.9),
        ),
        tuple(rows),
        (
            "Below zero, the recalibration has the lower log loss. The simplest is recommended "
            "whose log loss exceeds that of the best by no more than the standard error of their "
            "difference over patients.",
            *([f"Not offered: {listed([_why_not(m) for m in missing])}."] * bool(missing)),
        ),
    )


def _line(f: RecalibrationFit) -> Row:
    return Row(
        (
            NAMES[f.method],
            number(f.intercept, 3, signed=True),
            number(f.slope, 3),
            number(f.log_loss, 4),
            f"{number(f.difference, 4, signed=True)} ({number(f.se, 4)})",
            number(f.brier, 4),
        )
    )


def _why_not(method: str) -> str:
    """A recalibration that is absent, with what it is absent for."""
    if method == REFIT:
        return (
            "a refit of the last step (it left every coefficient as it was, could not order "
            "patients, or the model reads images itself)"
        )
    return f"{NAMES[method]} (it could not order patients)"


def _advice(found: Recalibrations) -> str:
    if not found.recommended:
        return "Recommended: the model as it is; no recalibration had a clearly lower log loss."
    return f"Recommended: recalibration {NAMES[found.recommended]}."
