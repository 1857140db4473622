"""Factors of real headers (cornerstonejs/calculate-suv, MIT) and a published SUV image."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from metasight.errors import VolumeError
from metasight.volumes.masks import read_mask
from metasight.volumes.nifti import read_nifti
from metasight.volumes.pet import date_time, moment, pet_header, read_pet, seconds_of_day
from metasight.volumes.suv import PetHeader, suv_factors

# test/calculateSUV_SampleData.test.ts
EXPECTED = {
    "PHILIPS_BQML": 0.0007463747013889488,
    "PHILIPS_CNTS_AND_BQML_SUV": 0.000551,
    "PHILIPS_CNTS_AND_SUV": 0.000728,
    "SIEMENS": 0.00042748316187197236,
    "GE_MEDICAL_AND_BQML": 0.0005367387681819742,
    "BQML_AC_DT_lessThan_S_DT_SIEMENS": 0.0004069156854009332,
    "CPS_AND_BQML_AC_DT_-_S_DT": 0.00026503312764157046,
    "RADIOPHARM_DATETIME_UNDEFINED": 0.0003721089202818729,
}
TRACER = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
)


def data_set(entry: dict[str, Any]) -> Dataset:
    """A DICOM data set of a header that is stored as JSON."""
    data, tracer = Dataset(), Dataset()
    for name, value in entry.items():
        if name == "PhilipsPETPrivateGroup":
            block = data.private_block(0x7053, "Philips PET Private Group", create=True)
            if "SUVScaleFactor" in value:
                block.add_new(0x00, "DS", value["SUVScaleFactor"].strip())
            if "ActivityConcentrationScaleFactor" in value:
                block.add_new(0x09, "DS", value["ActivityConcentrationScaleFactor"])
        elif name in TRACER:
            setattr(tracer, name, value.strip() if isinstance(value, str) else value)
        else:
            setattr(data, name, value)
    data.RadiopharmaceuticalInformationSequence = Sequence([tracer])
    return data


@pytest.mark.parametrize("name", EXPECTED)
def test_every_real_header_gives_its_factor(name: str, volumes: Path) -> None:
    file = volumes / "suv-metadata" / "test" / "metadata" / f"{name}-instances.json"
    headers = [pet_header(data_set(entry)) for entry in json.loads(file.read_text())]
    np.testing.assert_allclose(suv_factors(headers), EXPECTED[name], rtol=1e-6)


def made(**over: Any) -> PetHeader:
    """The header of test/calculateSUVScalingFactors.test.ts."""
    at = datetime(2020, 10, 23, 9, 54, 17)
    header = PetHeader(
        units="BQML",
        decay_correction="ADMIN",
        corrections=("ATTN", "DECY"),
        series_time=at,
        acquisition_time=at,
        injection_time=at,
        half_life_s=10.0,
        dose_bq=100.0,
        weight_kg=75.0,
        height_m=1.85,
        sex="M",
    )
    return replace(header, **over)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("SUVbw", 750.0),
        ("SUVbsa", 198.13758427117767),
        ("SUVlbm", 627.7757487216948),
        ("SUVlbmJanma", 609.1533588651974),
    ],
)
def test_every_kind_of_suv(kind: Any, expected: float) -> None:
    assert suv_factors([made()], kind)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"), [("SUVlbm", 559.2567567567568), ("SUVlbmJanma", 492.1437996837613)]
)
def test_lean_mass_of_women(kind: Any, expected: float) -> None:
    assert suv_factors([made(sex="F")], kind)[0] == pytest.approx(expected, rel=1e-12)


def test_units_and_philips_factors() -> None:
    assert suv_factors([made(units="GML")])[0] == 1.0
    counts = made(units="CNTS", philips_suv=0.000551, philips_bqml=1.602563)
    assert suv_factors([counts])[0] == 0.000551
    activity = made(units="CNTS", philips_suv=0.0, philips_bqml=1.602563, weight_kg=100.0)
    assert suv_factors([activity])[0] == pytest.approx(1602.563)


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"weight_kg": None}, "weight is missing"),
        ({"weight_kg": 0.0}, "weight is missing"),
        ({"dose_bq": None}, "activity is missing"),
        ({"half_life_s": None}, "half-life is missing"),
        ({"corrections": ("DECY",)}, "attenuation"),
        ({"corrections": ("ATTN",)}, "contradicts itself"),
        ({"units": "PROPCPS"}, "unit"),
        ({"units": "CNTS"}, "no factor"),
        ({"units": "GML", "suv_type": "LBM"}, "body measure is unknown"),
        ({"units": "GML", "suv_type": "MEIER"}, "text of the file, not shown"),
        ({"units": "CM2ML", "suv_type": "BW"}, "contradict each other"),
        ({"units": "GML", "suv_type": "BSA"}, "contradict each other"),
        ({"decay_correction": "LATER"}, "kind of decay"),
        ({"decay_correction": "START", "injection_time": None}, "injection is missing"),
        (
            {"decay_correction": "START", "injection_time": datetime(2020, 10, 23, 11, 54)},
            "impossible",
        ),
        (
            {"decay_correction": "START", "injection_time": datetime(2020, 10, 21, 9, 54)},
            "impossible",
        ),
        ({"decay_correction": "START", "series_time": None}, "when the scan began"),
    ],
)
def test_what_suv_cannot_be_computed_from_is_named(over: dict[str, Any], says: str) -> None:
    with pytest.raises(VolumeError, match=says):
        suv_factors([made(**over)])


def test_lean_mass_needs_height_and_sex() -> None:
    with pytest.raises(VolumeError, match="height"):
        suv_factors([made(height_m=None)], "SUVlbm")
    with pytest.raises(VolumeError, match="sex"):
        suv_factors([made(sex="O")], "SUVlbm")


def test_images_of_two_scans_are_not_mixed() -> None:
    with pytest.raises(VolumeError, match="differ") as caught:
        suv_factors([made(), made(half_life_s=11.0)])
    assert caught.value.value == "half life s"


def test_an_injection_before_midnight() -> None:
    scan = datetime(2021, 3, 2, 0, 20)
    header = made(
        decay_correction="START",
        series_time=scan,
        acquisition_time=scan,
        injection_time=None,
        injection_clock=23.5 * 3600,
        half_life_s=3000.0,
        dose_bq=1e8,
    )
    assert suv_factors([header])[0] == pytest.approx(75_000 / (1e8 * 0.5))  # 50 min


def test_a_series_written_later_uses_ge_s_own_start() -> None:
    began = datetime(2021, 3, 2, 10, 0)
    header = made(
        decay_correction="START",
        series_time=began + timedelta(hours=3),
        acquisition_time=began + timedelta(minutes=4),
        scan_time_ge=began,
        injection_time=began - timedelta(seconds=3000),
        half_life_s=3000.0,
        dose_bq=1e8,
    )
    assert suv_factors([header])[0] == pytest.approx(75_000 / (1e8 * 0.5))


def test_without_decay_correction_each_frame_has_its_own_factor() -> None:
    began = datetime(2021, 3, 2, 10, 0)
    frames = [
        made(
            decay_correction="NONE",
            corrections=("ATTN",),
            series_time=began,
            acquisition_time=began + timedelta(seconds=3000 * k),
            frame_duration_ms=1.0,
            injection_time=began,
            half_life_s=3000.0,
            dose_bq=1e8,
        )
        for k in range(3)
    ]
    np.testing.assert_allclose(suv_factors(frames), 75_000 / 1e8 * np.array([1, 2, 4]), rtol=1e-6)


@pytest.mark.parametrize(
    ("tag", "value", "unit"),
    [
        ("PatientWeight", "70000", "kg"),
        ("RadionuclideTotalDose", "350", "Bq"),
        ("RadionuclideHalfLife", "1.83", "s"),
    ],
)
def test_numbers_in_another_unit_are_refused(tag: str, value: str, unit: str) -> None:
    data = data_set({"Units": "BQML", tag: value})
    with pytest.raises(VolumeError, match=f"is not in {unit}"):
        pet_header(data)


def test_dates_and_times() -> None:
    assert seconds_of_day("101530.25") == 10 * 3600 + 15 * 60 + 30.25
    assert seconds_of_day("10") == 36000
    assert moment("20200102", "") is None
    assert moment("20200102", "0130") == datetime(2020, 1, 2, 1, 30)
    assert date_time("20200102083045.5 ", "") == datetime(2020, 1, 2, 8, 30, 45, 500000)
    # written in UTC while the data set's clock is two hours ahead
    assert date_time("20200102230000+0000", "+0200") == datetime(2020, 1, 3, 1, 0)
    with pytest.raises(ValueError, match="time of day"):
        seconds_of_day("2561")


def test_the_published_suv_image(sts001: Path, volumes: Path) -> None:
    ours = read_pet(sts001)
    folder = volumes / "pet-sts001"
    theirs = read_nifti(folder / "ibsi_validation_STS_001_PET_image.nii.gz", unit="SUVbw")
    x, y, z = np.rint(ours.grid.to_index(np.array(theirs.grid.origin_mm))).astype(int)
    nx, ny, nz = theirs.grid.size
    part = ours.array[z : z + nz, y : y + ny, x : x + nx]
    assert np.abs(part - theirs.array).max() <= 0.001
    published = read_mask(folder / "ibsi_validation_STS_001_PET_mask.nii.gz", theirs)
    assert part[published.array].max() == pytest.approx(7.911, abs=0.001)
    # the same region from its contours, on the whole scan
    drawn = read_mask(next(sts001.rglob("mask/*.dcm")), ours, region="GTV_Mass")
    assert drawn.n_voxels == published.n_voxels == 5095
    assert ours.array[drawn.array].max() == pytest.approx(7.911, abs=0.001)
    assert ours.unit == "SUVbw"


def test_a_real_pet_without_weight_is_refused(sts001: Path, tmp_path: Path) -> None:
    from pydicom import dcmread

    for file in sorted(sts001.rglob("image/*.dcm"))[:4]:
        data = dcmread(file)
        del data.PatientWeight
        data.save_as(tmp_path / file.name)
    with pytest.raises(VolumeError, match="weight is missing"):
        read_pet(tmp_path)


HALF_LIFE_S = {"F18": 6586.2, "C11": 1223.4, "Ga68": 4057.7, "Zr89": 282240.0}
SUV = 3.0
DOSE_BQ, WEIGHT_KG, HEIGHT_M = 3.5e8, 72.0, 1.68
UPTAKE_S, FRAME_S = 3600.0, 180.0


def flat_field(decay: str, isotope: str, start: datetime, bed_s: float) -> float:
    """Bq/ml that a scanner writes for a field of SUV 3, by integrating the counts of the frame."""
    half_life = HALF_LIFE_S[isotope]
    at_injection = SUV * DOSE_BQ / (WEIGHT_KG * 1000.0)
    if decay == "ADMIN":
        return at_injection
    if decay == "START":  # of the scan, whatever bed
        return float(at_injection * 2.0 ** (-UPTAKE_S / half_life))
    steps = (np.arange(20000) + 0.5) / 20000 * FRAME_S
    counts = 2.0 ** (-(UPTAKE_S + bed_s + steps) / half_life)
    return float(at_injection * counts.mean())


def field_header(
    decay: str, isotope: str, clock: str, start: datetime, bed_s: float, **over: Any
) -> PetHeader:
    """One bed's header; the injection as the vendor writes it."""
    injected = start - timedelta(seconds=UPTAKE_S)
    seconds = injected.hour * 3600.0 + injected.minute * 60.0 + injected.second
    header = PetHeader(
        units="BQML",
        decay_correction=decay,
        corrections=("ATTN",) if decay == "NONE" else ("ATTN", "DECY"),
        series_time=start,
        acquisition_time=start + timedelta(seconds=bed_s),
        injection_time=injected if clock == "date and time" else None,
        injection_clock=None if clock == "date and time" else seconds,
        frame_reference_ms=1000.0 * (bed_s + FRAME_S / 2),
        frame_duration_ms=1000.0 * FRAME_S,
        half_life_s=HALF_LIFE_S[isotope],
        dose_bq=DOSE_BQ,
        weight_kg=WEIGHT_KG,
        height_m=HEIGHT_M,
        sex="F",
    )
    return replace(header, **over)


