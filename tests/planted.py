"""A CT of a made-up patient with a text that identifies him in every class of field.

For the tests of de-identification; ``CANARIES`` are the texts, by class.
"""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

import scan_files

CANARIES = {
    "name": "Kanarius",
    "given name": "Friedolin",
    "id": "MRN-4711-0815",
    "other id": "SVNR-9988776",
    "accession": "ACC5544332",
    "institution": "Klinikum Finkenstein",
    "physician": "Zeisiger",
    "station": "FINKCT02",
    "serial": "SER-778899",
    "address": "Vogelweide 12",
    "description": "Kontrolle bei Kanarius",
    "private": "Privatkanari",
    "nested": "Nestkanari",
    "file meta": "AEKANARI",
    "preamble": "Vorspannkanari",
    "overlay": "Overlaykanari",
    "curve": "Kurvenkanari",
    "unknown": "Fremdkanari",
    "code": "Schluesselkanari",
    "trailing": "Nachkanari",
    "unlisted": "Freikanari",
    "behind the pixels": "Pixelkanari",
}
STUDY_DATE, BIRTH_DATE = "20210317", "19520229"


def edit(data: Dataset, number: int) -> None:
    """Plant them in one slice."""
    c = CANARIES
    data.PatientName = f"{c['name']}^{c['given name']}"
    data.PatientID, data.OtherPatientIDs = c["id"], c["other id"]
    data.PatientBirthDate, data.PatientSex, data.PatientAge = BIRTH_DATE, "M", "069Y"
    data.AccessionNumber, data.InstitutionName = c["accession"], c["institution"]
    data.ReferringPhysicianName, data.OperatorsName = f"{c['physician']}^Otto", c["physician"]
    data.StationName, data.DeviceSerialNumber = c["station"], c["serial"]
    data.PatientAddress, data.StudyDescription = c["address"], c["description"]
    data.StudyDate = data.SeriesDate = data.AcquisitionDate = STUDY_DATE
    data.StudyTime, data.AcquisitionDateTime = "101112", f"{STUDY_DATE}101112.5+0100"
    data.PositionReferenceIndicator = c["name"]
    data.ContrastBolusRoute = c["unlisted"]
    data.private_block(0x0011, "A SCANNER", create=True).add_new(1, "LO", c["private"])
    data.private_block(0x0019, "GEMS_ACQU_01", create=True).add_new(0x23, "DS", "39.37")
    data.private_block(0x0019, "GEMS_ACQU_01").add_new(0x24, "LO", c["private"])
    deepest, middle, code = Dataset(), Dataset(), Dataset()
    deepest.RequestedProcedureDescription, deepest.PatientComments = c["nested"], c["name"]
    deepest.private_block(0x0013, "CTP", create=True).add_new(1, "LO", c["private"])
    middle.ReferencedImageSequence = Sequence([_reference(data)])
    middle.AnatomicRegionSequence = Sequence([code])
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "39607008", "SCT", c["code"]
    middle.RequestAttributesSequence = Sequence([deepest])
    data.ReferencedSeriesSequence = Sequence([middle])
    data.add_new(0x60003000, "OW", c["overlay"].encode() + b"\0")
    data.add_new(0x60004000, "LO", c["overlay"])
    data.add_new(0x50003000, "OB", c["curve"].encode())
    data.add_new(0x00080FFE, "LO", c["unknown"])
    data.add_new(0xFFFCFFFC, "OB", c["trailing"].encode())
    data.file_meta.SourceApplicationEntityTitle = c["file meta"]
    data.preamble = c["preamble"].encode().ljust(128, b"\0")
    data.PixelData += c["behind the pixels"].encode() + b"\0"


def _reference(data: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = data.SOPClassUID
    item.ReferencedSOPInstanceUID = data.SOPInstanceUID
    return item


def write_planted(folder: Path, n: int = 3, **tags: object) -> scan_files.Written:
    """A series in a folder that bears his name."""
    place = folder / "Kanarius_Friedolin" / "CT"
    return scan_files.write_ct(place, [2.5 * k for k in range(n)], edit=edit, **tags)


def leaks(folder: Path) -> dict[str, set[str]]:
    """Class → files that hold its text, in any usual encoding, or whose name does."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        raw = path.read_bytes() if path.is_file() else b""
        hay = (path.relative_to(folder).as_posix().encode() + raw).lower()
        for kind, text in (*CANARIES.items(), ("date", STUDY_DATE), ("birth", BIRTH_DATE)):
            for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
                if text.lower().encode(encoding) in hay:
                    found.setdefault(kind, set()).add(path.name)
    return found
