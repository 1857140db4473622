"""The page of the models, with a threshold to move, and of one patient with other values."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request

from metasight.errors import MetasightError
from metasight.report.view import at_target
from metasight.report.wording import in_years, percent, sentence
from metasight.serve import model as figures
from metasight.serve.accounts import Role
from metasight.serve.app import Page, Refused, note, render, require_role, workbench_of
from metasight.serve.audit import Act
from metasight.serve.pages import Pseudonym
from metasight.serve.what_if import Choice, WhatIf
from metasight.serve.wording import Refusal

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


# ------------------------------------------------------------------ one patient, otherwise


@router.get("/patients/{patient}/what-if")
def what_if_page(request: Request, patient: Pseudonym) -> Any:
    """What the locked model reads of a patient, to be changed."""
    require_role(request, Role.VIEWER)
    note(request, Act.VIEW, f"what-if {patient}")
    return _what_if(request, patient, {})


@router.post("/patients/{patient}/what-if")
def what_if(request: Request, patient: Pseudonym) -> Any:
    """What the locked model says with other values; nothing is kept."""
    require_role(request, Role.VIEWER)
    form = request.state.form
    given = {k.removeprefix("x-"): v[:40] for k, v in form.items() if k.startswith("x-")}
    note(request, Act.VIEW, f"what-if {patient}")
    return _what_if(request, patient, given)


def _what_if(request: Request, patient: str, given: dict[str, str]) -> Any:
    workbench = workbench_of(request)
    if patient not in {x.patient for x in workbench.lines}:
        raise Refused(Refusal.NOT_FOUND)
    choices: tuple[Choice, ...] = ()
    answer, problem = None, ""
    try:
        asked = WhatIf(workbench.run, patient)
        choices = asked.choices
        answer = asked.answer(given)
    except MetasightError as error:
        problem = sentence(str(error))
    return render(
        request,
        "what_if.html.j2",
        Page(
            title=f"What if, patient {patient}",
            help="Give recorded values other ones, within those of the patients that the model was "
            "fitted to, and see what the locked model says. Nothing is kept.",
            place="patients",
        ),
        patient=patient,
        choices=choices,
        given=given,
        answer=answer,
        problem=problem,
        model=workbench.run.headline_model,
    )
