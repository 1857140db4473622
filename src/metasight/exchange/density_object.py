"""A density map as DICOM Parametric Map on the whole-slide series that it was painted on.

One object a marker, 32-bit float, cells per mm², and one for its standard error where that is
known; what lies off the map's support is padding. The slide's headers are read where the study's
slide lies: results are of its content, so that a slide that changed since has none.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path
from typing import Literal

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.pm import ParametricMap, RealWorldValueMapping
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code as SrCode
from pydicom.uid import ExplicitVRLittleEndian, VLWholeSlideMicroscopyImageStorage

from metasight.errors import StudyError
from metasight.exchange.codes import OWN_SCHEME
from metasight.exchange.contents import RESEARCH_ONLY, Algorithm
from metasight.exchange.lesion_segmentation import stamp
from metasight.exchange.uids import uid_of
from metasight.maps.density import DensityMap

What = Literal["density", "error"]
PADDING = -1.0
"""Off the map's support; a density is never negative."""
SERIES_NUMBER = 9003
_TILE = 256
_NEEDED = (
    *("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"),
    *("Rows", "Columns", "NumberOfFrames", "TotalPixelMatrixColumns", "TotalPixelMatrixRows"),
    *("ImageOrientationSlide", "TotalPixelMatrixOriginSequence", "SharedFunctionalGroupsSequence"),
)
_KEPT = (
    *(*_NEEDED, "ImageType", "DimensionOrganizationType", "ImagedVolumeWidth"),
    *("ImagedVolumeHeight", "ImagedVolumeDepth", "TotalPixelMatrixFocalPlanes"),
)


def slide_header(data: Dataset, patient: str) -> Dataset:
    """What an object must know of a slide's series; barcodes and names stay behind.

    Parameters
    ----------
    data
        Header of the series' largest level.
    patient
        Pseudonym; put in place of patient, container and specimen.

    Raises
    ------
    StudyError
        It is no whole-slide image, or does not say where it lies.
    """
    if str(data.get("SOPClassUID", "")) != VLWholeSlideMicroscopyImageStorage:
        raise StudyError(
            "the slide is no DICOM whole-slide image, which a map could refer to",
            where=patient,
            remedy="Its maps are OME-TIFF in the results",
        )
    missing = [name for name in _NEEDED if name not in data]
    if missing:
        raise StudyError(
            "the slide's header does not say where it lies",
            where=patient,
            value=", ".join(missing),
            remedy="Export the slide from the archive again",
        )
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID, header.Modality = VLWholeSlideMicroscopyImageStorage, "SM"
    for name in _KEPT:
        if name in data:
            setattr(header, name, data[name].value)
    header.PatientID, header.PatientName = patient, f"{patient}^"
    header.PatientBirthDate = header.PatientSex = ""
    header.StudyDate = header.StudyTime = header.StudyID = ""
    header.AccessionNumber = header.ReferringPhysicianName = ""
    header.ContainerIdentifier = patient
    header.ContainerTypeCodeSequence = header.IssuerOfTheContainerIdentifierSequence = []
    specimen = Dataset()
    specimen.SpecimenIdentifier = patient
    specimen.SpecimenUID = uid_of("specimen", str(data.SeriesInstanceUID))
    specimen.IssuerOfTheSpecimenIdentifierSequence = []
    specimen.SpecimenPreparationSequence = []
    header.SpecimenDescriptionSequence = [specimen]
    return header


def density_object(
    density_map: DensityMap,
    marker: str,
    slide: Dataset,
    algorithm: Algorithm,
    *,
    mpp: float,
    made: dt.datetime,
    what: What = "density",
) -> ParametricMap:
    """One marker's density, or its standard error, as a parametric map.

    Parameters
    ----------
    density_map
        In the slide's level-0 frame.
    marker
        One of its markers.
    slide
        Of :func:`slide_header`.
    algorithm
        That painted it.
    mpp
        µm per level-0 pixel.
    made
        When.
    what
        Which of the two.
    """
    values = _values(density_map, marker, what)
    content = hashlib.sha256(values.tobytes()).hexdigest()
    identity = (str(slide.SOPInstanceUID), algorithm.run, what, marker, content, made.isoformat())
    x_mm, y_mm = _first_pixel_mm(density_map, slide, mpp)
    largest = max(float(values.max()), 1.0)
    side_mm = density_map.spacing_um / 1000
    data = ParametricMap(
        source_images=[slide],
        pixel_array=values[np.newaxis],
        series_instance_uid=uid_of("map series", *identity[:3], identity[-1]),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("map", *identity),
        instance_number=density_map.markers.index(marker) + 1,
        manufacturer=Algorithm.NAME,
        manufacturer_model_name=Algorithm.NAME,
        software_versions=algorithm.version,
        device_serial_number=algorithm.run or "none",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(marker, largest)],
        voi_lut_transformations=[
            hd.VOILUTTransformation(window_center=largest / 2, window_width=largest)
        ],
        content_description=RESEARCH_ONLY[:64],
        content_label="DENSITY",
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=(side_mm, side_mm), slice_thickness=0.001
        ),
        plane_orientation=hd.PlaneOrientationSequence(
            "SLIDE", [float(v) for v in slide.ImageOrientationSlide]
        ),
        plane_positions=[
            hd.PlanePositionSequence("SLIDE", (x_mm, y_mm, 0.0), pixel_matrix_position=(1, 1))
        ],
        tile_pixel_array=True,
        tile_size=(_TILE, _TILE),
    )
    data.FloatPixelPaddingValue = data.FloatPixelPaddingRangeLimit = PADDING
    data.SeriesDescription = f"metasight {what} of {marker}, research only"[:64]
    _own_uids(data, uid_of("map dimensions", *identity))
    stamp(data, made)
    return data


