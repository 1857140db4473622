"""A lesion's mask as DICOM SEG on the grid of the series that it was drawn on."""

from __future__ import annotations

import datetime as dt
import hashlib
from copy import deepcopy
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import Segmentation, SegmentDescription
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from metasight.exchange.codes import OWN_SCHEME
from metasight.exchange.contents import RESEARCH_ONLY, Algorithm
from metasight.exchange.source_images import SourceImages, source_images
from metasight.exchange.uids import uid_of
from metasight.study.sources import Source
from metasight.volumes.grid import Grid
from metasight.volumes.volume import Mask

SERIES_NUMBER = 9001
LABEL = "Lesion"


def lesion_segmentation(
    mask: Mask, source: Source, algorithm: Algorithm, *, made: dt.datetime, drawn_by_hand: bool
) -> Segmentation:
    """The mask as a binary segmentation that refers to the images of the series.

    Parameters
    ----------
    mask
        On the grid of the scan.
    source
        Which series that is, from the study's vault.
    algorithm
        That outlined or read it.
    made
        When; written into the object.
    drawn_by_hand
        Whether the outline was given (a mask file); else it was found from a click or a box.

    Raises
    ------
    StudyError
        The series is not known, or its slices are not those of the mask.
    """
    images = source_images(source, mask.grid)
    voxels = mask.array
    content = hashlib.sha256(np.packbits(voxels).tobytes()).hexdigest()
    identity = (source.series_uid, algorithm.run, content, made.isoformat())
    data = Segmentation(
        source_images=_each_an_image(images),
        pixel_array=np.ascontiguousarray(voxels, dtype=np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[_described(algorithm, lesion_uid(source), by_hand=drawn_by_hand)],
        series_instance_uid=uid_of("SEG series", *identity),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("SEG", *identity),
        instance_number=1,
        manufacturer=Algorithm.NAME,
        manufacturer_model_name=Algorithm.NAME,
        software_versions=algorithm.version,
        device_serial_number=algorithm.run or "none",
        content_label="LESION",
        content_description=RESEARCH_ONLY[:64],
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
        **_places(mask),
    )
    _own_uids(data, uid_of("dimensions", *identity))
    _refer(data, images, mask.grid)
    stamp(data, made)
    data.SeriesDescription = "metasight lesion, research only"
    return data


def lesion_uid(source: Source) -> str:
    """Tracking UID of the lesion: SEG and SR of one series name the same."""
    return uid_of("lesion", source.series_uid)


def stamp(data: Dataset, made: dt.datetime) -> None:
    """Write when an object was made, in UTC, and that its texts are UTF-8."""
    date, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
    data.ContentDate, data.ContentTime = date, time
    data.InstanceCreationDate, data.InstanceCreationTime = date, time
    data.TimezoneOffsetFromUTC = "+0000"
    data.SpecificCharacterSet = "ISO_IR 192"
    for equipment in data.get("ContributingEquipmentSequence") or ():
        equipment.ContributionDateTime = f"{date}{time}"
    scheme = Dataset()
    scheme.CodingSchemeDesignator = OWN_SCHEME
    scheme.CodingSchemeName = "Names of measures in metasight's results"
    scheme.CodingSchemeResponsibleOrganization = "The metasight authors"
    data.CodingSchemeIdentificationSequence = [scheme]


def _described(algorithm: Algorithm, uid: str, *, by_hand: bool) -> SegmentDescription:
    identification = hd.AlgorithmIdentificationSequence(
        name=Algorithm.NAME,
        family=codes.DCM.ArtificialIntelligence,
        version=algorithm.version,
        parameters=dict(p.split(": ", 1) for p in algorithm.parameters),
    )
    return SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="MANUAL" if by_hand else "SEMIAUTOMATIC",
        algorithm_identification=None if by_hand else identification,
        tracking_uid=uid,
        tracking_id=LABEL,
        anatomic_regions=[codes.SCT.Lung],
    )


def _places(mask: Mask) -> dict[str, Any]:
    """Where each slice of the mask lies; a slice that was interpolated lies there all the same."""
    grid = mask.grid
    axes = np.reshape(grid.direction, (3, 3))
    x_mm, y_mm, z_mm = grid.spacing_mm
    return {
        "pixel_measures": hd.PixelMeasuresSequence(
            pixel_spacing=(y_mm, x_mm), slice_thickness=z_mm, spacing_between_slices=z_mm
        ),
        "plane_orientation": hd.PlaneOrientationSequence(
            "PATIENT", [float(v) for v in (*axes[:, 0], *axes[:, 1])]
        ),
        "plane_positions": [
            hd.PlanePositionSequence("PATIENT", grid.to_mm(np.array([0.0, 0.0, float(k)])).tolist())
            for k in range(grid.size[2])
        ],
    }


def _each_an_image(images: SourceImages) -> list[Dataset]:
    """Headers as highdicom takes them: frames of one object as images, until they are referred to.

    It takes one multi-frame image only, with the places of all its frames, which are not recorded.
    """
    if not images.frames:
        return list(images.headers)
    single = [deepcopy(header) for header in images.headers]
    for header, frame in zip(single, images.frames, strict=True):
        header.SOPClassUID = CTImageStorage
        header.SOPInstanceUID = uid_of("frame", header.SOPInstanceUID, str(frame))
    return single


def _refer(data: Segmentation, images: SourceImages, grid: Grid) -> None:
    """Say of each frame which image it was drawn on.

    highdicom does so only where every slice has an image: one that was interpolated has none.
    """
    frames = images.frames or (None,) * len(images.headers)
    of_slices = zip(images.headers, frames, strict=True)
    by_slice = dict(zip(images.slices, of_slices, strict=True))
    for frame in data.PerFrameFunctionalGroupsSequence:
        position = np.array([float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient])
        image = by_slice.get(round(float(grid.to_index(position)[2])))
        frame.DerivationImageSequence = [] if image is None else [_derived_from(*image)]
    if images.frames:  # they are of one object
        data.SourceImageSequence = [_reference(images.headers[0])]
        for series in data.ReferencedSeriesSequence:
            series.ReferencedInstanceSequence = [_reference(images.headers[0])]


def _reference(header: Dataset) -> Dataset:
    image = Dataset()
    image.ReferencedSOPClassUID = header.SOPClassUID
    image.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return image


def _derived_from(header: Dataset, frame: int | None) -> Dataset:
    image, derivation = _reference(header), Dataset()
    if frame is not None:
        image.ReferencedFrameNumber = frame
    purpose = codes.DCM.SourceImageForImageProcessingOperation
    image.PurposeOfReferenceCodeSequence = [hd.sr.CodedConcept.from_code(purpose)]
    derivation.SourceImageSequence = [image]
    derivation.DerivationCodeSequence = [hd.sr.CodedConcept.from_code(codes.DCM.Segmentation)]
    return derivation


def _own_uids(data: Segmentation, uid: str) -> None:
    """Give the organization of dimensions a UID that is made of the content: it is drawn else."""
    for item in (*data.DimensionOrganizationSequence, *data.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
