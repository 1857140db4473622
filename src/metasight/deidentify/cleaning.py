"""One DICOM data set made anew from what may stay of it.

Nothing is crossed out: an element is written because a rule lets it, and what no rule knows is left
behind. The rules go beyond the table where it is silent: text that is not on the list of harmless
ones is replaced, every UID that is not the standard's own and every date is treated as one of the
table's, and bytes are kept only where they are pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VM
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from metasight.deidentify import codes
from metasight.deidentify.actions import Action, action_of, listed, safe_private
from metasight.deidentify.dates import shifted
from metasight.deidentify.identifiers import Names
from metasight.deidentify.key import Key
from metasight.volumes import vocabulary

REMOVED = "REMOVED"
_TEXT = listed("AE LO LT PN SH ST UC UR UT")
_DATES = frozenset(("DA", "DT", "TM"))
_NUMBERS = listed("AT DS FD FL IS SL SS SV UL US UV OD OF OL OV")
_BYTES = frozenset(("OB", "OW", "UN"))
_KEPT_TEXT = listed(
    "Manufacturer ManufacturerModelName SoftwareVersions ConvolutionKernel FilterType "
    "ReconstructionMethod AttenuationCorrectionMethod ScatterCorrectionMethod SequenceName "
    "PulseSequenceName OpticalPathIdentifier CodingSchemeDesignator CodingSchemeVersion RescaleType"
)
"""Texts outside the table that figures rest on and that scanners write, not people."""
_KEPT_BYTES = listed(
    "PixelData RedPaletteColorLookupTableData GreenPaletteColorLookupTableData "
    "BluePaletteColorLookupTableData LUTData PaletteColorLookupTableData"
)
_STANDARD_UIDS = ("1.2.840.10008.", "2.16.840.1.113883.6.")
"""DICOM's own, and HL7's of public coding schemes."""
_CLASS_UIDS = frozenset(("SOPClassUID", "ReferencedSOPClassUID"))
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}", re.IGNORECASE)
_FREE_CODES = ("ID", "Label", "Description")
"""Ends of keywords of code strings that people or programs make up."""
_SHORT_TEXT = re.compile(r"[\x20-\x7e]{0,64}")
_DECIMAL = re.compile(r"[-+]?\d*\.?\d*(?:[eE][-+]?\d+)?")
_AGE = re.compile(r"\d{3}[DWMY]")
_RATIO = re.compile(r"[-+0-9.eE]+(?::[-+0-9.eE]+)?")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What the elements of one file are replaced by.

    Attributes
    ----------
    key
        Of the de-identification.
    patient_id
        As the file has it; decides on the pseudonym and the shift.
    names
        Of whoever is named in the file.
    """

    key: Key
    patient_id: str
    names: Names


def cleaned(data: Dataset, rules: Rules) -> Dataset:
    """A new data set with what may stay.

    Parameters
    ----------
    data
        As read; nothing of it is changed.
    rules
        Of its patient.

    Raises
    ------
    ValueError
        A number is none: the file is damaged.
    """
    new = Dataset()
    for element in data:
        made = _made(data, element, rules)
        if made is not None:
            new.add(made)
    codes.reword(new)
    _with_regions(new, data)
    _add_safe_private(new, data, rules)
    return new


def _made(data: Dataset, element: DataElement, rules: Rules) -> DataElement | None:
    tag, vr = element.tag, element.VR
    if tag.is_private or tag.element == 0 or not dictionary_has_tag(tag):
        return None
    action = action_of(int(tag), is_sequence=vr == "SQ")
    if action in (None, Action.WALK) and vr == "SQ":
        items = Sequence([cleaned(item, rules) for item in element.value])
        return DataElement(tag, vr, items)
    if action is None:
        return _unlisted(element, rules)
    if action is Action.REMOVE:
        return None
    if element.keyword in ("PatientID", "PatientName"):
        return DataElement(tag, vr, rules.key.patient(rules.patient_id))
    if action is Action.UID or vr == "UI":
        return _with_uids(element, rules)
    if action is Action.KEEP:
        return _characteristic(element)
    if action is Action.SHIFT:
        return _shifted(element, rules)
    if action is Action.EMPTY:
        return DataElement(tag, vr, Sequence() if vr == "SQ" else None)
    return DataElement(tag, vr, _dummy(element, rules))


