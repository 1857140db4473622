"""From activity to standardised uptake: the factor, by the rules of DICOM PS3 and QIBA.

SUV is activity concentration over injected activity per body mass, both at one time. What time
the image's activity is given for depends on how the scanner corrected decay and on whether the
series was written anew later; half of the SUVs that differ between programs differ there. The
rules are QIBA's "vendor-neutral pseudo-code for SUV calculation" (FDG-PET/CT profile, 2013), with
PS3.3 C.8.9.1 for units, decay correction and SUV types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from metasight.errors import VolumeError
from metasight.volumes import vocabulary

Floats = npt.NDArray[np.float64]
SuvKind = Literal["SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa"]
Decay = Literal["START", "ADMIN", "NONE"]

_WHERE = "PET header"
_LONGEST_UPTAKE = timedelta(hours=12)  # six half-lives of fluorine-18: nothing is left to image
_LONGEST_HALF_LIVES = 3  # of zirconium-89 and others that are imaged after days
# The series' time and the first frame's are written by different clocks of one scanner.
_SAME_TIME = timedelta(seconds=1)
_HEIGHT_M = (1.0, 2.5)
_DECAY_AGREES = 0.05
"""Share by which a decay factor may differ from what the times say: 8 min of fluorine-18. A factor
for the injection under times for the start, or the reverse, differs by tens of per cent."""
_Mass = Literal["SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa", "SUVlbmJames128", "SUVibw"]
_WEIGHT_INSTEAD = 'Correct the header, or set suv = "SUVbw" under [scans] in study.toml'
_GIVEN: dict[str, _Mass] = {
    "": "SUVbw",
    "BW": "SUVbw",
    "LBMJANMA": "SUVlbmJanma",
    "LBMJAMES128": "SUVlbmJames128",
    "IBW": "SUVibw",
    "BSA": "SUVbsa",
}
"""SUV types of DICOM (PS3.3 C.8.9.1.1) and the body measure that each is by. ``LBM`` is James'
formula, of which two are in use for men; for women it is one."""


@dataclass(frozen=True, kw_only=True)
class PetHeader:
    """What the factor of one PET image depends on; None where the header does not say.

    Attributes
    ----------
    units
        Of the rescaled value: ``BQML``, ``CNTS``, ``GML`` or ``CM2ML``.
    suv_type
        Of ``GML``: ``BW``, ``LBM``, ``BSA``, …; empty (which means ``BW``) if not said.
    decay_correction
        ``START``: to the start of the scan; ``ADMIN``: to the injection; ``NONE``.
    corrections
        Applied to the image; ``ATTN`` is needed, and ``DECY`` unless decay is not corrected.
    series_time, acquisition_time
        When the series and this image's acquisition began.
    injection_time
        When the tracer was given, if the header says the date too.
    injection_clock
        The time of day of it, as seconds since midnight, if it does not.
    scan_time_ge
        GE's private field of the scan's start.
    frame_reference_ms, frame_duration_ms
        From the scan's start to the average count rate; length of the frame.
    half_life_s, dose_bq
        Of the tracer; dose as injected, at the time of injection.
    weight_kg, height_m, sex
        Of the patient; sex is ``M`` or ``F``. The height is as written: it is looked at only where
        an SUV needs it.
    decay_factor
        By which this image's counts were multiplied to correct decay.
    philips_suv, philips_bqml
        Philips' private factors from counts to SUVbw and to Bq/ml.
    """

    units: str
    decay_correction: str
    corrections: tuple[str, ...]
    series_time: datetime | None
    acquisition_time: datetime | None
    suv_type: str = ""
    injection_time: datetime | None = None
    injection_clock: float | None = None
    scan_time_ge: datetime | None = None
    frame_reference_ms: float | None = None
    frame_duration_ms: float | None = None
    half_life_s: float | None = None
    dose_bq: float | None = None
    weight_kg: float | None = None
    height_m: float | None = None
    sex: str = ""
    decay_factor: float | None = None
    philips_suv: float | None = None
    philips_bqml: float | None = None


def suv_factors(headers: Sequence[PetHeader], kind: SuvKind = "SUVbw") -> Floats:
    """Factor from each image's rescaled value to SUV, shape (n,).

    Parameters
    ----------
    headers
        Of all images of one series, in any order.
    kind
        ``SUVbw`` by body weight; ``SUVlbm`` by lean body mass after James as QIBA gives it;
        ``SUVlbmJanma`` after Janmahasatian 2005; ``SUVbsa`` by body surface after Du Bois, in
        cm²/ml as DICOM's ``CM2ML``.

    Raises
    ------
    VolumeError
        Something that the factor depends on is missing, impossible or differs within the series;
        not corrected for attenuation or decay; units that are not read.
    """
    if kind not in get_args(SuvKind):
        raise VolumeError(
            "there is no such SUV",
            value=str(kind),
            remedy="Use SUVbw, SUVlbm, SUVlbmJanma or SUVbsa",
        )
    if not headers:
        raise VolumeError(
            "a PET series has no images",
            where=_WHERE,
            remedy="Give the folder with the whole series",
        )
    first = _alike(headers, kind)
    if first.units in ("GML", "CM2ML"):
        return np.full(len(headers), _from_suv(first, kind))
    if "ATTN" not in first.corrections:
        raise VolumeError(
            "PET is not corrected for attenuation",
            where=_WHERE,
            value=vocabulary.codes(first.corrections),
            remedy="Give the attenuation-corrected series",
        )
    if first.units == "CNTS":
        if first.philips_suv:
            share = body_mass_g(first, kind) / body_mass_g(first, "SUVbw") if kind != "SUVbw" else 1
            return np.full(len(headers), first.philips_suv * share)
        if not first.philips_bqml:
            raise VolumeError(
                "PET in counts has no factor to activity (Philips’ private fields)",
                where=_WHERE,
                remedy="Export the series with its private fields, or in BQML",
            )
        return first.philips_bqml * _per_bqml(headers, kind)
    if first.units != "BQML":
        raise VolumeError(
            "PET in this unit is not read",
            where=_WHERE,
            value=vocabulary.code(first.units),
            remedy="Export the series in BQML",
        )
    return _per_bqml(headers, kind)


def body_mass_g(header: PetHeader, kind: _Mass) -> float:
    """What the injected activity is divided by: weight or lean mass in g, or surface in cm².

    Sources: James 1976 with QIBA's coefficients (male 1.10 w − 120 (w/h)², female
    1.07 w − 148 (w/h)², w kg, h cm); Janmahasatian 2005 (doi:10.2165/00003088-200544100-00004);
    Du Bois 1916 (0.007184 m² w^0.425 h^0.725); for images that come in another SUV also James with
    128 for men, and ideal body weight after Sugawara 1999 (doi:10.1148/radiology.213.2.r99nv37521;
    male 48.0 + 1.06 (h − 152), female 45.5 + 0.91 (h − 152)).

    Raises
    ------
    VolumeError
        Weight, height or sex is missing, or the height is not one in metres.
    """
    weight = _needed(header.weight_kg, "patient’s weight")
    if kind == "SUVbw":
        return weight * 1000.0
    height = _height_m(header, kind)
    if kind == "SUVbsa":
        return float(0.007184 * weight**0.425 * (height * 100.0) ** 0.725 * 1e4)
    if header.sex not in ("M", "F"):
        raise VolumeError(
            "the patient’s sex, on which lean mass depends, is not M or F",
            where=_WHERE,
            value=vocabulary.code(header.sex),
            remedy=_WEIGHT_INSTEAD,
        )
    male = header.sex == "M"
    if kind in ("SUVlbm", "SUVlbmJames128"):
        square = (weight / (height * 100.0)) ** 2
        men = 120.0 if kind == "SUVlbm" else 128.0
        lean = 1.10 * weight - men * square if male else 1.07 * weight - 148.0 * square
    elif kind == "SUVibw":
        above = height * 100.0 - 152.0
        lean = 48.0 + 1.06 * above if male else 45.5 + 0.91 * above
    else:
        bmi = weight / height**2
        lean = 9270.0 * weight / ((6680.0 + 216.0 * bmi) if male else (8780.0 + 244.0 * bmi))
    if lean <= 0:  # James' parabola turns down at high weight
        raise VolumeError(
            "lean mass is not above 0",
            where=_WHERE,
            value=f"{lean:.1f} kg",
            remedy=_WEIGHT_INSTEAD,
        )
    return lean * 1000.0


def _height_m(header: PetHeader, kind: _Mass) -> float:
    height = _needed(header.height_m, "patient’s height")
    low, high = _HEIGHT_M
    if not low <= height <= high:
        raise VolumeError(
            f"the patient’s height is not in m, and {kind} needs it",
            where=_WHERE,
            value=f"{height:g}, expected {low:g} to {high:g}",
            remedy=_WEIGHT_INSTEAD,
        )
    return height


def _alike(headers: Sequence[PetHeader], kind: SuvKind) -> PetHeader:
    """The first header, if the series' own values are the same in all."""
    body = () if kind == "SUVbw" and headers[0].units in ("BQML", "CNTS") else ("height_m", "sex")
    fields = (
        *body,
        "units",
        "suv_type",
        "decay_correction",
        "half_life_s",
        "dose_bq",
        "weight_kg",
        "injection_time",
        "injection_clock",
        "series_time",
        "philips_suv",
        "philips_bqml",
    )
    for field in fields:
        if len({getattr(h, field) for h in headers}) > 1:
            raise VolumeError(
                "images of one PET series differ in what holds for the series",
                where=_WHERE,
                value=field.replace("_", " "),
                remedy="Two scans are mixed: give each a folder of its own",
            )
    for correction in ("ATTN", "DECY"):
        if len({correction in h.corrections for h in headers}) > 1:
            raise VolumeError(
                "images of one PET series are corrected differently",
                where=_WHERE,
                value=correction,
                remedy="Export the series again",
            )
    return headers[0]


