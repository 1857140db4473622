"""A PET series in SUV: what its DICOM headers say, checked for slips of units, and the voxels."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydicom.dataset import Dataset

from metasight.errors import VolumeError
from metasight.volumes.dicom import ReadSettings, header_unit, load_series
from metasight.volumes.headers import DAMAGE, NotASlice, read_dataset
from metasight.volumes.series import SeriesChoice, SeriesRule, choose_series, find_series
from metasight.volumes.suv import PetHeader, SuvKind, suv_factors
from metasight.volumes.volume import Volume

_PHILIPS = "Philips PET Private Group"
_GE = "GEMS_PETD_01"

# Outside these a number is in another unit: MBq or mCi for Bq, g or lb for kg.
_DOSE_BQ = (1e6, 1e10)
_HALF_LIFE_S = (60.0, 1e7)
_WEIGHT_KG = (20.0, 400.0)
DoseUnit = Literal["Bq", "kBq", "MBq", "mCi"]
BQ_PER: dict[DoseUnit, float] = {"Bq": 1.0, "kBq": 1e3, "MBq": 1e6, "mCi": 3.7e7}


def read_pet(
    path: Path,
    *,
    kind: SuvKind = "SUVbw",
    rule: SeriesRule | None = None,
    settings: ReadSettings | None = None,
    dose_unit: DoseUnit = "Bq",
    on_choice: Callable[[SeriesChoice], None] | None = None,
) -> Volume:
    """Read a PET series as SUV.

    Parameters
    ----------
    path
        Folder, zip archive or multi-frame file.
    kind
        By which body mass, see :func:`metasight.volumes.suv.suv_factors`.
    rule
        Which series; the default takes the attenuation-corrected PET of the widest coverage.
    settings
        What is put up with; the default is nothing.
    dose_unit
        That the scanners of a study write the injected activity in, where it is not DICOM's Bq. A
        number that is none in this unit is refused.
    on_choice
        Is told which series was chosen, before it is read.

    Raises
    ------
    VolumeError
        As :func:`metasight.volumes.dicom.read_series`, or the header does not say what SUV needs.
    """
    choice = choose_series(find_series(path), rule or SeriesRule(modality="PT"))
    if on_choice is not None:
        on_choice(choice)
    return load_pet(choice, kind=kind, settings=settings, dose_unit=dose_unit)


def load_pet(
    choice: SeriesChoice,
    *,
    kind: SuvKind = "SUVbw",
    settings: ReadSettings | None = None,
    dose_unit: DoseUnit = "Bq",
) -> Volume:
    """Read the pixels of a chosen PET series as SUV.

    Parameters
    ----------
    choice
        The series.
    kind, settings, dose_unit
        As of :func:`read_pet`.

    Raises
    ------
    VolumeError
        As :func:`read_pet`.
    """
    header_unit(choice.chosen)
    items = {h.item.number: h.item for h in choice.chosen.headers}
    headers: list[PetHeader] = []
    for item in items.values():
        data = read_dataset(item, pixels=False)
        if isinstance(data, NotASlice):
            raise VolumeError(
                "a slice cannot be read",
                where=str(item),
                value=data.reason,
                remedy="Copy or export the series again",
            )
        headers.append(pet_header(data, dose_unit=dose_unit))
    factors = dict(zip(items, suv_factors(headers, kind).tolist(), strict=True))
    return load_series(choice, settings=settings, factors=factors, unit=kind)


def pet_header(data: Dataset, *, dose_unit: DoseUnit = "Bq") -> PetHeader:
    """What SUV depends on, from one image's data set.

    Parameters
    ----------
    data
        The image's header.
    dose_unit
        Of the injected activity.

    Raises
    ------
    VolumeError
        A number, date or time that cannot be read, or one that is in another unit than DICOM's.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd but readable values
        try:
            return _header(data, dose_unit)
        except (*DAMAGE, OverflowError) as error:
            raise VolumeError(
                "a value that SUV depends on cannot be read",
                where="PET header",
                value=type(error).__name__,
                remedy="Export the series again",
            ) from error


def _header(data: Dataset, dose_unit: DoseUnit) -> PetHeader:
    tracer = (data.get("RadiopharmaceuticalInformationSequence") or [Dataset()])[0]
    offset = str(data.get("TimezoneOffsetFromUTC") or "")
    clock = str(tracer.get("RadiopharmaceuticalStartTime") or "").strip()
    return PetHeader(
        units=str(data.get("Units") or "").strip(),
        suv_type=str(data.get("SUVType") or "").strip(),
        decay_correction=str(data.get("DecayCorrection") or "").strip(),
        corrections=_texts(data.get("CorrectedImage")),
        series_time=moment(data.get("SeriesDate"), data.get("SeriesTime")),
        acquisition_time=moment(data.get("AcquisitionDate"), data.get("AcquisitionTime")),
        injection_time=date_time(tracer.get("RadiopharmaceuticalStartDateTime"), offset),
        injection_clock=seconds_of_day(clock) if clock else None,
        scan_time_ge=date_time(_private(data, 0x0009, _GE, 0x0D), offset),
        frame_reference_ms=_number(data.get("FrameReferenceTime")),
        frame_duration_ms=_number(data.get("ActualFrameDuration")),
        half_life_s=_within(
            tracer.get("RadionuclideHalfLife"), _HALF_LIFE_S, "tracer’s half-life", "s"
        ),
        dose_bq=_dose_bq(tracer.get("RadionuclideTotalDose"), dose_unit),
        weight_kg=_within(data.get("PatientWeight"), _WEIGHT_KG, "patient’s weight", "kg"),
        height_m=_number(data.get("PatientSize")) or None,
        sex=str(data.get("PatientSex") or "").strip(),
        decay_factor=_number(data.get("DecayFactor")),
        philips_suv=_philips(data, 0x00),
        philips_bqml=_philips(data, 0x09),
    )


