"""The guideline's rule and the model's risk, for each patient and over all who were examined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from metasight.cohort.outcome import NodalOutcome
from metasight.decisions.nodal_staging import (
    RiskInterval,
    StagingLimits,
    after_negative_ebus,
    ebus_needed,
    guideline,
    staging_view,
)
from metasight.engine.step import Inputs
from metasight.errors import StudyError
from metasight.steps.after.verification import out_of_fold_risks
from metasight.steps.cohort.data import load_data
from metasight.steps.files import number, read_json, write_json
from metasight.validation.decision_curve import net_benefit_class

Found = dict[str, Any]
Floats = NDArray[np.float64]

STAGING = "nodal staging"
FEWEST_RESAMPLES = 20
"""Refits below which a patient's interval is not known."""

_FEWEST_FOR_A_PATIENT = 5
_CERTAIN = 1e-6
_SHOWN_RISKS = (0.05, 0.10, 0.15, 0.20, 0.30)


@dataclass(frozen=True, kw_only=True)
class StagingArgument:
    """What is held against what.

    Attributes
    ----------
    data, judged
        Names of the analysis' data and evaluation steps.
    model
        Headline model.
    limits
        Of the protocol.
    resamples, seed
        Of the bootstrap of patients.
    demonstration
        What the study is, where it is a demonstration or simulated; said with every risk.
    """

    data: str
    judged: str
    model: str
    limits: StagingLimits
    resamples: int
    seed: int
    demonstration: str = ""


def stage_patients(inputs: Inputs, out: Path, argument: StagingArgument) -> None:
    """Write ``staging.json``: each patient's view, and what rule and risk do in the examined."""
    data, _, _ = load_data(inputs[argument.data])
    risk = out_of_fold_risks(inputs, argument.model)
    why = ""
    if not isinstance(data.outcome, NodalOutcome):
        why = "no nodal stage is judged"
    elif risk is None:
        why = "the headline model could not be fitted"
    spread = _spread(inputs, len(data.patients))
    if not why and spread is None:
        why = (
            f"a risk is not shown without its interval, for which at least {FEWEST_RESAMPLES} "
            "refits are needed ([analysis] instability_resamples)"
        )
    if why or risk is None or spread is None or not isinstance(data.outcome, NodalOutcome):
        write_json(out / "staging.json", {"model": argument.model, "skipped": why})
        return
    table = pd.read_parquet(inputs["cohort"] / "table.parquet")
    stage = pd.Series(np.asarray(data.outcome.stage), index=list(data.patients))
    silent = _silent(inputs[argument.judged])
    evidence = _evidence(inputs, argument, data.centre, stage)
    sd = pd.Series(spread, index=list(data.patients))
    rows = [
        _patient(
            str(p),
            table.loc[p],
            _interval(float(risk[p]), float(sd[p])),
            silent.get(str(p), ""),
            argument.limits,
            evidence=evidence,
        )
        for p in data.patients
        if p in risk.index
    ]
    told = pd.DataFrame(rows).set_index("patient")
    examined = [p for p in told.index if stage[p] >= 0]
    positive = (stage.loc[examined] > 0).to_numpy()
    write_json(
        out / "staging.json",
        {
            "model": argument.model,
            "limits": asdict(argument.limits),
            "evidence": evidence,
            "patients": rows,
            "cells": _cells(told, stage, argument.limits),
            "benefit": _benefit(told.loc[examined], positive, argument),
            "ebus": [_after(r, argument.limits) for r in _SHOWN_RISKS],
        },
    )