def _from_suv(header: PetHeader, kind: SuvKind) -> float:
    """Factor from one SUV to another: their body measures' ratio."""
    given = _GIVEN.get(header.suv_type)
    if header.suv_type == "LBM" and header.sex == "F":
        given = "SUVlbm"
    if given is None:
        raise VolumeError(
            "PET is in an SUV whose body measure is unknown",
            where=_WHERE,
            value=vocabulary.code(header.suv_type)
            + (" (James, with 120 or 128 for men)" if header.suv_type == "LBM" else ""),
            remedy="Export the series in BQML",
        )
    if (header.units == "CM2ML") != (given == "SUVbsa"):
        raise VolumeError(
            "the unit and the SUV type of a PET series contradict each other",
            where=_WHERE,
            value=f"{header.units}, {vocabulary.code(header.suv_type)}",
            remedy="Export the series in BQML",
        )
    return 1.0 if given == kind else body_mass_g(header, kind) / body_mass_g(header, given)


def _per_bqml(headers: Sequence[PetHeader], kind: SuvKind) -> Floats:
    """Factor from Bq/ml to SUV for each image: mass over the activity left at its time."""
    first = headers[0]
    mass = body_mass_g(first, kind)
    dose = _needed(first.dose_bq, "injected activity")
    half_life = _needed(first.half_life_s, "tracer’s half-life")
    decay = first.decay_correction
    if decay not in get_args(Decay):
        raise VolumeError(
            "the kind of decay correction is not one that is read",
            where=_WHERE,
            value=vocabulary.code(decay),
            remedy="It must be START, ADMIN or NONE: export the series again",
        )
    if ("DECY" in first.corrections) != (decay != "NONE"):
        raise VolumeError(
            "the header contradicts itself on decay correction",
            where=_WHERE,
            value=f"{decay}, {vocabulary.codes(first.corrections)}",
            remedy="Export the series again",
        )
    if decay == "ADMIN":
        elapsed = np.zeros(len(headers))
        _check_decay_factors(headers, elapsed, half_life)
    elif decay == "START":
        elapsed = _elapsed_s(first, _scan_times(headers))
        _check_decay_factors(headers, elapsed, half_life)
    else:
        elapsed = _elapsed_s(first, [_count_time(h, half_life) for h in headers])
    return np.asarray(mass / (dose * 2.0 ** (-elapsed / half_life)))


