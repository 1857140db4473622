"""Slides of every kind, small, written here from real tissue or from noise."""

from __future__ import annotations

from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import tifffile


def halved(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[0] // 2, image.shape[1] // 2
    return cv2.resize(
        image[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
    )


def tissue_like(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pink and purple blobs on glass: smooth enough for JPEG, uneven enough to show a shift."""
    rng = np.random.default_rng(seed)
    noise = [
        cv2.GaussianBlur(rng.standard_normal((height, width)), (0, 0), sigma) * sigma
        for sigma in (4, 8, 25)
    ]
    amount = np.clip(noise[2] * 1.5 + 0.4, 0, 1)[..., None]
    nuclei = np.clip(noise[0] + noise[1] - 0.4, 0, 1)[..., None]
    density = amount * (0.15 * np.array([0.3, 0.9, 0.3]) + nuclei * np.array([0.65, 0.7, 0.29]))
    return np.clip(np.rint(242 * 10**-density), 0, 255).astype(np.uint8)


def write_pyramid(
    path: Path,
    image: np.ndarray,
    *,
    mpp: float | None = 0.5,
    levels: int = 3,
    kind: str = "svs",
    compression: str = "jpeg",
    tile: int = 256,
) -> Path:
    """SVS (levels as pages, JPEG in YCbCr), OME-TIFF (levels as SubIFDs) or generic TIFF."""
    images = [image]
    for _ in range(levels - 1):
        images.append(halved(images[-1]))
    options: dict = {"tile": (tile, tile), "compression": compression, "photometric": "rgb"}
    if compression == "jpeg":
        options["compressionargs"] = {"level": 90}
    if kind == "ome":
        metadata = {"axes": "YXS"}
        if mpp is not None:
            metadata |= {"PhysicalSizeX": mpp, "PhysicalSizeY": mpp}
        with tifffile.TiffWriter(path, ome=True) as out:
            out.write(images[0], subifds=levels - 1, metadata=metadata, **options)
            for reduced in images[1:]:
                out.write(reduced, subfiletype=1, **options)
        return path
    resolution = {}
    if kind == "generic" and mpp is not None:
        resolution = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path, bigtiff=False) as out:
        for i, one in enumerate(images):
            text = None
            if kind == "svs":
                said = "" if mpp is None else f"|AppMag = 20|MPP = {mpp}"
                text = f"Aperio Image Library v11.2.1 \n{one.shape[1]}x{one.shape[0]} JPEG{said}"
            out.write(
                one,
                description=text,
                metadata=None,
                subfiletype=int(kind != "svs" and i > 0),
                **options,
                **resolution,
            )
            if kind == "svs" and i == 0:  # Aperio's second page is the thumbnail
                out.write(images[-1], metadata=None, photometric="rgb", rowsperstrip=64)
    return path


def write_fluorescence(
    path: Path, planes: np.ndarray, names: list[str], *, mpp: float = 0.5, levels: int = 2
) -> Path:
    """OME-TIFF of (channel, y, x), 8 or 16 bits."""
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": names},
        "PhysicalSizeX": mpp,
        "PhysicalSizeY": mpp,
    }
    options: dict = {"tile": (128, 128), "compression": "deflate", "photometric": "minisblack"}
    with tifffile.TiffWriter(path, ome=True) as out:
        out.write(planes, subifds=levels - 1, metadata=metadata, **options)
        reduced = planes
        for _ in range(levels - 1):
            reduced = np.stack([halved(p) for p in reduced])
            out.write(reduced, subfiletype=1, **options)
    return path


def write_dicom(folder: Path, image: np.ndarray, *, mpp: float = 0.5, tile: int = 256) -> Path:
    """A DICOM whole-slide series of one level, as a scanner writes it."""
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.sequence import Sequence
    from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    height, width = image.shape[:2]
    down, across = -(-height // tile), -(-width // tile)
    padded = np.full((down * tile, across * tile, 3), 255, np.uint8)
    padded[:height, :width] = image
    frames = [
        imagecodecs.jpeg8_encode(
            np.ascontiguousarray(padded[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile]),
            level=90,
        )
        for r in range(down)
        for c in range(across)
    ]
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    uid = generate_uid(entropy_srcs=["metasight", folder.name])
    ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.SOPClassUID, ds.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, uid
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", folder.name])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["study", folder.name])
    ds.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", folder.name])
    ds.Modality, ds.Manufacturer = "SM", "metasight tests"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 3, "YBR_FULL_422"
    ds.PlanarConfiguration, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 0, 8, 8, 7
    ds.PixelRepresentation = 0
    ds.Rows, ds.Columns, ds.NumberOfFrames = tile, tile, len(frames)
    ds.TotalPixelMatrixColumns, ds.TotalPixelMatrixRows = width, height
    ds.TotalPixelMatrixFocalPlanes, ds.NumberOfOpticalPaths = 1, 1
    ds.ImagedVolumeWidth, ds.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    ds.DimensionOrganizationType = "TILED_FULL"
    ds.LossyImageCompression = "01"
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    measures.SliceThickness = 0.001
    shared.PixelMeasuresSequence = Sequence([measures])
    ds.SharedFunctionalGroupsSequence = Sequence([shared])
    path_item = Dataset()
    path_item.OpticalPathIdentifier = "1"
    ds.OpticalPathSequence = Sequence([path_item])
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(folder / "level-0.dcm", ds, enforce_file_format=True)
    return folder


def slides_of_every_kind(folder: Path, tissue: np.ndarray) -> dict[str, Path]:
    """One slide of every kind that is written here, by kind."""
    rng = np.random.default_rng(1)
    planes = np.stack(
        [
            (cv2.GaussianBlur(rng.random((700, 900)), (0, 0), s) * 60_000).astype(np.uint16)
            for s in (2, 3, 5, 8)
        ]
    )
    cv2.imwrite(str(folder / "section.png"), tissue[..., ::-1])
    return {
        "svs": write_pyramid(folder / "a.svs", tissue),
        "ome": write_pyramid(folder / "a.ome.tif", tissue, kind="ome"),
        "generic": write_pyramid(folder / "a.tif", tissue, kind="generic"),
        "deflate": write_pyramid(
            folder / "d.tif", tissue, kind="generic", compression="deflate", tile=128
        ),
        "fluorescence": write_fluorescence(
            folder / "f.ome.tif", planes, ["DAPI", "Pan-CK", "CD3", "CD20"]
        ),
        "dicom": write_dicom(folder / "dicom", tissue),
        "picture": folder / "section.png",
    }
