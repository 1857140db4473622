"""Everything a report is written from; gathered by the pipeline, read by nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metasight.cohort.describe import FollowUp, Table1
from metasight.cohort.eligibility import FlowStep
from metasight.cohort.outcome import Landmark
from metasight.leakage import Check
from metasight.models.by_hand import Formula
from metasight.models.final_fit import FinalFit
from metasight.models.pooled_coefficients import PooledCoefficients
from metasight.models.refit_spread import RefitSpread
from metasight.protocol.study import Protocol
from metasight.study.analysis_plan import PlanComparison
from metasight.validation.centre_results import CentreEvaluation, CentreGap
from metasight.validation.imputed import ImputedEvaluation
from metasight.validation.permutation import PermutationTest
from metasight.validation.recalibration import Recalibrations
from metasight.validation.results import Evaluation, NotEstimable
from metasight.validation.validation_size import ValidationSize


@dataclass(frozen=True, kw_only=True)
class FlowCounts:
    """Counts of the flow diagram.

    Attributes
    ----------
    screened, failed
        Rows of the patient table; rows left out for a problem of their own.
    steps
        Criteria in protocol order.
    as_written, all_eligible
        Patients eligible as written, and without criteria that select on the future.
    """

    screened: int
    failed: int
    steps: tuple[FlowStep, ...]
    as_written: int
    all_eligible: int


@dataclass(frozen=True, kw_only=True)
class AnalysisResult:
    """One endpoint in one population.

    Attributes
    ----------
    endpoint, population, headline
        Names; whether the report leads with it. ``population`` is ``as_written``,
        ``all_eligible`` or ``external``.
    n, events
        Patients and events analysed.
    deviations
        How endpoint or splits differ from the protocol here, in words.
    refused_horizons
        Horizons that the follow-up cannot support, each with its reason.
    follow_up
        None for nodal stage.
    landmark
        Who left before patients enter; None for nodal stage, or where they enter at time zero.
    table1
        Characteristics, overall and by centre or arm.
    missing
        Feature → patients without a value.
    evaluation
        Cross-fitted (or external) performance.
    centres, gaps, temporal
        Leave-one-centre-out, its gap to random folds, and the temporal split, where done.
    failures
        Fits that failed: model, place and reason.
    permutation
        Permutation test of what the headline model adds, or why there is none; None where it was
        not asked for.
    patterns
        By which missing predictors patients are grouped; None where this was not looked at.
    imputation
        Multiple imputation; None where it was not asked for or no predictor has a gap.
    recalibration, validation_size
        Of external patients: what recalibrating would change, and how many a validation needs;
        None elsewhere.
    """

    endpoint: str
    population: str
    headline: bool
    n: int
    events: int
    deviations: tuple[str, ...]
    refused_horizons: tuple[str, ...]
    follow_up: FollowUp | None
    table1: Table1
    missing: Mapping[str, int]
    evaluation: Evaluation
    centres: CentreEvaluation | None
    gaps: tuple[CentreGap, ...]
    temporal: Evaluation | None
    failures: tuple[Mapping[str, str], ...]
    landmark: Landmark | None = None
    permutation: PermutationTest | str | None = None
    patterns: PatternsResult | None = None
    imputation: ImputationResult | None = None
    recalibration: Recalibrations | NotEstimable | None = None
    validation_size: ValidationSize | NotEstimable | None = None


@dataclass(frozen=True, kw_only=True)
class PatternsResult:
    """By which missing predictors patients are grouped.

    Attributes
    ----------
    together
        Predictor or modality → further predictors that the same patients lack.
    few
        Predictor → patients who lack it, where they or the others are too few for a group.
    further
        Predictors beyond the largest number of groups.
    """

    together: Mapping[str, tuple[str, ...]]
    few: Mapping[str, int]
    further: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ImputationResult:
    """Multiple imputation of missing predictors, as a sensitivity analysis.

    Attributes
    ----------
    imputations
        Of each training and test side, and of all patients.
    predictors
        Predictors that were imputed.
    left_out
        Model that was not refitted → why.
    performance
        None where it could not be judged; ``not_judged`` says why.
    reference
        Model whose predictors' coefficients are pooled.
    coefficients
        None where there are none to pool; ``skipped`` says why.
    """

    imputations: int
    predictors: int
    left_out: Mapping[str, str]
    performance: ImputedEvaluation | None
    not_judged: str
    reference: str
    coefficients: PooledCoefficients | None
    skipped: str


@dataclass(frozen=True, kw_only=True)
class OptimismResult:
    """Apparent performance of the headline model against refits on bootstrap resamples.

    Attributes
    ----------
    model
        Headline model.
    resamples
        Refits that succeeded.
    apparent_c, optimism, corrected_c
        Harrell's C (or AUC of any positive node) on its own training data, how much of it is
        optimism (Harrell 1996), and the difference.
    mape
        Mean absolute difference between a patient's risk and the refits' risks, averaged.
    patients
        One dict a patient, sorted by risk: ``risk``, ``lower``, ``upper`` (2.5 and 97.5 % of
        refits).
    horizon
        The horizon (or class) the risks belong to, in words.
    """

    model: str
    resamples: int
    apparent_c: float
    optimism: float
    corrected_c: float
    mape: float
    patients: tuple[Mapping[str, float], ...]
    horizon: str


@dataclass(frozen=True, kw_only=True)
class SampleSizeResult:
    """Riley's minimum sample size for a model like the reference model, beside what there was.

    Attributes
    ----------
    parameters
        Predictor parameters counted: of the clinical predictors.
    all_parameters, all_required_n
        Of every predictor that a model of the study may read, and the largest size for these; None
        where it cannot be computed.
    required_n, required_events
        The largest over the criteria; None where they cannot be computed.
    criteria
        Criterion in words → patients.
    available_n, available_events
        In this study.
    assumptions
        What was put in, in words.
    """

    model: str
    parameters: int
    required_n: int | None
    required_events: float | None
    criteria: Mapping[str, int]
    available_n: int
    available_events: int
    assumptions: str
    all_parameters: int
    all_required_n: int | None


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A model as fitted to everybody.

    Attributes
    ----------
    name, kind, modalities
        From the settings.
    role
        ``reference``, ``headline`` or empty.
    settings
        Requested and resolved.
    notes
        What the fit has to say (dropped constants, refitted baseline, …).
    coefficients
        Term → log hazard or odds ratio on the original scale; empty for trees.
    formula
        What the risk is computed by; None for models that have none.
    final
        Intervals of the coefficients and tests of the model's shape; empty in a validation.
    refits
        How the coefficients differ between refits to resamples; None where there are none.
    """

    name: str
    kind: str
    modalities: tuple[str, ...]
    role: str
    settings: Mapping[str, Any]
    notes: tuple[str, ...]
    coefficients: Mapping[str, float]
    formula: Formula | None = None
    final: FinalFit = field(default_factory=FinalFit)
    refits: RefitSpread | None = None


