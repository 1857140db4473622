"""A report or a mask that differs from the study's in anything is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from exchange_made import ALGORITHM, MADE, RESULTS, lesion_on, scanned
from metasight.errors import StudyError
from metasight.exchange.contents import Interval
from metasight.exchange.lesion_segmentation import lesion_segmentation
from metasight.exchange.measurement_report import Lesion, measurement_report
from metasight.exchange.reading_back import check_report, check_segmentation, measurements_in
from metasight.volumes.volume import Mask


@pytest.fixture
def objects(tmp_path):
    volume, source = scanned(tmp_path / "ct")
    mask = lesion_on(volume)
    seg = lesion_segmentation(mask, source, ALGORITHM, made=MADE, drawn_by_hand=False)
    lesion = Lesion(segmentation=seg, source=source, grid=mask.grid)
    return mask, seg, measurement_report(RESULTS, lesion, pet=None, made=MADE)


def changed(**what):
    first, *rest = RESULTS.measurements
    return replace(RESULTS, measurements=(replace(first, **what), *rest))


@pytest.mark.parametrize(
    "other",
    [
        changed(value=np.nextafter(RESULTS.measurements[0].value, 100)),
        changed(interval=None),
        changed(interval=Interval(lower=1, upper=40, kind="k")),
        changed(code=RESULTS.measurements[2].code),
        changed(name="another"),
        replace(RESULTS, measurements=RESULTS.measurements[1:]),
        replace(RESULTS, risks=RESULTS.risks[1:]),
    ],
    ids=["value", "no interval", "interval", "unit", "name", "one more", "risk"],
)
def test_another_report_is_refused(objects, other) -> None:
    check_report(objects[2], RESULTS)
    with pytest.raises(StudyError, match="does not read back"):
        check_report(objects[2], other)


def test_another_mask_is_refused(objects) -> None:
    mask, seg, _ = objects
    check_segmentation(seg, mask)
    other = mask.array.copy()
    other[4, 40, 60] = False
    with pytest.raises(StudyError, match="does not read back"):
        check_segmentation(seg, Mask.from_array(other, on=mask))


def test_one_identifier_twice_is_refused(objects) -> None:
    root = Dataset()
    item = next(i for i in numbers(objects[2]))
    root.ContentSequence = [item, item]
    with pytest.raises(StudyError, match="two measurements have one identifier"):
        measurements_in(root)


def numbers(node):
    for item in node.get("ContentSequence") or ():
        if item.ValueType == "NUM":
            yield item
        yield from numbers(item)
