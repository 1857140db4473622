"""PET headers of a flat field of known SUV, and of what SUV cannot be computed from.

Every combination of decay correction, isotope and midnight; units, vendors, private fields, times
and slips of units beside them. ``bench/doors_volumes.py`` prints them with the other situations.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from doors_common import Situation
from pydicom.dataset import Dataset

from metasight.cohort.scan_table import SeriesRow
from metasight.cohort.settings import ScanSettings
from metasight.errors import VolumeError
from metasight.steps.scans.reading import read_suv
from scan_files import Field, write_pet

SETTINGS = ScanSettings(path="scans.csv", id="patient")
SECRETS = ("Secret", "4711", "Meier", "1952")


# ------------------------------------------------------------------ outcomes


def refused(work: Callable[[], Any], word: str) -> str:
    """Right if it is refused for what is wrong, with a remedy and without text of the file."""
    try:
        found = work()
    except VolumeError as error:
        told = str(error)
        if word not in told:
            return f"wrong: refused for another reason: {told}"
        if not error.remedy:
            return f"wrong: no remedy: {told}"
        if any(secret in told for secret in SECRETS):
            return f"wrong: repeats text of the file: {told}"
        return f"refused: {told}"
    return f"wrong: read as {found}"


def near(found: float, expected: float, share: float, what: str) -> str:
    """Right if a number is within a share of what it must be."""
    if abs(found / expected - 1) <= share:
        return "right"
    return f"wrong: {what} {found:.4g}, not {expected:.4g}"


# ------------------------------------------------------------------ PET


def suv_of(work: Path, field: Field, edit: Any = None, unit: Any = "Bq", kind: str = "") -> float:
    write_pet(work / "pet", field, edit=edit)
    settings = SETTINGS if not kind else SETTINGS.model_copy(update={"suv": kind})
    pet = read_suv(
        work / "pet", settings, named=SeriesRow(), dose_unit=unit, on_choice=lambda _: None
    )
    spread = float(np.ptp(pet.array)) / float(pet.array.mean())
    return float(pet.array.mean()) if spread < 0.01 else float("nan")


def flat(field: Field, edit: Any = None, **told: Any) -> Callable[[Path], str]:
    return lambda work: near(suv_of(work, field, edit, **told), field.suv, 0.01, "SUV")


def no_suv(word: str, edit: Any, field: Field | None = None, **told: Any) -> Callable[[Path], str]:
    return lambda work: refused(lambda: suv_of(work, field or Field(), edit, **told), word)


def set_tags(**tags: Any) -> Callable[[Dataset, int], None]:
    def edit(data: Dataset, _: int) -> None:
        for tag, value in tags.items():
            setattr(data, tag, value)

    return edit


def tracer(**tags: Any) -> Callable[[Dataset, int], None]:
    def edit(data: Dataset, _: int) -> None:
        for tag, value in tags.items():
            setattr(data.RadiopharmaceuticalInformationSequence[0], tag, value)

    return edit


def with_date(injected: str) -> Callable[[Dataset, int], None]:
    def edit(data: Dataset, _: int) -> None:
        own = data.RadiopharmaceuticalInformationSequence[0]
        del own.RadiopharmaceuticalStartTime
        own.RadiopharmaceuticalStartDateTime = injected

    return edit


def rewritten(ge: str = "") -> Callable[[Dataset, int], None]:
    """The series was written anew five hours later; GE keeps the scan's start in its own field."""

    def edit(data: Dataset, _: int) -> None:
        data.SeriesTime = "170000"
        if ge:
            data.Manufacturer = "GE MEDICAL SYSTEMS"
            data.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", ge)

    return edit


def philips(*, creator: bool, suv: bool, maker: str = "Philips") -> Callable[[Dataset, int], None]:
    """Counts with Philips' factors: 1000 counts are 3 SUV or 14,583 Bq/ml at the scan's start."""
    field = Field()

    def edit(data: Dataset, _: int) -> None:
        data.Manufacturer, data.Units, data.RescaleSlope = maker, "CNTS", 1
        if creator:
            data.add_new((0x7053, 0x0010), "LO", "Philips PET Private Group")
        if suv:
            data.add_new((0x7053, 0x1000), "DS", "0.003")
        data.add_new((0x7053, 0x1009), "DS", f"{field.bqml(0) / 1000:.10g}")

    return edit


def in_grams_per_ml(suv_type: str, factor: float, units: str = "GML") -> Any:
    def edit(data: Dataset, _: int) -> None:
        data.Units, data.RescaleSlope = units, f"{factor * 3.0 / 1000:.12g}"[:16]
        data.SUVType = suv_type

    return edit


