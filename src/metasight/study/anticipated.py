"""What is expected of a model before any outcome is read, and the validation that it would need."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from metasight.validation.validation_size import risks_from, validation_size


class Anticipated(BaseModel):
    """Assumptions from which the size of a validation is planned.

    Attributes
    ----------
    risk
        Probability of the event by the last horizon, or of any positive node, in (0, 1).
    c
        C of the model, in (0.5, 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    risk: float = Field(gt=0, lt=1, strict=True)
    c: float = Field(gt=0.5, lt=1, strict=True)


def size_in_words(given: Anticipated | None, thresholds: Sequence[float]) -> str:
    """The size of a validation as an entry of the analysis plan.

    Parameters
    ----------
    given
        Of the study file; None where nothing is assumed.
    thresholds
        Of the protocol, for net benefit.
    """
    if given is None:
        return "not planned: no assumptions in [analysis] anticipated"
    risks, weights = risks_from(given.risk, given.c)
    size = validation_size(risks, weight=weights, thresholds=thresholds)
    net = "; ".join(f"{b.n} at {100 * b.threshold:g} %" for b in size.net_benefit if b.n)
    return (
        f"assuming a risk of {100 * given.risk:g} % and C {given.c:g}: {size.n} patients with "
        f"{size.events:.0f} events, for 95 % intervals of width 0.2 of O/E ({size.oe_n}) and of "
        f"slope ({size.slope_n}) and 0.1 of C ({size.c_n}); net benefit, standardised, width 0.2: "
        f"{net or 'no threshold'}; more where patients are censored before the horizon (Riley and "
        "others, Stat Med 2021;40:4230)"
    )
