"""Headers name the images of the vault's record, and what cannot be referred to is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchange_made import PATIENT, lesion_on, scanned
from metasight.errors import StudyError
from metasight.exchange.source_images import require_source, source_images
from metasight.study.sources import Source


def test_each_slice_has_its_image_at_its_place(tmp_path) -> None:
    volume, source = scanned(tmp_path / "ct", without_slice=6)
    images = source_images(source, volume.grid)
    assert images.slices == (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12)
    for header, number in zip(images.headers, images.slices, strict=True):
        assert header.SOPInstanceUID == source.instance_uids[number]
        assert float(header.ImagePositionPatient[2]) == pytest.approx(-30 + 5 * number)
        assert (header.PatientID, str(header.PatientName)) == (PATIENT, f"{PATIENT}^")


def test_a_scan_without_a_series_is_refused_by_name(tmp_path) -> None:
    nifti = Source(patient=PATIENT, kind="CT", step="s")
    with pytest.raises(StudyError, match=r"series is not known.*NIfTI"):
        require_source(nifti)
    volume, source = scanned(tmp_path / "ct")
    with pytest.raises(StudyError, match="StudyInstanceUID"):
        require_source(replace(source, study_uid=""))
    with pytest.raises(StudyError, match=r"not the slices of the mask.*12 images, 13 slices"):
        source_images(
            replace(source, instance_uids=source.instance_uids[:-1]), lesion_on(volume).grid
        )


def test_no_uid_is_in_an_error(tmp_path) -> None:
    volume, source = scanned(tmp_path / "ct")
    with pytest.raises(StudyError) as refusal:
        source_images(replace(source, instance_uids=source.instance_uids[1:]), volume.grid)
    assert source.series_uid not in str(refusal.value)
