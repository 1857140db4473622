"""The page of a patient's scans, the slices that it loads, and lesions from clicks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from metasight.cohort.scan_table import PatientScans
from metasight.cohort.settings import ScanRecipe
from metasight.errors import VolumeError
from metasight.lesions.picture_view import MOST_SUV
from metasight.lesions.size import PLANES, Plane
from metasight.report.wording import sentence
from metasight.serve.accepting import Acceptance, accept, lesion_table_of
from metasight.serve.accounts import Role
from metasight.serve.app import (
    Page,
    Refused,
    Workbench,
    note,
    render,
    require_role,
    session_of,
    workbench_of,
)
from metasight.serve.audit import Act
from metasight.serve.clicks import Click, FoundLesion, Job
from metasight.serve.lesion_words import lesion_lines
from metasight.serve.pages import Pseudonym
from metasight.serve.scan_slices import SIDES, WINDOWS_HU, grey_slice, point_of, uptake_slice
from metasight.serve.scans import (
    OpenScan,
    drawn_lesion,
    frames_of,
    lesion_shown,
    measured_of,
    series_facts,
)
from metasight.serve.sessions import LOCAL
from metasight.serve.wording import Refusal

router = APIRouter()

PlaneName = Annotated[str, Path(pattern=f"^({'|'.join(PLANES)})$")]
Number = Annotated[int, Path(ge=0, le=100_000)]
Window = Annotated[str, Query(pattern=f"^({'|'.join(WINDOWS_HU)})$")]
Shade = Annotated[str, Query(pattern="^(heat|grey)$")]
JobName = Annotated[str, Path(max_length=40, pattern="^[A-Za-z0-9_-]+$")]
_KEEP = {"cache-control": "private, max-age=3600"}
_PLANES: dict[str, Plane] = {plane: plane for plane in PLANES}


def _scans(workbench: Workbench, patient: str) -> tuple[PatientScans, ScanRecipe]:
    row = workbench.scan_rows.get(patient)
    settings = workbench.study.settings.scans
    if row is None or settings is None:
        raise Refused(Refusal.NOT_FOUND)
    return row, settings.recipe()


def _open(workbench: Workbench, patient: str) -> OpenScan:
    return workbench.scans.of(*_scans(workbench, patient))


@router.get("/scans/{patient}")
def scan_page(request: Request, patient: Pseudonym) -> Any:
    """A patient's scans; they are read after the page is there."""
    session = session_of(request)
    workbench = workbench_of(request)
    row, _ = _scans(workbench, patient)
    _, why_not = lesion_table_of(workbench.study)
    note(request, Act.VIEW, f"scans of {patient}")
    page = Page(
        title=f"Scans of {patient}",
        help="Three planes through one point. Scroll with the wheel, the sliders or the arrow "
        "keys; click a point to see the other planes there. Lines are the diameters that the run "
        "reported.",
        place="patients",
    )
    return render(
        request,
        "scan.html.j2",
        page,
        patient=patient,
        has_pet=row.pet is not None,
        lesion=lesion_lines(measured_of(workbench.run, patient)),
        windows=WINDOWS_HU,
        sides=SIDES,
        planes=PLANES,
        most_suv=MOST_SUV,
        may=session.account.role.may(Role.REVIEWER),
        why_not=why_not,
        is_local=session.account.name == LOCAL,
        done=request.query_params.get("done") == "yes",
    )


@router.get("/scans/{patient}/told")
def told(request: Request, patient: Pseudonym) -> Response:
    """What the page's script needs to know of the scans; reading them takes seconds."""
    session_of(request)
    workbench = workbench_of(request)
    try:
        scan = _open(workbench, patient)
    except VolumeError as error:
        return JSONResponse({"problem": str(error)})
    lesion, why = lesion_shown(workbench.run, patient, scan.ct)
    return JSONResponse(
        {
            "frames": frames_of(scan.ct),
            "pet": scan.pet is not None,
            "facts": series_facts(scan),
            "lesion": lesion,
            "whyNoLesion": why,
            "version": workbench.run.name,
        }
    )


