"""One fit a step: in a fold, on noise, with spoilt test rows, on a resample, on everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metasight.cohort.splits import Split, pairs_of_folds
from metasight.engine.step import Inputs
from metasight.errors import FitError
from metasight.features.bags import BagFolder
from metasight.features.columns import FeatureTable
from metasight.features.crops import CropFolder
from metasight.features.images import ImageFolders
from metasight.ledger import Entry, Fate
from metasight.models import crossfit
from metasight.models.base import RiskModel
from metasight.models.final_fit import final_fit
from metasight.models.fitted import ReaderHeadModel
from metasight.models.fusion import contributions, fuses
from metasight.models.mil import network_of
from metasight.models.registry import build, describe
from metasight.models.settings import ModelSettings
from metasight.predictions import NODAL_LABELS, Predictions
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.scans.patient import CROPS
from metasight.steps.slides.patches import BAGS


@dataclass(frozen=True, kw_only=True)
class FitArgument:
    """One fit.

    Attributes
    ----------
    data
        Name of the analysis-data step among the inputs.
    model
        Settings of the model.
    seed
        Of the study.
    scheme, repeat, fold
        Which split; unused by fits that have none.
    number
        Of a noise replicate or bootstrap resample.
    weights
        sha256 → file of a pretrained backbone.
    """

    data: str
    model: ModelSettings
    seed: int
    scheme: str = "kfold"
    repeat: int = 0
    fold: int = 0
    number: int = 0
    weights: Mapping[str, Path] = field(default_factory=dict)


def _split(splits: Sequence[Split], argument: FitArgument) -> Split:
    wanted = (argument.scheme, argument.repeat, argument.fold)
    return next(s for s in splits if (s.scheme, s.repeat, s.fold) == wanted)


def _model(inputs: Inputs, out: Path, argument: FitArgument) -> RiskModel:
    """The model, over the images that it reads; an interrupted training goes on in ``out``."""
    return build(argument.model, images_of(inputs, argument.weights, work=out / "training"))


def images_of(
    inputs: Inputs, weights: Mapping[str, Path], *, work: Path | None = None
) -> ImageFolders:
    """Where patch features and crops lie among a step's inputs."""
    return ImageFolders(
        bags=BagFolder(inputs[BAGS]) if BAGS in inputs else None,
        crops=CropFolder(inputs[CROPS]) if CROPS in inputs else None,
        weights=weights,
        work=work,
    )


def fit(inputs: Inputs, out: Path, argument: FitArgument) -> None:
    """One model in one fold; a model that these rows cannot support is recorded, not raised."""
    data, splits, horizons = load_data(inputs[argument.data])
    split = _split(splits, argument)
    try:
        fold = crossfit.fit_fold(
            _model(inputs, out, argument), data, split, horizons, seed=argument.seed
        )
    except FitError as error:
        artefacts.FAILURE.write(out, failure_row("fit", argument, error))
        return
    fold.predictions.to_parquet(artefacts.PREDICTIONS.path(out))
    artefacts.AUDIT.write(out, fold.audit.to_json())
    if isinstance(fold.fitted, ReaderHeadModel):
        test = data.features.rows(split.test)
        _write_contributions(fold.fitted, test, out)
        _write_attention(fold.fitted, test, out)
        _write_likeness(fold.fitted, test, out)


def _write_contributions(fitted: ReaderHeadModel, test: FeatureTable, out: Path) -> None:
    """What each modality adds to the log hazard of patients whom the fit did not see."""
    if fuses(fitted):
        frame = pd.DataFrame(contributions(fitted, test), index=test.values.index)
        frame.to_parquet(artefacts.CONTRIBUTIONS.path(out))


def _write_attention(fitted: ReaderHeadModel, test: FeatureTable, out: Path) -> None:
    """Where the network looks on slides of patients whom it did not see."""
    network = network_of(fitted)
    if network is None:
        return
    parts = []
    for patient, key in test.values[network.bag].items():
        if isinstance(key, str):
            bag, share = network.attention(key)
            parts.append(
                pd.DataFrame(
                    {
                        "patient": patient,
                        "slide": bag.slides,
                        "x": bag.coords[:, 0],
                        "y": bag.coords[:, 1],
                        "patch_px": bag.patch_px,
                        "share": share,
                    }
                )
            )
    if parts:
        pd.concat(parts, ignore_index=True).to_parquet(artefacts.ATTENTION.path(out))


def _write_likeness(fitted: ReaderHeadModel, test: FeatureTable, out: Path) -> None:
    """How far patients whom the fit did not see are from those it learnt from, and in what."""
    told = likeness_table(fitted, test)
    if told is not None:
        told.to_parquet(artefacts.LIKENESS.path(out))


def likeness_table(fitted: ReaderHeadModel, patients: FeatureTable) -> pd.DataFrame | None:
    """``distance`` (above 1 is unlike) and ``furthest`` features by patient; None if not judged."""
    likeness = fitted.likeness
    if likeness is None:
        return None
    return pd.DataFrame(
        {
            "distance": likeness.distances(patients),
            "furthest": [", ".join(names) for names in likeness.furthest(patients)],
        },
        index=patients.values.index,
    )


def failure_row(what: str, argument: FitArgument, error: FitError) -> dict[str, Any]:
    """Ledger row of a fit that failed."""
    entry = Entry(
        patient="",
        item=f"{argument.scheme} repeat {argument.repeat} fold {argument.fold}",
        stage=f"{what} {argument.data}",
        verdict=Fate.FAILED,
        criterion=argument.model.name,
        value=error.value,
        reason=str(error).rstrip("."),
    )
    return {k: str(v) for k, v in asdict(entry).items()}