def moment(date: Any, time: Any) -> datetime | None:
    """A DICOM date (DA) and time (TM) together; None if one of them is not said."""
    day, clock = str(date or "").strip(), str(time or "").strip()
    if not day or not clock:
        return None
    midnight = datetime.strptime(day[:10].replace(".", ""), "%Y%m%d")
    return midnight + timedelta(seconds=seconds_of_day(clock))


def seconds_of_day(clock: str) -> float:
    """A DICOM time (``HHMMSS.FFFFFF``, later parts may be left out) in seconds since midnight."""
    text = clock.strip().replace(":", "")
    whole, _, fraction = text.partition(".")
    if not whole.isdigit() or len(whole) not in (2, 4, 6) or (fraction and not fraction.isdigit()):
        raise ValueError("not a time")
    parts = [int(whole[i : i + 2]) for i in range(0, len(whole), 2)] + [0, 0]
    if parts[0] > 23 or parts[1] > 59 or parts[2] > 60:
        raise ValueError("not a time of day")
    return parts[0] * 3600 + parts[1] * 60 + parts[2] + float(f"0.{fraction or 0}")


def date_time(value: Any, offset: str) -> datetime | None:
    """A DICOM date and time (DT) in the data set's own time zone; None if not said.

    Parameters
    ----------
    value
        ``YYYYMMDDHHMMSS.FFFFFF&ZZXX``; without a zone it is in the data set's.
    offset
        The data set's zone as ``&ZZXX``; empty if not said, and then a zone in ``value`` is taken
        to be the same.
    """
    text = str(value or "").strip().strip("\x00")
    if not text:
        return None
    for sign in "+-":
        text, found, zone = text.partition(sign)
        if found:
            apart = _minutes(offset) - _minutes(sign + zone) if offset else 0
            break
    else:
        apart = 0
    found_moment = moment(text[:8], text[8:])
    return None if found_moment is None else found_moment + timedelta(minutes=apart)


def _minutes(zone: str) -> int:
    sign = -1 if zone[0] == "-" else 1
    return sign * (int(zone[1:3]) * 60 + int(zone[3:5]))


def _private(data: Dataset, group: int, creator: str, element: int) -> Any:
    """A private value of that creator; None if it is not there."""
    try:
        value = data.private_block(group, creator)[element].value
    except KeyError:
        return None
    return _plain(value)


def _philips(data: Dataset, element: int) -> float | None:
    """One of Philips' factors; de-identification may have removed the block's creator.

    Without any creator the block is Philips' if the manufacturer is, for then the place of its
    elements (7053,10xx) is the one that Philips writes.
    """
    value = _private(data, 0x7053, _PHILIPS, element)
    if value is None and "PHILIPS" in str(data.get("Manufacturer") or "").upper():
        owned = any((0x7053, place) in data for place in range(0x10, 0x100))
        if not owned and (0x7053, 0x1000 + element) in data:
            value = _plain(data[0x7053, 0x1000 + element].value)
    number = _number(value)
    if number is not None and not (math.isfinite(number) and number > 0):
        if number == 0:  # what Philips writes where there is no factor
            return None
        raise VolumeError(
            "Philips’ factor is not a number above 0",
            where="PET header",
            value=f"{number:g}",
            remedy="Export the series in BQML",
        )
    return number


def _plain(value: Any) -> Any:
    """A private value, which is bytes where its type was not written."""
    return (
        value.decode("ascii", errors="replace").strip("\x00 ")
        if isinstance(value, bytes)
        else value
    )


def _dose_bq(value: Any, unit: DoseUnit) -> float | None:
    number = _number(value)
    if number is None or number == 0:
        return None
    low, high = (limit / BQ_PER[unit] for limit in _DOSE_BQ)
    if not low <= number <= high:
        raise VolumeError(
            f"the injected activity is not in {unit}",
            where="PET header",
            value=f"{number:g}, expected {low:g} to {high:g}",
            remedy='Correct the header, or set pet_dose_unit = "MBq" (or kBq, mCi) under [scans] '
            "in study.toml if all scanners of the study write it so",
        )
    return number * BQ_PER[unit]


def _number(value: Any) -> float | None:
    return None if value is None or str(value).strip() == "" else float(value)


def _texts(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return (value,) if isinstance(value, str) else tuple(str(v) for v in value)


def _within(value: Any, limits: tuple[float, float], name: str, unit: str) -> float | None:
    """A positive number in the unit that DICOM prescribes; None if missing or 0."""
    number = _number(value)
    if number is None or number == 0:
        return None
    low, high = limits
    if not low <= number <= high:
        raise VolumeError(
            f"the {name} is not in {unit}",
            where="PET header",
            value=f"{number:g}, expected {low:g} to {high:g}",
            remedy="Correct the header, or leave PET out",
        )
    return number
