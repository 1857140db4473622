"""Slides and tables of cells as laboratories have them: right, refused with a remedy, or wrong.

``python bench/doors_slides.py`` prints the table; exit status 1 if a row is wrong. Inputs are made
here (``tests/slide_files.py``); a refusal counts only if it names a remedy and repeats no text of
the file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import cv2
import numpy as np
import pydicom
import tifffile
from doors_common import Situation, main

from metasight.cohort.slide_table import SlideRow
from metasight.engine import guarded
from metasight.errors import MetasightError
from metasight.maps.adapters import read_cell_file
from metasight.maps.cell_classes import with_markers
from metasight.maps.cells import Cells
from metasight.protocol.load import read_protocol
from metasight.protocol.markers import MarkerNames
from metasight.slides.opening import open_slide
from metasight.slides.quality import quality_definitions
from metasight.slides.reader import PyramidReader, ReadAs
from metasight.steps.slides import patient as steps
from slide_files import halved, tissue_like, write_dicom, write_fluorescence, write_pyramid

PATIENT = "Meier"
"""Stands wherever a file may hold free text, and must stand in no message."""
AT_HALF = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
MARKERS = tuple(
    MarkerNames(name=n, spellings=s)
    for n, s in (
        ("Pan-CK", ("cytokeratin", "CK", "AE1/AE3")),
        ("CD3", ("CD3e",)),
        ("CD20", ("L26",)),
    )
)
SPELLINGS = {s: m.name for m in MARKERS for s in (m.name, *m.spellings)}


# ------------------------------------------------------------------ outcomes


def refused(work: Callable[[], Any], word: str) -> str:
    """Right if it is refused for what is wrong, with a remedy and without text of the file."""
    try:
        found = work()
    except MetasightError as error:
        said = str(error)
        if word not in said:
            return f"wrong: refused for another reason: {said}"
        if not error.remedy:
            return f"wrong: no remedy: {said}"
        return f"wrong: repeats text: {said}" if PATIENT in said else f"refused: {said}"
    return f"wrong: read as {found}"


def opened(path: Path, **read_as: Any) -> PyramidReader:
    """The slide, closed again: what it says of itself is kept."""
    with open_slide(path, name="slide", read_as=ReadAs(**read_as)) as slide:
        return slide


def sized(slide: PyramidReader, width: int, mpp: float, note: str = "") -> str:
    """Right if the picture of this width and resolution is read, and the ledger says why."""
    found = slide.levels[0].width
    if found != width or abs(slide.mpp / mpp - 1) > 0.01:
        return f"wrong: {found} pixels of {slide.mpp:g} µm"
    notes = " ".join(slide.notes)
    if note not in notes or bool(note) != bool(notes):
        return f"wrong: the ledger says {notes!r}"
    return "right"


def equal(found: object, expected: object) -> str:
    return "right" if found == expected else f"wrong: {found}, not {expected}"


# ------------------------------------------------------------------ several pictures


def write_ome(path: Path, pictures: Sequence[tuple[str, np.ndarray, float]]) -> Path:
    with tifffile.TiffWriter(path, ome=True) as out:
        for name, image, mpp in pictures:
            out.write(
                image,
                tile=(128, 128),
                photometric="rgb",
                metadata={
                    "axes": "YXS",
                    "Name": name,
                    "PhysicalSizeX": mpp,
                    "PhysicalSizeY": mpp,
                },
            )
    return path


def overview_first(work: Path) -> str:
    slide = tissue_like(480, 640)
    small = halved(halved(slide))
    path = write_ome(work / "a.ome.tif", [(PATIENT, small, 2.0), (PATIENT, slide, 0.5)])
    return sized(opened(path), 640, 0.5, "picture 2 (640 × 480 pixels) is read")


def label_and_macro(work: Path) -> str:
    pictures = [
        ("label image", tissue_like(200, 200, 1), 10.0),
        ("macro image", tissue_like(200, 400, 2), 10.0),
        ("40x", tissue_like(480, 640), 0.5),
    ]
    return sized(opened(write_ome(work / "a.ome.tif", pictures)), 640, 0.5, "picture 3")


def two_scenes(work: Path) -> Path:
    scenes = [
        (PATIENT, tissue_like(300, 400, 1), 0.5),
        ("scene 2", tissue_like(480, 640, 2), 0.25),
    ]
    return write_ome(work / "a.ome.tif", scenes)


def noise_at_two_sizes(work: Path) -> str:
    random = np.random.default_rng(0)
    pictures = [
        (PATIENT, random.integers(0, 255, (n, n, 3), dtype=np.uint8), mpp)
        for n, mpp in ((128, 2.0), (512, 0.5))
    ]
    path = write_ome(work / "m.ome.tif", pictures)
    return refused(lambda: opened(path), "1: 128 × 128 pixels; 2: 512 × 512 pixels")


def write_pages(path: Path, pages: Sequence[np.ndarray], **more: Any) -> Path:
    with tifffile.TiffWriter(path) as out:
        for page in pages:
            out.write(page, tile=(128, 128), photometric="rgb", metadata=None, **AT_HALF, **more)
    return path


def levels_without_a_mark(work: Path) -> str:
    slide = tissue_like(512, 640)
    path = write_pages(work / "a.tif", [slide, halved(slide), halved(halved(slide))])
    slide = opened(path)
    return sized(slide, 640, 0.5) if len(slide.levels) == 3 else "wrong: levels are missing"


def other_pages(work: Path) -> str:
    path = write_pages(work / "a.tif", [tissue_like(512, 640, 1), tissue_like(256, 320, 2)])
    return refused(lambda: opened(path), "shows something else")


def focus_levels(work: Path) -> str:
    tifffile.imwrite(
        work / "a.ome.tif",
        np.stack([tissue_like(256, 256)] * 3),
        tile=(128, 128),
        photometric="rgb",
        metadata={"axes": "ZYXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
    return refused(lambda: opened(work / "a.ome.tif"), "a stack, not one plane (value: Z = 3)")


# ------------------------------------------------------------------ DICOM


def two_dicom_slides(work: Path) -> Path:
    folder = work / "both"
    folder.mkdir()
    for name, width in (("one", 520), ("two", 300)):
        made = write_dicom(work / name, tissue_like(300, width))
        (made / "level-0.dcm").rename(folder / f"{name}.dcm")
    return folder


def beside_a_report(work: Path) -> str:
    folder = write_dicom(work / "s", tissue_like(300, 520))
    report = pydicom.dcmread(folder / "level-0.dcm")
    for tag in ("PixelData", "TotalPixelMatrixColumns", "TotalPixelMatrixRows"):
        delattr(report, tag)
    report.SeriesInstanceUID, report.Modality = "1.2.3", "SR"
    report.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    report.save_as(folder / "a.dcm")
    return sized(opened(folder), 520, 0.5)


def changed_dicom(word: str, **tags: Any) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        folder = write_dicom(work / "s", tissue_like(300, 520))
        data = pydicom.dcmread(folder / "level-0.dcm")
        syntax = tags.get("syntax")
        if syntax is not None:
            data.file_meta.TransferSyntaxUID = syntax
        for tag, value in tags.items():
            if tag != "syntax":
                setattr(data, tag, value)
        data.PatientName = PATIENT
        data.save_as(folder / "level-0.dcm")
        return refused(lambda: opened(folder), word)

    return run


def no_whole_slide(work: Path) -> str:
    folder = write_dicom(work / "s", tissue_like(300, 520))
    data = pydicom.dcmread(folder / "level-0.dcm")
    del data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows
    data.Modality = "CT"
    data.save_as(folder / "level-0.dcm")
    return refused(lambda: opened(folder), "no whole-slide image")


# ------------------------------------------------------------------ resolution


def resolution(
    stated: str | None, given: float | None, expected: float, note: str = "", *, own: bool = False
) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        path = work / "a.svs"
        said = "" if stated is None else f"|MPP = {stated}"
        tifffile.imwrite(
            path,
            tissue_like(256, 384),
            tile=(128, 128),
            photometric="rgb",
            description=f"Aperio Image Library v12.0.15\n384x256|AppMag = 20|User = {PATIENT}"
            f"{said}",
            metadata=None,
        )
        slide = opened(path, mpp=given, replaces_mpp=own)
        if PATIENT in str(slide.properties):
            return "wrong: free text of the file is kept"
        return sized(slide, 384, expected, note)

    return run


def comma_in_ome(work: Path) -> str:
    path = write_ome(work / "a.ome.tif", [("a", tissue_like(256, 384), 0.25)])
    data = path.read_bytes()
    path.write_bytes(data.replace(b'PhysicalSizeX="0.25"', b'PhysicalSizeX="0,25"'))
    return sized(opened(path), 384, 0.25)


# ------------------------------------------------------------------ ImageJ, channels


def write_plain(path: Path, tags: list[tuple[int, int, int, int]], pixels: bytes) -> Path:
    """A little-endian TIFF of one strip with only the tags given; type 3 and 4 in place."""
    strip = 8
    tags = sorted([*tags, (273, 4, 1, strip), (279, 4, 1, len(pixels))])
    entries = b"".join(
        tag.to_bytes(2, "little")
        + kind.to_bytes(2, "little")
        + count.to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, kind, count, value in tags
    )
    directory = strip + len(pixels)
    path.write_bytes(
        b"II*\0"
        + directory.to_bytes(4, "little")
        + pixels
        + len(tags).to_bytes(2, "little")
        + entries
        + bytes(4)
    )
    return path


def without_compression_tag(work: Path) -> str:
    image = tissue_like(128, 192)[..., 1]
    sides = [(256, 4, 1, 192), (257, 4, 1, 128), (258, 3, 1, 8), (262, 3, 1, 1)]
    path = write_plain(work / "a.tif", [*sides, (277, 3, 1, 1), (278, 4, 1, 128)], image.tobytes())
    return sized(opened(path, mpp=0.5), 192, 0.5)


def planes(n: int) -> np.ndarray:
    random = np.random.default_rng(1)
    return np.stack(
        [(cv2.GaussianBlur(random.random((256, 256)), (0, 0), 3) * 6e4) for _ in range(n)]
    ).astype(np.uint16)


def imagej_labels(work: Path) -> str:
    path = work / "a.tif"
    with tifffile.TiffWriter(path, imagej=True) as out:
        out.write(
            planes(3),
            resolution=(2.0, 2.0),
            metadata={"axes": "CYX", "unit": "micron", "Labels": ["DAPI", "CD3", "panCK"]},
        )
    slide = opened(path, spellings=SPELLINGS)
    return equal((slide.channels, round(slide.mpp, 3)), (("DAPI", "CD3", "Pan-CK"), 0.5))


def qptiff(path: Path, names: Sequence[str]) -> Path:
    with tifffile.TiffWriter(path) as out:
        for plane, name in zip(planes(len(names)), names, strict=True):
            out.write(
                plane,
                tile=(128, 128),
                software="PerkinElmer-QPI",
                description='<?xml version="1.0" encoding="utf-16"?>'
                "<PerkinElmer-QPI-ImageDescription><ImageType>FullResolution</ImageType>"
                f"<Name>Opal</Name><Biomarker>{name}</Biomarker>"
                "</PerkinElmer-QPI-ImageDescription>",
                metadata=None,
                **AT_HALF,
            )
    return path


def channels(
    names: Sequence[str], expected: tuple[str, ...], given: dict[str, str] | None = None
) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        slides = [
            qptiff(work / "a.qptiff", names),
            write_fluorescence(work / "a.ome.tif", planes(len(names)), list(names)),
        ]
        for path in slides:
            slide = opened(path, channels=given or {}, spellings={"DAPI": "DAPI", **SPELLINGS})
            if slide.channels != expected:
                return f"wrong: {path.suffix} has {slide.channels}"
        return "right"

    return run


# ------------------------------------------------------------------ other formats


def begins_with(head: bytes, word: str) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        (work / f"{PATIENT}.nd2").write_bytes(head + bytes(range(256)) * 20)
        return refused(lambda: opened(work / f"{PATIENT}.nd2"), word)

    return run


def palette(work: Path) -> str:
    tifffile.imwrite(
        work / "a.tif",
        tissue_like(256, 256)[..., 0].copy(),
        tile=(128, 128),
        photometric="palette",
        colormap=np.zeros((3, 256), np.uint16),
        **AT_HALF,
    )
    return refused(lambda: opened(work / "a.tif"), "palette")


# ------------------------------------------------------------------ cells of other programs


def table(work: Path, text: str, image: str | None = "a.svs", ending: str = "csv") -> Cells:
    (work / f"cells.{ending}").write_text(text, encoding="utf-8")
    return read_cell_file(work / f"cells.{ending}", mpp=0.5, image=image).cells


TWO_IMAGES = (
    "Image,Object type,Classification,Centroid X µm,Centroid Y µm\n"
    f"a.svs,Cell,CD3,10,20\n{PATIENT}.svs,Cell,CD20,30,40\na.svs,Annotation,Tumor,500,500\n"
)
SEMICOLONS = "Image;Class;Centroid X μm;Centroid Y μm\na.svs;CD3;10,5;20,25\n"
HALO = (
    "Image Location,XMin,XMax,YMin,YMax,CD3 Positive Classification,CD20 Positive Classification\n"
    "C:\\scans\\a.svs,10,30,20,40,1,0\nC:\\scans\\a.svs,50,70,20,40,0,1\n"
)


def positions(cells: Cells) -> list[tuple[float, float]]:
    return list(zip(cells.x_um.tolist(), cells.y_um.tolist(), strict=True))


def geojson(*classes: Any) -> str:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]]}
    return json.dumps(
        [
            {
                "type": "Feature",
                "geometry": square,
                "properties": {"objectType": "cell", "classification": c},
            }
            for c in classes
        ]
    )


def marked(
    cells: Cells, markers: tuple[str, ...], classes: dict[str, str] | None = None
) -> dict[str, list[bool]]:
    found = with_markers(
        cells, markers, spellings=SPELLINGS, classes=classes or {}, where="cells of slide"
    )
    return {m: flags.tolist() for m, flags in found.positive.items()}


def classes_of_geojson(work: Path) -> str:
    text = geojson({"names": ["CD3", "CD20"]}, "CD20", {"name": "CD3+"}, None)
    return equal(
        marked(table(work, text, ending="geojson"), ("CD3", "CD20")),
        {"CD3": [True, False, True, False], "CD20": [True, True, False, False]},
    )


def halo(work: Path) -> str:
    cells = table(work, HALO)
    flags = marked(cells, ("CD3", "CD20"))
    return equal(
        (positions(cells), flags),
        ([(10.0, 15.0), (30.0, 15.0)], {"CD3": [True, False], "CD20": [False, True]}),
    )


# ------------------------------------------------------------------ one bad slide is one row


def step(path: Path, work: Path) -> dict[str, Any]:
    """What checking a slide leaves, whatever it raises."""
    row = SlideRow(patient="P", name="slide", path=path, stain="H&E", markers=(), mpp=None)
    definitions = quality_definitions(read_protocol("breast-dmfs").definition)
    argument = steps.CheckArgument(slide=row, reader="tiff", definitions=definitions)
    out = work / "out"
    out.mkdir()
    steps.check_slide({}, out, argument)  # type: ignore[arg-type]
    found: dict[str, Any] = json.loads((out / "quality.json").read_text("utf-8"))
    return found


def failed(made: Callable[[Path], Path], word: str) -> Callable[[Path], str]:
    def run(work: Path) -> str:
        why = str(step(made(work), work).get("failed", ""))
        if word not in why or PATIENT in why:
            return f"wrong: {why!r}"
        return f"refused: {why}"

    return run


def raises_anything(work: Path) -> str:
    """A fault of ours in a step, with the file's text in it."""
    real, in_child = steps.check, guarded._Child.is_here

    def fault(*_: object, **__: object) -> None:
        raise KeyError(PATIENT)

    steps.check = fault  # type: ignore[assignment]
    guarded._Child.is_here = True  # the fault is in this process, and none is opened for the file
    try:
        return failed(lambda w: write_pyramid(w / "a.svs", tissue_like(256, 256)), "(KeyError)")(
            work
        )
    finally:
        steps.check = real
        guarded._Child.is_here = in_child