NOON, AFTER_MIDNIGHT = datetime(2020, 3, 1, 12), datetime(2020, 3, 1, 0, 20)


@pytest.mark.parametrize("start", [NOON, AFTER_MIDNIGHT], ids=["noon", "after midnight"])
@pytest.mark.parametrize("clock", ["time of day", "date and time"])
@pytest.mark.parametrize("isotope", HALF_LIFE_S)
@pytest.mark.parametrize("decay", ["START", "ADMIN", "NONE"])
@pytest.mark.parametrize("beds", [1, 6])
def test_a_flat_field_of_known_suv(decay, isotope, clock, start, beds) -> None:
    """Each bed of a field of SUV 3 reads 3, whatever its decay correction, isotope and clock."""
    places = [FRAME_S * k for k in range(beds)]
    headers = [field_header(decay, isotope, clock, start, bed) for bed in places]
    written = np.array([flat_field(decay, isotope, start, bed) for bed in places])
    np.testing.assert_allclose(written * suv_factors(headers), SUV, rtol=1e-4)
    # rewritten later: the start is that of the earliest bed, or what GE keeps of it
    later = start + timedelta(hours=5)
    again = [replace(h, series_time=later) for h in headers]
    np.testing.assert_allclose(written * suv_factors(again), SUV, rtol=1e-2)
    kept = [replace(h, scan_time_ge=start) for h in again]
    np.testing.assert_allclose(written * suv_factors(kept), SUV, rtol=1e-4)


