"""Texts that identify somebody, each of one field, planted wherever inputs of a study have room.

Of ``bench/canaries_planted.py``, which looks for them in whatever comes out.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(1, str(ROOT / "tests"))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pydicom  # noqa: E402
import tifffile  # noqa: E402
from pydicom.datadict import dictionary_VR  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

from metasight.deidentify.actions import table  # noqa: E402

_TEXTS = frozenset(("LO", "SH", "PN", "LT", "ST", "UT", "UC", "AE"))
_NEEDED = frozenset(
    ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "ROIName", "CodeMeaning")
)
"""Texts that metasight reads, each planted in one patient's files alone."""


class Planter:
    """Hands out canaries, each for one field.

    Attributes
    ----------
    fields
        Canary, in small letters → place, field.
    """

    def __init__(self) -> None:
        self.fields: dict[str, tuple[str, str]] = {}

    def __call__(self, place: str, field: str) -> str:
        """The canary of a field; the same for the same field."""
        for known, at in self.fields.items():
            if at == (place, field):
                return known.capitalize()
        made = f"Kanari{len(self.fields):03d}x"
        self.fields[made.casefold()] = (place, field)
        return made


# ------------------------------------------------------------------ DICOM


def in_dicom(data: Dataset, plant: Planter, place: str, *, also: bool = False) -> None:
    """Every text element of PS3.15's table, every text there, private and nested ones, odd bytes.

    ``also``: texts that metasight reads are replaced too.
    """
    for tag in table():
        if tag.startswith(("0000", "0002")) or not re.fullmatch("[0-9A-Fa-f]{8}", tag):
            continue
        try:
            vr = dictionary_VR(int(tag, 16))
        except KeyError:
            continue
        if vr in _TEXTS:
            data.add_new(int(tag, 16), vr, plant(place, f"({tag})"))
    for element in list(data):
        text = element.VR in _TEXTS and element.keyword != "Modality"
        if text and (also or element.keyword not in _NEEDED):
            element.value = plant(place, element.keyword or str(element.tag))
    for n, creator in enumerate(("A SCANNER", "GEMS_ACQU_01", "SIEMENS CT VA0 COAD")):
        block = data.private_block(0x0011 + 2 * n, creator, create=True)
        block.add_new(0x01, "LO", plant(place, f"private {creator}"))
        block.add_new(0x02, "UN", plant(place, f"private bytes {creator}").encode())
    item = Dataset()
    item.PatientComments = plant(place, "nested 3 deep")
    for depth in (2, 1):
        outer = Dataset()
        outer.RequestedProcedureDescription = plant(place, f"nested {depth} deep")
        outer.private_block(0x0013, "CTP", create=True).add_new(
            1, "LO", plant(place, f"private {depth} deep")
        )
        outer.RequestAttributesSequence = Sequence([item])
        item = outer
    data.RequestAttributesSequence = Sequence([item])
    data.add_new(0x60003000, "OW", plant(place, "overlay").encode().ljust(12, b"\0"))
    data.add_new(0x60004000, "LO", plant(place, "overlay comment"))
    data.add_new(0x00080FFE, "LO", plant(place, "unknown element"))
    data.add_new(0xFFFCFFFC, "OB", plant(place, "trailing").encode().ljust(12, b"\0"))
    data.file_meta.SourceApplicationEntityTitle = plant(place, "file meta")
    data.preamble = plant(place, "preamble").encode().ljust(128, b"\0")


def in_file(path: Path, plant: Planter, place: str, *, also: bool = False) -> None:
    data = pydicom.dcmread(path)
    in_dicom(data, plant, place, also=also)
    for roi in data.get("StructureSetROISequence", ()):
        roi.ROIDescription = plant(place, "ROI description")
    for segment in data.get("SegmentSequence", ()):
        segment.SegmentDescription = plant(place, "segment description")
    data.save_as(path)


# ------------------------------------------------------------------ slides