@router.get("/scans/{patient}/{plane}/{number}.png")
def slice_picture(
    request: Request, patient: Pseudonym, plane: PlaneName, number: Number, window: Window = "lung"
) -> Response:
    """A slice of the CT."""
    session_of(request)
    try:
        ct = _open(workbench_of(request), patient).ct
        found = grey_slice(ct, _PLANES[plane], number, WINDOWS_HU[window])
    except VolumeError:
        raise Refused(Refusal.NOT_FOUND) from None
    return Response(found, media_type="image/png", headers=_KEEP)


@router.get("/scans/{patient}/pet/{plane}/{number}.png")
def uptake_picture(
    request: Request, patient: Pseudonym, plane: PlaneName, number: Number, shade: Shade = "heat"
) -> Response:
    """The PET on a slice of the CT."""
    session_of(request)
    try:
        scan = _open(workbench_of(request), patient)
        if scan.pet is None:
            raise Refused(Refusal.NOT_FOUND)
        found = uptake_slice(scan.pet, scan.ct, _PLANES[plane], number, heat=shade == "heat")
    except VolumeError:
        raise Refused(Refusal.NOT_FOUND) from None
    return Response(found, media_type="image/png", headers=_KEEP)


# ------------------------------------------------------------------ a lesion from a click


@router.post("/scans/{patient}/lesion")
def click(request: Request, patient: Pseudonym) -> Response:
    """Ask for the lesion at a point of a slice."""
    require_role(request, Role.REVIEWER)
    workbench = workbench_of(request)
    row, recipe = _scans(workbench, patient)
    form = request.state.form
    try:
        plane = _PLANES[form["plane"]]
        number, x, y = int(form["number"]), float(form["x"]), float(form["y"])
        at = point_of(_open(workbench, patient).ct.grid, plane, number, x, y)
    except (KeyError, ValueError, VolumeError):
        raise Refused(Refusal.FORM) from None
    point = float(at[0]), float(at[1]), float(at[2])
    name = workbench.clicks.ask(Click(scans=row, recipe=recipe, point_mm=point))
    note(request, Act.CLICK, f"lesion of {patient}")
    return JSONResponse({"job": name})


@router.get("/scans/{patient}/lesion/{job}")
def clicked(request: Request, patient: Pseudonym, job: JobName) -> Response:
    """What became of a click."""
    session_of(request)
    workbench = workbench_of(request)
    asked = _job(workbench, patient, job)
    if not asked.done:
        return JSONResponse({"state": "working", "seconds": round(asked.seconds)})
    found = asked.found
    if found is None:
        return JSONResponse({"state": "failed", "problem": asked.problem})
    ct = _open(workbench, patient).ct
    return JSONResponse(
        {
            "state": "found",
            "seconds": round(asked.seconds),
            "drawn": drawn_lesion(found.mask_on(ct), ct),
            # the words beside them say the probability
            "lines": lesion_lines(found.row | {"outline_wrong_probability": None}),
            "words": sentence(found.words),
            "flagged": bool(found.flagged),
        }
    )


@router.post("/scans/{patient}/lesion/{job}/accept")
def take(request: Request, patient: Pseudonym, job: JobName) -> Response:
    """Accept a lesion that was found into the study."""
    session = require_role(request, Role.REVIEWER)
    workbench = workbench_of(request)
    asked = _job(workbench, patient, job)
    found: FoundLesion | None = asked.found
    if found is None:
        raise Refused(Refusal.FORM)
    row, _ = _scans(workbench, patient)
    if asked.click.scans != row:  # the table of scans names others by now
        raise Refused(Refusal.FORM)
    form = request.state.form
    local = session.account.name == LOCAL
    accepted = Acceptance(
        scans=row,
        mask=found.mask_on(_open(workbench, patient).ct),
        reader=form.get("reader", "")[:60] if local else session.account.name,
        reason=form.get("reason", "")[:1000],
    )
    name = accept(workbench.study, accepted)
    note(request, Act.DECIDE, f"lesion of {patient}: {name} accepted")
    workbench.looking.again()
    return RedirectResponse(f"/scans/{patient}?done=yes", 303)


def _job(workbench: Workbench, patient: str, name: str) -> Job:
    job = workbench.clicks.of(name, patient)
    if job is None:
        raise Refused(Refusal.NOT_FOUND)
    return job