@pytest.mark.parametrize("given", ["BW", "", "LBMJANMA", "LBMJAMES128", "IBW", "BSA", "LBM"])
@pytest.mark.parametrize("asked", ["SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa"])
@pytest.mark.parametrize("sex", ["F", "M"])
def test_an_image_in_one_suv_is_converted_to_another(given, asked, sex) -> None:
    """The ratio of the two body measures, by formulas written out here."""
    w, cm = WEIGHT_KG, HEIGHT_M * 100
    bmi = w / HEIGHT_M**2
    male = sex == "M"
    james = {c: 1.10 * w - c * (w / cm) ** 2 for c in (120, 128)}
    women = 1.07 * w - 148 * (w / cm) ** 2
    janma = 9270 * w / (6680 + 216 * bmi if male else 8780 + 244 * bmi)
    surface = 0.007184 * w**0.425 * cm**0.725 * 10  # in 1e3 cm²
    mass = {
        "BW": w,
        "": w,
        "LBM": women,
        "LBMJANMA": janma,
        "LBMJAMES128": james[128] if male else women,
        "IBW": 48.0 + 1.06 * (cm - 152) if male else 45.5 + 0.91 * (cm - 152),
        "BSA": surface,
        "SUVbw": w,
        "SUVlbm": james[120] if male else women,
        "SUVlbmJanma": janma,
        "SUVbsa": surface,
    }
    units = "CM2ML" if given == "BSA" else "GML"
    header = made(units=units, suv_type=given, weight_kg=w, height_m=HEIGHT_M, sex=sex)
    if given == "LBM" and male:
        with pytest.raises(VolumeError, match="James, with 120 or 128"):
            suv_factors([header], asked)
        return
    assert suv_factors([header], asked)[0] == pytest.approx(mass[asked] / mass[given], rel=1e-9)