def _check_decay_factors(
    headers: Sequence[PetHeader], elapsed_s: Floats, half_life_s: float
) -> None:
    """Hold each image's decay factor against its times, where the header gives both.

    The factor brings counts back from when the frame was taken to what the image is corrected to:
    the injection (``elapsed_s`` is 0) or the start of the scan.
    """
    known = [
        (i, h)
        for i, h in enumerate(headers)
        if h.decay_factor and h.frame_duration_ms and h.acquisition_time is not None
    ]
    if not known:
        return
    if headers[0].injection_time is None and headers[0].injection_clock is None:
        return
    own = np.array([i for i, _ in known])
    to_scan = _elapsed_s(headers[0], _scan_times(headers))[own] - elapsed_s[own]
    taken = [_count_time(h, half_life_s) for _, h in known]
    since = [_elapsed_s(headers[0], taken) - elapsed_s[own]]
    # some scanners write one acquisition time for all beds, and each frame's distance from it to
    # its start or to its average count rate
    late = np.array([(h.frame_reference_ms or 0.0) / 1000.0 for _, h in known])
    lasted = np.array([(h.frame_duration_ms or 0.0) / 1000.0 for _, h in known])
    since += [to_scan + late, to_scan + late + lasted / 2]
    expected = 2.0 ** (np.array(since) / half_life_s)
    said = np.array([float(h.decay_factor or 1.0) for _, h in known])
    apart = np.abs(said / expected - 1).min(axis=0)
    worst = int(np.argmax(apart))
    if apart[worst] > _DECAY_AGREES:
        raise VolumeError(
            "the decay factor contradicts the times and the kind of decay correction",
            where=_WHERE,
            value=f"factor {said[worst]:.3f}; {expected[0, worst]:.3f} by the times and "
            f"{vocabulary.code(headers[0].decay_correction)}",
            remedy="Export the series again with its own dates and times, or leave PET out",
        )