def _spread(inputs: Inputs, n: int) -> Floats | None:
    """SD of each patient's log-odds over refits to resamples without the patient, shape (n,)."""
    folders = [
        f
        for name, f in inputs.items()
        if name.startswith("resample ") and (f / "risk.npy").is_file()
    ]
    if len(folders) < FEWEST_RESAMPLES:
        return None
    odds = np.full((len(folders), n), np.nan)
    for row, folder in enumerate(folders):
        any_node = np.clip(1 - np.load(folder / "risk.npy")[:, 0], _CERTAIN, 1 - _CERTAIN)
        unseen = ~np.isin(np.arange(n), np.load(folder / "index.npy"))
        odds[row, unseen] = logit(any_node[unseen])
    known = np.isfinite(odds).sum(axis=0)
    spread = np.full(n, np.nan)
    enough = known >= _FEWEST_FOR_A_PATIENT
    spread[enough] = np.nanstd(odds[:, enough], axis=0, ddof=1)
    return spread


def _silent(judged: Path) -> dict[str, str]:
    """Patients about whom the model is silent, each with the reason."""
    path = judged / "abstention.json"
    if not path.is_file():
        return {}
    found = {}
    for patient, distance in read_json(path)["distances"].items():
        if distance is None:
            found[patient] = (
                "nothing was measured by which a patient is told to be like those of training"
            )
        elif distance > 1:
            found[patient] = (
                f"the scan is unlike those it learnt from (distance {distance:.1f} of the limit)"
            )
    return found


def _evidence(inputs: Inputs, argument: StagingArgument, centre: Any, stage: Any) -> str:
    """What the risks rest on, in words."""
    info = read_json(inputs[argument.judged] / "evaluation.json")
    targets = info["models"][argument.model]["targets"]
    auc = targets[0]["auc"]
    examined = stage[stage >= 0]
    centres = centre[examined.index].nunique()
    text = (
        f"{len(examined)} patients with examined nodes ({int((examined > 0).sum())} positive) "
        f"of {centres} {'centre' if centres == 1 else 'centres'}, each predicted by a model "
        "that had not seen them"
    )
    if auc.get("lower") is not None:
        text += f", AUC {auc['value']:.2f} ({auc['lower']:.2f} to {auc['upper']:.2f})"
    if argument.demonstration:
        text += f". {argument.demonstration.rstrip('.')}"
    return text


def _patient(
    patient: str,
    row: Any,
    risk: RiskInterval | None,
    silent: str,
    limits: StagingLimits,
    *,
    evidence: str,
) -> Found:
    """One patient's view; cN0 after PET/CT means that no node is positive on it."""
    size, central = _known(row.get("tumour_size_mm")), _known(row.get("central"))
    pet = _known(row.get("pet_ct"))
    rule = guideline(
        None if size is None else float(size),
        None if central is None else bool(central),
        False if pet else None,
        limits,
    )
    if not silent and risk is None:
        silent = "its interval is not known: too few refits left this patient out"
    shown = None if silent else risk
    view = staging_view(rule, shown, limits, evidence=evidence, abstains=silent)
    told = asdict(view)
    told["patient"] = patient
    told["verdict"] = rule.verdict
    told["value"] = None if shown is None else shown.value
    return told


def _known(value: Any) -> Any:
    return None if value is None or pd.isna(value) else value


def _interval(risk: float, sd: float) -> RiskInterval | None:
    """95 %, on the log-odds scale: what refitting to other patients would have said."""
    if not np.isfinite(sd):
        return None
    p = float(np.clip(risk, _CERTAIN, 1 - _CERTAIN))
    half = float(norm.ppf(0.975)) * sd
    return RiskInterval(
        value=p, lower=float(expit(logit(p) - half)), upper=float(expit(logit(p) + half))
    )


# ------------------------------------------------------------------ over all who were examined


def _cells(told: pd.DataFrame, stage: pd.Series, limits: StagingLimits) -> list[Found]:
    """Patients and positive nodes by what the rule says and where the risk lies."""
    edges = [0.0, *limits.thresholds, 1.0 + 1e-9]
    rows = []
    for verdict in ("optional", "indicated", "unknown"):
        own = told[told["verdict"] == verdict]
        for low, high in pairwise(edges):
            here = own[(own["value"] >= low) & (own["value"] < high)]
            rows.append(_cell(verdict, low, min(high, 1.0), list(here.index), stage))
        silent = own[own["value"].isna()]
        rows.append(_cell(verdict, None, None, list(silent.index), stage))
    return rows


