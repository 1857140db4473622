"""A lesion is accepted whole and on the disk, or nothing is changed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from metasight.cohort.reader_lesions import OF_TABLE, read_reader_lesions
from metasight.errors import MetasightError
from metasight.serve.accepting import HEADER, Acceptance, accept, label_map, lesion_table_of
from metasight.serve.last_run import LastRun
from metasight.serve.scans import lesion_of, scan_rows
from metasight.serve.standing import Looking
from metasight.study.file import read_study
from metasight.volumes.masks import read_mask
from metasight.volumes.volume import Mask, Volume

WHY = "the outline of the table leaves out a part"


def acceptance(folder: Path, **changed: str) -> Acceptance:
    study = read_study(folder)
    ((patient, row),) = scan_rows(study).items()
    mask = lesion_of(LastRun(study), patient)
    assert mask is not None
    return Acceptance(scans=row, mask=mask, **{"reader": "AB", "reason": WHY, **changed})


def test_only_the_scans_of_that_patient_are_pending(lung_folder: Path) -> None:
    study, told = read_study(lung_folder), acceptance(lung_folder)
    name = accept(study, told, today=dt.date(2026, 3, 1))
    ((patient, found),) = read_reader_lesions(study.folder, study.settings).items()
    assert patient == told.scans.patient and found.path.name == name
    assert (found.reader, found.day, found.replaces) == ("AB", "2026-03-01", OF_TABLE)
    looking = Looking(study)
    looking.again()
    assert looking.wait().pending == (("measure scans", 1, ("a reader accepted a lesion",)),)
    accept(study, told, today=dt.date(2026, 3, 2))
    (again,) = read_reader_lesions(study.folder, study.settings).values()
    assert again.replaces == name and again.day == "2026-03-02"
    assert len((lung_folder / "reader_lesions.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reader": " "}, "nobody is named"),
        ({"reason": "ok"}, "no reason"),
        ({"reason": "SIM-0001 seen again"}, "patient's id|a date"),
    ],
)
def test_what_is_refused_leaves_nothing(lung_folder: Path, changed: dict, said: str) -> None:
    before = (lung_folder / "reader_lesions.csv").read_bytes()
    with pytest.raises(MetasightError, match=said):
        accept(read_study(lung_folder), acceptance(lung_folder, **changed))
    assert (lung_folder / "reader_lesions.csv").read_bytes() == before
    assert not list((lung_folder / "reader_masks").iterdir())


def test_a_study_without_a_table_says_how(lung_folder: Path) -> None:
    toml = lung_folder / "study.toml"
    told = acceptance(lung_folder)
    text = toml.read_text()
    toml.write_text(text.replace("reader_lesions.csv", "lesions.xlsx"))
    assert "CSV" in lesion_table_of(read_study(lung_folder))[1]
    cut = text.index("[reader_lesions]")
    toml.write_text(text[:cut] + text[text.index("[reader_decisions]") :])
    study = read_study(lung_folder)
    path, why = lesion_table_of(study)
    assert path is None and "[reader_lesions]" in why and HEADER in why
    with pytest.raises(MetasightError, match="reader_lesions"):
        accept(study, told)


def test_the_mask_is_read_back_voxel_by_voxel(tmp_path: Path) -> None:
    ct = Volume.from_array(
        np.zeros((6, 7, 8)), unit="HU", spacing_mm=(0.7, 0.8, 2.5), origin_mm=(-11.5, 3, 40)
    )
    inside = np.zeros((6, 7, 8), bool)
    inside[1:4, 2:5, 3:7] = True
    path = tmp_path / "m.nrrd"
    path.write_bytes(label_map(Mask.from_array(inside, on=ct)))
    assert np.array_equal(read_mask(path, ct).array, inside)
