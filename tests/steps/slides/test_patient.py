"""What measuring a patient's slides makes of the evidence, criterion by criterion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from metasight.cohort.slide_table import SlideRow
from metasight.engine.guarded import Limits
from metasight.errors import LeakageError, MarkerError
from metasight.estimate import Estimate
from metasight.maps.tumour import TumourArea
from metasight.protocol.load import read_protocol
from metasight.protocol.study import Protocol
from metasight.steps.slides import patient
from metasight.steps.slides.one_slide import SlideArgument
from metasight.steps.slides.patient import (
    CheckArgument,
    PatientArgument,
    check_slide,
    measure_patient,
)
from slide_files import tissue_like, write_pyramid

BREAST = read_protocol("breast-dmfs")


def area(share: Estimate) -> TumourArea:
    lower, upper = share.ends
    return TumourArea(
        percent=share.value,
        lower=lower,
        upper=upper,
        epithelium_percent=0.0,
        region=None,
        basis="nuclei of the H&E",
    )


def measured(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: Estimate | Exception,
    protocol: Protocol = BREAST,
    notes: Sequence[str] = (),
) -> dict:
    """``patient.json`` of a patient with one good H&E whose tumour area is ``share``."""

    def told(*_: object) -> TumourArea:
        if isinstance(share, Exception):
            raise share
        return area(share)

    monkeypatch.setattr(patient, "opened", lambda _: nullcontext())
    monkeypatch.setattr(patient, "tumour_of_he", told)
    checked, out = tmp_path / "checked", tmp_path / "out"
    checked.mkdir()
    out.mkdir()
    quality = {"slide": "P-HE-1", "stain": "H&E", "sufficient": True, "reasons": []}
    quality["notes"] = list(notes)
    quality |= {"mpp": 0.5, "mpp_source": "file", "reader": "tiff", "width": 9, "height": 9}
    (checked / "quality.json").write_text(json.dumps(quality))
    with (checked / "tissue.npz").open("wb") as file:
        np.savez_compressed(file, tissue=np.ones((4, 4), dtype=bool), mpp=np.array(8.0))
    row = SlideRow(patient="P", name="P-HE-1", path=Path("x"), stain="H&E", markers=(), mpp=None)
    slide = SlideArgument(slide=row, reader="tiff")
    argument = PatientArgument(
        patient="P", slides=(slide,), protocol=protocol.for_slides, required=("CD3",), seed=1
    )
    measure_patient({"check P-HE-1": checked, "markers of P-HE-1": tmp_path}, out, argument)
    return json.loads((out / "patient.json").read_text("utf-8"))


def tumour_rows(found: dict) -> list[tuple[str, str, str]]:
    rows = [e for e in found["ledger"] if e["stage"] == "tissue maps"]
    return [(e["criterion"], e["verdict"], e["value"]) for e in rows]


@pytest.mark.parametrize(
    ("share", "verdict", "known"),
    [
        (Estimate(value=30.0, lower=12.0, upper=50.0), "kept", True),
        (Estimate(value=5.0, lower=2.0, upper=9.0), "excluded", True),
        # the limit of 10 % lies within the interval: an H&E alone cannot say
        (Estimate(value=12.0, lower=8.0, upper=30.0), "unknown", False),
        (Estimate(value=9.0, lower=4.0, upper=10.0), "unknown", False),
        (Estimate(value=12.0, lower=10.0, upper=30.0), "kept", True),
    ],
)
def test_an_area_is_evidence_only_where_its_whole_interval_decides(
    tmp_path, monkeypatch, share, verdict, known
) -> None:
    found = measured(tmp_path, monkeypatch, share)
    assert found["format"] == 1
    assert tumour_rows(found) == [("E6", verdict, f"{share.value:.0f} %")]
    assert found["evidence"]["tumour_area_percent"] == (share.value if known else None)


def test_an_area_that_cannot_be_measured_is_unknown(tmp_path, monkeypatch) -> None:
    found = measured(tmp_path, monkeypatch, MarkerError("too little tissue"))
    assert tumour_rows(found) == [("E6", "unknown", "")]
    assert found["evidence"]["tumour_area_percent"] is None


def test_an_area_that_no_criterion_asks_for_is_kept_as_it_is(tmp_path, monkeypatch) -> None:
    asked = tuple(c for c in BREAST.criterion if c.id != "E6")
    protocol = BREAST.model_copy(update={"criterion": asked})
    share = Estimate(value=12.0, lower=8.0, upper=30.0)
    found = measured(tmp_path, monkeypatch, share, protocol)
    assert tumour_rows(found) == [("", "kept", "12 %")]
    assert found["evidence"]["tumour_area_percent"] == 12.0


def test_several_criteria_have_a_row_each_and_one_that_is_undecided_leaves_it_open(
    tmp_path, monkeypatch
) -> None:
    (e6,) = BREAST.criteria_on("tumour_area_percent")
    condition = e6.condition.model_copy(update={"below": 20.0})
    second = e6.model_copy(update={"id": "E60", "condition": condition})
    protocol = BREAST.model_copy(update={"criterion": (*BREAST.criterion, second)})
    share = Estimate(value=15.0, lower=12.0, upper=30.0)
    found = measured(tmp_path, monkeypatch, share, protocol)
    assert tumour_rows(found) == [("E6", "kept", "15 %"), ("E60", "unknown", "15 %")]
    assert found["evidence"]["tumour_area_percent"] is None


def test_whatever_a_step_raises_is_a_failed_row_without_the_files_text(
    tmp_path, monkeypatch
) -> None:
    found = measured(tmp_path, monkeypatch, KeyError("Meier"))
    assert tumour_rows(found) == [("E6", "failed", "")]
    (row,) = [e for e in found["ledger"] if e["stage"] == "tissue maps"]
    assert row["reason"] == "this file could not be processed (KeyError)"
    assert found["evidence"]["tumour_area_percent"] is None


def test_what_concerns_every_patient_stops_the_study(tmp_path, monkeypatch) -> None:
    with pytest.raises(LeakageError):
        measured(tmp_path, monkeypatch, LeakageError("it saw the patient"))


def test_a_slide_that_takes_too_long_is_a_result_and_the_next_is_checked(
    tmp_path, monkeypatch
) -> None:
    path = write_pyramid(tmp_path / "a.svs", tissue_like(600, 700), mpp=0.5, levels=2)

    def checked(name: str) -> dict[str, object]:
        row = SlideRow(patient="P", name=name, path=path, stain="H&E", markers=(), mpp=None)
        (tmp_path / name).mkdir()
        argument = CheckArgument(slide=row, reader="tiff", definitions=tuple(BREAST.definition))
        check_slide({}, tmp_path / name, argument)
        found: dict[str, object] = json.loads((tmp_path / name / "quality.json").read_text("utf-8"))
        return found

    assert "failed" not in checked("P-HE-1")  # and a child is there, that needs no time to start
    with monkeypatch.context() as short:
        short.setattr(patient, "limits_for", lambda *_: Limits(memory_bytes=1 << 32, seconds=0.0))
        assert "took longer than a file of its size may" in str(checked("P-HE-2")["failed"])
    with monkeypatch.context() as small:
        small.setattr(patient, "limits_for", lambda *_: Limits(memory_bytes=1 << 12, seconds=90))
        assert "failed" in checked("P-HE-3")
    assert "failed" not in checked("P-HE-4")


@pytest.mark.usefixtures("no_child")
def test_a_slide_that_cannot_be_checked_is_a_result(tmp_path, monkeypatch) -> None:
    def fault(*_: object, **__: object) -> None:
        raise RuntimeError("Meier")

    monkeypatch.setattr(patient, "opened", lambda _: nullcontext())
    monkeypatch.setattr(patient, "check", fault)
    row = SlideRow(patient="P", name="P-HE-1", path=Path("x"), stain="H&E", markers=(), mpp=None)
    check_slide({}, tmp_path, CheckArgument(slide=row, reader="tiff", definitions=()))
    found = json.loads((tmp_path / "quality.json").read_text("utf-8"))
    assert found["failed"] == "this file could not be processed (RuntimeError)"
    assert found["sufficient"] is False


def test_what_was_decided_when_a_slide_was_opened_is_in_the_ledger(tmp_path, monkeypatch) -> None:
    share = Estimate(value=30.0, lower=12.0, upper=50.0)
    found = measured(tmp_path, monkeypatch, share, notes=["picture 2 is read"])
    (row,) = [e for e in found["ledger"] if e["stage"] == "slide file"]
    assert (row["verdict"], row["reason"]) == ("kept", "picture 2 is read")


@pytest.mark.parametrize(("several", "chosen"), [("first", "P-HE-1"), ("largest", "P-HE-2")])
def test_the_ledger_says_which_h_and_e_counts_and_it_is_measured(
    tmp_path, monkeypatch, several, chosen
) -> None:
    seen = []

    def told(slide: str, *_: object) -> TumourArea:
        seen.append(slide)
        return area(Estimate(value=30.0, lower=20.0, upper=40.0))

    monkeypatch.setattr(patient, "opened", lambda a: nullcontext(a.slide.name))
    monkeypatch.setattr(patient, "tumour_of_he", told)
    slides, inputs = [], {}
    for name, side in (("P-HE-1", 3), ("P-HE-2", 5)):
        folder = tmp_path / name
        folder.mkdir()
        quality = {"slide": name, "stain": "H&E", "sufficient": True, "reasons": [], "mpp": 0.5}
        (folder / "quality.json").write_text(json.dumps(quality))
        with (folder / "tissue.npz").open("wb") as file:
            np.savez_compressed(file, tissue=np.ones((side, side), dtype=bool), mpp=np.array(8.0))
        row = SlideRow(patient="P", name=name, path=Path(name), stain="H&E", markers=(), mpp=None)
        slides.append(SlideArgument(slide=row, reader="tiff"))
        inputs[f"check {name}"] = inputs[f"markers of {name}"] = folder
    argument = PatientArgument(
        patient="P",
        slides=tuple(slides),
        protocol=BREAST.for_slides,
        required=(),
        seed=1,
        several_he=several,
    )
    (tmp_path / "out").mkdir()
    measure_patient(inputs, tmp_path / "out", argument)
    found = json.loads((tmp_path / "out" / "patient.json").read_text("utf-8"))
    (row,) = [e for e in found["ledger"] if e["stage"] == "slide choice"]
    assert (row["item"], row["verdict"]) == (chosen, "kept")
    assert f"several_he = {several}" in row["reason"]
    assert seen == [chosen]
