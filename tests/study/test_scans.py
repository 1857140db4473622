"""Scans in a study: read, judged and measured; what is broken is a row and the others go on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
import SimpleITK as sitk

from metasight.cohort.scan_table import LesionRow, PatientScans, read_scan_table
from metasight.cohort.settings import ScanSettings
from metasight.engine.contents import Contents
from metasight.engine.progress import Silent
from metasight.engine.step import StepKind
from metasight.engine.store import Store
from metasight.errors import ProtocolError, TableError
from metasight.features.columns import Kind
from metasight.features.crops import CropFolder
from metasight.ledger import Ledger
from metasight.plan.analysis import Analysis, cohort_step, data_step
from metasight.plan.fits import fit_steps
from metasight.plan.scans import scan_steps
from metasight.protocol.load import read_protocol
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.steps.cohort.data import build_features
from metasight.steps.files import read_json
from metasight.steps.scans.patient import CROPS, ScanArgument, against_table, measure_scans
from metasight.study.file import Study, read_study
from metasight.volumes.ct_limits import CtLimits, Limit
from metasight.volumes.mask_file import load_mask
from worked import image_steps, screened
from worked import measured as measured_store

SETTINGS = LungSettings(
    patients=3,
    pixel_mm=2.0,
    click_fraction=0.0,
    pet_fraction=1.0,
    ground_glass_fraction=0.0,
    ineligible_fraction=0.0,
)
# two-millimetre pixels make a scan that is drawn and measured in seconds
LIMITS = CtLimits(pixel_spacing_mm=Limit(high=3.0))


NETWORK = f"""
[[model]]
kind = "scan_network"
name = "3-D network"
modalities = ["scan_network"]
scan_network = {{ backbone = "resnet10", weights = {{ path = "r.bin", sha256 = "{"AB" * 32}" }} }}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lung") / "study"
    simulate_lung(folder, SETTINGS, 4, jobs=1, progress=Silent())
    told = (folder / "study.toml").read_text("utf-8")
    told = told.replace('folder = "scans"', 'folder = "scans"\ncrops = { edge_voxels = 32 }')
    (folder / "study.toml").write_text(told + NETWORK, "utf-8")
    # one patient's CT is gone: the others go on
    shutil.rmtree(folder / "scans" / "SIM-0003" / "CT")
    return folder


@pytest.fixture(scope="module")
def study(folder: Path) -> Study:
    study = read_study(folder)
    limits = study.protocol.ct_quality | {"pixel_spacing_mm": {"high": 3.0}}
    return replace(study, protocol=study.protocol.model_copy(update={"ct_quality": limits}))


@pytest.fixture(scope="module")
def measured(study: Study) -> Store:
    return measured_store(study)


def test_the_cohort_reads_what_scans_tell(study: Study, measured: Store) -> None:
    out = screened(study)
    info = read_json(out / "cohort.json")
    assert "scan" in info["modalities"]
    features = pd.read_parquet(out / "modality_scan.parquet")
    truth = pd.read_csv(study.folder / "patients.csv").set_index("patient")
    table = pd.read_parquet(out / "table.parquet")
    assert len(features) == 3
    assert features["ct_tumour_size_mm"].notna().sum() == 2
    # E1 and E2 are known where a CT was read, and from it
    assert (table["ct_quality_poor"] == 0).sum() == 2
    assert table["pure_ground_glass"].notna().sum() == 2
    # as the radiologist of the simulation read it, whose error is a few millimetres
    ours = table["tumour_size_mm"] - features["ct_tumour_size_mm"]
    assert ours.abs().max() < 8
    assert truth["tumour_size_mm"].notna().all()
    entries = Ledger.from_parquet(out / "ledger.parquet").entries
    failed = [e for e in entries if e.stage == "scans" and e.verdict == "failed"]
    assert [e.item for e in failed] == ["CT"]
    assert "SIM" not in str(failed)


def test_a_clicked_lesions_error_is_a_column_and_its_outlines_are_in_the_ledger(
    tmp_path: Path,
) -> None:
    own = tmp_path / "clicked"
    clicked = SETTINGS.model_copy(update={"patients": 2, "click_fraction": 1.0})
    simulate_lung(own, clicked, 5, jobs=1, progress=Silent())
    study = read_study(own)
    limits = study.protocol.ct_quality | {"pixel_spacing_mm": {"high": 3.0}}
    study = replace(study, protocol=study.protocol.model_copy(update={"ct_quality": limits}))
    measured_store(study)
    out = screened(study)
    features = pd.read_parquet(out / "modality_scan.parquet")
    for name in ("tumour_size_mm", "tumour_volume_mm3", "ctr", "ctr_volume"):
        column = features[f"ct_{name}_error"]
        assert column.notna().all()
        assert (column >= 0).all()
        assert features[f"ct_{name}"].notna().all()
    assert not any(c.startswith("ct_suvmax_error") for c in features)  # no outline, no error
    rows = [e for e in Ledger.from_parquet(out / "ledger.parquet").entries if e.item == "outline"]
    assert len(rows) == 2
    assert all(e.verdict == "kept" and "mm apart in size" in e.value for e in rows)
    assert all("other outlines" in e.reason and "Dice distance" in e.reason for e in rows)


