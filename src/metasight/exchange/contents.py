"""What is exported of a patient: measurements and risks with intervals, and what found them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from metasight.errors import StudyError
from metasight.exchange.codes import PROBABILITY, Coded, coded, own, radiomic
from metasight.features.columns import ERROR

RESEARCH_ONLY = (
    "Research software, not a medical device. For research only: must not be used to decide on a "
    "patient's treatment."
)
_OUTLINES = "value ± root mean square difference between outlines"
_CTR = "range over thresholds and outlines"
_NOT_OF_THE_LESION = ("centre_x_mm", "centre_y_mm", "centre_z_mm", "central_value", "central_limit")
"""Where it lies in the scanner's coordinates, and another measure again."""
_WORDS = ("attenuation", "pure_ground_glass_answer", "tumour_size_plane", "side", "lobe")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Ends of an interval, and what it is.

    Attributes
    ----------
    lower, upper
        In the unit of the value.
    kind
        In words: ``95 % interval of the true risk``.
    """

    lower: float
    upper: float
    kind: str

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise ValueError("an interval ends before it begins")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """A number that the study measured of a lesion.

    Attributes
    ----------
    name
        As the study's results name it, unit included.
    value
        Finite, in the unit of ``code``.
    code
        Concept, unit and derivation.
    on
        The scan that it is of.
    interval
        None where the study knows none.
    """

    name: str
    value: float
    code: Coded
    on: str = "CT"
    interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A word that the study says of a lesion: its attenuation, side or lobe."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Risk:
    """A predicted probability with its interval.

    Attributes
    ----------
    endpoint, label
        Its name in the protocol, and in words.
    target
        ``N1``, or the horizon in words: ``5 years``.
    value
        Probability in [0, 1].
    interval
        Of it; a risk without one is not exported.
    horizon_days
        From the protocol's time zero; None for a stage.
    counted_from
        What time zero is; empty for a stage.
    """

    endpoint: str
    label: str
    target: str
    value: float
    interval: Interval
    horizon_days: int | None = None
    counted_from: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 1:
            raise ValueError("a probability lies within 0 and 1")

    @property
    def name(self) -> str:
        """What it is a risk of, as the study's results name it."""
        at = self.target if self.horizon_days is None else f"{self.horizon_days}_days"
        return f"risk_{self.endpoint}_{at}"

    @property
    def words(self) -> str:
        """What it is a risk of, in words."""
        if self.horizon_days is None:
            return f"{self.label}: predicted probability of {self.target}"
        return (
            f"{self.label}: predicted probability of the event within {self.target} of "
            f"{self.counted_from}"
        )

    @property
    def code(self) -> Coded:
        """Concept and unit."""
        short = f"Predicted risk, {self.endpoint.replace('_', ' ')}, {self.target}"
        return Coded(concept=own(self.name, short), unit=PROBABILITY)


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """What measured and predicted.

    Attributes
    ----------
    version
        Of metasight.
    protocol
        Its id and version.
    model
        Of the risks; empty where none is given.
    run
        Name of the run.
    bundle
        sha256 of the list of hashes of the run's locked models; empty where there are none.
    evidence
        What the risks rest on, in a sentence.
    """

    version: str
    protocol: str
    run: str
    model: str = ""
    bundle: str = ""
    evidence: str = ""

    NAME = "metasight"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Name and value of everything that tells one algorithm from another."""
        told = {
            "protocol": self.protocol,
            "run": self.run,
            "model": self.model,
            "locked models sha256": self.bundle,
        }
        return tuple(f"{name}: {value}" for name, value in told.items() if value)


@dataclass(frozen=True, kw_only=True)
class PatientResults:
    """What a study says of one patient.

    Attributes
    ----------
    patient
        Pseudonym.
    algorithm
        That found it.
    measurements, findings
        Of the lesion; empty where none was measured.
    risks
        Empty where none is given.
    why_no_risk
        Why none is given; empty where one is.
    notes
        What else must be known to read the risks, in sentences.
    demonstration
        What the study is, where it is a demonstration or simulated.
    """

    patient: str
    algorithm: Algorithm
    measurements: tuple[Measurement, ...] = ()
    findings: tuple[Finding, ...] = ()
    risks: tuple[Risk, ...] = ()
    why_no_risk: str = ""
    notes: tuple[str, ...] = ()
    demonstration: str = ""

    @property
    def notice(self) -> str:
        """What is said wherever a risk is shown."""
        return f"{RESEARCH_ONLY} {self.demonstration}".strip()


def lesion_measurements(scan: Mapping[str, Any]) -> tuple[Measurement, ...]:
    """Every number that a study's ``scan.json`` holds of the lesion, radiomics too.

    A range of the CTR, and the error of a measure over outlines, are its interval.

    Raises
    ------
    StudyError
        A measure's unit is not known.
    """
    row = scan["measured"]
    suv = str(row.get("suv_unit") or "")
    found = []
    for name, value in row.items():
        if not _is_measure(name, value):
            continue
        about = _coded(partial(coded, name, suv=suv))
        found.append(
            Measurement(
                name=name,
                value=float(value),
                code=about,
                on="PET" if name.startswith(("suv", "metabolic", "tlg")) else "CT",
                interval=_interval(row, name),
            )
        )
    texture = scan["radiomics"]
    for name, value in texture.items():
        if _is_measure(name, value):
            about = _coded(partial(radiomic, name))
            found.append(
                Measurement(
                    name=name, value=float(value), code=about, interval=_interval(texture, name)
                )
            )
    return tuple(found)


def lesion_findings(scan: Mapping[str, Any]) -> tuple[Finding, ...]:
    """What a study's ``scan.json`` says of the lesion in words."""
    row = scan["measured"]
    found = [Finding(name=n, value=str(row[n])) for n in _WORDS if row.get(n)]
    if row.get("central") is not None:
        found.append(Finding(name="central", value="yes" if row["central"] else "no"))
    return tuple(found)


def _coded(look: Callable[[], Coded]) -> Coded:
    try:
        return look()
    except ValueError as error:
        raise StudyError(
            "a measurement cannot be coded",
            value=str(error),
            remedy="Run the study again with this version",
        ) from error


def _is_measure(name: str, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    own = not name.endswith((ERROR, "_lower", "_upper")) and name not in _NOT_OF_THE_LESION
    return number and own and math.isfinite(value)


def _interval(row: Mapping[str, Any], name: str) -> Interval | None:
    lower, upper = row.get(f"{name}_lower"), row.get(f"{name}_upper")
    if lower is not None and upper is not None:
        return Interval(lower=float(lower), upper=float(upper), kind=_CTR)
    error = row.get(f"{name}{ERROR}")
    if error is None:
        return None
    value = float(row[name])
    return Interval(lower=value - float(error), upper=value + float(error), kind=_OUTLINES)
