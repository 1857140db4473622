"""PET headers: times, zones and units as DICOM writes them, and voxels in SUV."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import PositronEmissionTomographyImageStorage as PetStorage

from metasight.errors import VolumeError
from metasight.volumes.pet import date_time, moment, pet_header, read_pet, seconds_of_day


@pytest.mark.parametrize(
    ("clock", "seconds"),
    [
        ("00", 0.0),
        ("0130", 5400.0),
        ("013015", 5415.0),
        ("235959.999999", 86399.999999),
        (" 010203.5 ", 3723.5),
        ("01:02:03", 3723.0),  # ACR-NEMA's spelling
        ("235960", 86400.0),  # a leap second
    ],
)
def test_a_time_in_seconds(clock, seconds):
    assert seconds_of_day(clock) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "clock", ["", "1", "123", "240000", "0160", "010161", "01.5x", "noon", "-1"]
)
def test_what_is_no_time(clock):
    with pytest.raises(ValueError, match="not a time"):
        seconds_of_day(clock)


def test_a_date_and_a_time():
    assert moment("20200229", "233000.25") == datetime(2020, 2, 29, 23, 30, 0, 250000)
    assert moment("2020.02.29", "23") == datetime(2020, 2, 29, 23)
    assert moment("20200229", None) is None
    assert moment("", "1200") is None
    with pytest.raises(ValueError, match="out of range"):
        moment("20210229", "12")


@pytest.mark.parametrize(
    ("value", "zone", "told"),
    [
        # written in UTC, read on a clock two hours ahead of it
        ("20200102230000+0000", "+0200", datetime(2020, 1, 3, 1)),
        # 23:00 at +05:30 is 17:30 UTC, 12:30 on a clock five hours behind
        ("20200102230000+0530", "-0500", datetime(2020, 1, 2, 12, 30)),
        ("20200102230000-0800", "+0100", datetime(2020, 1, 3, 8)),
        ("20200102230000+0200", "+0200", datetime(2020, 1, 2, 23)),
        # without a zone of the data set, the one given is taken to be the same
        ("20200102230000+0900", "", datetime(2020, 1, 2, 23)),
        ("20200102230000", "+0200", datetime(2020, 1, 2, 23)),
        ("2020010223", "", datetime(2020, 1, 2, 23)),
        ("20200102", "", None),
        ("\x00", "", None),
        (None, "+0100", None),
    ],
)
def test_a_date_and_time_on_the_data_sets_own_clock(value, zone, told):
    assert date_time(value, zone) == told


def tracer(**over) -> Dataset:
    data = Dataset()
    told = {
        "RadionuclideTotalDose": "3.7E8",
        "RadionuclideHalfLife": "6588",
        "RadiopharmaceuticalStartTime": "090000",
        **over,
    }
    for name, value in told.items():
        if value is not None:
            setattr(data, name, value)
    return data


def test_what_a_header_says():
    data = Dataset()
    data.Units, data.DecayCorrection = "BQML", "START "
    data.CorrectedImage = ["DECY", "ATTN"]
    data.SeriesDate = data.AcquisitionDate = "20200102"
    data.SeriesTime, data.AcquisitionTime = "100000", "100500"
    data.PatientWeight, data.PatientSize, data.PatientSex = "70", "1.8", "F"
    data.TimezoneOffsetFromUTC = "+0100"
    start = "20200102080000+0000"
    data.RadiopharmaceuticalInformationSequence = Sequence(
        [tracer(RadiopharmaceuticalStartDateTime=start)]
    )
    told = pet_header(data)
    assert told.dose_bq == 3.7e8
    assert (told.half_life_s, told.weight_kg, told.height_m, told.sex) == (6588, 70, 1.8, "F")
    assert told.injection_clock == 9 * 3600
    assert told.injection_time == datetime(2020, 1, 2, 9)
    assert told.acquisition_time == datetime(2020, 1, 2, 10, 5)
    assert (told.units, told.decay_correction) == ("BQML", "START")
    assert told.corrections == ("DECY", "ATTN")


def test_a_header_that_says_nothing():
    told = pet_header(Dataset())
    assert told.units == ""
    assert told.corrections == ()
    for name in ("dose_bq", "weight_kg", "series_time", "injection_clock", "philips_suv"):
        assert getattr(told, name) is None, name


@pytest.mark.parametrize("value", ["0", ""])
def test_zero_is_not_said(value):
    data = Dataset()
    data.PatientWeight = value
    assert pet_header(data).weight_kg is None


@pytest.mark.parametrize(
    ("tag", "inside", "outside"),
    [
        ("PatientWeight", ("20", "400"), ("19.9", "401")),
    ],
)
def test_slips_of_units_are_refused_and_their_limits_are_not(tag, inside, outside):
    for value in inside:
        data = Dataset()
        setattr(data, tag, value)
        pet_header(data)
    for value in outside:
        data = Dataset()
        setattr(data, tag, value)
        with pytest.raises(VolumeError, match="is not in"):
            pet_header(data)


def test_activity_in_megabecquerel_is_refused_with_its_value():
    data = Dataset()
    data.RadiopharmaceuticalInformationSequence = Sequence([tracer(RadionuclideTotalDose="370")])
    with pytest.raises(VolumeError, match="injected activity is not in Bq") as error:
        pet_header(data)
    assert error.value.value == "370, expected 1e+06 to 1e+10"
    assert "pet_dose_unit" in error.value.remedy


@pytest.mark.parametrize(
    ("unit", "written"), [("Bq", "3.7E8"), ("kBq", "370000"), ("MBq", "370"), ("mCi", "10")]
)
def test_activity_in_the_unit_that_the_study_names(unit, written):
    data = Dataset()
    data.RadiopharmaceuticalInformationSequence = Sequence([tracer(RadionuclideTotalDose=written)])
    assert pet_header(data, dose_unit=unit).dose_bq == pytest.approx(3.7e8)


@pytest.mark.parametrize("unit", ["kBq", "MBq", "mCi"])
def test_activity_in_another_unit_than_the_study_names_is_refused(unit):
    data = Dataset()
    data.RadiopharmaceuticalInformationSequence = Sequence([tracer(RadionuclideTotalDose="3.7E8")])
    with pytest.raises(VolumeError, match=f"is not in {unit}"):
        pet_header(data, dose_unit=unit)


def philips(creator: str | None, maker: str = "Philips Medical Systems", **values) -> Dataset:
    data = Dataset()
    data.Manufacturer, data.Units = maker, "CNTS"
    if creator is not None:
        data.add_new((0x7053, 0x0010), "LO", creator)
    for name, (vr, value) in values.items():
        data.add_new((0x7053, int(name[1:], 16)), vr, value)
    return data


@pytest.mark.parametrize("vr", ["DS", "UN"])
@pytest.mark.parametrize("creator", ["Philips PET Private Group", None])
@pytest.mark.parametrize("maker", ["Philips Medical Systems", "PHILIPS", "Philips"])
def test_philips_factors_without_the_creator_of_their_block(vr, creator, maker):
    texts = {"suv": "0.000551", "bqml": "1.602563"}
    coded = {k: v if vr == "DS" else v.encode() + b" " for k, v in texts.items()}
    data = philips(creator, maker, x1000=(vr, coded["suv"]), x1009=(vr, coded["bqml"]))
    told = pet_header(data)
    assert (told.philips_suv, told.philips_bqml) == (0.000551, 1.602563)


@pytest.mark.parametrize(
    ("creator", "maker"),
    [("Another vendor's block", "Philips"), (None, "SIEMENS"), (None, "")],
)
def test_a_number_at_philips_place_is_another_vendors(creator, maker):
    told = pet_header(philips(creator, maker, x1000=("DS", "0.5"), x1009=("DS", "0.7")))
    assert (told.philips_suv, told.philips_bqml) == (None, None)


@pytest.mark.parametrize("value", ["-1", "0"])
def test_philips_factors_are_above_zero(value):
    data = philips("Philips PET Private Group", x1000=("DS", value))
    if value == "0":  # not given
        assert pet_header(data).philips_suv is None
        return
    with pytest.raises(VolumeError, match="not a number above 0"):
        pet_header(data)


@pytest.mark.parametrize("height", ["172", "0.01", "0", ""])
def test_a_height_in_another_unit_stops_no_suv_by_weight(height):
    data = Dataset()
    data.PatientSize = height
    assert pet_header(data).height_m == (float(height or 0) or None)


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_a_time_that_cannot_be_read_is_told_without_its_text():
    data = Dataset()
    data.RadiopharmaceuticalInformationSequence = Sequence(
        [tracer(RadiopharmaceuticalStartTime="2561")]
    )
    with pytest.raises(VolumeError, match="cannot be read") as error:
        pet_header(data)
    assert "2561" not in str(error.value)


@pytest.fixture
def written(ct_slices, write_ct):
    """A PET of 3 slices: 1 MBq/ml everywhere but in one voxel, injected one half-life before."""

    def build(**over):
        activity = np.full((3, 24, 20), 1000.0)
        activity[1, 5, 7] = 2500.0
        slices = ct_slices(
            activity,
            Modality="PT",
            SOPClassUID=PetStorage,
            Units="BQML",
            DecayCorrection="START",
            CorrectedImage=["DECY", "ATTN"],
            SeriesDate="20200102",
            SeriesTime="100000",
            AcquisitionDate="20200102",
            AcquisitionTime="100000",
            PatientWeight="70",
            RadiopharmaceuticalInformationSequence=Sequence(
                [tracer(RadionuclideHalfLife="3600", RadionuclideTotalDose="1.4E8")]
            ),
            RescaleIntercept=0,
            RescaleSlope=100,
            **over,
        )
        for data in slices:
            stored = np.frombuffer(data.PixelData, "<u2").astype(int) - 1024
            data.PixelData = (stored // 100 * 10).astype("<u2").tobytes()
            data.file_meta.MediaStorageSOPClassUID = PetStorage
        return write_ct(slices)

    return build


def test_voxels_are_in_suv(written):
    """1e4 Bq/ml · 70,000 g / (1.4e8 Bq halved once on the way to the scan) = 10 g/ml."""
    volume = read_pet(written())
    assert volume.unit == "SUVbw"
    background = 100 * 100 * 70_000 / 7e7
    assert background == 10
    assert np.median(volume.array) == pytest.approx(10.0, rel=1e-6)
    assert volume.array[1, 5, 7] == pytest.approx(25.0, rel=1e-6)


def test_a_pet_without_weight_gives_no_suv(written):
    with pytest.raises(VolumeError):
        read_pet(_without_weight(written()))


def _without_weight(folder):
    from pydicom import dcmread

    for file in folder.glob("*.dcm"):
        data = dcmread(file)
        del data.PatientWeight
        data.save_as(file)
    return folder