def test_the_mask_of_a_lesion_is_kept_as_it_was_measured(study: Study, measured: Store) -> None:
    kept = 0
    for step in image_steps(study):
        if step.kind is not StepKind.MEASURE_SCANS:
            continue
        place = measured.path(step.key)
        found = read_json(place / "scan.json")["measured"]
        assert (place / "lesion_mask.npz").is_file() == bool(found)
        if found:
            volume_mm3 = 1000 * load_mask(place / "lesion_mask.npz").volume_ml
            assert volume_mm3 == pytest.approx(found["tumour_volume_mm3"], rel=0.02)
            kept += 1
    assert kept == 2


def test_a_lesion_of_a_mask_has_no_outlines_and_no_error(study: Study, measured: Store) -> None:
    out = screened(study)
    features = pd.read_parquet(out / "modality_scan.parquet")
    assert not [c for c in features if c.endswith("_error")]
    entries = Ledger.from_parquet(out / "ledger.parquet").entries
    assert not [e for e in entries if e.item == "outline"]
    lesions = [e for e in entries if e.item == "lesion" and e.stage == "scans"]
    assert lesions
    assert all(" to " in e.value for e in lesions if "CTR" in e.value)  # the CTR has its range


def test_crops_are_a_feature_that_networks_alone_can_read(study: Study, measured: Store) -> None:
    out = screened(study)
    keys = pd.read_parquet(out / "modality_scan_network.parquet")["crops"]
    assert keys.notna().sum() == 2  # one CT is gone
    gathered = next(s for s in image_steps(study) if s.name == CROPS)
    crops = CropFolder(measured.path(gathered.key))
    features = pd.read_parquet(out / "modality_scan.parquet")
    for patient, key in keys.dropna().items():
        crop = crops.read(key)
        assert crop.ct_hu.shape == (32, 32, 32)
        assert crop.suv is not None
        size = features.loc[patient, "ct_tumour_size_mm"]
        assert crop.diameter_mm == pytest.approx(size, abs=0.01)
    table = build_features(out, ["scan_network"], study.protocol, list(keys.index))
    assert table.of_modality(["scan_network"]).features[0].kind is Kind.CROP
    assert table.lacking("scan_network").sum() == 1


def test_fits_of_the_network_read_crops_go_on_if_killed_and_know_their_weights(
    study: Study,
) -> None:
    contents = Contents()
    cohort = cohort_step(study, image_steps(study), contents)
    data = data_step(study, cohort, "nodal_stage", "as_written", contents)
    models = {m.name: m for m in study.settings.model}
    analysis = Analysis(
        data=data,
        endpoint="nodal_stage",
        population="as_written",
        models=tuple(models.values()),
        headline=True,
    )
    fits = fit_steps(study, analysis, [], contents)
    own = {s.subject: s for s in fits if s.kind is StepKind.FIT_EVERYBODY}
    step = own["3-D network"]
    assert [s.name for s in step.needs] == [data.name, CROPS]
    assert step.resumes
    assert step.argument.weights == {"ab" * 32: study.folder / "r.bin"}
    other = own["clinical"]
    assert [s.name for s in other.needs] == [data.name]
    assert not other.resumes


def test_the_table_of_scans_is_checked(study: Study, tmp_path: Path) -> None:
    rows = {
        "no id": ",CT,a,,,,",
        "unknown kind": "P1,MRI,a,,,,",
        "second": "P1,CT,a,,,,\nP1,CT,b,,,,",
        "no file": "P1,PET,,,,,",
        "neither": "P1,mask,,,,,",
        "part of a point": "P1,mask,,,1,,",
        "not a number": "P1,mask,,,1,2,x",
    }
    settings = study.settings
    for name, text in rows.items():
        (tmp_path / "scans.csv").write_text(f"patient,kind,path,roi,x_mm,y_mm,z_mm\n{text}\n")
        with pytest.raises(TableError):
            read_scan_table(tmp_path, settings)
        assert name
    (tmp_path / "scans.csv").write_text("patient,kind\nP1,CT\n")
    with pytest.raises(TableError, match="missing column"):
        read_scan_table(tmp_path, settings)


def test_a_limit_that_is_none_is_refused(study: Study) -> None:
    wrong = study.protocol.model_copy(update={"ct_quality": {"sharpness": {"high": 1.0}}})
    with pytest.raises(ProtocolError, match="no such value of CT quality"):
        scan_steps(replace(study, protocol=wrong), Contents())


# ------------------------------------------------------------------ what is broken


