"""Lock a study: its models, how they are measured, and what they rest on, in a bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metasight import bundle
from metasight.bundle.alike import acquired_of
from metasight.bundle.content import Standing, Training
from metasight.bundle.lock import pack
from metasight.cohort.overlap import table_of
from metasight.engine.step import Inputs, StepKind
from metasight.estimate import Estimate
from metasight.formats import KEY
from metasight.ledger import Ledger
from metasight.predictions import Predictions
from metasight.protocol.study import Protocol
from metasight.steps import artefacts
from metasight.steps.cohort.data import load_data, read_acquired
from metasight.steps.slides.maps import EVERYBODY
from metasight.study.file import StudySettings
from metasight.study.nested import increment_reference, models_to_fit
from metasight.units import DAYS_PER_YEAR
from metasight.validation.results import Evaluation

_QUANTILES = np.linspace(0, 1, 21)


@dataclass(frozen=True, kw_only=True)
class LockArgument:
    """What is locked.

    Attributes
    ----------
    settings, protocol
        Of the study.
    data, judged
        Names of the headline analysis' data and evaluation steps.
    endpoint
        Of the headline analysis.
    run
        Name of the developing run.
    versions
        Package → versions that made the results.
    overlap_key
        Key of the marks by which a training patient is found among others.
    generator
        That was trained elsewhere and paints this study's maps; None without.
    """

    settings: StudySettings
    protocol: Protocol
    data: str
    judged: str
    endpoint: str
    run: str
    versions: Mapping[str, str]
    overlap_key: str
    generator: Path | None = None


def lock(inputs: Inputs, out: Path, argument: LockArgument) -> None:
    """Write ``bundle/`` and ``bundle.zip``."""
    bundle.save(_bundle(inputs, argument), out / "bundle")
    pack(out / "bundle", out / "bundle.zip")


def final_states(inputs: Inputs) -> dict[str, dict[str, Any]]:
    """Model name → state fitted to all patients, of the models that could be fitted."""
    return dict(_states(inputs, StepKind.FIT_EVERYBODY))


def _states(inputs: Inputs, kind: StepKind) -> Iterator[tuple[str, dict[str, Any]]]:
    """Model name and state of every fit of a kind that succeeded."""
    for fit in inputs.with_file(kind, artefacts.STATE.name):
        yield fit.subject, artefacts.STATE.read(fit.folder)


def _bundle(inputs: Inputs, argument: LockArgument) -> bundle.Bundle:
    data, _, grid = load_data(inputs[argument.data])
    info = artefacts.DATA.read(inputs[argument.data])
    judged = inputs[argument.judged]
    evaluation = Evaluation.from_json(artefacts.EVALUATION.read(judged))
    headline = argument.settings.analysis.headline_model
    states = final_states(inputs)
    cohort = inputs.only(StepKind.SCREEN)
    acquired = read_acquired(cohort)
    marks = artefacts.OVERLAP.read(cohort)
    trained = [i.folder for i in inputs.of(StepKind.TRAIN_GENERATOR) if i.subject == EVERYBODY]
    usable = [f for f in trained if not artefacts.FAILED.is_in(f)]
    generator = argument.generator or (usable[0] if usable else None)
    return bundle.Bundle(
        protocol=argument.protocol,
        settings=argument.settings,
        endpoint=argument.endpoint,
        horizons_days=tuple(info["horizons_days"]),
        grid_days=tuple(int(g) for g in grid),
        headline_model=headline,
        reference_model=increment_reference(argument.settings),
        features=data.features.features,
        states={
            m.name: states[m.name] for m in models_to_fit(argument.settings) if m.name in states
        },
        refits=tuple(state for _, state in _states(inputs, StepKind.FIT_RESAMPLE)),
        intervals=_intervals(inputs),
        training=_training(argument, info, data.centre.nunique(), cohort),
        standing=_standing(Predictions.from_parquet(artefacts.PREDICTIONS.path(judged)), headline),
        acquired=acquired_of(acquired.get(p, {}) for p in data.patients),
        overlap=table_of(
            (m for p in data.patients for m in marks.get(p, ())), argument.overlap_key
        ),
        performance=performance(evaluation, headline),
        versions=argument.versions,
        generator=generator,
    )


def _intervals(inputs: Inputs) -> Mapping[str, Any] | None:
    """Refits for a new patient's interval; None where there are none."""
    for fit in inputs.with_file(StepKind.FIT_INTERVALS, artefacts.INTERVALS.name):
        found: dict[str, Any] = artefacts.INTERVALS.read(fit.folder)
        return {k: v for k, v in found.items() if k != KEY}
    return None


def _training(argument: LockArgument, info: Any, centres: int, cohort: Path) -> Training:
    counts = Counter(
        str(e.verdict) for e in Ledger.from_parquet(artefacts.LEDGER.path(cohort)).entries
    )
    follow_up = info["follow_up"]
    return Training(
        run=argument.run,
        patients=info["n"],
        events=info["events"],
        centres=int(centres),
        accrual=tuple(artefacts.COHORT.read(cohort)["accrual"]),
        case_mix=tuple((r["label"], r["cells"]["All"]) for r in info["table1"]["rows"]),
        median_follow_up_years=None
        if follow_up is None or follow_up["median_days"] is None
        else follow_up["median_days"] / DAYS_PER_YEAR,
        ledger=dict(sorted(counts.items())),
    )


def _standing(predictions: Predictions, model: str) -> Standing:
    """Quantiles of the risks that training patients had from models that had not seen them."""
    rows = predictions.table
    rows = rows[rows["model"] == model]
    nodal = bool(rows["label"].notna().any())
    target = rows["label"] if nodal else rows["horizon_days"]
    quantiles: dict[str, tuple[float, ...]] = {}
    for name, own in rows.groupby(target.astype(str)):
        risks = own.groupby("patient")["risk"].mean().to_numpy(dtype=float)
        quantiles[str(name)] = tuple(float(q) for q in np.quantile(risks, _QUANTILES))
    return Standing(quantiles=quantiles)


def performance(evaluation: Evaluation, name: str) -> dict[str, str]:
    """Cross-fitted figures of a model, as text for the model card."""
    model = evaluation.models[name]
    found = {}
    for figure in ("harrell_c", "uno_c", "ordinal_c", "integrated_ipa"):
        metric = getattr(model, figure)
        if isinstance(metric, Estimate):
            found[figure.replace("_", " ")] = _interval(metric)
    for target in model.targets:
        if isinstance(target.auc, Estimate):
            found[f"AUC, {target.target}"] = _interval(target.auc)
    return found


def _interval(metric: Estimate) -> str:
    if metric.lower is None or metric.upper is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} (95 % interval {metric.lower:.3f} to {metric.upper:.3f})"
