"""The model's figures for the page: what the run's evaluation holds, in tables and drawings.

Nothing is computed from patients here: figures, intervals and curves are those that the evaluation
step left, of every analysis of the last run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from metasight.engine.step import StepKind
from metasight.errors import StudyError
from metasight.estimate import Estimate
from metasight.report.view import POPULATIONS, at_target, discrimination, discrimination_name
from metasight.report.wording import (
    Footnotes,
    count,
    in_years,
    metric,
    number,
    percent,
    plural,
    span,
)
from metasight.serve.last_run import NOT_RUN, LastRun
from metasight.steps import artefacts
from metasight.validation.results import (
    CalibrationCurve,
    CentreSummary,
    DecisionPoint,
    Evaluation,
    ModelEvaluation,
    NotEstimable,
    SubgroupEvaluation,
    TargetEvaluation,
)

T = TypeVar("T")
SIDE, MARGIN = 300.0, 46.0
"""Of a drawing's square, and of the room for its labels, in the drawing's own units."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One endpoint in one population, as it was evaluated.

    Attributes
    ----------
    label
        Endpoint and population in words.
    evaluation
        What was found.
    """

    label: str
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table as the page prints it.

    Attributes
    ----------
    caption, head
        Above it; the first column names the row.
    rows
        Cells in words.
    notes
        Below it: why a figure is not estimable.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A drawing by its lines, in its own units.

    Attributes
    ----------
    lines
        (class, points) of polylines.
    bands
        (class, points) of areas.
    dots
        (x, y, upper end, lower end); ends None where there is no interval.
    x_ticks, y_ticks
        (place, text).
    x_label, y_label
        What the axes are.
    marker
        Where the chosen threshold stands; None where there is none.
    """

    lines: tuple[tuple[str, str], ...]
    bands: tuple[tuple[str, str], ...]
    dots: tuple[tuple[float, float, float | None, float | None], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    x_label: str
    y_label: str
    marker: float | None = None


def judged_by(run: LastRun) -> tuple[Judged, ...]:
    """Every analysis of the last run, the headline first.

    Raises
    ------
    StudyError
        The study was not run to its end.
    """
    if not run.of(StepKind.EVALUATE):
        raise NOT_RUN
    found: list[tuple[bool, Judged]] = []
    lead = run.headline
    for step in run.of(StepKind.EVALUATE):
        folder = run.folder(step.name)
        if not artefacts.EVALUATION.is_in(folder):
            continue
        evaluation = Evaluation.from_json(artefacts.EVALUATION.read(folder))
        data = next((n for n in step.needs if n in run.steps and _cuts(run, n)), None)
        about = artefacts.DATA.read(run.folder(data)) if data is not None else {}
        population = str(about.get("population", ""))
        where = POPULATIONS.get(population, population.replace("_", " "))
        endpoint = str(about.get("endpoint", evaluation.endpoint))
        named = {e.name: e.label for e in run.study.protocol.endpoint}
        label = f"{named.get(endpoint, endpoint)}, {where}"
        is_lead = lead is not None and step.name == lead.judged
        found.append((not is_lead, Judged(label=label, evaluation=evaluation)))
    return tuple(j for _, j in sorted(found, key=lambda pair: pair[0]))


def _cuts(run: LastRun, name: str) -> bool:
    return run.steps[name].kind is StepKind.CUT_DATA


def chosen(items: Sequence[T], asked: int) -> T:
    """One of some by its place; the first where the place is none of them.

    Raises
    ------
    StudyError
        There are none.
    """
    if not items:
        raise StudyError("the run evaluated no model", remedy="Look at the report's notes")
    return items[asked] if 0 <= asked < len(items) else items[0]


# ------------------------------------------------------------------ tables

_MEASURES = ("AUC", "Brier", "IPA", "O/E", "Intercept", "Slope", "ICI")


def models_sheet(evaluation: Evaluation, target: int) -> Sheet:
    """Every model at one horizon or stage."""
    notes = Footnotes()
    kind = evaluation.kind
    rows = []
    for model in evaluation.models.values():
        at = chosen(model.targets, target)
        first, cal = discrimination(model, kind), at.calibration
        measured = (first, at.auc, at.brier, at.ipa, cal.oe, cal.intercept, cal.slope, cal.ici)
        rows.append((_role(evaluation, model.model), *(notes.metric(m) for m in measured)))
    data = evaluation.data
    return Sheet(
        caption=f"Performance in patients that the fits had not seen: "
        f"{plural(data.n_patients, 'patient')}, {plural(data.n_events, 'event')}, "
        f"{plural(data.n_centres, 'centre')}; 95 % intervals",
        head=(
            "Model",
            discrimination_name(kind),
            "AUC",
            "Brier",
            "IPA",
            "O/E",
            "Intercept",
            "Slope",
            "ICI",
        ),
        rows=tuple(rows),
        notes=notes.notes,
    )


def _role(evaluation: Evaluation, model: str) -> str:
    settings = evaluation.settings
    if model == settings.headline_model:
        return f"{model} (headline)"
    return f"{model} (reference)" if model == settings.reference_model else model


def subgroups_sheet(model: ModelEvaluation) -> Sheet | None:
    """Levels of each variable; None where the plan names no subgroups."""
    shown = (*model.subgroups, *model.by_missing)
    return _levels("By subgroup, at the headline horizon or stage", shown) if shown else None


def _levels(caption: str, shown: Iterable[SubgroupEvaluation]) -> Sheet:
    notes = Footnotes()
    rows = tuple(
        (
            f"{g.variable.replace('_', ' ')}: {g.level}",
            count(g.n),
            count(g.events),
            *(notes.metric(m) for m in (g.discrimination, g.auc, g.oe, g.ipa)),
        )
        for g in shown
    )
    head = ("Group", "Patients", "Events", "C", "AUC", "O/E", "IPA")
    return Sheet(caption=caption, head=head, rows=rows, notes=notes.notes)


def centres_sheet(model: ModelEvaluation) -> Sheet | None:
    """Each centre's own figures; None where there are not several."""
    if not isinstance(model.centres, CentreSummary):
        return None
    notes, own = Footnotes(), model.centres
    rows = [
        (
            c.centre,
            count(c.n),
            count(c.events),
            *(notes.metric(m) for m in (c.discrimination, c.oe, c.slope, c.ipa)),
        )
        for c in own.centres
    ]
    pooled = (own.discrimination, own.oe, own.slope, own.ipa)
    rows.append(("all, pooled over centres", "", "", *(notes.metric(p) for p in pooled)))
    return Sheet(
        caption=f"By centre, at {in_years(own.target)}",
        head=("Centre", "Patients", "Events", own.measure, "O/E", "Slope", "IPA"),
        rows=tuple(rows),
        notes=notes.notes,
    )


def fifths_sheet(target: TargetEvaluation) -> Sheet:
    """Predicted and observed risk by fifths of predicted risk."""
    notes = Footnotes()
    rows = tuple(
        (
            f"{k}",
            number(g.n, 0),
            percent(g.mean_predicted, 1),
            notes.metric(g.observed, 1, scale=100),
        )
        for k, g in enumerate(target.calibration.groups, start=1)
    )
    return Sheet(
        caption="Fifths of predicted risk",
        head=("Fifth", "Patients", "Predicted", "Observed, % (95 % interval)"),
        rows=rows,
        notes=notes.notes,
    )


# ------------------------------------------------------------------ drawings


def calibration_plot(target: TargetEvaluation) -> Plot:
    """Observed against predicted risk."""
    curve, groups = target.calibration.curve, target.calibration.groups
    seen = [0.1]
    if isinstance(curve, CalibrationCurve):
        seen += [*curve.predicted, *curve.observed]
    for g in groups:
        seen.append(g.mean_predicted)
        if isinstance(g.observed, Estimate):
            seen.append(g.observed.upper or g.observed.value)
    limit = next((v for v in (0.1, 0.2, 0.4, 0.6, 0.8) if max(seen) <= v), 1.0)
    lines = [("even", _points(((0.0, 0.0), (limit, limit)), limit, 0.0, limit))]
    bands = []
    if isinstance(curve, CalibrationCurve):
        along = tuple(zip(curve.predicted, curve.observed, strict=True))
        lines.append(("line", _points(along, limit, 0.0, limit)))
        edge = [*zip(curve.predicted, curve.lower, strict=True)]
        edge += reversed([*zip(curve.predicted, curve.upper, strict=True)])
        bands.append(("band", _points(edge, limit, 0.0, limit)))
    dots = tuple(
        (
            _x(g.mean_predicted, limit),
            _y(g.observed.value, 0.0, limit),
            None if g.observed.upper is None else _y(g.observed.upper, 0.0, limit),
            None if g.observed.lower is None else _y(g.observed.lower, 0.0, limit),
        )
        for g in groups
        if isinstance(g.observed, Estimate)
    )
    steps = [limit * k / 4 for k in range(5)]
    return Plot(
        lines=tuple(lines),
        bands=tuple(bands),
        dots=dots,
        x_ticks=tuple((_x(v, limit), percent(v, 0 if limit >= 0.4 else 1)) for v in steps),
        y_ticks=tuple((_y(v, 0.0, limit), percent(v, 0 if limit >= 0.4 else 1)) for v in steps),
        x_label="Predicted risk",
        y_label="Observed risk",
    )


def decision_plot(target: TargetEvaluation, at: DecisionPoint) -> Plot:
    """Net benefit by threshold, of the model, of treating all and of treating none."""
    points = target.decision_curve.points
    own = [(p.threshold, m.value) for p in points if isinstance(m := p.net_benefit, Estimate)]
    all_ = [(p.threshold, m.value) for p in points if isinstance(m := p.treat_all, Estimate)]
    band = [b for b in target.decision_curve.band.points if b.lower is not None]
    top = max([v for _, v in own] + [v for _, v in all_] + [0.01]) * 1.15
    low = -0.25 * top
    right = max(p.threshold for p in points)
    edge = [(b.threshold, b.lower) for b in band if b.lower is not None]
    edge += reversed([(b.threshold, b.upper) for b in band if b.upper is not None])
    steps = [low, 0.0, top / 2, top]
    return Plot(
        lines=(
            ("even", _points(((0.0, 0.0), (right, 0.0)), right, low, top)),
            ("other", _points(all_, right, low, top)),
            ("line", _points(own, right, low, top)),
        ),
        bands=(("band", _points(edge, right, low, top)),) if edge else (),
        dots=(),
        x_ticks=tuple((_x(right * k / 4, right), percent(right * k / 4)) for k in range(5)),
        y_ticks=tuple((_y(v, low, top), number(100 * v, 1)) for v in steps),
        x_label="Threshold: risk from which a patient would be treated",
        y_label="Net benefit per 100 patients",
        marker=_x(at.threshold, right),
    )


def decision_words(target: TargetEvaluation, at: DecisionPoint, model: str) -> tuple[str, ...]:
    """What the chosen threshold comes to, in sentences."""
    when = at_target(target)
    treated = f"{number(100 * at.treated, 0)} of 100 patients are at or above it"
    found = [f"Threshold {percent(at.threshold)} {when}: by “{model}” {treated}."]
    if isinstance(at.net_benefit, Estimate) and isinstance(at.treat_all, Estimate):
        own, all_ = (metric(m, 1, scale=100) for m in (at.net_benefit, at.treat_all))
        found.append(
            f"Net benefit per 100 patients, with its 95 % interval at this threshold: {own}; "
            f"treating all {all_}; treating none 0."
        )
    elif isinstance(at.net_benefit, NotEstimable):
        found.append(f"Net benefit is not estimable: {in_years(at.net_benefit.not_estimable)}.")
    over = next(
        (
            p
            for p in target.decision_curve.over_default.points
            if p.threshold == at.threshold and p.lower is not None and p.upper is not None
        ),
        None,
    )
    if over is not None and over.lower is not None and over.upper is not None:
        held = span(100 * over.lower, 100 * over.upper, 1, signed=True)
        found.append(
            f"Over the better of treating all and treating none: "
            f"{number(100 * over.value, 1, signed=True)} ({held}; simultaneous band over the "
            "thresholds)."
        )
    return tuple(found)


def _x(value: float, right: float) -> float:
    return round(MARGIN + SIDE * value / right, 1)


def _y(value: float, low: float, top: float) -> float:
    inside = min(max(value, low), top)
    return round(10 + SIDE * (1 - (inside - low) / (top - low)), 1)


def _points(along: Iterable[tuple[float, float]], right: float, low: float, top: float) -> str:
    return " ".join(f"{_x(x, right)},{_y(y, low, top)}" for x, y in along)
