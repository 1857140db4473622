"""Cohort and analysis data: who is in, what happened to them, what models may read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.cohort.describe import follow_up, missingness, table1
from metasight.cohort.modality import problem_of_expression
from metasight.cohort.outcome import (
    EndpointData,
    NodalOutcome,
    Outcome,
    SurvivalOutcome,
    build_outcome,
)
from metasight.cohort.read import Cohort, read_cohort
from metasight.cohort.settings import CohortSettings
from metasight.cohort.splits import Split, leave_one_centre_out, repeated_kfold, temporal
from metasight.engine.contents import Folder
from metasight.engine.step import Inputs, StepKind
from metasight.errors import EvaluationError, StudyError, TableError
from metasight.features.bags import MODALITY as EMBEDDING_MODALITY
from metasight.features.columns import CENTRE, ERROR, Feature, FeatureTable, Kind
from metasight.features.crops import MODALITY as CROP_MODALITY
from metasight.features.from_protocol import clinical_features
from metasight.ledger import Entry, Ledger
from metasight.models import crossfit
from metasight.protocol.endpoint import Endpoint
from metasight.protocol.study import Protocol
from metasight.steps import artefacts
from metasight.steps.scans.patient import CROPS, against_table, crop_keys, scanned
from metasight.steps.slides.maps import generated
from metasight.steps.slides.patches import BAGS, bag_keys
from metasight.steps.slides.patient import gathered
from metasight.study.file import (
    ACQUISITION_MODALITY,
    GENERATED_MODALITY,
    RADIOMICS_MODALITY,
    SCAN_MODALITY,
    SLIDE_MODALITY,
)
from metasight.units import Days
from metasight.validation.horizons import prediction_days, supported_horizons
from metasight.validation.ipcw import MIN_CENSORING_SURVIVAL


@dataclass(frozen=True, kw_only=True)
class CohortArgument:
    """Where the study's tables are and how to read them.

    Attributes
    ----------
    folder
        Of the tables.
    settings, protocol
        Of the study.
    overlap_key
        Key of the marks by which a patient is found in another cohort.
    new_patients
        Whether these are patients to predict, of whom no outcome may be given.
    expression
        Modality of gene expression, and whether its values are said to be logarithms.
    """

    folder: Folder
    settings: CohortSettings
    protocol: Protocol
    overlap_key: str
    new_patients: bool = False
    expression: tuple[str, bool] | None = None


def cohort(inputs: Inputs, out: Path, argument: CohortArgument) -> None:
    """Tables → canonical values, eligibility, ledger."""
    maps = generated(inputs)
    slides = gathered(inputs, maps.tumour_share)
    scans = scanned(inputs)
    evidence = {**slides.evidence}
    for patient, own in scans.evidence.items():
        evidence[patient] = {**evidence.get(patient, {}), **own}
    given = {
        patient: {
            k: v for k, v in values.items() if v is not None and not argument.settings.gives(k)
        }
        for patient, values in evidence.items()
    }
    read = read_cohort(
        argument.folder.root,
        argument.settings,
        argument.protocol,
        evidence=given,
        overlap_key=argument.overlap_key,
        new_patients=argument.new_patients,
    )
    _check_expression(read, argument)
    for rows in (slides.entries, maps.entries, scans.entries):
        read.ledger.extend(rows)
    read.ledger.extend(against_table(read.table, scans.evidence, argument.protocol))
    _add_modalities(
        read,
        {
            SLIDE_MODALITY: slides.features,
            SCAN_MODALITY: scans.features,
            RADIOMICS_MODALITY: scans.radiomics,
            ACQUISITION_MODALITY: scans.acquisition,
            GENERATED_MODALITY: maps.features,
        },
    )
    _add_images(read, inputs)
    _save_cohort(read, out)
    patients = sorted({*scans.acquired, *slides.acquired})
    acquired = {
        p: {"ct": scans.acquired.get(p), "slides": slides.acquired.get(p, [])} for p in patients
    }
    artefacts.ACQUIRED.write(out, {"patients": acquired})


def _check_expression(read: Cohort, argument: CohortArgument) -> None:
    """Refuse expression that is not on the scale that it is said to be on.

    Raises
    ------
    TableError
        It is not.
    """
    if argument.expression is None:
        return
    name, log_scale = argument.expression
    table = Path(argument.settings.modalities[name].path).name
    problem = problem_of_expression(read.modalities[name], table, log_scale=log_scale)
    if problem is not None:
        raise TableError([problem])


def read_acquired(cohort: Path) -> dict[str, Any]:
    """Pseudonym → how the patient's images were acquired, from the cohort's folder.

    Raises
    ------
    StoreError
        It is told in another format.
    """
    found: dict[str, Any] = artefacts.ACQUIRED.read(cohort)["patients"]
    return found


def _add_modalities(read: Cohort, measured: Mapping[str, dict[str, Any]]) -> None:
    """What images told, as modalities of numbers."""
    for name, found in measured.items():
        if found:
            read.modalities[name] = pd.DataFrame.from_dict(
                found, orient="index", dtype=float
            ).reindex(read.table.index)


def _add_images(read: Cohort, inputs: Inputs) -> None:
    """Keys of patch features and crops, which networks read."""
    keys: dict[str, tuple[str, dict[str, str]]] = {}
    bags, crops = inputs.one(StepKind.GATHER_BAGS), inputs.one(StepKind.GATHER_CROPS)
    if bags is not None:
        of_patient, rows = bag_keys(bags)
        read.ledger.extend(rows)
        keys[EMBEDDING_MODALITY] = BAGS, of_patient
    if crops is not None:
        keys[CROP_MODALITY] = CROPS, crop_keys(crops)
    for modality, (name, own) in keys.items():
        column = [own.get(str(patient)) for patient in read.table.index]
        read.modalities[modality] = pd.DataFrame(
            {name: pd.Series(column, index=read.table.index, dtype=object)}
        )


def _save_cohort(read: Cohort, out: Path) -> None:
    read.table.to_parquet(artefacts.PATIENT_TABLE.path(out))
    for name, table in read.modalities.items():
        table.to_parquet(out / f"modality_{name}.parquet")
    read.ledger.to_parquet(artefacts.LEDGER.path(out))
    artefacts.OVERLAP.write(out, read.marks)
    artefacts.COHORT.write(
        out,
        {
            "screened": read.screened,
            "failed": read.failed,
            "steps": [asdict(s) for s in read.eligibility.steps],
            "verdicts": _own_verdicts(read.eligibility.entries),
            "as_written": read.eligibility.as_written,
            "all_eligible": read.eligibility.all_eligible,
            "modalities": sorted(read.modalities),
            "windows_checked": read.windows_checked,
            "accrual": read.accrual,
        },
    )


def _own_verdicts(entries: Sequence[Entry]) -> dict[str, dict[str, int]]:
    """Patients by verdict of each criterion taken alone, whatever the others say."""
    counts: dict[str, Counter[str]] = {}
    for entry in entries:
        counts.setdefault(entry.criterion, Counter())[str(entry.verdict)] += 1
    return {criterion: dict(sorted(c.items())) for criterion, c in counts.items()}


@dataclass(frozen=True, kw_only=True)
class DataArgument:
    """One endpoint in one population, and how it is split.

    Attributes
    ----------
    endpoint, population
        Names.
    protocol
        Of the study.
    not_recorded
        As in ``study.toml``.
    horizons_days
        Asked for in ``study.toml``; without, the protocol's.
    folds, repeats, seed
        Of the cross-validation; no folds for external patients.
    leads
        Whether this is the headline analysis. Another one whose follow-up supports no horizon
        is skipped with the reason.
    lenient
        Whether horizons asked for may be left out with a note (external patients).
    set_aside
        Modalities that no model may read.
    with_centre
        Whether a model takes differences between centres out, and has to know them.
    centres_out
        Whether leave-one-centre-out is wanted.
    first_test_year
        Of a temporal split, if one is wanted.
    """

    endpoint: str
    population: str
    protocol: Protocol
    not_recorded: dict[str, str]
    horizons_days: tuple[int, ...] | None
    folds: int
    repeats: int
    seed: int
    centres_out: bool
    first_test_year: int | None
    leads: bool
    lenient: bool = False
    set_aside: tuple[str, ...] = ()
    with_centre: bool = False


def analysis_data(inputs: Inputs, out: Path, argument: DataArgument) -> None:
    """Cohort → outcome, features, horizons and splits of one endpoint in one population."""
    folder = inputs["cohort"]
    info = artefacts.COHORT.read(folder)
    table = pd.read_parquet(artefacts.PATIENT_TABLE.path(folder))
    endpoint = next(e for e in argument.protocol.endpoint if e.name == argument.endpoint)
    told = _outcome_of(endpoint, table, info[argument.population], argument)
    read = [m for m in info["modalities"] if m not in argument.set_aside]
    features = build_features(folder, read, argument.protocol, told.patients)
    if argument.with_centre:
        features = _with_centre(features, table)
    features.values.to_parquet(artefacts.FEATURES.path(out))
    artefacts.FEATURE_LIST.write(out, [asdict(f) for f in features.features])
    _outcome_table(told, table).to_parquet(artefacts.OUTCOME.path(out))
    try:
        _refuse_degenerate(told, table, info, argument)
        horizons = _horizons(endpoint, told.outcome, argument)
    except EvaluationError as error:
        if argument.leads:
            raise _with_other_population(error, table, info, argument) from error
        who = argument.population.replace("_", " ")
        artefacts.DATA.write(out, {"skipped": f"{endpoint.label}, {who}: {error}"})
        return
    splits, notes = _splits(told, table, argument)
    artefacts.SPLITS.write(out, [asdict(s) for s in splits])
    Ledger(told.entries).to_parquet(artefacts.LEDGER.path(out))
    described = None
    if isinstance(told.outcome, SurvivalOutcome):
        described = asdict(follow_up(told.outcome))
    groups = {
        str(g): list(rows.index)
        for column in ("centre", "arm")
        if column in table
        for g, rows in table.loc[list(told.patients)].groupby(column)
        if table[column].nunique() > 1
    }
    population = table.loc[list(told.patients)]
    artefacts.DATA.write(
        out,
        {
            "endpoint": argument.endpoint,
            "population": argument.population,
            "n": len(told.patients),
            "events": told.outcome.n_events,
            "examined": _examined(told.outcome),
            "deviations": [*told.deviations, *notes, *_left_out(told)],
            "follow_up": described,
            "landmark": None if told.landmark is None else asdict(told.landmark),
            "table1": asdict(table1(population, argument.protocol, groups=groups)),
            "missing": missingness(
                features.values, [f.name for f in features.features if not f.error_of]
            ),
            **horizons,
        },
    )


def _outcome_of(
    endpoint: Endpoint, table: pd.DataFrame, patients: Sequence[str], argument: DataArgument
) -> EndpointData:
    return build_outcome(
        endpoint,
        table,
        patients,
        argument.not_recorded,
        landmark_days=argument.protocol.landmark_days,
    )


def _examined(outcome: SurvivalOutcome | NodalOutcome) -> int | None:
    """Patients whose nodes were examined; None for follow-up."""
    return int(outcome.observed.sum()) if isinstance(outcome, NodalOutcome) else None


def _refuse_degenerate(
    told: EndpointData, table: pd.DataFrame, info: Mapping[str, Any], argument: DataArgument
) -> None:
    """Refuse a population in which everybody has the event, and say which criterion makes it so.

    So too one of nodal stage in which nobody has a positive node.

    Raises
    ------
    EvaluationError
        No patient without the event is in it: no risk can be told from another.
    """
    n, events = len(told.patients), told.outcome.n_events
    event = "the event"
    if isinstance(told.outcome, NodalOutcome):
        n, event = int(told.outcome.observed.sum()), "a positive node"
    whole = bool(n) and events == n
    # of survival, `require_horizon` says where there is no event
    if not (whole or (isinstance(told.outcome, NodalOutcome) and not events)):
        return
    remedy = "Check the codes of the outcome and who is in the table"
    future = [c for c in argument.protocol.criterion if c.selects_on_future]
    followed = isinstance(told.outcome, SurvivalOutcome) and "followup_days" in table
    if argument.population == "as_written" and future and followed:
        longest = float(table.loc[list(info["all_eligible"]), "followup_days"].max())
        names = " and ".join(c.id for c in future)
        remedy = (
            f"{names} ({'; '.join(c.text for c in future)}) keeps only patients with the event: "
            f"the longest follow-up of an eligible patient is {longest:g} days. Provide complete "
            f"follow-up, or waive {names} with the reason"
        )
    raise EvaluationError(
        f"{'every' if whole else 'no'} patient of this population has {event}, so no risk can be "
        "estimated",
        where=argument.population.replace("_", " "),
        value=f"{n} patients, {events} events",
        remedy=remedy,
    )


def _with_other_population(
    error: EvaluationError, table: pd.DataFrame, info: Mapping[str, Any], argument: DataArgument
) -> EvaluationError:
    """The error, and what else is wrong: a cut follow-up spoils the other population too."""
    endpoint = next(e for e in argument.protocol.endpoint if e.name == argument.endpoint)
    other = next(p for p in ("as_written", "all_eligible") if p != argument.population)
    if not info.get(other):
        return error
    try:
        told = _outcome_of(endpoint, table, info[other], argument)
        _refuse_degenerate(told, table, info, replace(argument, population=other))
    except StudyError:
        return error
    except EvaluationError as also:
        return EvaluationError(
            error.problem,
            where=error.where,
            value=error.value,
            remedy=f"{error.remedy}. Also, {also}"[:-1],
        )
    return error


def _left_out(told: EndpointData) -> list[str]:
    """Eligible patients without an outcome, by reason; the nodal outcome keeps them unobserved."""
    if not isinstance(told.outcome, SurvivalOutcome):
        return []
    counts = Counter(e.reason for e in told.entries)
    return [
        f"{n} eligible patient{'s' * (n > 1)} excluded: {reason}."
        for reason, n in sorted(counts.items())
    ]


def build_features(
    cohort_folder: Path, modalities: Sequence[str], protocol: Protocol, patients: Sequence[str]
) -> FeatureTable:
    """Clinical features and those of further modalities for some patients; nothing is fitted."""
    table = pd.read_parquet(artefacts.PATIENT_TABLE.path(cohort_folder)).loc[list(patients)]
    clinical = clinical_features(table, protocol)
    values, features = [clinical.values], list(clinical.features)
    for name in modalities:
        part = pd.read_parquet(cohort_folder / f"modality_{name}.parquet").loc[list(patients)]
        clash = sorted(set(part.columns) & {f.name for f in features})
        if clash:
            raise StudyError(
                f"columns of modality {name} have the names of other features",
                value=", ".join(clash),
                remedy="Rename them in the table",
            )
        values.append(part)
        features += [_feature(str(c), name) for c in part.columns]
    return FeatureTable(pd.concat(values, axis=1), tuple(features))


def _with_centre(features: FeatureTable, table: pd.DataFrame) -> FeatureTable:
    """The features, and which hospital each patient is of.

    Raises
    ------
    StudyError
        No centre is mapped, or a feature has that name.
    """
    if CENTRE not in table or CENTRE in features.values:
        raise StudyError(
            "harmonisation needs the centre",
            where="study.toml",
            remedy="Map centre in [columns]; no feature has that name",
        )
    centre = table.loc[features.values.index, CENTRE].astype(object)
    levels = tuple(sorted({str(c) for c in table[CENTRE].dropna()}))
    if len(levels) < 2:
        raise StudyError(
            "there is only one centre, so there is nothing to harmonise",
            where="study.toml",
            remedy="Leave harmonise out",
        )
    about = Feature(name=CENTRE, kind=Kind.CATEGORICAL, modality=CENTRE, levels=levels)
    return FeatureTable(features.values.assign(**{CENTRE: centre}), (*features.features, about))


def _feature(column: str, modality: str) -> Feature:
    if modality == EMBEDDING_MODALITY:
        return Feature(name=column, kind=Kind.BAG, modality=modality)
    if modality == CROP_MODALITY:
        return Feature(name=column, kind=Kind.CROP, modality=modality)
    of = column.removesuffix(ERROR)
    with_errors = {GENERATED_MODALITY, RADIOMICS_MODALITY, SCAN_MODALITY}
    error = modality in with_errors and of != column
    return Feature(
        name=column, kind=Kind.CONTINUOUS, modality=modality, error_of=of if error else ""
    )


def _outcome_table(told: EndpointData, table: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(index=pd.Index(told.patients, name="patient"))
    if isinstance(told.outcome, SurvivalOutcome):
        frame["time_days"], frame["status"] = told.outcome.time_days, told.outcome.status
    else:
        frame["stage"] = told.outcome.stage
    rows = table.loc[list(told.patients)]
    for column in ("centre", "arm"):
        frame[column] = rows[column].astype("string") if column in rows else "all"
    frame["year"] = rows.get("year", np.nan)
    return frame


def _horizons(endpoint: Any, outcome: Outcome, argument: DataArgument) -> dict[str, Any]:
    """Horizons these data can speak about; one asked for in study.toml must be among them."""
    if not isinstance(outcome, SurvivalOutcome):
        return {"horizons_days": [], "grid_days": [], "tau_days": None, "refused": []}
    asked = argument.horizons_days
    floor = [
        float(str(d.value))
        for d in argument.protocol.definition
        if d.name == "censoring_survival_floor"
    ]
    kept, refused = supported_horizons(
        outcome.time_days,
        outcome.status,
        [Days(h) for h in asked] if asked else list(endpoint.horizons_days),
        insist=bool(asked) and not argument.lenient,
        min_censoring_survival=floor[0] if floor else MIN_CENSORING_SURVIVAL,
    )
    last = min(kept[-1], endpoint.tau_days)
    grid = prediction_days(kept, last)
    return {"horizons_days": kept, "grid_days": grid, "tau_days": last, "refused": refused}


def _splits(
    told: EndpointData, table: pd.DataFrame, argument: DataArgument
) -> tuple[list[Split], list[str]]:
    outcome = told.outcome
    strata = outcome.status if isinstance(outcome, SurvivalOutcome) else outcome.stage
    splits: list[Split] = []
    if argument.folds:
        splits += repeated_kfold(
            told.patients,
            strata,
            folds=argument.folds,
            repeats=argument.repeats,
            seed=argument.seed,
        )
    notes: list[str] = []
    rows = table.loc[list(told.patients)]
    if argument.centres_out:
        if "centre" not in rows:
            raise StudyError(
                "no centre is mapped",
                where="study.toml",
                remedy="Map centre in [columns]; in a study of one centre set single_centre_reason "
                "in [analysis] instead",
            )
        for split in leave_one_centre_out(rows["centre"]):
            trained = outcome.take(pd.Index(told.patients).get_indexer(pd.Index(split.train)))
            if trained.n_events == 0:
                notes.append(f"Centre {split.held_out} has all events and cannot be left out.")
            else:
                splits.append(split)
    if argument.first_test_year is not None:
        if "year" not in rows:
            raise StudyError(
                "a temporal split needs the date of time zero",
                where="study.toml [analysis]",
                remedy=f"Map {argument.protocol.time_zero_date}",
            )
        splits += temporal(rows["year"], first_test_year=argument.first_test_year)
    return splits, notes


@lru_cache(maxsize=2)
def load_data(folder: Path) -> tuple[crossfit.Data, list[Split], NDArray[np.int64]]:
    """Analysis data as crossfit takes them, their splits, and the horizons to predict.

    Kept for the next step of the same process: a result's folder never changes. Nobody writes to
    what is returned.
    """
    info = artefacts.DATA.read(folder)
    features = tuple(
        Feature(**{**f, "kind": Kind(f["kind"]), "levels": tuple(f["levels"])})
        for f in artefacts.FEATURE_LIST.read(folder)
    )
    values = pd.read_parquet(artefacts.FEATURES.path(folder))
    table = pd.read_parquet(artefacts.OUTCOME.path(folder))
    outcome: Outcome
    if "stage" in table:
        outcome = NodalOutcome(table["stage"].to_numpy(dtype=np.int8))
    else:
        outcome = SurvivalOutcome(
            table["time_days"].to_numpy(dtype=float), table["status"].to_numpy(dtype=np.int8)
        )
    data = crossfit.Data(
        tuple(map(str, values.index)),
        FeatureTable(values, features),
        outcome,
        table["centre"],
        table["arm"],
        info["endpoint"],
    )
    splits = [
        Split(**{**s, "train": tuple(s["train"]), "test": tuple(s["test"])})
        for s in artefacts.SPLITS.read(folder)
    ]
    return data, splits, np.asarray(info["grid_days"], dtype=np.int64)
