"""Locked models on patients that no fold was drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metasight import bundle
from metasight.cohort.overlap import shared
from metasight.engine.step import Inputs, StepKind
from metasight.errors import StudyError
from metasight.features.columns import FeatureTable
from metasight.features.missing_patterns import missing_patterns
from metasight.ledger import Entry, Fate
from metasight.models import crossfit
from metasight.models.base import FittedModel
from metasight.models.fitted import ReaderHeadModel
from metasight.models.registry import describe, features_of
from metasight.predictions import Predictions
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data
from metasight.steps.risk.abstention import judge_abstention
from metasight.steps.risk.fitting import images_of, likeness_table
from metasight.steps.risk.predicting import measured_otherwise
from metasight.validation.evaluate import evaluate
from metasight.validation.json_tree import to_jsonable
from metasight.validation.recalibration import recalibrations
from metasight.validation.results import EvaluationPlan
from metasight.validation.table import Aligned, align
from metasight.validation.validation_size import size_for


@dataclass(frozen=True, kw_only=True)
class ExternalArgument:
    """What is tried and on whom.

    Attributes
    ----------
    bundle
        Folder of the locked models.
    data
        Name of the external analysis-data step.
    thresholds, bootstrap, seed
        As in the evaluation plan.
    opening
        How many times these patients have been looked at with one model or another, this time
        included.
    weights
        sha256 → file of a pretrained backbone.
    """

    bundle: Path
    data: str
    thresholds: tuple[float, ...]
    bootstrap: int
    seed: int
    opening: int
    weights: Mapping[str, Path] = field(default_factory=dict)


def judge_external(inputs: Inputs, out: Path, argument: ExternalArgument) -> None:
    """Predict with every model of the bundle and judge the predictions.

    Raises
    ------
    StudyError
        The external table lacks a feature that the models read.
    """
    locked = bundle.read(argument.bundle)
    data, _, _ = load_data(inputs[argument.data])
    info = artefacts.DATA.read(inputs[argument.data])
    _require_features(locked, data)
    grid = np.asarray(
        [g for g in locked.grid_days if g <= max(info["grid_days"], default=0)], dtype=np.int64
    )
    images = images_of(inputs, argument.weights)
    models = {name: locked.model(name, images) for name in locked.states}
    left_out = _left_out(locked, inputs, data.patients)
    kept = _kept(data.patients, left_out)
    predictions = Predictions.concat(
        crossfit.predict(model, name, data, kept, grid) for name, model in models.items()
    )
    features, outcome = data.take(kept)
    read = features_of(dict(locked.states[locked.headline_model]))
    patterns = missing_patterns(features, sorted(read), outcome.observed)
    artefacts.MISSING.write(out, patterns.to_json())
    plan = EvaluationPlan(
        endpoint=locked.endpoint,
        horizons_days=tuple(info["horizons_days"]),
        tau_days=info["tau_days"],
        reference_model=locked.reference_model,
        headline_model=locked.headline_model,
        thresholds=argument.thresholds,
        n_bootstrap=argument.bootstrap,
        seed=argument.seed,
        missing=patterns.groups,
    )
    predictions.to_parquet(artefacts.PREDICTIONS.path(out))
    artefacts.EVALUATION.write(out, evaluate(predictions, plan).to_json())
    aligned = align(predictions, plan)
    leading = models[locked.headline_model]
    offered = recalibrations(
        aligned, plan.headline_model, seed=plan.seed, columns=_last_step(leading, features, aligned)
    )
    artefacts.RECALIBRATION.write(out, to_jsonable(offered))
    needed = size_for(aligned, plan.headline_model, plan.thresholds)
    artefacts.VALIDATION_SIZE.write(out, to_jsonable(needed))
    told = None
    if isinstance(leading, ReaderHeadModel):
        told = likeness_table(leading, features)
    silent = judge_abstention(told, out, predictions, plan)
    entries = _entries(locked, argument.opening, left_out)
    artefacts.LEDGER_ROWS.write(
        out, [{k: str(v) for k, v in asdict(e).items()} for e in entries] + silent
    )
    artefacts.ORIGIN.write(
        out,
        {
            **asdict(locked.training),
            "horizons_days": list(locked.horizons_days),
            "judged_days": list(info["horizons_days"]),
            "left_out": Counter(left_out.values()),
        },
    )
    artefacts.FAILURES.write(out, [])
    _write_models(locked, out)


def _write_models(locked: bundle.Bundle, out: Path) -> None:
    """State and description of every model of the bundle, as a development's final models have."""
    for number, (name, state) in enumerate(locked.states.items()):
        folder = out / "models" / str(number)
        folder.mkdir(parents=True)
        artefacts.STATE.write(folder, dict(state))
        artefacts.MODEL.write(folder, {"name": name, **describe(dict(state))})


def _last_step(
    model: FittedModel, features: FeatureTable, aligned: Aligned
) -> NDArray[np.float64] | None:
    """What the model's last step reads of the patients judged, shape (n, p)."""
    if not isinstance(model, ReaderHeadModel):
        return None
    return model.reader.matrix(features.rows([str(p) for p in aligned.patients]))


def _require_features(locked: bundle.Bundle, data: crossfit.Data) -> None:
    """Every feature that a model reads is a column of the external data.

    Raises
    ------
    StudyError
        One is not.
    """
    read = frozenset().union(*(features_of(dict(s)) for s in locked.states.values()))
    missing = sorted(read - set(data.features.values.columns))
    if missing:
        raise StudyError(
            "features that the models read are missing from the external table",
            value=", ".join(missing[:8]) + (f" and {len(missing) - 8} more" * (len(missing) > 8)),
            remedy="Map them in its study.toml; single missing values are imputed as in training",
        )


def _kept(patients: Sequence[str], left_out: Mapping[str, str]) -> list[str]:
    """Patients on whom the models are tried.

    Raises
    ------
    StudyError
        There are none.
    """
    kept = [p for p in patients if p not in left_out]
    if not kept:
        raise StudyError(
            "none of these patients can be used to validate the locked models",
            value="; ".join(sorted(set(left_out.values())))[:200],
            remedy="Give other patients, measured as those the models were trained on",
        )
    return kept


def _entries(locked: bundle.Bundle, opening: int, left_out: Mapping[str, str]) -> list[Entry]:
    """Ledger rows of the opening, and of who is left out."""
    opened = Entry(
        patient="",
        item="external table",
        stage="locked test set",
        verdict=Fate.KEPT,
        value=f"opening {opening}",
        reason=f"evaluated with the models of run {locked.training.run}",
    )
    return [
        opened,
        *(
            Entry(patient=p, item="patient", stage="validation", verdict=Fate.EXCLUDED, reason=why)
            for p, why in left_out.items()
        ),
    ]


def _left_out(locked: bundle.Bundle, inputs: Inputs, patients: Sequence[str]) -> dict[str, str]:
    """Pseudonym → why a patient is not among those on whom the models are tried."""
    cohort = inputs.only(StepKind.SCREEN)
    found = {
        p: "; ".join(why) for p, why in measured_otherwise(locked, cohort, patients).items() if why
    }
    both = shared(locked.overlap, artefacts.OVERLAP.read(cohort))
    return found | dict.fromkeys(
        (p for p in both if p in set(patients)), "also among the training patients of the models"
    )