def run(tmp_path: Path, **scans: object) -> dict:
    given = {"patient": "P0", "ct": None, "pet": None, "lesion": None} | scans
    argument = ScanArgument(
        scans=PatientScans(**given),  # type: ignore[arg-type]
        settings=ScanSettings(path="scans.csv", id="patient"),
        limits=LIMITS,
    )
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    measure_scans({}, out, argument)
    return read_json(out / "scan.json")


def copied(folder: Path, tmp_path: Path, what: str = "CT") -> list[Path]:
    target = tmp_path / what
    shutil.copytree(folder / "scans" / "SIM-0001" / what, target)
    return sorted(target.iterdir())


def failed(found: dict, item: str = "CT") -> str:
    rows = [e for e in found["ledger"] if e["verdict"] == "failed"]
    assert [e["item"] for e in rows] == [item]
    assert "SIM" not in rows[0]["reason"]
    return rows[0]["reason"]


def one_file(files: list[Path]) -> None:
    for file in files[1:]:
        file.unlink()


def gap(files: list[Path]) -> None:
    for file in files[40:48]:
        file.unlink()


def twice(files: list[Path]) -> None:
    data = pydicom.dcmread(files[30])
    data.SOPInstanceUID = data.SOPInstanceUID[:-2] + ".1"
    data.save_as(files[30].with_name("again.dcm"))


def offset(files: list[Path]) -> None:
    for file in files:
        data = pydicom.dcmread(file)
        data.RescaleIntercept = float(data.RescaleIntercept) + 1024
        data.save_as(file)


def cut_off(files: list[Path]) -> None:
    files[20].write_bytes(files[20].read_bytes()[:-2000])


def huge(files: list[Path]) -> None:
    for file in files:
        data = pydicom.dcmread(file)
        data.Rows = data.Columns = 65535
        data.save_as(file)


@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (one_file, "one"),
        (gap, "missing"),
        (twice, "twice"),
        (offset, "HU"),
        (cut_off, "pixel"),
        (huge, "large"),
    ],
)
def test_a_broken_ct_is_a_row(folder: Path, tmp_path: Path, breaks, said: str) -> None:
    breaks(copied(folder, tmp_path))
    found = run(tmp_path, ct=tmp_path / "CT")
    assert said.lower() in failed(found).lower()
    assert found["evidence"] == {}
    assert found["quality"] is None


def test_a_broken_nifti_is_a_row(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.full((20, 20, 20), np.nan, dtype=np.float32))
    sitk.WriteImage(image, str(tmp_path / "nan.nii.gz"))
    assert "NaN" in failed(run(tmp_path, ct=tmp_path / "nan.nii.gz"))


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Path]:
    own = folder / "scans" / "SIM-0001"
    return {"ct": own / "CT", "pet": own / "PT", "mask": own / "lesion.dcm"}


def lesion(path: Path, region: str = "") -> LesionRow:
    return LesionRow(path=path, region=region, point_mm=None, corner_mm=None)


def test_a_broken_mask_is_a_row_and_the_ct_is_judged_all_the_same(
    whole: dict[str, Path], tmp_path: Path
) -> None:
    off = sitk.GetImageFromArray(np.ones((5, 5, 5), dtype=np.uint8))
    sitk.WriteImage(off, str(tmp_path / "off.nii.gz"))
    found = run(tmp_path, ct=whole["ct"], lesion=lesion(tmp_path / "off.nii.gz"))
    assert "grid" in failed(found, "lesion")
    assert found["quality"]["verdict"] == "passed"
    assert found["evidence"] == {"ct_quality_poor": False}
    assert found["features"] == {}


def test_a_pet_without_weight_is_a_row_and_the_lesion_is_measured(
    folder: Path, whole: dict[str, Path], tmp_path: Path
) -> None:
    for file in copied(folder, tmp_path, "PT"):
        data = pydicom.dcmread(file)
        del data.PatientWeight
        data.save_as(file)
    found = run(
        tmp_path, ct=whole["ct"], pet=tmp_path / "PT", lesion=lesion(whole["mask"], "GTV-1")
    )
    assert "weight" in failed(found, "PET")
    assert found["features"]["tumour_size_mm"] > 5
    assert found["evidence"]["pure_ground_glass"] is False


def test_scan_and_table_that_differ_are_told() -> None:
    table = pd.DataFrame(
        {
            "tumour_size_mm": [20.0, 20.0, 28.0],
            "pet_ct": [True, True, False],
            "invasive_staging": [False, False, False],
        },
        index=["A", "B", "C"],
    )
    evidence = {
        "A": {"tumour_size_mm": 21.0, "solid_size_mm": 15.0},
        "B": {"tumour_size_mm": 46.0, "solid_size_mm": 44.0},
        "C": {"tumour_size_mm": 31.0, "solid_size_mm": 12.0},
        "not in the table": {"tumour_size_mm": 31.0},
    }
    rows = [
        (e.patient, e.criterion)
        for e in against_table(table, evidence, read_protocol("nsclc-occult-node"))
    ]
    assert rows == [("B", "I2"), ("B", "I2"), ("C", "I6")]