def pairs(inputs: Inputs, out: Path, argument: FitArgument) -> None:
    """One model in one repeat, fitted without every pair of folds: what it says of both.

    Writes ``repeat patient fold other ranking``: the patient's own fold, the other that was left
    out, and what C ranks by; and who was handed to each fit.
    """
    data, splits, _ = load_data(inputs[argument.data])
    reported = artefacts.DATA.read(inputs[argument.data])["horizons_days"]
    horizons = np.array(reported[-1:], dtype=np.int64)
    model = _model(inputs, out, argument)
    division = [s for s in splits if s.scheme == "kfold" and s.repeat == argument.repeat]
    parts, audits = [], []
    for first, second, both in pairs_of_folds(division):
        try:
            fold = crossfit.fit_fold(model, data, both, horizons, seed=argument.seed)
        except FitError as error:
            artefacts.FAILURE.write(out, failure_row("pair of folds", argument, error))
            return
        audits.append(fold.audit.to_json())
        ranking = ranking_of(fold.predictions)
        for own, other in ((first, second), (second, first)):
            parts.append(
                pd.DataFrame(
                    {
                        "repeat": argument.repeat,
                        "patient": list(own.test),
                        "fold": own.fold,
                        "other": other.fold,
                        "ranking": ranking.loc[list(own.test)].to_numpy(),
                    }
                )
            )
    pd.concat(parts, ignore_index=True).to_parquet(artefacts.PAIRS.path(out))
    artefacts.PAIR_AUDITS.write(out, audits)


def ranking_of(predictions: Predictions) -> pd.Series[float]:
    """What C ranks patients by: the risk at the one horizon, or the expected stage."""
    table = predictions.table
    if table["label"].isna().all():
        return table.set_index("patient")["risk"]
    stage = table["label"].map({label: k for k, label in enumerate(NODAL_LABELS)})
    return (table["risk"] * stage.astype(float)).groupby(table["patient"]).sum()


def noise(inputs: Inputs, out: Path, argument: FitArgument) -> None:
    """The same procedure on noise: one replicate, every fold of the first repeat."""
    data, splits, horizons = load_data(inputs[argument.data])
    blank = crossfit.on_noise(data, seed=crossfit.fold_seed(argument.seed, argument.number))
    model = _model(inputs, out, argument)
    folds = [s for s in splits if s.scheme == "kfold" and s.repeat == 0]
    parts = []
    for split in folds:
        try:
            fold = crossfit.fit_fold(model, blank, split, horizons[-1:], seed=argument.seed)
        except FitError as error:
            artefacts.FAILURE.write(out, failure_row("noise replay", argument, error))
            return
        parts.append(fold.predictions)
    Predictions.concat(parts).to_parquet(artefacts.PREDICTIONS.path(out))


def corrupted(inputs: Inputs, out: Path, argument: FitArgument) -> None:
    """What is learnt with true and with spoilt test rows."""
    data, splits, _ = load_data(inputs[argument.data])
    try:
        hashes = crossfit.corrupt_test_rows_check(
            _model(inputs, out, argument), data, _split(splits, argument), seed=argument.seed
        )
    except FitError as error:
        artefacts.FAILURE.write(out, failure_row("spoilt rows", argument, error))
        return
    artefacts.HASHES.write(out, {"model": argument.model.name, "hashes": hashes})


def resample(inputs: Inputs, out: Path, argument: FitArgument) -> None:
    """The model refitted to one bootstrap resample."""
    data, _, horizons = load_data(inputs[argument.data])
    try:
        model = _model(inputs, out, argument)
        drawn = crossfit.fit_resample(
            model, data, horizons, seed=argument.seed, number=argument.number
        )
    except FitError as error:
        artefacts.FAILURE.write(out, failure_row("resample", argument, error))
        return
    np.save(artefacts.RESAMPLE_INDEX.path(out), drawn.index)
    np.save(artefacts.RISK.path(out), drawn.risk)
    artefacts.STATE.write(out, drawn.fitted.state)
    artefacts.COEFFICIENTS.write(out, describe(drawn.fitted.state)["coefficients"])


def everybody(inputs: Inputs, out: Path, argument: FitArgument) -> None:
    """The model fitted to all patients, and its apparent predictions."""
    data, _, horizons = load_data(inputs[argument.data])
    try:
        fitted = crossfit.fit_everybody(_model(inputs, out, argument), data, seed=argument.seed)
    except FitError as error:
        artefacts.FAILURE.write(out, failure_row("final model", argument, error))
        return
    artefacts.STATE.write(out, fitted.state)
    artefacts.MODEL.write(out, {"name": argument.model.name, **describe(fitted.state)})
    if isinstance(fitted, ReaderHeadModel):
        told = final_fit(fitted, data.features, data.outcome)
        artefacts.FINAL_FIT.write(out, told.to_json())
    np.save(artefacts.RISK.path(out), fitted.predict(data.features, horizons))


def centre_probabilities(inputs: Inputs, out: Path, argument: FitArgument) -> None:
    """Centre told from the features that the model reads, out of fold."""
    data, splits, _ = load_data(inputs[argument.data])
    read = data.features.of_modality(argument.model.modalities)
    data = replace(data, features=read)
    folds = [s for s in splits if s.scheme == "kfold" and s.repeat == 0]
    images = images_of(inputs, argument.weights)
    probabilities = crossfit.predict_centre(data, folds, images)
    probabilities.to_parquet(artefacts.CENTRE_PROBABILITIES.path(out))
