"""Texts that identify somebody, planted wherever an input has room for one, each with its number.

``plant`` writes them into a study of slides, scans and tables; ``found_in`` reads everything below
a folder, compressed or not, and says which are there.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pandas as pd
import tifffile
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

_WORD = "Kanari"
_SEEN = re.compile(rb"kanari_?\d\d", re.IGNORECASE)
DICOM = (
    *("PatientName", "PatientID", "OtherPatientNames", "PatientAddress", "PatientComments"),
    *("InstitutionName", "ReferringPhysicianName", "OperatorsName", "StationName", "StudyID"),
    *("StudyDescription", "SeriesDescription", "ProtocolName", "ImageComments", "Occupation"),
    *("AccessionNumber", "DeviceSerialNumber", "AdditionalPatientHistory"),
)
OF_REGION = ("PatientName", "StructureSetLabel", "StructureSetName", "StructureSetDescription")
SVS = ("User", "Filename", "ScanScope ID", "Title", "Barcode")


def canary(number: int) -> str:
    """A text that stands in one place of the input and must stand in none of the output."""
    return f"{_WORD}{number:02d}"


TABLES = {"header": 1, "cell": 2, "bad cell": 3, "stranger's slide": 4, "stranger's scan": 5}
PATHS = {"study": 6, "slide": 7, "scan": 8, "file beside slices": 9}
_OF_DICOM = {tag: 10 + n for n, tag in enumerate(DICOM)}
_PRIVATE, _NESTED, _OF_REGION, _ROI = 30, 31, 32, 36
_OF_SVS = {key: 40 + n for n, key in enumerate(SVS)}
_OME = {"image": 46, "description": 47, "experimenter": 48, "annotation": 49, "instrument": 50}
PLACES = len(TABLES) + len(PATHS) + len(DICOM) + 2 + len(OF_REGION) + 1 + len(SVS) + len(_OME)


def plant(folder: Path) -> Path:
    """Plant them in a study, and give it a name of its own; where it lies then."""
    _in_tables(folder)
    for path in sorted(folder.glob("scans/*/CT/*.dcm")):
        _in_slice(path)
    for path in sorted(folder.glob("scans/*/lesion.dcm")):
        _in_regions(path)
    for path in sorted(folder.glob("slides/he*.svs")):
        _in_svs(path)
    _in_ome(folder / "slides" / "if.ome.tif")
    _in_paths(folder)
    moved = folder.with_name(canary(PATHS["study"]))
    folder.rename(moved)
    return moved


def _in_tables(folder: Path) -> None:
    patients = pd.read_csv(folder / "patients.csv", dtype=str)
    patients[canary(TABLES["header"])] = canary(TABLES["cell"])
    patients.loc[len(patients) - 1, "age"] = canary(TABLES["bad cell"])
    patients.to_csv(folder / "patients.csv", index=False)
    for name, whose in (("slides", "stranger's slide"), ("scans", "stranger's scan")):
        table = pd.read_csv(folder / f"{name}.csv", dtype=str)
        table["remark"] = canary(TABLES["cell"])
        strange = table.iloc[[0]].assign(patient=canary(TABLES[whose]))
        pd.concat([table, strange]).to_csv(folder / f"{name}.csv", index=False)


def _in_slice(path: Path) -> None:
    data = dcmread(path)
    for tag, number in _OF_DICOM.items():
        setattr(data, tag, canary(number))
    block = data.private_block(0x0011, "A SCANNER", create=True)
    block.add_new(0x01, "LO", canary(_PRIVATE))
    nested = Dataset()
    nested.RequestedProcedureDescription = canary(_NESTED)
    data.RequestAttributesSequence = Sequence([nested])
    data.save_as(path)


def _in_regions(path: Path) -> None:
    data = dcmread(path)
    for n, tag in enumerate(OF_REGION):
        setattr(data, tag, canary(_OF_REGION + n))
    for roi in data.get("StructureSetROISequence", ()):
        roi.ROIDescription = canary(_ROI)
    data.save_as(path)


def _in_svs(path: Path) -> None:
    with tifffile.TiffFile(path) as file:
        said = file.pages.first.description
    more = "".join(f"|{key} = {canary(n)}" for key, n in _OF_SVS.items())
    tifffile.tiffcomment(path, f"{said}{more}".encode())


def _in_ome(path: Path) -> None:
    with tifffile.TiffFile(path) as file:
        xml = file.pages.first.description
    who = canary(_OME["experimenter"])
    people = f'<Experimenter ID="Experimenter:0" LastName="{who}" UserName="{who}"/>'
    tool = f'<Instrument ID="Instrument:0"><Microscope Model="{canary(_OME["instrument"])}"/>'
    xml = xml.replace("<Image ", f"{people}{tool}</Instrument><Image ", 1)
    xml = re.sub(r'<Image ([^>]*?)Name="[^"]*"', rf'<Image \1Name="{canary(_OME["image"])}"', xml)
    said = f"<Description>{canary(_OME['description'])}</Description>"
    xml = re.sub(r"(<Image [^>]*>)", rf"\1{said}", xml, count=1)
    note = f'<CommentAnnotation ID="Annotation:9"><Value>{canary(_OME["annotation"])}</Value>'
    kept = f"<StructuredAnnotations>{note}</CommentAnnotation></StructuredAnnotations>"
    xml = xml.replace("</OME>", f"{kept}</OME>")
    tifffile.tiffcomment(path, xml.encode())


def _in_paths(folder: Path) -> None:
    slide, scan = canary(PATHS["slide"]), canary(PATHS["scan"])
    slides = pd.read_csv(folder / "slides.csv", dtype=str)
    (folder / "slides" / "he.svs").rename(folder / "slides" / f"{slide}.svs")
    slides["file"] = slides["file"].replace("he.svs", f"{slide}.svs")
    slides.loc[len(slides) - 1, "file"] = f"{slide}-2.svs"  # the stranger's: it is not there
    slides.to_csv(folder / "slides.csv", index=False)
    scans = pd.read_csv(folder / "scans.csv", dtype=str)
    first = str(scans["path"].iloc[0]).partition("/")[0]
    (folder / "scans" / first).rename(folder / "scans" / scan)
    scans["path"] = scans["path"].str.replace(first, scan)
    scans.to_csv(folder / "scans.csv", index=False)
    beside = f"{canary(PATHS['file beside slices'])}.txt"
    (folder / "scans" / scan / "CT" / beside).write_text("not a slice", "utf-8")


def found_in(folder: Path) -> dict[str, set[str]]:
    """Canary → the files below a folder, or their names, that hold it."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file():
            content = [name.encode()]
        else:
            content = [name.encode(), *_contents(path)]
        for part in content:
            for seen in _SEEN.findall(part):
                found.setdefault(seen.decode().casefold(), set()).add(name)
    return found


def _contents(path: Path) -> list[bytes]:
    raw = path.read_bytes()
    if path.suffix == ".parquet":
        return [raw, pd.read_parquet(path).reset_index().to_csv().encode()]
    if path.suffix == ".pdf":
        streams = re.findall(rb"stream\r?\n(.*?)endstream", raw, re.DOTALL)
        return [raw, *(_inflated(s) for s in streams)]
    return [raw]


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream)
    except zlib.error:
        return b""