@dataclass(frozen=True, kw_only=True)
class SlideStage:
    """Slides and section pairs by stage at one stage, in ledger rows."""

    stage: str
    kept: int
    excluded: int
    failed: int
    unknown: int


ACCEPTED_LESION = "lesion"
"""What a lesion that a reader accepted is counted under."""


@dataclass(frozen=True, kw_only=True)
class ReaderVerdicts:
    """Verdicts of one kind that readers replaced.

    Attributes
    ----------
    about
        Criterion, or stage where a verdict belongs to none.
    replaced, verdict
        Before and after.
    n, readers
        How many, by how many readers.
    """

    about: str
    replaced: str
    verdict: str
    n: int
    readers: int


@dataclass(frozen=True, kw_only=True)
class MapExample:
    """A painted map beside what the sections of the same patient show.

    Attributes
    ----------
    patient
        Pseudonym.
    pearson
        Of the T-cell marker in regions of 128 µm.
    spacing_um
        Of the arrays.
    painted, measured
        Marker → cells/mm², shape (y, x), NaN off the tissue.
    outlines_um
        Rings of the tertiary lymphoid structures of the painted map.
    """

    patient: str
    pearson: float
    spacing_um: float
    painted: Mapping[str, NDArray[np.float32]]
    measured: Mapping[str, NDArray[np.float32]]
    outlines_um: tuple[tuple[tuple[float, float], ...], ...]


@dataclass(frozen=True, kw_only=True)
class MapsResult:
    """Painted maps against sections that their generators did not see.

    Attributes
    ----------
    patients, painted, unlike, failed, compared
        With slides; painted; flagged as unlike the training slides and not used; not painted;
        with sections to compare with.
    tls
        Structures on the sections (``measured``), of these ``hit`` by one on the map, and by
        chance; structures on the maps (``generated``), of these ``confirmed``.
    regions, table_regions, biomarkers, labels
        Rows as :mod:`metasight.steps.slides.agreement` writes them; ``table_regions`` of the
        study's table of regions, empty without one.
    examples
        Worst, middle and best.
    """

    patients: int
    painted: int
    unlike: int
    failed: int
    compared: int
    regions: tuple[Mapping[str, Any], ...]
    biomarkers: tuple[Mapping[str, Any], ...]
    labels: tuple[Mapping[str, Any], ...]
    tls: Mapping[str, float]
    examples: tuple[MapExample, ...]
    table_regions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, kw_only=True)
