"""What a run can say to the items of TRIPOD+AI: a sentence, its figures, and where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from metasight.report.blocks import Inline, Ref, Text
from metasight.report.conduct import size_words
from metasight.report.view import (
    POPULATIONS,
    View,
    at_target,
    discrimination,
    discrimination_contrast,
    discrimination_name,
    target_name,
    targets,
)
from metasight.report.wording import contrast, count, listed, metric, plural, points, years
from metasight.validation.recalibration import Recalibrations
from metasight.validation.results import NotEstimable, Pooled
from metasight.validation.validation_size import ValidationSize

Fill = Callable[[View], Text]


def _title(view: View) -> Text:
    return f"Title used here: “{view.contents.title}”."


def _abstract(view: View) -> Text:
    return ("Figures for an abstract are in ", Ref("summary"), ".")


def _objectives(view: View) -> Text:
    if view.external:
        return f"Evaluation of “{view.lead}” in other patients."
    text = f"Development and internal validation of “{view.lead}”"
    return text + (f", and its increment over “{view.reference}”." if view.has_increment else ".")


def _sources(view: View) -> Text:
    n = len(view.contents.inputs)
    return (f"{plural(n, 'input file')}, identified by hash (", Ref("provenance"), ").")


def _accrual(view: View) -> Text:
    told = view.contents.accrual
    follow = view.headline.follow_up
    end = f"; longest follow-up {years(follow.maximum_days)}" if follow else ""
    if not told:
        return f"Time zero is not dated in the tables{end}."
    return f"Time zero from {told[0]} to {told[-1]}{end}."


def _setting(view: View) -> Text:
    n = view.evaluation.data.n_centres
    return f"{view.contents.protocol.setting}; {plural(n, 'centre')} in the table."


def _criteria(view: View) -> Text:
    waived = sum(bool(s.waived) for s in view.contents.flow.steps)
    n = plural(len(view.contents.flow.steps), "criterion", "criteria")
    return (f"{n}, {waived} of them waived (", Ref("flow"), ").")


def _treatments(view: View) -> Text:
    rows = {row.label for row in view.headline.table1.rows}
    treatments = [v for v in view.contents.protocol.variable if v.role == "treatment"]
    named = [v.label for v in treatments if v.label in rows]
    if not named:
        return ""
    return (f"Recorded: {listed(named).lower()} (", Ref("table1"), ").")


def _preparation(view: View) -> Text:
    return (
        "Every value was checked against the data dictionary (",
        Ref("dictionary"),
        "); "
        f"{plural(view.contents.flow.failed, 'patient')} excluded because of an error in the data. "
        + (
            "Preparation is the locked models’ own."
            if view.external
            else "Preparation was fitted in training folds, the same for all groups."
        ),
    )


def _outcome(view: View) -> Text:
    at = listed(target_name(t) for t in targets(view.evaluation))
    return (f"{view.endpoint.label}; judged for {at} (", Ref("endpoints"), ").")


def _predictors(view: View) -> Text:
    n = len(view.headline.missing)
    return (
        f"{plural(n, 'candidate predictor')}; "
        + (
            "the models’ are locked ("
            if view.external
            else "which were measured was decided before this run; any selection by the "
            "program was within training folds ("
        ),
        Ref("predictors"),
        ").",
    )


def _predictor_timing(view: View) -> Text:
    check = next((c for c in view.contents.checks if c.id == "windows"), None)
    found = f" Windows: {check.finding}." if check else ""
    return ("Definition, timing and window of each are in ", Ref("dictionary"), "." + found)


def _size(view: View) -> Text:
    needed = view.headline.validation_size
    if isinstance(needed, ValidationSize):
        return (
            f"{count(needed.n)} patients are needed for the risks that the model predicts, "
            f"{count(view.headline.n)} were judged (",
            Ref("validation-size"),
            ").",
        )
    found = view.contents.sample_size
    if found is None:
        return ""
    return (size_words(found), " ", Ref("sample-size"), ".")


def _updating(view: View) -> Text:
    found = view.headline.recalibration
    if not isinstance(found, Recalibrations):
        return ""
    return (
        "Recalibration in the large, of intercept and slope, and a refit of the last step, each "
        "judged on patients left out of its estimation (",
        Ref("recalibration"),
        ").",
    )


def _missing(view: View) -> Text:
    absent = sum(bool(n) for n in view.headline.missing.values())
    if not absent:
        return (
            f"None of {plural(len(view.headline.missing), 'predictor')} has a missing value (",
            Ref("missing"),
            ").",
        )
    return (
        f"{count(absent)} of {plural(len(view.headline.missing), 'predictor')} have missing "
        "values; imputed in the training fold (",
        Ref("missing"),
        ").",
        *_sensitivity(view),
    )


def _sensitivity(view: View) -> Iterator[Inline]:
    """Where it is shown how much rests on the way of imputing, and who lacks what."""
    if view.headline.imputation is not None:
        yield " Sensitivity analysis by multiple imputation ("
        yield Ref("multiple-imputation")
        yield ")."
    if view.evaluation.models[view.lead].by_missing:
        yield " Performance by what patients lack ("
        yield Ref("missing-patterns")
        yield ")."


def _partitions(view: View) -> Text:
    d = view.evaluation.data
    folds = round(d.n_folds / max(d.n_repeats, 1))
    return (
        f"{folds} folds by patient, {plural(d.n_repeats, 'repeat')}; tuning in inner folds of the "
        "training patients (",
        Ref("analysis"),
        ").",
    )


def _handling(view: View) -> Text:
    bent = [v.label for v in view.contents.protocol.variable if v.spline]
    used = any(m.settings.get("splines") for m in view.contents.models)
    text = (
        "Continuous predictors enter regressions linearly"
        if not used
        else (f"Splines in models with splines = true (marked for: {listed(bent)})")
    )
    return (f"{text}; scaling learnt in the training fold (", Ref("models"), ").")


def _building(view: View) -> Text:
    kinds = dict.fromkeys(m.kind.replace("_", " ") for m in view.contents.models)
    return (
        f"{plural(len(view.contents.models), 'model')} ({listed(kinds)}); settings in ",
        Ref("models"),
        ", internal validation in ",
        Ref("analysis"),
        ".",
    )


def _clusters(view: View) -> Text:
    if view.headline.centres is None:
        why = view.contents.single_centre_reason or "no reason given"
        return ("No centre was left out: ", why, " (", Ref("centres"), ").")
    return (
        "Leave-one-centre-out, pooled by REML with Hartung–Knapp intervals (",
        Ref("centres"),
        ").",
    )


def _measures(view: View) -> Text:
    return (
        f"{discrimination_name(view.kind)}, AUC, Brier score, IPA, O/E, slope, ICI, net benefit at "
        f"{points(view.evaluation.settings.thresholds)}; paired bootstrap between models (",
        Ref("analysis"),
        ").",
    )


def _how_predicted(view: View) -> Text:
    origin = view.contents.origin
    run = view.contents.run if origin is None else origin.run
    return f"From the bundle of run {run}, verified by hash, by the same code."


def _imbalance(view: View) -> Text:
    return "No resampling or reweighting for class imbalance; risks need no recalibration for it."


def _fairness(view: View) -> Text:
    names = listed(view.label(v) for v in view.evaluation.settings.subgroups)
    if not names:
        return ""
    return (f"Performance by {names} (", Ref("subgroups"), ").")


def _output(view: View) -> Text:
    what = "Probability of N0, N1 and N2" if view.nodal else "Risk of the event by each horizon"
    return (
        f"{what}; no classification. Decision thresholds "
        f"{points(view.evaluation.settings.thresholds)} from the protocol (",
        Ref("decisions"),
        ").",
    )


def _phases(view: View) -> Text:
    if view.external:
        return ""
    return "One data set: training and test patients differ only by chance."


def _protocol(view: View) -> Text:
    p = view.contents.protocol
    return (f"{p.id}, version {p.version}, identified by hash (", Ref("provenance"), ").")


def _registration(view: View) -> Text:
    return (
        f"Protocol registered as {view.contents.protocol.registration}."
        if (view.contents.protocol.registration)
        else ""
    )


def _code(view: View) -> Text:
    version = view.contents.versions.get("metasight", "")
    return (
        f"metasight {version} (Apache-2.0), code hash {view.contents.code[:12]} (",
        Ref("provenance"),
        ").",
    )


def _flow(view: View) -> Text:
    f, a = view.contents.flow, view.headline
    return (
        f"{count(f.screened)} screened, {count(f.all_eligible)} eligible, {count(a.n)} analysed "
        f"with {plural(a.events, 'event')} (",
        Ref("flow"),
        ", ",
        Ref("follow-up"),
        ").",
    )


def _characteristics(view: View) -> Text:
    return (Ref("table1"), ", with missing values; follow-up in ", Ref("follow-up"), ".")


def _numbers(view: View) -> Text:
    told = "; ".join(
        f"{a.endpoint}, {POPULATIONS.get(a.population, a.population)}: "
        f"{count(a.n)} and {count(a.events)}"
        for a in view.contents.analyses
    )
    return f"Participants and events: {told}."


def _specification(view: View) -> Text:
    return (
        f"The bundle of run {view.contents.run} holds every model with its preparation; "
        "coefficients in ",
        Ref("models"),
        ".",
    )


def _performance(view: View) -> Text:
    model = view.evaluation.models[view.lead]
    parts = [f"{discrimination_name(view.kind)} {metric(discrimination(model, view.kind))}"]
    parts += [f"AUC {at_target(t)} {metric(t.auc)}" for t in model.targets]
    if view.headline_comparison is not None and view.has_increment:
        gap = discrimination_contrast(view.headline_comparison, view.kind)
        parts.append(f"increment {contrast(gap)}")
    return (
        f"“{view.lead}”: {'; '.join(parts)} (",
        Ref("performance"),
        ", ",
        Ref("subgroups"),
        ").",
    )


def _spread(view: View) -> Text:
    found = view.headline.centres
    summary = found.models.get(view.lead) if found else None
    if summary is None or isinstance(summary, NotEstimable):
        return _clusters(view)
    c = summary.discrimination
    told = (
        f"I² {100 * c.i2:.0f} % over {c.k} centres"
        if isinstance(c, Pooled)
        else (f"not estimable: {c.not_estimable}")
    )
    return (told + " (", Ref("centres"), ").")


def _limits(view: View) -> Text:
    return ("Limitations known to the program are listed in ", Ref("limitations"), ".")


def _inputs_at_use(view: View) -> Text:
    return (
        "Fitted models impute a missing input as in training; a missingness indicator is used if "
        "training had enough missing values (fitting notes)."
    )


FILLED: Mapping[str, Fill] = {
    "1": _title,
    "2": _abstract,
    "4": _objectives,
    "5a": _sources,
    "5b": _accrual,
    "6a": _setting,
    "6b": _criteria,
    "6c": _treatments,
    "7": _preparation,
    "8a": _outcome,
    "9a": _predictors,
    "9b": _predictor_timing,
    "10": _size,
    "11": _missing,
    "12a": _partitions,
    "12b": _handling,
    "12c": _building,
    "12d": _clusters,
    "12e": _measures,
    "12f": _updating,
    "12g": _how_predicted,
    "13": _imbalance,
    "14": _fairness,
    "15": _output,
    "16": _phases,
    "18c": _protocol,
    "18d": _registration,
    "18f": _code,
    "20a": _flow,
    "20b": _characteristics,
    "21": _numbers,
    "22": _specification,
    "23a": _performance,
    "23b": _spread,
    "24": _updating,
    "26": _limits,
    "27a": _inputs_at_use,
}
