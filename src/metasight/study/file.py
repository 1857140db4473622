"""A study: its folder, its ``study.toml``, and what both say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from metasight.cohort.settings import CohortSettings, ModalityTable
from metasight.errors import StudyError
from metasight.features.bags import MODALITY as EMBEDDING_MODALITY
from metasight.features.crops import MODALITY as CROP_MODALITY
from metasight.models.patient_interval import FEWEST_REFITS
from metasight.models.registry import KINDS, outcomes_of
from metasight.models.settings import ModelSettings, file_name
from metasight.protocol.load import read_protocol, validation_lines
from metasight.protocol.study import Protocol, Variable
from metasight.study.anticipated import Anticipated
from metasight.study.biology_settings import BiologySettings
from metasight.study.vault import vault_of, with_key
from metasight.units import years_to_days
from metasight.validation.permutation import FEWEST as FEWEST_PERMUTED

_LEAST = {"imputations": 2, "interval_refits": FEWEST_REFITS, "permutations": FEWEST_PERMUTED}

PROTOCOL_MODALITIES = ("clinical", "additional")
"""Modalities that hold a protocol's predictors; tables of the study have other names."""

SLIDE_MODALITY = "spatial"
"""Biomarkers measured on slides."""
GENERATED_MODALITY = "generated"
"""Biomarkers measured on maps that a generator painted on H&E."""
SCAN_MODALITY = "scan"
"""What is measured of the lesion on CT and PET."""
RADIOMICS_MODALITY = "radiomics"
"""IBSI features of the lesion on CT."""
ACQUISITION_MODALITY = "acquisition"
"""How a CT was taken: slices, noise, contrast; for telling scans unlike those of training."""
_OF_IMAGES = (
    SCAN_MODALITY,
    RADIOMICS_MODALITY,
    ACQUISITION_MODALITY,
    SLIDE_MODALITY,
    GENERATED_MODALITY,
    EMBEDDING_MODALITY,
    CROP_MODALITY,
)

SHORTEST_REASON = 10
"""Characters; the report prints reasons."""

Horizon = Annotated[float, Field(gt=0, le=100, strict=True, allow_inf_nan=False)]


