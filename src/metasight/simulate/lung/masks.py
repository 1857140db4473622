"""The lesion as a radiologist hands it over: RTSTRUCT, DICOM SEG, NIfTI, or a click."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
from highdicom.content import AlgorithmIdentificationSequence
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from highdicom.seg.enum import SegmentationTypeValues
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import RTStructureSetStorage
from pydicom.valuerep import DA, TM, format_number_as_ds
from skimage.measure import find_contours

from metasight.simulate.lung.dicom import Study, new_file
from metasight.simulate.lung.dicom_writer import write
from metasight.simulate.lung.nodule import Shape
from metasight.simulate.lung.raster import Grid

Floats = npt.NDArray[np.float64]
ROI = "GTV-1"
"""Name of the lesion in every kind of file."""


def outlines(shape: Shape, grid: Grid) -> list[tuple[int, Floats]]:
    """Slice and outline ``(n, 3)`` x, y, z in mm of a shape on the slices of a grid.

    Taken from the shape itself, on samples four times as fine as the pixels.
    """
    z = grid.axes()[0]
    low, high = shape.surface.min(axis=0) - 2, shape.surface.max(axis=0) + 2
    fine_y = np.arange(low[1], high[1], grid.spacing_mm[1] / 4)
    fine_x = np.arange(low[0], high[0], grid.spacing_mm[2] / 4)
    out = []
    for k in range(len(z)):
        if not low[2] < z[k] < high[2]:
            continue
        xy = np.stack(np.meshgrid(fine_x, fine_y), axis=-1)
        points = np.concatenate([xy, np.full((*xy.shape[:2], 1), z[k])], axis=-1)
        for line in find_contours(shape.level(points), 0.0):
            if len(line) < 6:
                continue
            px = fine_x[0] + line[:-1, 1] * (fine_x[1] - fine_x[0])
            py = fine_y[0] + line[:-1, 0] * (fine_y[1] - fine_y[0])
            out.append((k, np.column_stack([px, py, np.full(len(px), z[k])])))
    return out


def write_rtstruct(  # noqa: PLR0917
    path: Path,
    study: Study,
    series_uid: str,
    slices: dict[int, FileDataset],
    shape: Shape,
    grid: Grid,
) -> None:
    """Write a shape's outlines on the slices of a CT series, given by their place in ``grid``."""
    ds = new_file(study, RTStructureSetStorage, study.uid("rtstruct"))
    ds.SeriesInstanceUID = study.uid("rtstruct series")
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "RTSTRUCT", 30, 1
    ds.SeriesDescription = "SIMULATED contours"
    ds.Manufacturer, ds.ManufacturerModelName = "metasight", "simulator"
    ds.StructureSetLabel, ds.StructureSetDate, ds.StructureSetTime = "SIM", study.date, "110000"
    del ds.ImageComments
    ds.ReferencedFrameOfReferenceSequence = Sequence(
        [_reference(study, series_uid, list(slices.values()))]
    )
    roi = Dataset()
    roi.ROINumber, roi.ROIName, roi.ROIGenerationAlgorithm = 1, ROI, "MANUAL"
    roi.ReferencedFrameOfReferenceUID = study.frame_uid
    ds.StructureSetROISequence = Sequence([roi])
    contours = []
    for k, points in outlines(shape, grid):
        if k not in slices:
            continue
        contour = Dataset()
        contour.ContourImageSequence = Sequence([_image(slices[k])])
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = len(points)
        contour.ContourData = [format_number_as_ds(round(float(v), 3)) for v in points.ravel()]
        contours.append(contour)
    drawn = Dataset()
    drawn.ReferencedROINumber, drawn.ROIDisplayColor = 1, [255, 0, 0]
    drawn.ContourSequence = Sequence(contours)
    ds.ROIContourSequence = Sequence([drawn])
    seen = Dataset()
    seen.ObservationNumber, seen.ReferencedROINumber = 1, 1
    seen.RTROIInterpretedType, seen.ROIInterpreter = "GTV", ""
    ds.RTROIObservationsSequence = Sequence([seen])
    ds.ApprovalStatus = "UNAPPROVED"
    write(ds, path)


def _image(slice_: FileDataset) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = slice_.SOPClassUID
    image.ReferencedSOPInstanceUID = slice_.SOPInstanceUID
    return image


def _reference(study: Study, series_uid: str, slices: list[FileDataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = series_uid
    series.ContourImageSequence = Sequence([_image(s) for s in slices])
    of_study = Dataset()
    of_study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    of_study.ReferencedSOPInstanceUID = study.study_uid
    of_study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = study.frame_uid
    frame.RTReferencedStudySequence = Sequence([of_study])
    return frame


def write_nifti(path: Path, mask: npt.NDArray[np.bool_], grid: Grid) -> None:
    """Write a mask on the grid of the CT."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(v) for v in grid.spacing_mm[::-1]])
    image.SetOrigin([float(v) for v in grid.origin_mm])
    image.SetMetaData("ITK_FileNotes", "simulated by metasight")
    sitk.WriteImage(image, str(path), useCompression=True)


def write_seg(
    path: Path, study: Study, slices: list[FileDataset], mask: npt.NDArray[np.bool_]
) -> None:
    """Write a mask as a DICOM segmentation of the slices it touches."""
    used = np.flatnonzero(mask.any(axis=(1, 2)))
    described = SegmentDescription(
        segment_number=1,
        segment_label=ROI,
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
        segmented_property_category=CodedConcept(
            "49755003", "SCT", "Morphologically Abnormal Structure"
        ),
        segmented_property_type=CodedConcept("108369006", "SCT", "Neoplasm"),
        algorithm_identification=AlgorithmIdentificationSequence(
            name="metasight simulate lung",
            version="1",
            family=CodedConcept("123109", "DCM", "Manual Processing"),
        ),
    )
    seg = Segmentation(
        source_images=[slices[k] for k in used],
        pixel_array=mask[used].astype(np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[described],
        series_instance_uid=study.uid("seg series"),
        series_number=31,
        sop_instance_uid=study.uid("seg"),
        instance_number=1,
        manufacturer="metasight",
        manufacturer_model_name="simulator",
        software_versions="1",
        device_serial_number="0",
        series_description="SIMULATED segmentation",
    )
    # the library writes the time of day and new identifiers of its own
    seg.ContentDate = seg.SeriesDate = seg.InstanceCreationDate = DA(study.date)
    seg.ContentTime = seg.SeriesTime = seg.InstanceCreationTime = TM("110000")
    for item in seg.get("DimensionOrganizationSequence", []):
        item.DimensionOrganizationUID = study.uid("seg dimensions")
    for item in seg.get("DimensionIndexSequence", []):
        item.DimensionOrganizationUID = study.uid("seg dimensions")
    for item in seg.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in item:
            del item.ContributionDateTime
    seg.save_as(path, enforce_file_format=True)
