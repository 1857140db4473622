"""The models' page, its threshold, and who may see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from conftest import BREAST, breast_table
from metasight.serve.accounts import Role

from .conftest import Served


def test_a_viewer_sees_it_and_that_is_noted(serve: Callable[..., Served]) -> None:
    served = serve().login(Role.VIEWER)
    answer = served.client.get("/model")
    assert answer.status_code == 200
    assert "All models at " in answer.text
    assert "not a medical device" in answer.text
    assert any(row.about == "model" for row in served.workbench.audit.rows())
    assert 'aria-current="page">Model' in answer.text


def test_the_threshold_alone_is_sent_when_it_moves(serve: Callable[..., Served]) -> None:
    served = serve().enter()
    moved = served.client.get("/model?threshold=0", headers={"HX-Target": "decision"})
    assert moved.status_code == 200
    assert "<html" not in moved.text
    assert "Threshold 5" in moved.text
    other = served.client.get("/model?threshold=1", headers={"HX-Target": "decision"})
    assert other.text != moved.text


@pytest.mark.parametrize("asked", ["analysis=99&model=99&target=99&threshold=99", "model=1"])
def test_places_beyond_the_last_are_the_first(serve: Callable[..., Served], asked: str) -> None:
    assert serve().enter().client.get(f"/model?{asked}").status_code == 200


@pytest.mark.parametrize("asked", ["analysis=-1", "model=x", "target=1e9", "threshold="])
def test_what_is_no_place_is_refused(serve: Callable[..., Served], asked: str) -> None:
    assert serve().enter().client.get(f"/model?{asked}").status_code in {400, 422}


def test_without_a_run_the_page_says_so(serve: Callable[..., Served], tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    breast_table().to_csv(folder / "patients.csv", index=False)
    (folder / "study.toml").write_text(BREAST)
    answer = serve(folder).enter().client.get("/model")
    assert answer.status_code < 500
    assert "was not run" in answer.text


def test_without_a_session_it_is_refused(serve: Callable[..., Served]) -> None:
    assert serve().client.get("/model", follow_redirects=False).status_code in {303, 401, 403}


def test_a_patient_with_other_values(serve: Callable[..., Served]) -> None:
    served = serve().login(Role.VIEWER)
    patient = next(x.patient for x in served.workbench.lines if x.analysed)
    page = served.client.get(f"/patients/{patient}/what-if")
    assert page.status_code == 200
    assert "A what-if describes the model" in page.text
    assert f"/patients/{patient}/what-if" in served.client.get(f"/patients/{patient}").text
    form = {"form_token": served.form_token, "x-tumour_size_mm": "30"}
    answer = served.client.post(f"/patients/{patient}/what-if", data=form)
    assert answer.status_code == 200
    assert "With other values of" in answer.text
    far = served.client.post(
        f"/patients/{patient}/what-if", data={**form, "x-tumour_size_mm": "4000"}
    )
    assert far.status_code == 200
    assert "within those of the patients" in far.text
    without = served.client.post(f"/patients/{patient}/what-if", data={"x-age_years": "60"})
    assert without.status_code == 403
    assert served.client.get(f"/patients/P{'0' * 16}/what-if").status_code == 404