def write_density_objects(
    folder: Path,
    density_map: DensityMap,
    slide: Dataset,
    algorithm: Algorithm,
    *,
    mpp: float,
    made: dt.datetime,
) -> None:
    """Write every marker's density, and its error where that is known, and read each back.

    Parameters
    ----------
    folder
        Made here.
    density_map, slide, algorithm, mpp, made
        As for :func:`density_object`.

    Raises
    ------
    StudyError
        An object does not read back as it was written.
    """
    folder.mkdir(parents=True)
    kinds: tuple[What, ...] = ("density", "error")
    for number, marker in enumerate(density_map.markers, start=1):
        for what in kinds:
            values = _values(density_map, marker, what)
            if not (values != PADDING).any():  # nobody knows the error
                continue
            made_of = density_object(
                density_map, marker, slide, algorithm, mpp=mpp, made=made, what=what
            )
            path = folder / f"{number:02d}-{what}.dcm"
            made_of.save_as(path)
            if not np.array_equal(values_in(dcmread(path)), values):
                raise StudyError(
                    "the parametric map does not read back as it was written",
                    remedy="Report this: it is a fault in metasight",
                )


def values_in(data: Dataset) -> npt.NDArray[np.float32]:
    """Values of a parametric map, tiles put together; shape (y, x) of its pixel matrix."""
    rows, columns = int(data.Rows), int(data.Columns)
    frames = np.frombuffer(data.FloatPixelData, "<f4").reshape(-1, rows, columns)
    found = np.full((data.TotalPixelMatrixRows, data.TotalPixelMatrixColumns), np.nan, np.float32)
    for frame, groups in zip(frames, data.PerFrameFunctionalGroupsSequence, strict=True):
        place = groups.PlanePositionSlideSequence[0]
        y = int(place.RowPositionInTotalImagePixelMatrix) - 1
        x = int(place.ColumnPositionInTotalImagePixelMatrix) - 1
        part = found[y : y + rows, x : x + columns]
        part[:] = frame[: part.shape[0], : part.shape[1]]
    return found


def _values(density_map: DensityMap, marker: str, what: What) -> npt.NDArray[np.float32]:
    """A plane with padding in place of what is not stated."""
    planes = density_map.density if what == "density" else density_map.error
    plane = planes[density_map.markers.index(marker)]
    stated = density_map.support & np.isfinite(plane)
    return np.where(stated, plane, np.float32(PADDING)).astype(np.float32)


def _mapping(marker: str, largest: float) -> RealWorldValueMapping:
    return RealWorldValueMapping(
        lut_label=marker[:16],
        lut_explanation=f"Cells per mm2 positive for {marker}"[:64],
        unit=SrCode("/mm2", "UCUM", "per mm2"),
        # readers refuse a value beyond the range, and padding is one
        value_range=(PADDING, largest),
        intercept=0.0,
        slope=1.0,
        quantity_definition=SrCode("cells_per_mm2", OWN_SCHEME, "Density of cells"),
    )


def _first_pixel_mm(density_map: DensityMap, slide: Dataset, mpp: float) -> tuple[float, float]:
    """Centre of the map's first pixel in the slide's coordinates.

    The slide names the centre of its own first pixel; the map the corner of its own.
    """
    origin = slide.TotalPixelMatrixOriginSequence[0]
    start = np.array(
        [
            float(origin.XOffsetInSlideCoordinateSystem),
            float(origin.YOffsetInSlideCoordinateSystem),
        ]
    )
    axes = np.array([float(v) for v in slide.ImageOrientationSlide]).reshape(2, 3)[:, :2]
    along = np.array(density_map.origin_um) + (density_map.spacing_um - mpp) / 2
    x, y = start + (along / 1000) @ axes
    return float(x), float(y)


def _own_uids(data: ParametricMap, uid: str) -> None:
    for item in (*data.DimensionOrganizationSequence, *data.get("DimensionIndexSequence", ())):
        item.DimensionOrganizationUID = uid