class StudyModel(ModelSettings):
    """A model of the study and the endpoints it is fitted for.

    Attributes
    ----------
    name
        At most 80 characters: it is printed in tables and names a file of the bundle.
    endpoints
        Endpoint names; empty means the primary endpoint.
    """

    name: str = Field(min_length=1, max_length=80)
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    endpoints: tuple[str, ...] = ()

    @field_validator("endpoints")
    @classmethod
    def _each_once(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        _refuse_twice(endpoints)
        return endpoints


class AnalysisSettings(BaseModel):
    """How models are fitted and judged.

    Attributes
    ----------
    seed
        Of all random numbers in the study.
    folds, repeats
        Of the outer cross-validation.
    bootstrap
        Resamples of patients for intervals.
    nested_splits
        Of the repeats, how many are fitted without every pair of folds too, for the increment's
        interval by nested cross-validation; at most ``repeats``. Fewer than three, or a model of
        images or maps, leave the interval over folds.
    permutations
        Of the added modality's rows, for the increment's permutation test; 19 or more, 0 for no
        test. Each refits the headline model in every fold.
    instability_resamples
        Refits of the headline model for optimism and instability; 0 leaves them out.
    interval_refits
        Cheap refits from which each patient's interval comes, 100 or more; 0 leaves them out, and
        the interval then shows the spread of ``instability_resamples`` only.
    imputations
        Of missing predictors, 2 or more, for a sensitivity analysis; 0 leaves it out.
    noise_replicates
        Replays of the headline procedure on noise.
    horizons_years
        Overrides the protocol's horizons of the primary endpoint; each a day or more, none twice.
    reference_model, headline_model
        Names in ``[[model]]``: the clinical model, and the one whose increment is the headline.
    subgroups
        Predictors of the protocol (continuous ones are cut at the population's median, which is
        reported as such), ``centre`` or ``arm``.
    single_centre_reason
        Why leave-one-centre-out is not done; required when there is one centre.
    first_test_year
        First year of the test patients of a temporal split; no temporal split by default.
    anticipated
        Assumptions for the size of a validation in the analysis plan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=20250101, ge=0, lt=2**32, strict=True)
    folds: int = Field(default=5, ge=2, le=20, strict=True)
    repeats: int = Field(default=5, ge=1, le=100, strict=True)
    bootstrap: int = Field(default=500, ge=100, le=20000, strict=True)
    nested_splits: int = Field(default=5, ge=0, le=100, strict=True)
    permutations: int = Field(default=0, ge=0, le=5000, strict=True)
    instability_resamples: int = Field(default=50, ge=0, le=2000, strict=True)
    interval_refits: int = Field(default=200, ge=0, le=5000, strict=True)
    imputations: int = Field(default=20, ge=0, le=1000, strict=True)
    noise_replicates: int = Field(default=4, ge=1, le=100, strict=True)
    horizons_years: tuple[Horizon, ...] | None = Field(default=None, min_length=1)
    reference_model: str
    headline_model: str
    subgroups: tuple[str, ...] = ()
    single_centre_reason: str | None = Field(default=None, min_length=10)
    first_test_year: int | None = Field(default=None, strict=True)
    anticipated: Anticipated | None = None

    @field_validator("horizons_years")
    @classmethod
    def _days_apart(cls, years: tuple[float, ...] | None) -> tuple[float, ...] | None:
        given = years or ()
        days = [years_to_days(y) for y in given]
        if 0 in days:
            raise ValueError(f"a horizon is a day or more; {min(given):g} years is less")
        if len(set(days)) < len(days):
            raise ValueError(f"a horizon is listed twice: {', '.join(f'{y:g}' for y in given)}")
        return years

    @field_validator(*_LEAST)
    @classmethod
    def _enough(cls, given: int, info: ValidationInfo) -> int:
        if 0 < given < (least := _LEAST[str(info.field_name)]):
            raise ValueError(f"{given} are too few; give {least} or more, or 0 for none")
        return given

    @field_validator("subgroups")
    @classmethod
    def _each_once(cls, subgroups: tuple[str, ...]) -> tuple[str, ...]:
        _refuse_twice(subgroups)
        return subgroups


class StudySettings(CohortSettings):
    """Everything in ``study.toml``.

    Attributes
    ----------
    protocol
        Built-in name, or path of a protocol file relative to the study folder.
    title
        Of the report; by default the protocol's title.
    demonstration
        Set when the study is a demonstration on public data: what it is; the report says so.
    analysis
        How models are fitted and judged.
    model
        At least one.
    biology
        Association of the risk with gene expression; optional.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: str
    title: str = ""
    demonstration: str = ""
    analysis: AnalysisSettings
    model: tuple[StudyModel, ...] = Field(min_length=1)
    biology: BiologySettings | None = None

    @field_validator("modalities")
    @classmethod
    def _feature_tables(cls, modalities: dict[str, ModalityTable]) -> dict[str, ModalityTable]:
        problems = [p for name, table in modalities.items() for p in _of_modality(name, table)]
        if problems:
            raise ValueError("; ".join(problems))
        return modalities

    @field_validator("not_recorded", "waive")
    @classmethod
    def _reasons(cls, reasons: dict[str, str]) -> dict[str, str]:
        short = [
            f"{n} = {why!r}" for n, why in reasons.items() if len(why.strip()) < SHORTEST_REASON
        ]
        if short:
            raise ValueError(
                f"{', '.join(short)} gives no reason; write one (the report prints it) of "
                f"{SHORTEST_REASON} characters or more"
            )
        return reasons

    @field_validator("model")
    @classmethod
    def _told_apart(cls, models: tuple[StudyModel, ...]) -> tuple[StudyModel, ...]:
        names = [m.name for m in models]
        _refuse_twice(names)
        alone = [m.name for m in models if m.kind == "stacked" and len(m.modalities) < 2]
        if alone:
            raise ValueError(f"{alone[0]!r}: a stacked model needs at least two modalities")
        files: dict[str, str] = {}
        for name in names:
            other = files.setdefault(file_name(name), name)
            if other != name:
                raise ValueError(
                    f"{other!r} and {name!r} differ only in characters that a file name cannot "
                    "hold (letters a–z and digits count, capitals do not); rename one"
                )
        return models

    @model_validator(mode="after")
    def _names(self) -> StudySettings:
        names = [m.name for m in self.model]
        for role in ("reference_model", "headline_model"):
            name = getattr(self.analysis, role)
            if name not in names:
                raise ValueError(
                    f"analysis.{role} = {name!r} is no [[model]]; there are {', '.join(names)}"
                )
        known = {*PROTOCOL_MODALITIES, *self.modalities}
        if self.slides is not None:
            known.add(SLIDE_MODALITY)
            if self.slides.maps is not None:
                known.add(GENERATED_MODALITY)
            if self.slides.embeddings is not None:
                known.add(EMBEDDING_MODALITY)
        if self.scans is not None:
            known |= {SCAN_MODALITY, ACQUISITION_MODALITY}
            if self.scans.radiomics:
                known.add(RADIOMICS_MODALITY)
            if self.scans.crops is not None:
                known.add(CROP_MODALITY)
        if self.biology is not None:
            self._biology(names)
            known.discard(self.biology.expression)
        for model in self.model:
            unknown = sorted({*model.modalities, *model.abstain_by} - known)
            if unknown:
                raise ValueError(
                    f"model {model.name!r} reads unknown modalities {', '.join(unknown)}; "
                    f"there are {', '.join(sorted(known))}"
                )
        return self

    def _biology(self, models: list[str]) -> None:
        asked = self.biology
        if asked is None:
            return
        if asked.expression not in self.modalities:
            raise ValueError(
                f"biology.expression = {asked.expression!r} is no table of [modalities]; "
                f"there are {', '.join(self.modalities) or 'none'}"
            )
        if asked.model is not None and asked.model not in models:
            raise ValueError(f"biology.model = {asked.model!r} is no [[model]]")

    def cohort(self) -> CohortSettings:
        """The part that says who the patients are, alone: a model's settings change no cohort."""
        return CohortSettings(**{name: getattr(self, name) for name in CohortSettings.model_fields})


def _refuse_twice(names: Iterable[str]) -> None:
    names = list(names)
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"listed twice: {', '.join(twice)}; list it once")