def _cell(
    verdict: str, low: float | None, high: float | None, patients: Sequence[str], stage: pd.Series
) -> Found:
    seen = stage.loc[list(patients)]
    seen = seen[seen >= 0]
    return {
        "rule": verdict,
        "from": low,
        "to": high,
        "patients": len(patients),
        "examined": len(seen),
        "positive": int((seen > 0).sum()),
    }


def _benefit(told: pd.DataFrame, positive: NDArray[np.bool_], argument: StagingArgument) -> Found:
    """Net benefit of staging by risk, by the rule, and of everybody, with paired intervals.

    Only examined patients for whom both say something.
    """
    here = (told["value"].notna() & (told["verdict"] != "unknown")).to_numpy()
    y = np.asarray(positive[here], dtype=np.float64)
    if len(y) == 0 or len(np.unique(y)) < 2:
        return {"skipped": "both classes are needed among patients with a rule and a risk"}
    risk: Floats = told.loc[here, "value"].to_numpy(dtype=np.float64)
    rule: Floats = np.asarray(told.loc[here, "verdict"] == "indicated", dtype=np.float64)
    limits = argument.limits.thresholds
    rng = np.random.default_rng([argument.seed, 0x7374])
    gains: list[Floats] = []
    for _ in range(argument.resamples):
        rows = rng.integers(0, len(y), len(y))
        if 0 < y[rows].sum() < len(y):
            by_risk, by_rule = (_net(r[rows], y[rows], limits) for r in (risk, rule))
            gains.append(np.subtract(by_risk, by_rule))
    low, high = np.quantile(np.array(gains), [0.025, 0.975], axis=0)
    by_risk, by_rule = _net(risk, y, limits), _net(rule, y, limits)
    everybody = _net(np.ones(len(y)), y, limits)
    return {
        "patients": len(y),
        "positive": int(y.sum()),
        "rows": [
            {
                "threshold": t,
                "risk": number(float(by_risk[k])),
                "rule": number(float(by_rule[k])),
                "everybody": number(float(everybody[k])),
                "gain": [number(float(v)) for v in (by_risk[k] - by_rule[k], low[k], high[k])],
            }
            for k, t in enumerate(limits)
        ],
    }


def _net(risk: Floats, y: Floats, limits: tuple[float, ...]) -> Floats:
    return np.asarray(net_benefit_class(risk, y, limits).model)


def _after(risk: float, limits: StagingLimits) -> Found:
    """What a negative EBUS leaves of a risk, and the sensitivity it needs to reach the lowest."""
    rest = after_negative_ebus(RiskInterval(value=risk, lower=risk, upper=risk), limits)
    return {
        "risk": risk,
        "after": asdict(rest),
        "needed": number(ebus_needed(risk, limits.thresholds[0], limits)),
    }


# ------------------------------------------------------------------ one patient, for the clinician


def staging_of(folder: Path, patient: str) -> tuple[str, ...]:
    """What the last run says of one patient, in sentences.

    Parameters
    ----------
    folder
        Of the study.
    patient
        Study pseudonym.

    Raises
    ------
    StudyError
        There are no such results, or the patient is not among them.
    """
    path = folder / "results" / "latest" / "staging.json"
    if not path.is_file():
        raise StudyError(
            "there are no results on staging",
            where="results/latest",
            remedy="Run it; its protocol must have [nodal_staging]",
        )
    told = read_json(path)
    if "skipped" in told:
        raise StudyError(f"no risk is shown: {told['skipped']}", where="staging.json")
    found = next((p for p in told["patients"] if p["patient"] == patient), None)
    if found is None:
        raise StudyError(
            "no such patient among those who were predicted",
            where="staging.json",
            remedy="Give the study's pseudonym; the ledger says who was excluded and why",
        )
    return tuple(found["text"])
