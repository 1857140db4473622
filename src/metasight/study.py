"""A study: its folder, its ``study.toml``, and what both say."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metasight.cohort.settings import CohortSettings
from metasight.errors import StudyError
from metasight.models.registry import KINDS, outcomes_of
from metasight.models.settings import ModelSettings
from metasight.protocol.load import read_protocol, validation_lines
from metasight.protocol.study import Protocol
from metasight.provenance import hash_file


class StudyModel(ModelSettings):
    """A model of the study and the endpoints it is fitted for.

    Attributes
    ----------
    endpoints
        Endpoint names; empty means the primary endpoint.
    """

    endpoints: tuple[str, ...] = ()


class AnalysisSettings(BaseModel):
    """How models are fitted and judged.

    Attributes
    ----------
    seed
        Of everything random in the study.
    folds, repeats
        Of the outer cross-validation.
    bootstrap
        Resamples of patients for intervals.
    instability_resamples
        Refits of the headline model for optimism and instability; 0 leaves them out.
    noise_replicates
        Replays of the headline procedure on noise.
    horizons_years
        Overrides the protocol's horizons of the primary endpoint.
    reference_model, headline_model
        Names in ``[[model]]``: the clinical model, and the one whose increment is the headline.
    subgroups
        Canonical categorical variables, or continuous ones (cut at the protocol's or the
        population's median, which is reported as such).
    single_centre_reason
        Why leave-one-centre-out is not done; required when there is one centre.
    first_test_year
        Year from which a temporal split tests; none without.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 20250101
    folds: int = Field(default=5, ge=2, le=20)
    repeats: int = Field(default=5, ge=1, le=100)
    bootstrap: int = Field(default=500, ge=100, le=20000)
    instability_resamples: int = Field(default=50, ge=0, le=2000)
    noise_replicates: int = Field(default=4, ge=1, le=100)
    horizons_years: tuple[float, ...] | None = None
    reference_model: str
    headline_model: str
    subgroups: tuple[str, ...] = ()
    single_centre_reason: str | None = Field(default=None, min_length=10)
    first_test_year: int | None = None


class StudySettings(CohortSettings):
    """Everything in ``study.toml``.

    Attributes
    ----------
    protocol
        Built-in name, or path of a protocol file relative to the study folder.
    title
        Of the report; the protocol's title without.
    demonstration
        Set when the study is a demonstration on public data: what it is; the report says so.
    analysis
        How models are fitted and judged.
    model
        At least one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    title: str = ""
    demonstration: str = ""
    analysis: AnalysisSettings
    model: tuple[StudyModel, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> StudySettings:
        names = [m.name for m in self.model]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"[[model]] names one model twice: {', '.join(twice)}")
        for role in ("reference_model", "headline_model"):
            name = getattr(self.analysis, role)
            if name not in names:
                raise ValueError(
                    f"analysis.{role} = {name!r} is no [[model]]; there are {', '.join(names)}"
                )
        known = {"clinical", "additional", *self.modalities}
        for model in self.model:
            unknown = sorted(set(model.modalities) - known)
            if unknown:
                raise ValueError(
                    f"model {model.name!r} reads unknown modalities {', '.join(unknown)}; "
                    f"there are {', '.join(sorted(known))}"
                )
        return self

    def cohort_json(self) -> dict[str, Any]:
        """The part that says who the patients are, as plain data."""
        mine = set(CohortSettings.model_fields)
        return {k: v for k, v in self.model_dump(mode="json").items() if k in mine}


@dataclass(frozen=True)
class Study:
    """A study folder, read and valid.

    Attributes
    ----------
    folder
        Absolute.
    settings
        ``study.toml``.
    protocol
        The protocol it names.
    """

    folder: Path
    settings: StudySettings
    protocol: Protocol

    @property
    def store(self) -> Path:
        """Where step results are kept."""
        return self.folder / ".metasight" / "store"

    @property
    def memory(self) -> Path:
        """What the last run's steps were made from."""
        return self.folder / ".metasight" / "last_run.json"

    @property
    def results(self) -> Path:
        """One folder a run, and ``latest``."""
        return self.folder / "results"

    def input_hashes(self) -> dict[str, str]:
        """sha256 of every table the study reads, by file name.

        Raises
        ------
        StudyError
            A table is not there.
        """
        tables = [self.settings.patients, *self.settings.modalities.values()]
        paths = [t.path for t in tables] + [t.dictionary for t in tables if t.dictionary]
        hashes = {}
        for relative in paths:
            path = self.folder / relative
            if not path.is_file():
                raise StudyError(
                    "there is no such file",
                    where=f"study.toml: {relative}",
                    remedy=f"Paths are relative to the study folder ({self.folder.name})",
                )
            hashes[relative] = hash_file(path)
        return hashes


def read_study(folder: Path) -> Study:
    """Read ``study.toml`` of a folder and the protocol it names.

    Raises
    ------
    StudyError
        The file is missing, not TOML, or an entry is wrong; every wrong entry is named.
    ProtocolError
        The protocol cannot be read.
    """
    path = folder / "study.toml"
    if not path.is_file():
        raise StudyError(
            "there is no study.toml",
            where=str(folder),
            remedy="Make one with `metasight init FOLDER`, or give the study's folder",
        )
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError("not valid TOML", where="study.toml", value=str(error)) from error
    try:
        settings = StudySettings.model_validate(data)
    except ValidationError as error:
        raise StudyError(
            "entries are wrong or missing:\n" + validation_lines(error) + "\n",
            where="study.toml",
            remedy="Correct the entries named; `metasight init` writes a commented example",
        ) from error
    protocol = read_protocol(settings.protocol, folder=folder)
    _check_endpoints(settings, protocol)
    return Study(folder.resolve(), settings, protocol)


def _check_endpoints(settings: StudySettings, protocol: Protocol) -> None:
    known = [e.name for e in protocol.endpoint]
    for model in settings.model:
        for name in model.endpoints:
            if name not in known:
                raise StudyError(
                    f"model {model.name!r} names no endpoint of the protocol",
                    where="study.toml",
                    value=name,
                    remedy=f"Endpoints: {', '.join(known)}",
                )
        _check_kinds(model, protocol)
    for name in settings.analysis.subgroups:
        if name not in protocol.variables:
            raise StudyError(
                "analysis.subgroups names no variable of the protocol",
                where="study.toml",
                value=name,
                remedy="Use a canonical name of the data dictionary",
            )


def _check_kinds(model: StudyModel, protocol: Protocol) -> None:
    for endpoint in protocol.endpoint:
        if endpoint.name not in (model.endpoints or (protocol.primary.name,)):
            continue
        if endpoint.type == "nodal_stage":
            wanted = "nodal"
        else:
            wanted = "competing" if endpoint.competing else "survival"
        if wanted not in outcomes_of(model.kind):
            fitting = ", ".join(k for k in KINDS if wanted in outcomes_of(k))
            raise StudyError(
                f"model {model.name!r} of kind {model.kind} cannot predict {endpoint.name}",
                where="study.toml",
                value=f"{endpoint.name} is a {wanted} endpoint",
                remedy=f"Use one of {fitting}, or name other endpoints for it",
            )
