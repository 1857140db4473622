"""What was written read back from the file before it is handed on.

The measurement report is read by its elements, not by the library that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 (the name its manual uses)
from pydicom.dataset import Dataset

from metasight.errors import StudyError
from metasight.exchange.contents import Interval, PatientResults
from metasight.volumes.dicom_seg import read_segment
from metasight.volumes.volume import Mask, ScanFacts, Volume

_TRACKING, _UPPER, _LOWER = "112039", "371886008", "371885007"
_ROUNDING = 1e-9
"""Share by which an interval's end may differ: it is written as its distance from the value."""


@dataclass(frozen=True, kw_only=True)
class ReadMeasurement:
    """A measurement as a report states it.

    Attributes
    ----------
    concept
        Scheme and value of its code.
    value
        In ``unit``.
    unit
        UCUM.
    lower, upper
        Ends of its interval; None where the report states none.
    """

    concept: tuple[str, str]
    value: float
    unit: str
    lower: float | None = None
    upper: float | None = None


def measurements_in(report: Dataset) -> dict[str, ReadMeasurement]:
    """Measurements of a report by their tracking identifier.

    Raises
    ------
    StudyError
        Two have the same one.
    """
    found: dict[str, ReadMeasurement] = {}
    for item in _items(report):
        name = _tracking(item) if item.ValueType == "NUM" else ""
        if not name:
            continue
        if name in found:
            raise StudyError("two measurements have one identifier", where="SR", value=name)
        found[name] = _read(item)
    return found


def texts_in(report: Dataset) -> tuple[str, ...]:
    """What a report says in words."""
    return tuple(
        str(i.TextValue) for i in _items(report) if i.ValueType == "TEXT" and "TextValue" in i
    )


def check_report(report: Dataset, results: PatientResults) -> None:
    """Refuse a report that does not state what the study found.

    Raises
    ------
    StudyError
        A measurement or a risk is missing, is another, or has another unit or interval.
    """
    stated = measurements_in(report)
    wanted = {m.name: (m.value, m.code.unit.value, m.interval) for m in results.measurements}
    wanted |= {r.name: (r.value, r.code.unit.value, r.interval) for r in results.risks}
    wrong = sorted(wanted.keys() ^ stated.keys())
    wrong += [n for n, w in wanted.items() if n in stated and not _same(stated[n], *w)]
    if wrong:
        raise StudyError(
            "the measurement report does not read back as it was written",
            where=results.patient,
            value=", ".join(wrong[:5]),
            remedy="Report this: it is a fault in metasight",
        )


def check_segmentation(data: Dataset, mask: Mask) -> None:
    """Refuse a segmentation that does not hold the mask, voxel for voxel on its grid.

    Raises
    ------
    StudyError
        It holds another mask.
    VolumeError
        It is not on the grid.
    """
    image = sitk.Cast(mask.image, sitk.sitkFloat32)
    facts = ScanFacts(frame_of_reference=str(data.get("FrameOfReferenceUID", "")))
    volume = Volume(image=image, unit="probability", facts=facts)
    if not np.array_equal(read_segment(data, 1, volume).array, mask.array):
        raise StudyError(
            "the segmentation does not read back as it was written",
            remedy="Report this: it is a fault in metasight",
        )


def _same(stated: ReadMeasurement, value: float, unit: str, interval: Interval | None) -> bool:
    if stated.value != value or stated.unit != unit:
        return False
    if interval is None or stated.lower is None or stated.upper is None:
        return interval is None and stated.lower is None and stated.upper is None
    ends = ((stated.lower, interval.lower), (stated.upper, interval.upper))
    return all(abs(a - b) <= _ROUNDING * max(abs(value), abs(b)) for a, b in ends)


def _items(node: Dataset) -> Iterator[Dataset]:
    for item in node.get("ContentSequence") or ():
        yield item
        yield from _items(item)


def _tracking(item: Dataset) -> str:
    for own in item.get("ContentSequence") or ():
        if own.ConceptNameCodeSequence[0].get("CodeValue") == _TRACKING:
            return str(own.TextValue)
    return ""


def _read(item: Dataset) -> ReadMeasurement:
    name, (value, unit) = item.ConceptNameCodeSequence[0], _number(item)
    ends = {
        own.ConceptNameCodeSequence[0].get("CodeValue"): _number(own)[0]
        for own in item.ContentSequence
        if own.ValueType == "NUM"
    }
    return ReadMeasurement(
        concept=(str(name.CodingSchemeDesignator), str(name.CodeValue)),
        value=value,
        unit=unit,
        lower=value - ends[_LOWER] if _LOWER in ends else None,
        upper=value + ends[_UPPER] if _UPPER in ends else None,
    )


def _number(item: Dataset) -> tuple[float, str]:
    """Value and unit; the number in full where the report has it, not its 16 characters."""
    measured = item.MeasuredValueSequence[0]
    unit = measured.MeasurementUnitsCodeSequence[0]
    value = measured.get("FloatingPointValue", measured.NumericValue)
    return float(value), str(unit.get("CodeValue") or unit.get("LongCodeValue"))