def decay_factor(kind: str) -> Callable[[Dataset, int], None]:
    field = Field()

    def edit(data: Dataset, k: int) -> None:
        since = (k * field.beds // 10 + 0.5) * field.frame_s
        since += field.uptake_s if kind == "ADMIN" else 0.0
        data.DecayFactor = f"{2 ** (since / field.half_life_s):.8g}"

    return edit


HALF_LIVES = {"F-18": 6586.2, "C-11": 1223.4, "Ga-68": 4057.7}
DAYS = {"at noon": ("20200301", "120000"), "past midnight": ("20200301", "002000")}


def flat_fields() -> list[Situation]:
    found = []
    for decay, (isotope, seconds), (when, start) in product(
        ("START", "ADMIN", "NONE"), HALF_LIVES.items(), DAYS.items()
    ):
        field = Field(decay=decay, half_life_s=seconds, start=start)
        name = f"PET BQML, {decay}, {isotope}, {when}"
        found.append(Situation(name=name, run=flat(field)))
    return found


def pet_situations() -> list[Situation]:
    weight, cm = Field().weight_kg, Field().height_m * 100
    janma = 9270 * weight / (8780 + 244 * weight / (cm / 100) ** 2)
    surface = 0.007184 * weight**0.425 * cm**0.725 * 10
    rows: dict[str, Callable[[Path], str]] = {
        "PET injection with its date": flat(Field(), with_date("20200301110000")),
        "PET injection in another time zone": flat(Field(), zoned),
        "PET rewritten later": flat(Field(), rewritten()),
        "PET rewritten later, GE's own start": flat(Field(), rewritten("20200301120000")),
        "PET height in cm": flat(Field(), set_tags(PatientSize=172)),
        "PET height 0.01": flat(Field(), set_tags(PatientSize=0.01)),
        "PET height in cm, lean body mass asked": no_suv(
            "height is not in m", set_tags(PatientSize=172), kind="SUVlbm"
        ),
        "PET weight in g": no_suv("weight is not in kg", set_tags(PatientWeight=70000)),
        "PET weight missing": no_suv("weight is missing", set_tags(PatientWeight=None)),
        "PET dose in MBq": no_suv("not in Bq", tracer(RadionuclideTotalDose=350)),
        "PET dose in MBq, said by the study": flat(
            Field(), tracer(RadionuclideTotalDose=350), unit="MBq"
        ),
        "PET half-life in hours": no_suv(
            "half-life is not in s", tracer(RadionuclideHalfLife=1.83)
        ),
        "PET injection after the scan": no_suv("impossible", with_date("20200301130000")),
        "PET not corrected for attenuation": no_suv(
            "not corrected for attenuation", set_tags(CorrectedImage=["DECY"])
        ),
        "PET decay correction contradicts itself": no_suv(
            "contradicts itself", set_tags(CorrectedImage=["ATTN"])
        ),
        "PET in an unknown unit": no_suv("unit", set_tags(Units="MEIER 1952")),
        "PET Philips, factor to SUV": flat(Field(), philips(creator=True, suv=True)),
        "PET Philips, factor to activity": flat(Field(beds=1), philips(creator=True, suv=False)),
        "PET Philips, creator removed": flat(Field(), philips(creator=False, suv=True)),
        "PET Philips, creator removed, activity": flat(
            Field(beds=1), philips(creator=False, suv=False)
        ),
        "PET counts at Philips' place of another vendor": no_suv(
            "no factor", philips(creator=False, suv=True, maker="SIEMENS")
        ),
        "PET in g/ml, body weight": flat(Field(), in_grams_per_ml("BW", 1.0)),
        "PET in g/ml, lean body mass (Janmahasatian)": flat(
            Field(), in_grams_per_ml("LBMJANMA", janma / weight)
        ),
        "PET in cm²/ml, body surface": flat(
            Field(), in_grams_per_ml("BSA", surface / weight, "CM2ML")
        ),
        "PET in g/ml, lean body mass of a man, which is not said": no_suv(
            "120 or 128", in_grams_per_ml("LBM", 0.7), Field(sex="M")
        ),
        "PET decay factor agrees with START": flat(Field(), decay_factor("START")),
        "PET decay factor of ADMIN under START": no_suv(
            "decay factor contradicts", decay_factor("ADMIN")
        ),
        "PET one slice's slope of 1e30": no_suv(
            "no SUVbw scale has",
            lambda data, k: setattr(data, "RescaleSlope", "1e30") if k == 4 else None,
        ),
    }
    return [Situation(name=name, run=run) for name, run in rows.items()]


def one_steep_slice(data: Dataset, k: int) -> None:
    if k == 4:
        data.RescaleSlope = "1e30"


def zoned(data: Dataset, k: int) -> None:
    data.TimezoneOffsetFromUTC = "+0200"
    with_date("20200301090000+0000")(data, k)