class ContributionsResult:
    """What each modality adds to the headline model's log hazard, in patients left out.

    Attributes
    ----------
    model
        Its name.
    modalities
        Modality → standard deviation over patients of what it adds, and mean weight given.
    n
        Patients.
    """

    model: str
    modalities: Mapping[str, Mapping[str, float]]
    n: int


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where locked models come from, in a validation.

    Attributes
    ----------
    bundle
        sha256 of its list of hashes.
    run
        Name of the developing run.
    patients, events, centres
        Numbers of development.
    accrual
        First and last month of time zero; empty if not dated.
    case_mix
        Label and value of Table 1 of development.
    median_follow_up_years
        None for nodal stage.
    horizons_days, judged_days
        Horizons of the models, and those that the external follow-up supports.
    left_out
        Reason → external patients who are not judged for it.
    """

    bundle: str
    run: str
    patients: int
    events: int
    centres: int
    accrual: tuple[str, ...]
    case_mix: tuple[tuple[str, str], ...]
    median_follow_up_years: float | None
    horizons_days: tuple[int, ...]
    judged_days: tuple[int, ...]
    left_out: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ReportContents:
    """A run, ready to be written down.

    Attributes
    ----------
    title, protocol
        Of the study.
    run
        Content hash that names the run.
    flow, accrual
        Who came in; first and last month of time zero (empty if not dated).
    waived, not_recorded, constants
        What the study does not assess or record, and constants, with reasons.
    analyses
        Headline first.
    checks
        Leakage checks.
    optimism, sample_size
        None where not done.
    models
        Of the headline analysis.
    study_reference
        The reference that ``study.toml`` names; ``reference_model`` is another one where the
        increment is taken over a nested reference.
    plan
        The locked analysis plan, and what differs from it.
    reference_model, headline_model
        Names.
    single_centre_reason
        Why leave-one-centre-out was not done, if it was not.
    settings
        study.toml as resolved, without the key of the pseudonyms.
    inputs
        File name → sha256.
    versions
        Of what ran.
    code
        sha256 of metasight's source.
    demonstration
        Set when the study is a demonstration on public data: what it is.
    slides
        Slides and section pairs by stage, stage by stage; empty where the study has none.
    reader_verdicts
        What readers decided in place of a verdict.
    origin
        Where locked models come from, in a validation; None where models were developed.
    new_generator
        The generator for new patients beside the folds', as
        :func:`metasight.steps.slides.maps.compare_generators` writes it; None without one.
    maps
        Painted maps and how they agree with sections; None without.
    verification
        Of unexamined nodes, as :mod:`metasight.steps.after.verification` writes it; None without.
    staging
        Rule and risk, as :mod:`metasight.steps.after.staging` writes it; None without.
    abstention
        Who is unlike training, as :mod:`metasight.steps.risk.abstention` writes it; None without.
    biology
        Genes and sets, as :mod:`metasight.steps.after.biology` writes it; None without.
    stability
        Of texture, as :mod:`metasight.steps.after.stability` writes it; None without.
    contributions
        Of each modality, where the headline model fuses them.
    """

    title: str
    protocol: Protocol
    run: str
    flow: FlowCounts
    accrual: tuple[str, ...]
    waived: Mapping[str, str]
    not_recorded: Mapping[str, str]
    constants: Mapping[str, str]
    analyses: tuple[AnalysisResult, ...]
    checks: tuple[Check, ...]
    optimism: OptimismResult | None
    sample_size: SampleSizeResult | None
    models: tuple[ModelDescription, ...]
    reference_model: str
    headline_model: str
    study_reference: str = ""
    plan: PlanComparison = field(default_factory=PlanComparison)
    single_centre_reason: str | None
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    versions: Mapping[str, str]
    code: str
    demonstration: str = ""
    origin: Origin | None = None
    new_generator: Mapping[str, Any] | None = None
    slides: tuple[SlideStage, ...] = ()
    reader_verdicts: tuple[ReaderVerdicts, ...] = ()
    maps: MapsResult | None = None
    verification: Mapping[str, Any] | None = None
    staging: Mapping[str, Any] | None = None
    abstention: Mapping[str, Any] | None = None
    biology: Mapping[str, Any] | None = None
    stability: Mapping[str, Any] | None = None
    contributions: ContributionsResult | None = None
