"""Endpoints as data: which dates or stages make the outcome, and at which horizons it is judged."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from metasight.units import Days, years_to_days


class SurvivalEndpoint(BaseModel):
    """Time from time zero to the first of some events.

    Attributes
    ----------
    name, label
        For tables, and for people.
    event
        Event variables (each has a ``<name>_days`` companion); the first to occur is the event.
        The endpoint is about the one that is listed first: where it was not recorded, there is no
        such endpoint; where another was not, it is left out and the report says so.
    competing
        Events that end observation of the event of interest; counted as status 2, never censored.
    horizons_years
        Where risk is reported; each needs enough follow-up or is refused.
    tau_years
        Truncation of Uno's C.
    arm
        Restricted to one treatment arm, if set.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["survival"]
    name: str
    label: str
    primary: bool = False
    event: tuple[str, ...] = Field(min_length=1)
    competing: tuple[str, ...] = ()
    horizons_years: tuple[float, ...] = Field(min_length=1)
    tau_years: float
    thresholds: tuple[float, ...]
    arm: str | None = None
    source: str

    @property
    def horizons_days(self) -> tuple[Days, ...]:
        """Horizons in days of 365.25 to the year, rounded down."""
        return tuple(years_to_days(y) for y in self.horizons_years)

    @property
    def tau_days(self) -> Days:
        """Truncation of Uno's C in days."""
        return years_to_days(self.tau_years)


class NodalEndpoint(BaseModel):
    """Pathological N stage; unobserved where nodes were not examined.

    Attributes
    ----------
    variable
        Canonical variable holding N0, N1 or N2.
    arm
        The arm in which nodes are examined; elsewhere the stage is unobserved, never N0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["nodal_stage"]
    name: str
    label: str
    primary: bool = False
    variable: str
    arm: str | None = None
    thresholds: tuple[float, ...]
    source: str


Endpoint = SurvivalEndpoint | NodalEndpoint