def _of_modality(name: str, table: ModalityTable) -> list[str]:
    problems = []
    if name in PROTOCOL_MODALITIES:
        problems.append(
            f"the name {name!r} is reserved for the protocol's own predictors; rename it"
        )
    elif name in _OF_IMAGES:
        problems.append(f"the name {name!r} is reserved for measurements of images; rename it")
    elif not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,30}", name):
        problems.append(
            f"the name {name!r} is not a letter followed by at most 30 letters, digits, - or _; "
            "rename it"
        )
    if table.columns is not None:
        twice = sorted({c for c in table.columns if table.columns.count(c) > 1})
        if twice:
            problems.append(f"{name}.columns lists {', '.join(twice)} twice; list it once")
        if not table.columns:
            problems.append(f"{name}.columns is empty; name columns, or leave it out to read all")
    return problems


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
    vault
        Where what identifies patients is kept; None for public and simulated data.
    """

    folder: Path
    settings: StudySettings
    protocol: Protocol
    vault: Path | None = None

    @property
    def secret_key(self) -> str | None:
        """The key of the pseudonyms; None where it is a salt, which only public data have."""
        return None if self.vault is None else self.settings.key

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

    @property
    def patient_tables(self) -> tuple[str, ...]:
        """Files of the patient table, joined and feature tables, with their dictionaries."""
        settings = self.settings
        tables = [settings.patients, *settings.tables.values(), *settings.modalities.values()]
        return tuple(dict.fromkeys(name for t in tables for name in t.files))

    @property
    def screened_tables(self) -> tuple[str, ...]:
        """Files that screening reads: tables of patients and decisions, and the ids of images."""
        given = (self.settings.slides, self.settings.scans, self.settings.reader_decisions)
        images = [t for t in given if t is not None]
        return tuple(dict.fromkeys([*self.patient_tables, *(t.path for t in images)]))

    @property
    def tables(self) -> tuple[str, ...]:
        """Every table and file of sets that the study reads, images apart."""
        settings = self.settings
        more_lists = (settings.reader_decisions, settings.reader_lesions)
        given = (settings.slides, settings.scans, *more_lists)
        lists = [t for t in given if t is not None]
        more = [name for t in lists for name in t.files]
        if settings.biology is not None:
            more.append(settings.biology.gene_sets)
        return tuple(dict.fromkeys([*self.patient_tables, *more]))


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
    entries = read_toml(path)
    data = with_key(entries, folder)
    try:
        settings = StudySettings.model_validate(data)
    except ValidationError as error:
        raise StudyError(
            "entries are wrong or missing:\n" + validation_lines(error, StudySettings, data) + "\n",
            where="study.toml",
            remedy="Correct the entries named; `metasight init` writes a commented example",
        ) from error
    protocol = read_protocol(settings.protocol, folder=folder)
    for model in settings.model:
        _check_endpoints(model, protocol)
        _check_kinds(model, protocol)
        _check_features(model, protocol)
    _check_roles(settings, protocol)
    _check_subgroups(settings.analysis.subgroups, protocol)
    return Study(folder.resolve(), settings, protocol, vault_of(entries, folder))


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises
    ------
    StudyError
        It is not UTF-8 text, or not TOML.
    """
    text = ""
    try:
        text = path.read_text("utf-8-sig")  # Notepad puts a mark before the text
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise StudyError(
            "the file is not UTF-8 text",
            where=path.name,
            value=f"byte 0x{error.object[error.start]:02x} at {error.start}",
            remedy="Save it as UTF-8",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise StudyError(
            "not valid TOML",
            where=path.name,
            value=f"{error}{_key_named(str(error), text)}",
            remedy="Correct the line named; text is in quotes, each [section] has one header, and "
            "each key occurs once in its section",
        ) from error


def _key_named(problem: str, text: str) -> str:
    """Key or header of the line that a complaint of TOML names; never what is behind the key."""
    line = re.search(r"at line (\d+)", problem)
    lines = text.splitlines()
    if line is None or int(line[1]) > len(lines):
        return ""
    # a key that stands twice is complained of at the end of its line, or at the next one
    key = re.match(r"\s*(\[+[^\]]*\]+|[A-Za-z0-9_.\"-]+)", lines[int(line[1]) - 1])
    return f": {key[1]}" if key else ""


def _check_endpoints(model: StudyModel, protocol: Protocol) -> None:
    known = [e.name for e in protocol.endpoint]
    for name in model.endpoints:
        if name not in known:
            raise StudyError(
                f"model {model.name!r} names no endpoint of the protocol",
                where="study.toml",
                value=name,
                remedy=f"Endpoints: {', '.join(known)}",
            )


def _check_features(model: StudyModel, protocol: Protocol) -> None:
    """Features of a model that reads the protocol's predictors only must be among them.

    What columns the tables of other modalities hold is not known before they are read.
    """
    if model.features is None or not set(model.modalities) <= set(PROTOCOL_MODALITIES):
        return
    readable = [
        v.name
        for v in protocol.variable
        if v.role == "predictor"
        and ("clinical" if v.name in protocol.clinical_predictors else "additional")
        in model.modalities
    ]
    unknown = [f for f in model.features if f not in readable]
    if unknown:
        raise StudyError(
            f"model {model.name!r}: features names features that it cannot read",
            where="study.toml",
            value=", ".join(unknown),
            remedy=f"In {' and '.join(model.modalities)} there are {', '.join(readable)}",
        )


def _check_roles(settings: StudySettings, protocol: Protocol) -> None:
    """Both models of the headline comparison are fitted for the primary endpoint."""
    primary = protocol.primary.name
    endpoints = {m.name: m.endpoints or (primary,) for m in settings.model}
    fitted = [name for name, own in endpoints.items() if primary in own]
    for role in ("reference_model", "headline_model"):
        name = getattr(settings.analysis, role)
        if name not in fitted:
            raise StudyError(
                f"analysis.{role} is not fitted for the primary endpoint, {primary}",
                where="study.toml",
                value=f"{name}, endpoints {', '.join(endpoints[name])}",
                remedy=f"Add {primary} to its endpoints"
                + (f", or name one of {', '.join(fitted)}" if fitted else ""),
            )


def _check_subgroups(subgroups: tuple[str, ...], protocol: Protocol) -> None:
    allowed = [
        v.name
        for v in protocol.variable
        if (v.role == "predictor" and v.type not in {"date", "text"}) or v.name in {"centre", "arm"}
    ]
    for name in subgroups:
        if name not in allowed:
            what = _kind_of(protocol.variables.get(name))
            raise StudyError(
                f"analysis.subgroups: {name} is {what} of the protocol and cannot define subgroups",
                where="study.toml",
                value=name,
                remedy=f"Use some of {', '.join(allowed)}",
            )


def _kind_of(variable: Variable | None) -> str:
    if variable is None:
        return "no variable"
    article = "an" if variable.role[0] in "aeiou" else "a"
    return f"{article} {variable.role} variable ({variable.type})"


def _check_kinds(model: StudyModel, protocol: Protocol) -> None:
    for endpoint in protocol.endpoint:
        if endpoint.name not in (model.endpoints or (protocol.primary.name,)):
            continue
        if endpoint.type == "nodal_stage":
            wanted = "nodal"
        else:
            wanted = "competing" if endpoint.competing else "survival"
        if model.kind == "stacked" and CROP_MODALITY in model.modalities and wanted != "nodal":
            raise StudyError(
                f"model {model.name!r} stacks crops of lesions, whose network learns nodal stage",
                where="study.toml",
                value=f"{endpoint.name} is a {wanted} endpoint",
                remedy=f"Leave {CROP_MODALITY} out of its modalities, or name other endpoints",
            )
        if wanted not in outcomes_of(model.kind):
            fitting = ", ".join(k for k in KINDS if wanted in outcomes_of(k))
            raise StudyError(
                f"model {model.name!r} of kind {model.kind} cannot predict {endpoint.name}",
                where="study.toml",
                value=f"{endpoint.name} is a {wanted} endpoint",
                remedy=f"Use one of {fitting}, or name other endpoints for it",
            )