# ------------------------------------------------------------------ all


def picture_situations() -> list[Situation]:
    rows: dict[str, Callable[[Path], str]] = {
        "OME-TIFF, the overview before the slide": overview_first,
        "OME-TIFF, label and macro image before the slide": label_and_macro,
        "OME-TIFF, two scenes": lambda work: refused(
            lambda: opened(two_scenes(work)), "more than one could be the slide"
        ),
        "OME-TIFF, two scenes, one named by its number": lambda work: sized(
            opened(two_scenes(work), picture=1), 400, 0.5, "as the study asks"
        ),
        "OME-TIFF, a number that is not there": lambda work: refused(
            lambda: opened(two_scenes(work), picture=3), "no picture of this number"
        ),
        "OME-TIFF, noise of two sizes": noise_at_two_sizes,
        "TIFF, levels as pages without a mark": levels_without_a_mark,
        "TIFF, pages that show something else": other_pages,
        "OME-TIFF, several focus levels": focus_levels,
        "DICOM, two slides in one folder": lambda work: refused(
            lambda: opened(two_dicom_slides(work)), "holds 2 DICOM slides"
        ),
        "DICOM, two slides in one folder, one named by its file": lambda work: sized(
            opened(two_dicom_slides(work) / "two.dcm"), 300, 0.5
        ),
        "DICOM, a report beside the slide": beside_a_report,
        "DICOM, no whole-slide image": no_whole_slide,
        "DICOM, greyscale": changed_dicom(
            "valid but not supported: it is greyscale",
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
        ),
        "DICOM, JPEG-LS": changed_dicom("JPEG-LS Lossless", syntax=pydicom.uid.JPEGLSLossless),
        "DICOM, several focal planes": changed_dicom(
            "several focal planes", TotalPixelMatrixFocalPlanes=3
        ),
        "Nikon ND2": begins_with(b"\xda\xce\xbe\x0a", "not supported: Nikon ND2"),
        "zip archive": begins_with(b"PK\x03\x04", "not supported: zip archive"),
        "TIFF with a palette": palette,
        "path of 300 characters": failed(lambda work: work / ("x" * 300), "cannot be read"),
        "a step raises what nobody foresaw": raises_anything,
    }
    return [Situation(name=name, run=run) for name, run in rows.items()]