def _scan_times(headers: Sequence[PetHeader]) -> list[datetime]:
    """For each image, the start of the scan that its decay correction refers to.

    The series' time, unless it lies after an acquisition: then the series was written later, and
    GE's private field says the start, or each frame's own times do, or else it is the earliest
    acquisition.
    """
    first = headers[0]
    acquired = [h.acquisition_time for h in headers]
    known = [t for t in acquired if t is not None]
    if len(known) < len(headers) or first.series_time is None:
        raise VolumeError(
            "the header does not say when the scan began",
            where=_WHERE,
            remedy="Export the series with series and acquisition date and time",
        )
    if first.series_time <= min(known) + _SAME_TIME:
        return [first.series_time] * len(headers)
    if first.scan_time_ge is not None:
        return [first.scan_time_ge] * len(headers)
    if all((h.frame_reference_ms or 0) > 0 and (h.frame_duration_ms or 0) > 0 for h in headers):
        half_life = _needed(first.half_life_s, "tracer’s half-life")
        return [
            _count_time(h, half_life) - timedelta(milliseconds=h.frame_reference_ms or 0.0)
            for h in headers
        ]
    return [min(known)] * len(headers)


def _count_time(header: PetHeader, half_life_s: float) -> datetime:
    """When the count rate of a frame was its average: a little before the middle."""
    duration = _needed(header.frame_duration_ms, "frame’s duration") / 1000.0
    if header.acquisition_time is None:
        raise VolumeError(
            "the header does not say when a frame was acquired",
            where=_WHERE,
            remedy="Export the series with acquisition date and time",
        )
    rate = np.log(2.0) / half_life_s
    lost = rate * duration
    return header.acquisition_time + timedelta(
        seconds=float(np.log(lost / (1.0 - np.exp(-lost))) / rate)
    )


def _elapsed_s(header: PetHeader, times: Sequence[datetime]) -> Floats:
    """Seconds from injection to each time.

    A time of day without a date is that of the scan's day, or of the day before if it would else
    lie after the scan (an injection before midnight).
    """
    injected = header.injection_time
    start = min(times)
    if injected is None:
        clock = header.injection_clock
        if clock is None:
            raise VolumeError(
                "the time of injection is missing", where=_WHERE, remedy="Complete the header"
            )
        midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
        injected = midnight + timedelta(seconds=clock)
        if injected > start:
            injected -= timedelta(days=1)
    uptake = start - injected
    longest = _LONGEST_UPTAKE
    if header.injection_time is not None:  # with its date, days are days and no slip of the clock
        longest = max(longest, timedelta(seconds=_LONGEST_HALF_LIVES * (header.half_life_s or 0)))
    if uptake < timedelta(0) or uptake > longest:
        raise VolumeError(
            "the time from injection to scan is impossible",
            where=_WHERE,
            value=f"{uptake.total_seconds() / 60:.0f} min",
            remedy="Check the dates: de-identification may have shifted only some of them",
        )
    return np.array([(t - injected).total_seconds() for t in times])


def _needed(value: float | None, name: str) -> float:
    if value is None or not np.isfinite(value) or value <= 0:
        raise VolumeError(
            f"the {name} is missing",
            where=_WHERE,
            value="" if value is None else f"{value:g}",
            remedy="SUV cannot be computed without it; complete the header or leave PET out",
        )
    return float(value)
