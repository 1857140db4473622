"""Title block and summary: what this is, and what it found, in words anyone can check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from metasight.estimate import Estimate
from metasight.report.blocks import (
    Block,
    Callout,
    Code,
    Column,
    DataTable,
    Facts,
    Heading,
    Link,
    Paragraph,
    Ref,
    Row,
    Strong,
    Text,
    numeric,
)
from metasight.report.findings import findings
from metasight.report.view import (
    POPULATIONS,
    View,
    at_target,
    discrimination,
    discrimination_contrast,
    discrimination_name,
)
from metasight.report.wording import (
    Footnotes,
    contrast,
    contrast_over_folds,
    count,
    listed,
    metric,
    number,
    plural,
    reading,
    years,
)
from metasight.validation.fold_contrast import NESTED, FoldContrast
from metasight.validation.results import (
    Comparison,
    Contrast,
    ContrastMetric,
    FoldContrastMetric,
    Metric,
    TargetContrast,
    TargetEvaluation,
)

NOT_A_DEVICE = (
    "Research software, not a medical device. Do not use the risks in this report in the care of "
    "patients."
)


def title_block(view: View) -> list[Block]:
    """What this document is, and the warnings that belong on its first page."""
    contents, protocol = view.contents, view.contents.protocol
    registry = f"https://clinicaltrials.gov/study/{protocol.registration}"
    registered = protocol.registration.startswith("NCT")
    blocks: list[Block] = [
        Facts(
            (
                ("Protocol", f"{protocol.id}, version {protocol.version}"),
                (
                    "Registration",
                    (Link(protocol.registration, registry),)
                    if registered
                    else protocol.registration or "none given",
                ),
                ("Setting", protocol.setting),
                ("Headline endpoint", view.endpoint.label),
                ("Run", (Code(contents.run),)),
                ("Made by", f"metasight {contents.versions.get('metasight', '')}".strip()),
            )
        ),
        Callout(
            "warning", "Research only", (NOT_A_DEVICE, f"Intended use: {protocol.intended_use}.")
        ),
    ]
    if contents.demonstration:
        blocks.append(Callout("warning", "Demonstration", (contents.demonstration,)))
    return blocks


def section(view: View) -> list[Block]:
    """The summary."""
    blocks: list[Block] = [Heading(1, "Summary", "summary")]
    blocks.append(Paragraph(_who(view), lead=True))
    blocks.append(Facts(_panel(view), panel=True))
    blocks.append(Callout("finding", "What the evaluation shows", tuple(findings(view))))
    if view.has_increment and view.headline_comparison is not None:
        blocks.append(_increment_table(view, view.headline_comparison))
    blocks.append(Paragraph(_checks(view)))
    return blocks


def _who(view: View) -> Text:
    a = view.headline
    population = POPULATIONS.get(a.population, a.population)
    text = (
        f"{plural(a.n, 'patient')} ({population}), {plural(a.events, 'event')}: "
        f"{view.endpoint.label}. "
    )
    text += "".join(f"Deviation from the protocol: {d} " for d in a.deviations)
    if view.external:
        return (
            text + "A finished model was evaluated on these patients; nothing was fitted to them."
        )
    d = view.evaluation.data
    text += "All figures are based on predictions for patients the model had not seen "
    text += f"({_scheme(view)})."
    if view.has_increment:
        text += f" The headline model is “{view.lead}”; it is compared with “{view.reference}”"
        text += (
            f", the same procedure on the predictors of “{view.contents.study_reference}”."
            if view.nested
            else "."
        )
    if d.n_unobserved:
        text += (
            f" Of these, {plural(d.n_unobserved, 'patient')} had an outcome that was not observed; "
            "it is not counted as absent."
        )
    return text


def _scheme(view: View) -> str:
    d = view.evaluation.data
    folds = round(d.n_folds / max(d.n_repeats, 1))
    repeats = f", repeated {d.n_repeats} times" if d.n_repeats > 1 else ""
    return f"{folds}-fold cross-validation by patient{repeats}"


def _panel(view: View) -> tuple[tuple[str, Text], ...]:
    a, kind = view.headline, view.kind
    lead = view.evaluation.models[view.lead]
    name = discrimination_name(kind)
    items: list[tuple[str, Text]] = [("patients", count(a.n)), ("events", count(a.events))]
    if a.follow_up is not None and a.follow_up.median_days is not None:
        items.append(("median follow-up (reverse Kaplan–Meier)", years(a.follow_up.median_days)))
    elif view.nodal:
        counts = view.evaluation.data.class_counts
        told = ", ".join(f"{stage} {count(n)}" for stage, n in counts.items())
        items.append(("observed stages", told or "–"))
    items.append((f"{name} of {view.lead}", _short(discrimination(lead, kind))))
    found = view.headline_comparison
    if view.has_increment and found is not None:
        gap = discrimination_contrast(found, kind)
        items.append(
            (
                f"difference in {name} to {view.reference}",
                contrast(gap, 2) if isinstance(gap, Contrast) else "not estimable",
            )
        )
    if not view.external:
        items.append(("leakage checks", _tally(view)))
    return tuple(items)


def _short(m: Metric) -> str:
    return metric(m, 2) if isinstance(m, Estimate) else "not estimable"


# --------------------------------------------------------------------------- headline increment


def middle_threshold(thresholds: tuple[float, ...]) -> float:
    """The threshold shown in the summary: the middle one of the protocol's."""
    ordered = sorted(thresholds)
    return ordered[(len(ordered) - 1) // 2]


def _increment_table(view: View, found: Comparison) -> DataTable:
    notes = Footnotes()
    ref, lead = (view.evaluation.models[m] for m in (view.reference, view.lead))
    name = discrimination_name(view.kind)
    gap = discrimination_contrast(found, view.kind)
    rows = [
        _line(
            notes,
            name,
            discrimination(ref, view.kind),
            discrimination(lead, view.kind),
            gap,
            ranks=True,
        ),
        *_counting_the_fitting(name, found),
    ]
    for k, target in enumerate(found.targets):
        rows += _target_lines(notes, view, target, (ref.targets[k], lead.targets[k]))
    return DataTable(
        "increment-summary",
        f"The headline: what “{view.lead}” adds to “{view.reference}”. Estimates with 95 % "
        "intervals; a difference above zero favours the headline model.",
        (
            Column("Measure", weight=1.5),
            numeric(f"Reference: {view.reference}", 1.3),
            numeric(f"Headline: {view.lead}", 1.3),
            numeric("Difference", 1.5),
            Column("Reading", weight=1),
        ),
        tuple(rows),
        (
            *notes.notes,
            *_fitting_counted(found.refitted),
            *_permuted(view),
            "IPA: index of prediction accuracy, 0 corresponds to the same risk for every patient. "
            "Net benefit at the middle one of the protocol’s thresholds; all are in the section on "
            "decision curves.",
        ),
    )


def _target_lines(
    notes: Footnotes,
    view: View,
    target: TargetContrast,
    both: tuple[TargetEvaluation, TargetEvaluation],
) -> Iterator[Row]:
    """AUC, IPA and net benefit of reference and headline at one target."""
    a, b = both
    where = at_target(target)
    yield _line(notes, f"AUC {where}", a.auc, b.auc, target.auc, ranks=True)
    yield _line(notes, f"IPA {where}, %", a.ipa, b.ipa, target.ipa, digits=1, scale=100.0)
    at = middle_threshold(view.evaluation.settings.thresholds)
    nets = [
        next((p.net_benefit for p in t.decision_curve.points if p.threshold == at), None)
        for t in both
    ]
    net = next((n.contrast for n in target.net_benefit if n.threshold == at), None)
    if nets[0] is not None and nets[1] is not None and net is not None:
        yield _line(
            notes,
            f"Net benefit {where}, threshold {100 * at:g} %, per 100",
            nets[0],
            nets[1],
            net,
            digits=1,
            scale=100.0,
        )


def _fitting_counted(c: FoldContrastMetric) -> tuple[str, ...]:
    """How fitting was counted, and what the interval is then of."""
    if not isinstance(c, FoldContrast):
        return ()
    how = (
        f"by nested cross-validation ({plural(c.splits, 'division')} into folds, each also fitted "
        "without every pair of folds; Bates, Hastie and Tibshirani 2024)"
        if c.method == NESTED
        else "from the variation of the difference over folds (Nadeau and Bengio 2003)"
    )
    return (
        f"Including the uncertainty of fitting: {how}, for the procedure with the number of "
        "patients of a training fold. All other intervals hold the fitted models fixed.",
    )


def _permuted(view: View) -> tuple[str, ...]:
    """Whether what is added tells of the outcome at all."""
    found = view.headline.permutation
    if found is None:
        return ()
    if isinstance(found, str):
        return (f"There is no permutation test: {found}.",)
    p = "p = " + number(found.p, 3)
    return (
        f"Permutation test: {p} ({plural(found.dealt, 'permutation')}, one-sided). What the "
        "headline model adds was permuted between patients of the same fifth of the reference’s "
        "risk and the procedure refitted: the difference was "
        f"{number(found.difference, 3, signed=True)} in the first repeat, with permuted values "
        f"{number(found.median, 3, signed=True)} (median).",
    )


def _counting_the_fitting(name: str, found: Comparison) -> tuple[Row, ...]:
    c = found.refitted
    if not isinstance(c, FoldContrast):
        return ()
    return (Row((f"{name}, counting the fitting", "", "", contrast_over_folds(c), reading(c))),)


def _line(
    notes: Footnotes,
    name: str,
    a: Metric,
    b: Metric,
    gap: ContrastMetric,
    *,
    digits: int = 3,
    scale: float = 1.0,
    ranks: bool = False,
) -> Row:
    return Row(
        (
            name,
            notes.metric(a, digits, scale=scale),
            notes.metric(b, digits, scale=scale),
            notes.contrast(gap, digits, scale=scale),
            reading(gap, ranking=b if ranks else None),
        )
    )


# ------------------------------------------------------------------------------------- leakage


def _tally(view: View) -> str:
    found = Counter(c.verdict for c in view.contents.checks)
    words = {"fail": "failed", "warn": "to look at", "not done": "not done", "pass": "passed"}
    told = [f"{found[v]} {words[v]}" for v in ("pass", "warn", "fail", "not done") if found[v]]
    return ", ".join(told) or "none run"


def _checks(view: View) -> Text:
    failed = [c for c in view.contents.checks if c.verdict == "fail"]
    if not view.contents.checks:
        return (
            "Nothing was fitted in these patients, so leakage is not possible; they were checked "
            "for training patients."
            if view.external
            else "No leakage checks were run."
        )
    if failed:
        return (
            Strong("Leakage was found: do not rely on the performance figures. "),
            f"Failed: {listed(c.title for c in failed)}. See ",
            Ref("checks"),
            ".",
        )
    return (
        f"Leakage checks: {_tally(view)}; none failed (",
        Ref("checks"),
        "). Read ",
        Ref("limitations"),
        " before quoting any figure.",
    )
