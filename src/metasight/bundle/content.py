"""What a bundle holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metasight.errors import StoreError
from metasight.features.columns import Feature
from metasight.features.images import ImageFolders
from metasight.models.base import FittedModel
from metasight.models.patient_interval import FittedIntervals
from metasight.models.registry import load
from metasight.protocol.study import Protocol
from metasight.study.file import StudySettings

FORMAT = 2
READS = {2: "0.2.0"}
"""Format → first version of metasight that writes it; others are refused with the one to use."""
BEFORE = {1: "0.1.0"}

DISCLAIMER = (
    "Research software, not a medical device. A predicted risk is an estimate from the patients "
    "described here and must not be used to decide on a patient's treatment."
)


@dataclass(frozen=True, kw_only=True)
class Acquired:
    """How the training patients' images were acquired, as far as a new one must be alike.

    Attributes
    ----------
    ct_kernels
        Classes of reconstruction kernel that occur (``smooth``, ``sharp``, ``unknown``).
    ct_slice_mm
        Least and greatest distance of slices; None without scans.
    slide_mpp
        Stain → least and greatest resolution, µm a pixel.
    """

    ct_kernels: tuple[str, ...] = ()
    ct_slice_mm: tuple[float, float] | None = None
    slide_mpp: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The training patients in sum; no row of any.

    Attributes
    ----------
    run
        Name of the developing run.
    patients, events, centres
        Numbers.
    accrual
        First and last month of time zero; empty if not dated.
    case_mix
        Rows of Table 1: label and what all patients are.
    median_follow_up_years
        By reverse Kaplan–Meier; None for nodal stage.
    ledger
        Verdict → rows of the ledger.
    """

    run: str
    patients: int
    events: int
    centres: int
    accrual: tuple[str, ...]
    case_mix: tuple[tuple[str, str], ...]
    median_follow_up_years: float | None
    ledger: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where training patients lie, for a new one to be placed among them.

    Attributes
    ----------
    quantiles
        Target (horizon in days, or stage) → risks of patients left out at 0, 5, …, 100 %.
    """

    quantiles: Mapping[str, tuple[float, ...]]

    def percentile(self, target: str, risk: float) -> float | None:
        """Share of training patients with a lower risk, in %; None where it is not known.

        Interpolated between the kept quantiles, so right to 5 points or better.
        """
        import numpy as np

        known = self.quantiles.get(target)
        if known is None:
            return None
        at = np.linspace(0, 100, len(known))
        return float(np.interp(risk, known, at))


@dataclass(frozen=True, kw_only=True)
class Parent:
    """What a recalibrated bundle was made from, and how.

    Attributes
    ----------
    content
        sha256 of the parent's list of hashes.
    run
        Name of the validation in whose patients the line was estimated.
    method
        ``in-the-large`` (intercept), ``slope`` (intercept and slope) or ``refit`` (these and the
        coefficients of the last step).
    intercept, slope, horizon_days, coefficients
        See :class:`metasight.models.recalibrated.Recalibration`.
    covariance
        Of intercept, slope and coefficients, row by row.
    patients, events
        Of the external cohort.
    log_loss_change, se
        Of external patients left out of the estimation: log loss minus that of the parent, and its
        standard error.
    recommended
        The method that the validation recommended; empty for the parent as it is.
    """

    content: str
    run: str
    method: str
    intercept: float
    slope: float
    horizon_days: int | None
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    patients: int
    events: int
    log_loss_change: float
    se: float
    recommended: str


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Fitted models, how to measure what they read, and what they rest on.

    Attributes
    ----------
    protocol
        In full.
    settings
        The developing study's, without the key of its pseudonyms: how images and tables are
        measured and read.
    endpoint
        What is predicted.
    horizons_days, grid_days
        Reported horizons, and all that were evaluated; empty for nodal stage.
    headline_model, reference_model
        Names among ``states``.
    features
        What the models may read.
    states
        Model name → all that it learnt.
    refits
        States of the headline model refitted to resamples.
    intervals
        Refits for a patient's interval (:mod:`metasight.models.patient_interval`); None where the
        model reads images itself or they were not asked for: the spread of ``refits`` is then all
        that is known.
    training
        The training patients in sum.
    standing
        Where training patients lie.
    acquired
        How their images were acquired.
    overlap
        Keyed hashes by which a training patient is found among others; see
        :mod:`metasight.cohort.overlap`.
    performance
        Cross-fitted figures of the headline model, as text for the card.
    versions
        Package → versions that made it.
    generator
        Folder of the generator for new patients; None without.
    parent
        The bundle that this one was made from by recalibration; None where it was not.
    """

    protocol: Protocol
    settings: StudySettings
    endpoint: str
    horizons_days: tuple[int, ...]
    grid_days: tuple[int, ...]
    headline_model: str
    reference_model: str
    features: tuple[Feature, ...]
    states: Mapping[str, Mapping[str, Any]]
    refits: tuple[Mapping[str, Any], ...] = ()
    intervals: Mapping[str, Any] | None = None
    training: Training
    standing: Standing
    acquired: Acquired
    overlap: Mapping[str, Any]
    performance: Mapping[str, str]
    versions: Mapping[str, str]
    generator: Path | None = None
    parent: Parent | None = None

    def model(self, name: str, images: ImageFolders | None = None) -> FittedModel:
        """Return a fitted model; ``images`` tells where images lie, for models that read any.

        Raises
        ------
        StoreError
            The bundle has no model of that name.
        """
        if name not in self.states:
            raise StoreError(
                "the bundle has no such model",
                value=name,
                remedy=f"It has {', '.join(self.states)}",
            )
        return load(dict(self.states[name]), images)

    def patient_intervals(self) -> FittedIntervals | None:
        """The refits for a patient's interval."""
        return None if self.intervals is None else FittedIntervals.from_state(dict(self.intervals))

    def refit_models(self, images: ImageFolders | None = None) -> list[FittedModel]:
        """The headline model refitted to resamples of the training patients."""
        return [load(dict(state), images) for state in self.refits]
