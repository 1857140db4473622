"""The page of the models: figures by analysis, model and horizon, with a threshold to move."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request

from metasight.report.view import at_target
from metasight.report.wording import in_years, percent, sentence
from metasight.serve import model as figures
from metasight.serve.accounts import Role
from metasight.serve.app import Page, note, render, require_role, workbench_of
from metasight.serve.audit import Act

router = APIRouter()

MODEL = Page(
    title="Model",
    help="How well each model predicted patients whom its fits had not seen, as the report has it, "
    "by analysis, horizon, subgroup and centre. Move the threshold to read its net benefit.",
    place="model",
)
Place = Annotated[int, Query(ge=0, le=9999)]


@router.get("/model")
def model_page(
    request: Request,
    analysis: Place = 0,
    model: Place = 0,
    target: Place = 0,
    threshold: Place = 9999,
) -> Any:
    """Figures of one model in one analysis, at one horizon or stage."""
    require_role(request, Role.VIEWER)
    judged = figures.judged_by(workbench_of(request).run)
    own = figures.chosen(judged, analysis)
    names = _in_order(own.evaluation.models, own.evaluation.settings.headline_model)
    of = own.evaluation.models[figures.chosen(names, model)]
    at = figures.chosen(of.targets, target)
    points = at.decision_curve.points
    place = threshold if threshold < len(points) else len(points) // 2
    moved = request.headers.get("hx-target") == "decision"
    if not moved:
        note(request, Act.VIEW, "model")
    return render(
        request,
        "model_decision.html.j2" if moved else "model.html.j2",
        MODEL,
        analyses=[j.label for j in judged],
        models=names,
        targets=[sentence(at_target(t)).rstrip(".") for t in of.targets],
        asked={
            "analysis": judged.index(own),
            "model": names.index(of.model),
            "target": of.targets.index(at),
            "threshold": place,
        },
        evaluation=own.evaluation,
        name=of.model,
        all_models=figures.models_sheet(own.evaluation, of.targets.index(at)),
        when=at_target(at),
        calibration=figures.calibration_plot(at),
        fifths=figures.fifths_sheet(at),
        decision=figures.decision_plot(at, points[place]) if points else None,
        words=figures.decision_words(at, points[place], of.model) if points else (),
        thresholds=[percent(p.threshold) for p in points],
        subgroups=figures.subgroups_sheet(of),
        centres=figures.centres_sheet(of),
        notes=[sentence(in_years(n)) for n in own.evaluation.notes],
    )


def _in_order(models: Any, headline: str) -> list[str]:
    """Names of models, the headline model first."""
    return sorted(models, key=lambda name: name != headline)
