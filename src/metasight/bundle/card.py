"""The model card: what the models are, whom they learnt from, and how well they did."""

from __future__ import annotations

from metasight.bundle.content import DISCLAIMER, Bundle, Parent
from metasight.units import DAYS_PER_YEAR


def model_card(bundle: Bundle) -> str:
    """Markdown for people."""
    training = bundle.training
    horizons = ", ".join(f"{d / DAYS_PER_YEAR:.3g} years" for d in bundle.horizons_days)
    names = [f.name for f in bundle.features if not f.error_of]
    follow_up = training.median_follow_up_years
    parent = bundle.parent
    lines = [
        f"# Model card: {bundle.headline_model}" + (", recalibrated" if parent else ""),
        "",
        DISCLAIMER,
        "",
        *([bundle.settings.demonstration, ""] if bundle.settings.demonstration else []),
        f"- Protocol: {bundle.protocol.id}, version {bundle.protocol.version}"
        + (f" ({bundle.protocol.registration})" if bundle.protocol.registration else ""),
        f"- Intended use: {bundle.protocol.intended_use}",
        f"- Predicts: {bundle.endpoint}" + (f", by {horizons}" if horizons else ""),
        f"- Models: {', '.join(bundle.states)}",
        f"- Features: {', '.join(names[:12])}"
        + (f" and {len(names) - 12} more" if len(names) > 12 else ""),
        f"- Refits for a patient's interval: {len(bundle.refits)}"
        if bundle.intervals is None
        else "- A patient's interval: of the true risk, by refits of a penalised regression",
        "",
        *([] if parent is None else _recalibration(parent)),
        "## Training data" + (" of the parent" if parent else ""),
        "",
        f"- Patients: {training.patients}, events: {training.events}, centres: {training.centres}",
        *([f"- Accrual: {' to '.join(training.accrual)}"] if training.accrual else []),
        *([f"- Median follow-up: {follow_up:.1f} years"] if follow_up is not None else []),
        *(f"- {label}: {value}" for label, value in training.case_mix),
        "",
        "## Cross-fitted performance" + (" of the parent, before recalibration" if parent else ""),
        "",
        *(f"- {k}: {v}" for k, v in bundle.performance.items()),
        "",
        "## What it is not for",
        "",
        "- Patients who do not meet the protocol's criteria, or whose images were acquired "
        "differently from those of the training patients: no prediction is made for them, and the "
        "reason is stated.",
        "- Decisions on a patient's treatment.",
        "",
    ]
    return "\n".join(lines)


def _recalibration(parent: Parent) -> list[str]:
    """What was changed, on whom, and that nobody else has judged it."""
    scale = (
        "log odds of a stage"
        if parent.horizon_days is None
        else f"log cumulative hazard by {parent.horizon_days / DAYS_PER_YEAR:.3g} years"
    )
    advice = {"": "leaving the model as it is"}.get(parent.recommended, parent.recommended)
    return [
        "## Recalibration",
        "",
        f"- The risks of the headline model were recalibrated ({parent.method}) on "
        f"{parent.patients} external patients with {parent.events} events: intercept "
        f"{parent.intercept:+.3f}, slope {parent.slope:.3f} on the scale of the {scale}"
        + (
            f", and {len(parent.coefficients)} corrections of the coefficients of its last step"
            if parent.coefficients
            else ""
        )
        + ". Other models of the bundle are unchanged.",
        f"- In external patients left out of the estimation the log loss changed by "
        f"{parent.log_loss_change:+.4f} (standard error {parent.se:.4f}). The validation "
        f"recommended {advice}.",
        "- The recalibrated model has not been validated in any other patients. The external "
        "patients count as used: a validation of this bundle leaves them out.",
        f"- Parent: bundle {parent.content}, validation run {parent.run}.",
        "",
    ]
