"""A patient's scans: who may see and accept, what the script is told, and the way of a click."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from metasight.serve.accounts import Role
from metasight.serve.audit import Act

from .conftest import Served

Serve = Callable[..., Served]
WHY = "the outline of the table leaves out a part"


def patient_of(served: Served) -> str:
    (patient,) = served.workbench.scan_rows
    return patient


def test_what_the_page_loads(serve: Serve, lung_folder: Path) -> None:
    served = serve(lung_folder).enter()
    patient = patient_of(served)
    assert f"/scans/{patient}" in served.client.get(f"/patients/{patient}").text
    text = served.client.get(f"/scans/{patient}").text
    assert "Size" in text and "18.4" in text and "SIM-0001" not in text
    told = served.client.get(f"/scans/{patient}/told").json()
    assert told["pet"] and told["lesion"]["calipers"] and not told["whyNoLesion"]
    for plane, frame in told["frames"].items():
        n = told["lesion"]["start"][plane]
        for address in (f"{plane}/{n}.png?window=bone", f"pet/{plane}/{n}.png?shade=grey"):
            answer = served.client.get(f"/scans/{patient}/{address}")
            assert answer.headers["content-type"] == "image/png"
            picture = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
            assert picture.shape[1] / picture.shape[0] > 0
        assert (
            served.client.get(f"/scans/{patient}/{plane}/{frame['slices']}.png").status_code == 404
        )


@pytest.mark.parametrize(
    "address",
    ["axial/1.png?window=none", "oblique/1.png", "axial/x.png", "pet/axial/1.png?shade=red"],
)
def test_what_is_not_understood(serve: Serve, lung_folder: Path, address: str) -> None:
    served = serve(lung_folder).enter()
    answer = served.client.get(f"/scans/{patient_of(served)}/{address}")
    assert answer.status_code == 422


def test_a_patient_without_scans(serve: Serve, lung_folder: Path) -> None:
    served = serve(lung_folder).enter()
    other = next(x.patient for x in served.workbench.lines if x.patient != patient_of(served))
    assert served.client.get(f"/scans/{other}").status_code == 404
    assert served.client.get(f"/scans/{other}/told").status_code == 404


def test_scans_that_cannot_be_read_say_why(serve: Serve, lung_folder: Path) -> None:
    import shutil

    served = serve(lung_folder).enter()
    shutil.rmtree(lung_folder / "scans" / "SIM-0001" / "CT")
    told = served.client.get(f"/scans/{patient_of(served)}/told").json()
    assert told["problem"] and "SIM" not in told["problem"]


def asked(served: Served) -> tuple[str, dict]:
    patient = patient_of(served)
    told = served.client.get(f"/scans/{patient}/told").json()
    (own,) = [c for c in told["lesion"]["calipers"] if c["plane"] == "axial"]
    x, y = np.mean(own["longest"], axis=0)
    answer = served.post(
        f"/scans/{patient}/lesion", plane="axial", number=str(own["slice"]), x=str(x), y=str(y)
    )
    assert answer.status_code == 200
    job = f"/scans/{patient}/lesion/{answer.json()['job']}"
    for _ in range(1200):
        state = served.client.get(job).json()
        if state["state"] != "working":
            return job, state
        time.sleep(0.1)
    raise AssertionError("no answer")


def test_a_lesion_is_found_accepted_and_in_the_ledger(serve: Serve, lung_folder: Path) -> None:
    served = serve(lung_folder).login(Role.REVIEWER)
    job, state = asked(served)
    assert state["state"] == "found" and state["drawn"]["calipers"] and state["lines"]
    refused = served.post(f"{job}/accept", reason="short")
    assert refused.status_code == 409 and "no reason" in refused.text
    answer = served.post(f"{job}/accept", reason=WHY)
    assert answer.status_code == 200 and "The lesion is accepted" in answer.text
    row = (lung_folder / "reader_lesions.csv").read_text().splitlines()[-1]
    assert row.startswith("SIM-0001,reader_masks/") and ",a.reviewer," in row and row.endswith(WHY)
    (mask,) = (lung_folder / "reader_masks").iterdir()
    acts = [(r.what, r.about) for r in served.workbench.audit.rows()]
    assert (Act.DECIDE, f"lesion of {patient_of(served)}: {mask.name} accepted") in acts
    assert Act.CLICK in {what for what, _ in acts} and "SIM" not in str(acts)
    served.workbench.looking.wait()
    assert "a reader accepted a lesion" in served.client.get("/standing").text


def test_viewers_look_only(serve: Serve, lung_folder: Path) -> None:
    served = serve(lung_folder).login(Role.VIEWER)
    patient = patient_of(served)
    text = served.client.get(f"/scans/{patient}").text
    assert "Find the lesion here" not in text
    for address in (f"/scans/{patient}/lesion", f"/scans/{patient}/lesion/abc/accept"):
        assert served.post(address, plane="axial", number="1", x="1", y="1").status_code == 403


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"plane": "axial", "number": "1", "x": "nan", "y": "1"},
        {"plane": "axial", "number": "99999", "x": "1", "y": "1"},
    ],
)
def test_a_click_nowhere(serve: Serve, lung_folder: Path, form: dict) -> None:
    served = serve(lung_folder).enter()
    assert served.post(f"/scans/{patient_of(served)}/lesion", **form).status_code == 400


def test_an_answer_that_is_not_known(serve: Serve, lung_folder: Path) -> None:
    served = serve(lung_folder).enter()
    patient = patient_of(served)
    assert served.client.get(f"/scans/{patient}/lesion/abc").status_code == 404
    assert served.post(f"/scans/{patient}/lesion/abc/accept").status_code == 404