@pytest.mark.parametrize("height_m", [172.0, 0.01, None, 163.0])
def test_a_height_that_is_not_needed_stops_nothing(height_m) -> None:
    plain = suv_factors([made()])[0]
    assert suv_factors([made(height_m=height_m)])[0] == plain
    assert suv_factors([made(height_m=height_m), made(height_m=1.8)])[0] == plain
    for kind in ("SUVlbm", "SUVlbmJanma", "SUVbsa"):
        with pytest.raises(VolumeError, match="height") as caught:
            suv_factors([made(height_m=height_m)], kind)
        if height_m is not None:
            assert 'suv = "SUVbw"' in caught.value.remedy


@pytest.mark.parametrize("decay", ["START", "ADMIN"])
@pytest.mark.parametrize("isotope", ["F18", "C11", "Ga68"])
def test_a_decay_factor_is_held_against_the_times(decay, isotope) -> None:
    """As scanners write it, it agrees; one of the other kind of correction is refused."""
    half_life = HALF_LIFE_S[isotope]

    def headers(factor_for: str, decay: str = decay) -> list[PetHeader]:
        rows = []
        for bed in (0.0, 180.0, 900.0):
            since = bed + FRAME_S / 2 + (UPTAKE_S if factor_for == "ADMIN" else 0.0)
            factor = 2.0 ** (since / half_life)
            rows.append(field_header(decay, isotope, "time of day", NOON, bed, decay_factor=factor))
        return rows

    suv_factors(headers(decay))
    # one acquisition time for all beds, as some scanners write it
    suv_factors([replace(h, acquisition_time=NOON) for h in headers(decay)])
    other = "START" if decay == "ADMIN" else "ADMIN"
    with pytest.raises(VolumeError, match="decay factor contradicts") as caught:
        suv_factors(headers(other))
    assert decay in caught.value.value
    shifted = [replace(h, injection_clock=9 * 3600.0) for h in headers("ADMIN", "ADMIN")]
    with pytest.raises(VolumeError, match="decay factor contradicts"):
        suv_factors(shifted)


def test_days_after_injection_need_its_date() -> None:
    day4 = NOON + timedelta(days=4)
    header = field_header("START", "Zr89", "date and time", NOON, 0.0)
    late = replace(header, series_time=day4, acquisition_time=day4)
    left = 2.0 ** (-(4 * 86400 + UPTAKE_S) / HALF_LIFE_S["Zr89"])
    assert suv_factors([late])[0] == pytest.approx(WEIGHT_KG * 1000 / (DOSE_BQ * left), rel=1e-9)
    with pytest.raises(VolumeError, match="impossible"):
        suv_factors([replace(late, half_life_s=6586.2)])