def _unlisted(element: DataElement, rules: Rules) -> DataElement | None:
    """An element of which the table says nothing."""
    vr, keyword = element.VR, element.keyword
    if vr == "UI":
        return _with_uids(element, rules)
    if vr in _DATES:
        return _shifted(element, rules)
    if vr == "AS":
        return None
    if vr in _TEXT:
        if keyword in _KEPT_TEXT and all(
            _SHORT_TEXT.fullmatch(t) and not rules.names.are_in(t) for t in _values(element.value)
        ):
            return element
        if keyword in codes.KEYWORDS:
            # looked at together, when all of the item is there
            return DataElement(element.tag, vr, element.value)
        return DataElement(element.tag, vr, _dummy(element, rules))
    if vr == "CS":
        free = keyword.endswith(_FREE_CODES)
        kept = [
            t if _CODE.fullmatch(t) and not free and not rules.names.are_in(t) else REMOVED
            for t in _values(element.value)
        ]
        return DataElement(element.tag, vr, kept)
    if vr in _BYTES:
        return element if keyword in _KEPT_BYTES else None
    if vr in _NUMBERS or keyword in _KEPT_BYTES:
        return _number(element)
    return None


def _number(element: DataElement) -> DataElement:
    """An element of numbers; a damaged length draws texts of its neighbours into it.

    Raises
    ------
    ValueError
        Its value is no number, or there are more than the standard has.
    """
    if element.VR in ("DS", "IS"):
        numbers = all(_DECIMAL.fullmatch(t.strip("\0 ")) for t in _values(element.value))
        if not numbers:
            raise ValueError("a text instead of a number")
    elif element.keyword not in _KEPT_BYTES:
        most = dictionary_VM(element.tag).rpartition("-")[2]
        if most.isdigit() and int(most) < element.VM:
            raise ValueError("more numbers than there can be")
    return element


def _with_uids(element: DataElement, rules: Rules) -> DataElement:
    def new(uid: str) -> str:
        if uid.startswith(_STANDARD_UIDS) or element.keyword in _CLASS_UIDS or not uid:
            return uid
        return rules.key.uid(uid)

    if element.VR != "UI":
        return DataElement(element.tag, element.VR, _dummy(element, rules))
    return DataElement(element.tag, "UI", [new(u) for u in _values(element.value)])


def _shifted(element: DataElement, rules: Rules) -> DataElement | None:
    if element.VR not in _DATES:
        # the offset from UTC, which is no date and tells a time zone
        return element if re.fullmatch(r"[+-]\d{4}", str(element.value or "")) else None
    days = rules.key.shift_days(rules.patient_id)
    moved = [shifted(t, element.VR, days) for t in _values(element.value)]
    if None in moved:
        return DataElement(element.tag, element.VR, None)
    return DataElement(element.tag, element.VR, moved)


def _characteristic(element: DataElement) -> DataElement:
    if element.VR in _NUMBERS:
        return _number(element)
    if element.VR == "AS" and not _AGE.fullmatch(str(element.value or "")):
        return DataElement(element.tag, "AS", None)
    if element.VR == "CS" and str(element.value) not in {"M", "F", "O", "YES", "NO", "UNKNOWN"}:
        return DataElement(element.tag, "CS", None)
    return element


def _dummy(element: DataElement, rules: Rules) -> Any:
    """What a value is replaced by; empty stays empty, different texts stay different."""
    values = [v for v in _values(element.value) if v]
    if not values:
        return None
    if element.VR in ("LO", "SH", "UC"):
        return [rules.key.text("text", v) for v in values]
    if element.VR in _DATES or element.VR == "AS":
        return None
    if element.VR in ("DS", "IS"):
        return ["0"] * len(values)
    if element.VR in _NUMBERS:
        return 0
    if element.VR in _BYTES:
        return b"\0\0"
    return REMOVED


def _values(value: Any) -> Iterable[str]:
    if value is None:
        return []
    if isinstance(value, (list, tuple, MultiValue)):
        return [str(v) for v in value]
    return [str(value)]


def _with_regions(new: Dataset, data: Dataset) -> None:
    """Names of regions and segments: the field's own words, or a number."""
    if "ROINumber" in data and "ROIName" in data:
        known = vocabulary.region(str(data.ROIName).strip())
        new.ROIName = known or f"region {int(data.ROINumber)}"
    if "SegmentNumber" in data and "SegmentLabel" in data:
        known = vocabulary.region(str(data.SegmentLabel).strip())
        new.SegmentLabel = known or f"segment {int(data.SegmentNumber)}"


def _add_safe_private(new: Dataset, data: Dataset, rules: Rules) -> None:
    for safe in safe_private().values():
        try:
            element = data.private_block(safe.group, safe.creator)[safe.element]
        except KeyError:
            continue
        value = element.value
        if isinstance(value, bytes):
            value = value.decode("ascii", "replace").strip("\0 ")
        texts = list(_values(value))
        if safe.is_date:
            days = rules.key.shift_days(rules.patient_id)
            moved = [shifted(t, "DT", days) for t in texts]
            if moved and None not in moved:
                block = new.private_block(safe.group, safe.creator, create=True)
                block.add_new(safe.element, "DT", moved)
        elif texts and all(_RATIO.fullmatch(t.strip()) for t in texts):
            vr = element.VR if element.VR not in _BYTES else "LO"
            block = new.private_block(safe.group, safe.creator, create=True)
            block.add_new(safe.element, vr, value)
