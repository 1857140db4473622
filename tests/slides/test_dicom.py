"""DICOM before OpenSlide opens it: one slide of a folder, and kinds that are not supported."""

from __future__ import annotations

import pydicom
import pytest

from metasight.errors import SlideError
from metasight.slides.dicom import (
    check_frames,
    check_supported,
    files_of_series,
    is_dicom,
    slide_in_folder,
)
from metasight.slides.opening import open_slide, reader_of
from slide_files import tissue_like, write_dicom


@pytest.fixture
def slide(tmp_path):
    return write_dicom(tmp_path / "one", tissue_like(300, 520))


def changed(folder, syntax=None, **tags):
    path = folder / "level-0.dcm"
    data = pydicom.dcmread(path)
    for tag, value in tags.items():
        setattr(data, tag, value)
    if syntax is not None:
        data.file_meta.TransferSyntaxUID = syntax
    data.save_as(path)
    return path


def test_the_file_of_a_folder_whatever_its_ending(slide):
    (slide / "level-0.dcm").rename(slide / "IMG0001")
    (slide / "notes.txt").write_text("not DICOM")
    assert slide_in_folder(slide, "slide") == slide / "IMG0001"
    assert is_dicom(slide / "IMG0001")
    assert not is_dicom(slide / "notes.txt")
    with open_slide(slide) as opened:
        assert opened.levels[0].width == 520


def test_two_series_are_two_slides_and_one_may_be_named(slide, tmp_path):
    other = write_dicom(tmp_path / "two", tissue_like(300, 260))
    (other / "level-0.dcm").rename(slide / "other.dcm")
    with pytest.raises(SlideError, match="holds 2 DICOM slides") as error:
        open_slide(slide)
    assert error.value.value == "260 × 300 pixels; 520 × 300 pixels"
    with open_slide(slide / "other.dcm") as opened:
        assert opened.levels[0].width == 260


def test_a_label_of_its_own_series_is_no_slide(slide, tmp_path):
    label = write_dicom(tmp_path / "two", tissue_like(300, 260))
    changed(label, ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"]).rename(slide / "label.dcm")
    assert slide_in_folder(slide, "slide").name == "level-0.dcm"


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"SamplesPerPixel": 1}, "it is greyscale"),
        ({"BitsAllocated": 16}, "more than 8 bits"),
        ({"TotalPixelMatrixFocalPlanes": 5}, "several focal planes"),
        ({"NumberOfOpticalPaths": 2}, "several optical paths"),
        ({"TotalPixelMatrixColumns": 0}, "no whole-slide image"),
        ({"syntax": pydicom.uid.JPEGLSLossless}, "compressed in a way that is not read"),
        ({"syntax": "1.2.3.4"}, "not one of the standard's"),
    ],
)
def test_valid_and_not_supported_is_not_called_damaged(slide, tags, problem):
    path = changed(slide, **tags)
    for work in (lambda: check_supported(path, "slide"), lambda: reader_of(path, name="slide")):
        with pytest.raises(SlideError, match=problem) as error:
            work()
        assert "valid but not supported" in error.value.problem
        assert error.value.remedy
    # the same where the other slides of the study have another reader
    with pytest.raises(SlideError, match=problem):
        open_slide(path, reader="tiff")


def test_a_whole_slide_image_passes(slide):
    check_supported(slide / "level-0.dcm", "slide")
    assert reader_of(slide) == "openslide"
    with pytest.raises(SlideError, match="read through OpenSlide alone") as error:
        open_slide(slide, reader="tiff")
    assert "reader" in error.value.remedy


def test_damage_is_left_to_openslide(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM" + bytes(range(200)))
    check_supported(path, "slide")
    with pytest.raises(SlideError):
        open_slide(path)


def test_a_folder_without_a_slide(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(SlideError, match="holds no DICOM file"):
        slide_in_folder(tmp_path, "slide")


@pytest.mark.parametrize("change", [0, 1, 2])
def test_a_table_of_tiles_that_leads_nowhere(slide, change):
    """OpenSlide follows it and the process is gone."""
    path = slide / "level-0.dcm"
    check_frames(path, "slide")
    data = bytearray(path.read_bytes())
    at = data.index(b"\xe0\x7f\x10\x00") + 12  # the item of the table
    second = at + 8 + 4
    if change == 0:
        data[second : second + 4] = (7).to_bytes(4, "little")
    elif change == 1:
        data[second : second + 4] = (2**31).to_bytes(4, "little")
    else:  # the first tile's length
        count = int.from_bytes(data[at + 4 : at + 8], "little")
        first = at + 8 + count
        data[first + 4 : first + 8] = (2**30).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    for work in (lambda: check_frames(path, "slide"), lambda: open_slide(slide)):
        with pytest.raises(SlideError, match="leads to where no tile is") as error:
            work()
        assert error.value.remedy


def test_every_file_of_the_series_is_checked_and_no_other(slide, tmp_path):
    other = write_dicom(tmp_path / "two", tissue_like(300, 260))
    (other / "level-0.dcm").rename(slide / "other.dcm")
    (slide / "copy.dcm").write_bytes((slide / "level-0.dcm").read_bytes())
    found = files_of_series(slide / "level-0.dcm")
    assert [p.name for p in found] == ["level-0.dcm", "copy.dcm"]
    assert files_of_series(slide / "other.dcm") == [slide / "other.dcm"]
