"""The analysis plan: what is going to be done, written and locked before outcomes are read.

A plan is a list of entries, each a name and a sentence, made from the study file and the protocol
alone: no table is opened. Locked, it lies in the study's folder with its hash and the day. What a
run does is written as the same entries, and those that differ are its deviations.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metasight.errors import StudyError
from metasight.formats import KEY, with_format
from metasight.protocol.endpoint import NodalEndpoint
from metasight.protocol.study import Protocol
from metasight.provenance import hash_json
from metasight.study.anticipated import size_in_words
from metasight.study.file import AnalysisSettings, Study, StudyModel, StudySettings
from metasight.study.nested import increment_reference, models_to_fit

FORMAT = 1
PLAN_FILE = "analysis-plan.json"
PAGE_FILE = "analysis-plan.md"
SHORTEST_REASON = 10
_NOT_PLANNED = {"name", "network", "scan_network", "endpoints"}


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """A change of a locked plan.

    Attributes
    ----------
    day
        ISO date.
    reason
        Why.
    changed
        Names of the entries that changed.
    """

    day: str
    reason: str
    changed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LockedPlan:
    """A plan as it was locked.

    Attributes
    ----------
    entries
        Name → sentence, in the order of the page.
    day
        ISO date of the lock.
    outcomes_read_before
        Whether metasight had read this study's tables before that.
    amendments
        In order.
    """

    entries: Mapping[str, str]
    day: str
    outcomes_read_before: bool
    amendments: tuple[Amendment, ...] = ()

    @property
    def sha256(self) -> str:
        """Of the entries."""
        return hash_json(dict(self.entries))


@dataclass(frozen=True, kw_only=True)
class PlanComparison:
    """A run beside the plan.

    Attributes
    ----------
    plan
        The locked one; None where none was locked.
    deviations
        Name of an entry, what was planned, what was done.
    """

    plan: LockedPlan | None = None
    deviations: tuple[tuple[str, str, str], ...] = ()


def plan_entries(settings: StudySettings, protocol: Protocol) -> dict[str, str]:
    """The entries of a plan, from study file and protocol alone."""
    analysis, primary = settings.analysis, protocol.primary
    by_name = {m.name: m for m in models_to_fit(settings)}
    headline = by_name[analysis.headline_model]
    reference = by_name[increment_reference(settings)]
    further = [m.name for m in settings.model if m.name not in {headline.name, reference.name}]
    entries = {
        "protocol": f"{protocol.id}, version {protocol.version}",
        "population": f"{protocol.headline_population.replace('_', ' ')}, from {protocol.setting}",
        "criteria not assessed": _reasons(settings.waive),
        "time zero": f"{protocol.time_zero}",
        "landmark": f"day {protocol.landmark_days}: who has an event or is censored by then is not "
        "analysed"
        if protocol.landmark_days
        else "none: patients enter at time zero",
        "endpoint": f"{primary.name}: {primary.label}",
        "outcomes not recorded": _reasons(settings.not_recorded),
    }
    if isinstance(primary, NodalEndpoint):
        measure = "difference in the ordinal c-index"
        entries["horizons"] = "none: stage at surgery"
    else:
        years = analysis.horizons_years or primary.horizons_years
        tau = min(primary.tau_years, max(years))
        measure = f"difference in C, truncated at {tau:g} years"
        entries["horizons"] = f"{', '.join(f'{y:g}' for y in years)} years"
    return entries | {
        "estimand": f"what “{headline.name}” ({', '.join(headline.modalities)}) adds to "
        f"“{reference.name}” ({', '.join(reference.modalities)}) in new patients of this "
        "population",
        "headline measure": f"{measure}, patients of one fold compared, averaged over repeats",
        "headline model": _model(headline),
        "reference of the increment": _model(reference),
        "study's own reference": _model(by_name[analysis.reference_model]),
        "order of hypotheses": "first the headline measure; AUC, accuracy and net benefit at each "
        "horizon or stage are read only where its interval, counting the fitting, excludes zero; "
        "everything else is exploratory and not adjusted",
        "further models": f"{len(further)}, exploratory: {', '.join(further) or 'none'}",
        "decision thresholds": ", ".join(f"{100 * t:g} %" for t in primary.thresholds),
        "subgroups": ", ".join(analysis.subgroups) or "none",
        "cross-validation": f"{analysis.folds} folds by patient, {analysis.repeats} repeats, seed "
        f"{analysis.seed}; centres left out one by one"
        + (f", not done: {analysis.single_centre_reason}" if analysis.single_centre_reason else ""),
        "temporal validation": "none"
        if analysis.first_test_year is None
        else f"tested from {analysis.first_test_year}",
        "intervals": f"95 %, {analysis.bootstrap} resamples of patients; for the headline measure "
        f"also by nested cross-validation ({min(analysis.nested_splits, analysis.repeats)} "
        "divisions), or over folds (Nadeau and Bengio) with fewer than 3 or for networks and maps",
        "permutation test": f"{analysis.permutations} permutations of what the headline adds, "
        "within fifths of the reference's risk; one-sided"
        if analysis.permutations
        else "none",
        "patients' intervals": f"95 %, {analysis.interval_refits} penalised refits"
        if analysis.interval_refits
        else "spread of the refits to resamples",
        "stability": f"{analysis.instability_resamples} refits to resamples, "
        f"{analysis.noise_replicates} replays on noise",
        "size of a validation": size_in_words(analysis.anticipated, primary.thresholds),
        "missing predictors": _missing(analysis, headline),
    }


def _missing(analysis: AnalysisSettings, headline: StudyModel) -> str:
    """How missing predictors are handled."""
    once = f"imputed in the training fold ({headline.imputation})"
    if not analysis.imputations:
        return f"{once}; no multiple imputation"
    return (
        f"{once}; sensitivity analysis by {analysis.imputations} imputations within folds, where "
        "a predictor of the leading models is missing"
    )


def _reasons(given: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in given.items()) or "none"


def _model(model: StudyModel) -> str:
    settings = model.model_dump(mode="json", exclude=_NOT_PLANNED)
    told = ", ".join(
        f"{name} {value}" for name, value in settings.items() if value not in (None, [], {})
    )
    return f"“{model.name}”: {told}"


def read_plan(folder: Path) -> LockedPlan | None:
    """The locked plan of a study's folder; None where none was locked.

    Raises
    ------
    StudyError
        The file was changed after it was locked, or is of another format.
    """
    path = folder / PLAN_FILE
    if not path.is_file():
        return None
    try:
        told: dict[str, Any] = json.loads(path.read_text("utf-8"))
        plan = LockedPlan(
            entries=dict(told["entries"]),
            day=str(told["locked"]),
            outcomes_read_before=bool(told["outcomes_read_before"]),
            amendments=tuple(
                Amendment(day=a["day"], reason=a["reason"], changed=tuple(a["changed"]))
                for a in told["amendments"]
            ),
        )
        whole = told[KEY] == FORMAT and told["sha256"] == plan.sha256
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged() from error
    if not whole:
        raise _damaged()
    return plan


def _damaged() -> StudyError:
    return StudyError(
        "the locked analysis plan was changed, or is of another version",
        where=PLAN_FILE,
        remedy="Put the file back as it was locked; changes are made with "
        "`metasight plan FOLDER --amend REASON`",
    )


def lock_plan(study: Study, *, reason: str | None = None) -> LockedPlan:
    """Lock the plan of a study, or amend the one that is locked.

    Parameters
    ----------
    study
        Its file says what is planned.
    reason
        Of an amendment; None locks for the first time.

    Raises
    ------
    StudyError
        A plan is locked already, there is none to amend, nothing changed, or the reason is short.
    """
    entries = plan_entries(study.settings, study.protocol)
    before = read_plan(study.folder)
    today = dt.date.today().isoformat()
    if reason is None:
        if before is not None:
            raise StudyError(
                "an analysis plan is locked already",
                where=PLAN_FILE,
                value=f"on {before.day}",
                remedy="Change it with `metasight plan FOLDER --amend REASON`",
            )
        plan = LockedPlan(
            entries=entries, day=today, outcomes_read_before=study.memory.parent.is_dir()
        )
    else:
        plan = _amended(before, entries, today, reason.strip())
    _write(study.folder, plan)
    return plan


def _amended(
    before: LockedPlan | None, entries: Mapping[str, str], today: str, reason: str
) -> LockedPlan:
    if before is None:
        raise StudyError(
            "there is no locked analysis plan to amend",
            where=PLAN_FILE,
            remedy="Lock one with `metasight plan FOLDER --lock`",
        )
    if len(reason) < SHORTEST_REASON:
        raise StudyError(
            f"an amendment needs a reason of {SHORTEST_REASON} characters or more",
            value=reason,
            remedy="Write the one that the report shall print",
        )
    changed = tuple(name for name, _, _ in _differences(before.entries, entries))
    if not changed:
        raise StudyError(
            "the study file says what the locked plan says",
            where=PLAN_FILE,
            remedy="There is nothing to amend",
        )
    amendment = Amendment(day=today, reason=reason, changed=changed)
    return LockedPlan(
        entries=entries,
        day=before.day,
        outcomes_read_before=before.outcomes_read_before,
        amendments=(*before.amendments, amendment),
    )


def _write(folder: Path, plan: LockedPlan) -> None:
    content = {
        "locked": plan.day,
        "outcomes_read_before": plan.outcomes_read_before,
        "sha256": plan.sha256,
        "entries": dict(plan.entries),
        "amendments": [
            {"day": a.day, "reason": a.reason, "changed": list(a.changed)} for a in plan.amendments
        ],
    }
    text = json.dumps(with_format(content, FORMAT), indent=1, ensure_ascii=False)
    (folder / PLAN_FILE).write_text(text + "\n", "utf-8")
    (folder / PAGE_FILE).write_text(page_of(plan), "utf-8")


def page_of(plan: LockedPlan) -> str:
    """The plan as a page to read and sign (Markdown)."""
    lines = [
        "# Analysis plan",
        "",
        f"Locked on {plan.day}; sha256 of its entries `{plan.sha256}`.",
        "metasight had read the study's tables before."
        if plan.outcomes_read_before
        else "metasight had read none of the study's tables before.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {text.replace('|', '/')} |" for name, text in plan.entries.items()),
        "",
    ]
    for a in plan.amendments:
        lines += [f"Amended on {a.day} ({', '.join(a.changed)}): {a.reason}", ""]
    return "\n".join(lines)


def compare_with_plan(study: Study) -> PlanComparison:
    """What the study file asks for now beside its locked plan.

    Raises
    ------
    StudyError
        The plan's file was changed.
    """
    plan = read_plan(study.folder)
    if plan is None:
        return PlanComparison()
    entries = plan_entries(study.settings, study.protocol)
    return PlanComparison(plan=plan, deviations=_differences(plan.entries, entries))


def _differences(
    planned: Mapping[str, str], done: Mapping[str, str]
) -> tuple[tuple[str, str, str], ...]:
    names = dict.fromkeys([*planned, *done])
    return tuple(
        (name, planned.get(name, "not planned"), done.get(name, "not done"))
        for name in names
        if planned.get(name) != done.get(name)
    )