def meaning_situations() -> list[Situation]:
    names = ["DAPI", "Pan-CK", "CD3", "CD20"]
    rows: dict[str, Callable[[Path], str]] = {
        "mpp of all, the file is silent": resolution(None, 0.5, 0.5),
        "mpp of all, the file says another": resolution(
            "0.25", 0.5, 0.25, "the file's value is used"
        ),
        "mpp of all, the file says the same": resolution("0.2501", 0.25, 0.25),
        "mpp of this file, the file says another": resolution(
            "0.25", 0.5, 0.5, "replace the 0.25", own=True
        ),
        "mpp of all, the file says 72 dpi": resolution("352.8", 0.5, 0.5, "no scan has the 352.8"),
        "no mpp anywhere": lambda work: refused(
            lambda: resolution(None, None, 0.5)(work), "[slides.mpp_of]"
        ),
        "decimal comma, SVS": resolution("0,2527", None, 0.2527),
        "decimal comma, OME-XML": comma_in_ome,
        "TIFF without a compression tag": without_compression_tag,
        "ImageJ, labels and unit": imagej_labels,
        "channels by name": channels(names, tuple(names)),
        "channels in usual spellings": channels(
            ["dapi", "panCK", "CD3 (Opal 520)", "L26"], tuple(names)
        ),
        "AE1/AE3": channels(["DAPI", "AE1/AE3", "CD3e", "CD20"], tuple(names)),
        "channels by the study's mapping": channels(
            ["DAPI", "Opal 690", "Opal 520", "Opal 570"],
            tuple(names),
            {"Opal 690": "Pan-CK", "opal-520": "CD3", "4": "CD20"},
        ),
        "the study's number before a usual spelling": channels(
            ["DAPI", "CD20", "CD3"], ("DAPI", "CD3", "CD20"), {"2": "CD3", "3": "CD20"}
        ),
        "a channel called after a patient": channels(
            ["DAPI", f"{PATIENT} 1952", "CD3"], ("DAPI", "channel_2", "CD3")
        ),
        "QuPath, two images in one table": lambda work: equal(
            positions(table(work, TWO_IMAGES)), [(10.0, 20.0)]
        ),
        "QuPath, two images, the slide not named": lambda work: refused(
            lambda: table(work, TWO_IMAGES, None), "several images"
        ),
        "QuPath, another slide's table": lambda work: refused(
            lambda: table(work, TWO_IMAGES, "c.svs"), "no cells of this slide"
        ),
        "QuPath, semicolons, decimal commas, Greek mu": lambda work: equal(
            positions(table(work, SEMICOLONS)), [(10.5, 20.25)]
        ),
        "QuPath GeoJSON, classes in three forms": classes_of_geojson,
        "HALO, columns of 0 and 1 in pixels": halo,
        "classes under another name": lambda work: refused(
            lambda: marked(table(work, TWO_IMAGES), ("CD3", "CD20")), "no class of the cells"
        ),
        "classes by the study's mapping": lambda work: equal(
            marked(table(work, TWO_IMAGES.replace("CD3", PATIENT)), ("CD3",), {PATIENT: "CD3"}),
            {"CD3": [True]},
        ),
        "QuPath, a position that is no number": lambda work: refused(
            lambda: table(work, TWO_IMAGES.replace("10,20", f"{PATIENT},20")), "not a number"
        ),
    }
    return [Situation(name=name, run=run) for name, run in rows.items()]


def situations() -> list[Situation]:
    """All of slides and tables of cells."""
    return [*picture_situations(), *meaning_situations()]


if __name__ == "__main__":
    sys.exit(main(situations()))