def write_svs(path: Path, image: np.ndarray, plant: Planter) -> Path:
    """An Aperio slide with label and macro image, every text of it a canary."""
    p = "slide svs"
    keys = ("User", "Filename", "ScanScope ID", "Title", "Barcode", "ImageID", "OriginalDesc")
    more = "".join(f"|{k} = {plant(p, k)}" for k in keys)
    said = f"Aperio Image Library {plant(p, 'version line')}\n{image.shape[1]}x{image.shape[0]}"
    said += f"|AppMag = 20|MPP = 0.5{more}|ICC Profile = {plant(p, 'ICC name')}"
    tags = [
        (code, 2, 0, plant(p, name), True)
        for code, name in (
            *((269, "DocumentName"), (285, "PageName"), (315, "Artist"), (316, "HostComputer")),
            *((33432, "Copyright"), (65000, "private tag"), (700, "XMP")),
        )
    ]
    profile = b"\0" * 128 + plant(p, "ICC profile").encode()
    options = {"photometric": "rgb", "metadata": None, "software": plant(p, "Software")}
    with tifffile.TiffWriter(path) as out:
        out.write(
            image,
            tile=(256, 256),
            compression="jpeg",
            description=said,
            extratags=tags,
            iccprofile=profile,
            **options,
        )
        out.write(image[::4, ::4], tile=(256, 256), compression="jpeg", description=said, **options)
        for name in ("label", "macro"):
            words = f"Aperio\n{name} 60x60|Barcode = {plant(p, f'{name} description')}"
            out.write(
                image[:60, :60],
                compression="lzw",
                description=words,
                subfiletype=1 if name == "label" else 9,
                extratags=[(65001, 2, 0, plant(p, f"{name} tag"), True)],
                **options,
            )
    with path.open("ab") as file:
        file.write(plant(p, "bytes behind the file").encode())
    return path


def in_ome(path: Path, plant: Planter) -> None:
    """Every text that OME has for people, places and remarks."""
    p = "slide ome"
    with tifffile.TiffFile(path) as file:
        xml = file.pages.first.description
    who, tool = plant(p, "experimenter"), plant(p, "instrument")
    people = f'<Experimenter ID="Experimenter:0" LastName="{who}" UserName="{who}"/>'
    people += f'<Instrument ID="Instrument:0"><Microscope Model="{tool}"/></Instrument>'
    xml = xml.replace("<Image ", f"{people}<Image ", 1)
    xml = re.sub(r'<Image ([^>]*?)Name="[^"]*"', rf'<Image \1Name="{plant(p, "image")}"', xml)
    said = f"<Description>{plant(p, 'description')}</Description>"
    xml = re.sub(r"(<Image [^>]*>)", rf"\1{said}", xml, count=1)
    note = f'<CommentAnnotation ID="Annotation:9"><Value>{plant(p, "annotation")}</Value>'
    kept = f"<StructuredAnnotations>{note}</CommentAnnotation></StructuredAnnotations>"
    tifffile.tiffcomment(path, xml.replace("</OME>", f"{kept}</OME>").encode())


# ------------------------------------------------------------------ tables


def write_book(table: pd.DataFrame, path: Path, plant: Planter) -> None:
    """A workbook with texts in every place that is no value of the study."""
    import openpyxl
    from openpyxl.comments import Comment
    from openpyxl.workbook.defined_name import DefinedName

    p = "table xlsx"
    table = table.assign(**{plant(p, "header"): plant(p, "cell"), "remark": plant(p, "name")})
    table.to_excel(path, index=False, sheet_name=plant(p, "sheet name"))
    book = openpyxl.load_workbook(path)
    sheet = book.active
    assert sheet is not None
    sheet["B2"].comment = Comment(plant(p, "comment"), plant(p, "comment's author"))
    sheet.oddHeader.center.text = plant(p, "page header")
    hidden = book.create_sheet(plant(p, "hidden sheet name"))
    hidden["A1"], hidden.sheet_state = plant(p, "hidden cell"), "hidden"
    book.defined_names["a"] = DefinedName("a", attr_text=f'"{plant(p, "defined name")}"')
    for name in ("creator", "title", "description", "subject", "keywords", "lastModifiedBy"):
        setattr(book.properties, name, plant(p, f"property {name}"))
    book.save(path)


def csv_with(table: pd.DataFrame, path: Path, plant: Planter, place: str) -> None:
    """A CSV with a column that the study does not read."""
    table = table.assign(**{plant(place, "header"): plant(place, "cell")})
    table.to_csv(path, index=False)
