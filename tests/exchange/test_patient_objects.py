"""Objects pass the validators of David Clunie's dicom3tools and of DCMTK, where installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from exchange_made import MADE, RESULTS, lesion_on, scanned
from metasight.errors import StudyError
from metasight.exchange.patient_objects import REPORT, SEGMENTATION, write_patient_objects
from metasight.volumes.mask_file import save_mask


@pytest.fixture
def written(tmp_path):
    volume, source = scanned(tmp_path / "ct")
    save_mask(lesion_on(volume), tmp_path / "mask.npz")
    write_patient_objects(
        tmp_path / "out",
        RESULTS,
        tmp_path / "mask.npz",
        ct=source,
        pet=None,
        drawn_by_hand=False,
        made=MADE,
    )
    return tmp_path / "out"


def run(program: str, *arguments: object) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed (Debian: dicom3tools, dcmtk)")
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


# dates of the examination and its number are the hospital's, and not known here
NOT_KNOWN = re.compile(r"build DICOMDIR - Study (Date|Time|ID)|<99METASIGHT>")


@pytest.mark.parametrize(
    ("name", "kind"), [(SEGMENTATION, "Segmentation"), (REPORT, "Comprehensive3DSR")]
)
def test_dciodvfy_finds_no_error(written, name, kind) -> None:
    told = run("dciodvfy", written / name).splitlines()
    assert kind in told
    assert [t for t in told if t != kind and not NOT_KNOWN.search(t)] == []


def test_dcmtk_reads_both(written) -> None:
    said = run("dsrdump", written / REPORT)
    assert 'Tracking Identifier")="tumour_size_mm"' in said
    assert "371886008" in run("dcmdump", "+L", written / REPORT)
    assert "SegmentationStorage" in run("dcmdump", written / SEGMENTATION)
    for text in (said, run("dsrdump", "+Pc", "+Pn", written / REPORT)):
        assert not re.search(r"^[EF]:", text, re.MULTILINE)


def test_another_patient_s_images_are_refused(tmp_path) -> None:
    volume, source = scanned(tmp_path / "ct")
    save_mask(lesion_on(volume), tmp_path / "mask.npz")
    with pytest.raises(StudyError, match="another patient"):
        write_patient_objects(
            tmp_path / "out",
            replace(RESULTS, patient="P1"),
            tmp_path / "mask.npz",
            ct=source,
            pet=None,
            drawn_by_hand=False,
            made=MADE,
        )
    assert not (tmp_path / "out").exists()
