"""A finished study is exported whole or not at all, and holds no identifier but the pseudonym."""

from __future__ import annotations

import datetime as dt
import html
import io
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import docx
import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

import exchange_made
from metasight import exporting
from metasight.cohort.canonical import pseudonym
from metasight.cohort.reader_lesions import AcceptedLesion
from metasight.cohort.scan_table import LesionRow, PatientScans
from metasight.cohort.settings import ScanSettings
from metasight.cohort.slide_table import SlideRow
from metasight.engine.step import StepKind
from metasight.errors import StudyError
from metasight.exchange.density_object import values_in as values_of_map
from metasight.exchange.fhir import values_in
from metasight.exchange.forms import Form
from metasight.exchange.reading_back import measurements_in, texts_in
from metasight.maps.density import DensityMap
from metasight.maps.ome import write_density_map
from metasight.plan.publishing import mark
from metasight.steps.files import read_json
from metasight.steps.scans.patient import ScanArgument
from metasight.steps.slides.one_slide import SlideArgument
from metasight.study.file import Study, read_study
from metasight.volumes.ct_limits import CtLimits
from slide_files import tissue_like, write_dicom

MADE = dt.datetime(2026, 11, 30, 10, 0, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def study(exchange_folder: Path) -> Study:
    return read_study(exchange_folder)


def asked(*forms: Form, **more: object) -> exporting.Request:
    return exporting.Request(**{"forms": forms, "made": MADE, "source_images": True, **more})


def first(study: Study) -> str:
    return pseudonym("MRN-00000", study.settings.key)


def content(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_dicom_of_the_one_patient_with_a_lesion(study, tmp_path) -> None:
    found = exporting.export(study, tmp_path / "out", asked(Form.DICOM))
    patient = first(study)
    assert found.files == (
        f"dicom/{patient}/lesion-seg.dcm",
        f"dicom/{patient}/measurements-sr.dcm",
    )
    assert {left.why for left in found.left} == {"no lesion was measured."}
    report = dcmread(tmp_path / "out" / found.files[1])
    told = measurements_in(report)
    scan = read_json(study.results / "latest" / "scans" / patient / "scan.json")
    for name in ("tumour_size_mm", "ctr", "suvmax", "tumour_volume_mm3"):
        assert told[name].value == scan["measured"][name]
    risks = {n: m for n, m in told.items() if n.startswith("risk_")}
    assert set(risks) == {"risk_dmfs_1095_days"}
    assert all(m.lower <= m.value <= m.upper for m in risks.values())
    assert any("Research software" in t for t in texts_in(report))
    source = dcmread(next((study.folder / "0" / "CT").iterdir()))
    assert report.StudyInstanceUID == source.StudyInstanceUID
    assert "Secret" not in str(report) and "MRN" not in str(report)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_fhir_of_every_patient_with_a_risk_or_a_measurement(study, tmp_path) -> None:
    found = exporting.export(study, tmp_path / "out", asked(Form.FHIR, source_images=False))
    assert len(found.files) + len(found.left) == 150 and len(found.files) > 140
    told = values_in(tmp_path / "out" / "fhir" / f"{first(study)}.json")
    scan = read_json(study.results / "latest" / "scans" / first(study) / "scan.json")
    assert told["tumour_size_mm"] == (scan["measured"]["tumour_size_mm"], None)
    value, ends = told["risk_dmfs_1095_days"]
    assert ends is not None and ends[0] <= value <= ends[1]


def test_tables_of_all_and_of_one(study, tmp_path) -> None:
    exporting.export(study, tmp_path / "out", asked(Form.TABLES))
    read = {p.stem: pd.read_parquet(p) for p in (tmp_path / "out" / "tables").glob("*.parquet")}
    latest = study.results / "latest"
    assert len(read["predictions"]) == len(pd.read_parquet(latest / "predictions.parquet"))
    assert len(read["ledger"]) == len(pd.read_parquet(latest / "ledger.parquet"))
    assert len(read["features"]) == 150 and read["risks"]["patient"].nunique() == 150
    exporting.export(study, tmp_path / "one", asked(Form.TABLES, patients=(first(study),)))
    for path in (tmp_path / "one" / "tables").glob("*.parquet"):
        assert set(pd.read_parquet(path)["patient"]) == {first(study)}, path.name


def test_a_study_without_slides_has_no_structures(study, tmp_path) -> None:
    found = exporting.export(study, tmp_path / "out", asked(Form.GEOJSON))
    assert found.files == () and "no structures" in found.left[0].why


def test_the_report_as_word_has_the_words_of_the_page(study, tmp_path) -> None:
    found = exporting.export(study, tmp_path / "out", asked(Form.WORD))
    assert found.files == ("report.docx",)
    read = docx.Document(str(tmp_path / "out" / "report.docx"))
    page = html.unescape((study.results / "latest" / "report.html").read_text("utf-8"))
    headings = [p.text.split(" ", 1)[1] for p in read.paragraphs if p.style.name == "Heading 1"]
    assert len(headings) > 5 and all(h in page for h in headings)
    assert (
        study.results.joinpath("latest").resolve().name
        in read.sections[0].footer.paragraphs[0].text
    )


def test_no_identifier_is_in_any_form_and_uids_are_in_dicom_alone(study, tmp_path) -> None:
    found = exporting.export(study, tmp_path / "out", asked(*Form, licence="CC0-1.0"))
    assert {f.split("/")[0] for f in found.files} == {
        *("crate", "dicom", "fhir", "tables", "report.docx")
    }
    headers = [dcmread(p, stop_before_pixels=True) for p in study.folder.rglob("*.dcm")]
    uids = {str(h.get(n, "")) for h in headers for n in ("SOPInstanceUID", "SeriesInstanceUID")}
    uids |= {str(h.get("StudyInstanceUID", "")) for h in headers}
    ids = [f"MRN-{k:05d}" for k in range(150)]
    secrets = [s.encode() for s in (*ids, "MRN-4711", "Secret", study.settings.key)]
    named = [u.encode() for u in uids if u]
    assert len(named) > 20
    for name, raw in unpacked(tmp_path / "out"):
        assert not [s for s in secrets if s in raw], name
        if "/dicom/" not in f"/{name}":
            assert not [u for u in named if u in raw], name


def unpacked(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name, raw in content(folder).items():
        yield name, name.encode()
        yield name, raw
        if name.endswith(".parquet"):
            yield name, pd.read_parquet(io.BytesIO(raw)).to_csv().encode()
        elif zipfile.is_zipfile(io.BytesIO(raw)):
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                yield from ((f"{name}/{n}", archive.read(n)) for n in archive.namelist())


def test_the_same_export_has_the_same_bytes_and_replaces_an_earlier_one(study, tmp_path) -> None:
    for name in ("a", "b", "a"):
        exporting.export(study, tmp_path / name, asked(Form.DICOM, patients=(first(study),)))
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_dicom_is_asked_for_with_its_source_images(study, tmp_path) -> None:
    with pytest.raises(StudyError, match="--source-images"):
        exporting.export(study, tmp_path / "out", asked(Form.DICOM, source_images=False))
    assert not (tmp_path / "out").exists()


def test_an_unknown_patient_and_a_folder_of_the_user_s_are_refused(study, tmp_path) -> None:
    with pytest.raises(StudyError, match="no results of this patient"):
        exporting.export(study, tmp_path / "out", asked(Form.DICOM, patients=("P1",)))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(StudyError, match="not empty"):
        exporting.export(study, tmp_path / "mine", asked(Form.DICOM))
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_without_a_vault_there_are_no_images_to_name(study, tmp_path) -> None:
    public = replace(study, vault=None)
    found = exporting.export(public, tmp_path / "out", asked(Form.DICOM, patients=(first(study),)))
    assert found.files == ()
    assert "no vault" in found.left[0].why


def test_a_nifti_scan_is_refused_by_name(study, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("metasight.finished.is_nifti", lambda path: True)
    found = exporting.export(study, tmp_path / "out", asked(Form.DICOM, patients=(first(study),)))
    assert found.files == () and "NIfTI file, which names no series" in found.left[0].why


def test_a_study_that_is_not_up_to_date_is_refused(study, tmp_path) -> None:
    settings = study.settings.model_copy(update={"title": "Another"})
    with pytest.raises(StudyError, match="not up to date"):
        exporting.export(replace(study, settings=settings), tmp_path / "out", asked(Form.DICOM))


def test_an_identifier_in_what_was_written_stops_it(study, tmp_path, monkeypatch) -> None:
    def leak(run: object, out: Path, request: object) -> list[object]:
        (out / "a.txt").write_text("MRN-00007")
        return []

    monkeypatch.setitem(exporting._WRITERS, Form.DICOM, leak)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="the id of a patient"):
        exporting.export(study, tmp_path / "out", asked(Form.DICOM))
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_go_together_is_refused(study, tmp_path) -> None:
    for request, problem in (
        (asked(Form.WORD, patients=(first(study),)), "of all patients"),
        (asked(Form.CRATE, patients=(first(study),), licence="CC0-1.0"), "of all patients"),
        (asked(Form.FHIR, with_inputs=True), "into a crate only"),
    ):
        with pytest.raises(StudyError, match=problem):
            exporting.export(study, tmp_path / "out", request)


def test_results_of_a_prediction_are_not_replaced(study, tmp_path) -> None:
    mark(tmp_path)
    with pytest.raises(StudyError, match="not empty"):
        exporting.export(study, tmp_path, asked(Form.TABLES))


def test_a_prediction_has_no_tables(study, tmp_path) -> None:
    with pytest.raises(StudyError, match=r"only a study is exported in this form.*Use dicom or"):
        exporting.export_prediction(
            study.folder, tmp_path / "new", tmp_path / "out", asked(Form.TABLES)
        )


def test_a_painted_map_goes_on_its_dicom_slide_and_another_is_refused(tmp_path) -> None:
    write_dicom(tmp_path / "slide", tissue_like(600, 800))
    level = tmp_path / "slide" / "level-0.dcm"
    data = dcmread(level)
    data.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    data.TotalPixelMatrixOriginSequence = [Dataset()]
    data.TotalPixelMatrixOriginSequence[0].XOffsetInSlideCoordinateSystem = 20.0
    data.TotalPixelMatrixOriginSequence[0].YOffsetInSlideCoordinateSystem = 40.0
    data.save_as(level)
    (tmp_path / "plain.svs").write_bytes(b"II" + bytes(200))
    density = np.full((1, 20, 30), 7, np.float32)
    painted = DensityMap(
        density=density,
        error=np.full_like(density, np.nan),
        support=np.ones((20, 30), dtype=bool),
        markers=("CD3",),
        spacing_um=10.0,
    )
    write_density_map(painted, tmp_path / "generated.ome.tif")
    (tmp_path / "quality.json").write_text('{"sufficient": true, "mpp": 0.5}')

    def run_on(path: Path) -> SimpleNamespace:
        row = SlideRow(patient="P1", name="P1-HE", path=path, stain="H&E", markers=(), mpp=None)
        argument = SimpleNamespace(
            slides=(SlideArgument(slide=row, reader="openslide"),), several_he="first"
        )
        step = SimpleNamespace(subject="P1", argument=argument)
        finished = SimpleNamespace(
            of=lambda kind: [step] if kind is StepKind.PAINT_MAP else [],
            inputs_of=lambda _: {"check P1-HE": tmp_path},
        )
        return SimpleNamespace(
            finished=finished, folder=lambda _: tmp_path, algorithm=exchange_made.ALGORITHM
        )

    request = asked(Form.DICOM_MAPS)
    for number, path in enumerate((tmp_path / "slide", level)):
        out = tmp_path / f"out{number}"
        assert exporting._dicom_maps(run_on(path), out, request) == []
        made = dcmread(out / "dicom" / "P1" / "painted" / "01-density.dcm")
        assert made.StudyInstanceUID == data.StudyInstanceUID
        assert (values_of_map(made) == 7).all()
    (left,) = exporting._dicom_maps(run_on(tmp_path / "plain.svs"), tmp_path / "no", request)
    assert "no DICOM slide" in left.why and "plain" not in left.why
    other = asked(Form.DICOM_MAPS, patients=("P2",))
    assert exporting._dicom_maps(run_on(level), tmp_path / "none", other) == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("lesion", "accepted", "by_hand"),
    [("file", None, True), ("click", None, False), (None, "mask", True), ("click", "mask", True)],
)
def test_whether_a_lesion_was_given_as_a_mask(lesion, accepted, by_hand, tmp_path) -> None:
    row = LesionRow(
        path=tmp_path / "m.nrrd" if lesion == "file" else None,
        region="",
        point_mm=(0.0, 0.0, 0.0) if lesion == "click" else None,
        corner_mm=None,
    )
    told = AcceptedLesion(
        path=tmp_path / "a.nrrd", replaces="", reader="AB", day="2026-03-01", reason="seen again"
    )
    argument = ScanArgument(
        scans=PatientScans(patient="P", ct=None, pet=None, lesion=row if lesion else None),
        settings=ScanSettings(path="scans.csv", id="patient"),
        limits=CtLimits(),
        accepted=told if accepted else None,
    )
    assert exporting._is_from_file(argument) == by_hand
