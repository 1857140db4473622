"""The cohort and its analyses: who is screened, and each endpoint in each population."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from metasight.cohort.overlap import key_from
from metasight.engine.contents import Contents, Folder
from metasight.engine.step import Step, StepKind
from metasight.errors import StudyError
from metasight.features.bags import MODALITY
from metasight.features.crops import MODALITY as CROP_MODALITY
from metasight.steps.cohort import data
from metasight.study.file import GENERATED_MODALITY, Study, StudyModel
from metasight.study.nested import increment_reference, models_to_fit
from metasight.units import years_to_days

DEAR = frozenset({MODALITY, CROP_MODALITY, GENERATED_MODALITY})
"""Modalities whose fits train a network, or rest on a generator of each fold."""

POPULATIONS = ("as_written", "all_eligible")

READ_BY_COHORT = (
    StepKind.MEASURE_SLIDES,
    StepKind.PAINT_MAP,
    StepKind.GATHER_BAGS,
    StepKind.MEASURE_SCANS,
    StepKind.GATHER_CROPS,
)
"""Steps on images that tell of patients."""


@dataclass(frozen=True)
class Analysis:
    """One endpoint in one population.

    Attributes
    ----------
    data
        The step that cut its data.
    endpoint, population
        Names.
    models
        Models fitted.
    headline
        Whether this is what the report leads with.
    """

    data: Step
    endpoint: str
    population: str
    models: tuple[StudyModel, ...]
    headline: bool

    @property
    def evaluation(self) -> str:
        """Name of the step that judges it."""
        return f"evaluate {self.endpoint} {self.population}"


def cohort_step(
    study: Study,
    images: Sequence[Step],
    contents: Contents,
    *,
    overlap_key: str = "",
    new_patients: bool = False,
) -> Step:
    """Tables to canonical values, eligibility and ledger; with what images told, if any.

    Parameters
    ----------
    study, contents
        Of the run.
    images
        Steps on slides and scans.
    overlap_key
        Of the bundle whose training patients are looked for; the study's own without.
    new_patients
        Whether these are patients to predict.
    """
    return Step(
        name="cohort",
        kind=StepKind.SCREEN,
        label="cohort",
        function=data.cohort,
        argument=data.CohortArgument(
            folder=Folder(root=study.folder, files=study.screened_tables),
            settings=study.settings.cohort(),
            protocol=study.protocol,
            overlap_key=overlap_key or key_from(study.settings.key),
            new_patients=new_patients,
            expression=_expression(study),
        ),
        needs=tuple(s for s in images if s.kind in READ_BY_COHORT),
        contents=contents,
    )


def _expression(study: Study) -> tuple[str, bool] | None:
    asked = study.settings.biology
    return None if asked is None else (asked.expression, asked.log_scale)


def plan_analyses(
    study: Study, cohort: Step, info: dict[str, Any], contents: Contents
) -> Iterator[Analysis]:
    """Headline first; then the other population, then the other endpoints.

    The primary endpoint is analysed in both populations where they differ (a criterion that
    selects on the future, as written and left out); other endpoints in the headline one.

    Parameters
    ----------
    study, contents
        Of the run.
    cohort
        The step that screened.
    info
        What it found.

    Raises
    ------
    StudyError
        Nobody is eligible.
    """
    protocol, settings = study.protocol, study.settings
    primary, headline = protocol.primary.name, protocol.headline_population
    other = next(p for p in POPULATIONS if p != headline)
    if not info[headline]:
        raise nobody_eligible(study, info)
    wanted: list[tuple[str, str]] = [(primary, headline)]
    if info[other] != info[headline] and info[other]:
        wanted.append((primary, other))
    wanted += [(e.name, headline) for e in protocol.endpoint if not e.primary]
    fitted = models_to_fit(settings)
    for endpoint, population in wanted:
        models = tuple(m for m in fitted if endpoint in (m.endpoints or (primary,)))
        if population != headline:
            leading = (increment_reference(settings), settings.analysis.headline_model)
            models = tuple(m for m in models if m.name in leading)
        if models:
            yield Analysis(
                data=data_step(study, cohort, endpoint, population, contents),
                endpoint=endpoint,
                population=population,
                models=models,
                headline=(endpoint, population) == (primary, headline),
            )


def nobody_eligible(study: Study, info: dict[str, Any]) -> StudyError:
    """What stands in the way, criterion by criterion."""
    lines = []
    for name, verdicts in info["verdicts"].items():
        out, unknown = verdicts.get("excluded", 0), verdicts.get("unknown", 0)
        if not out + unknown:
            continue
        criterion = study.protocol.criteria[name]
        read = dict.fromkeys(criterion.condition.variables())
        lacking = [v for v in read if not study.settings.gives(v)]
        lines.append(
            f"  {name}: {out} excluded, {unknown} unknown: {criterion.text}"
            + (f" [not given: {', '.join(lacking)}]" if lacking else "")
        )
    return StudyError(
        f"none of the {info['screened']} patients is eligible. What each criterion does on its "
        "own:\n" + "\n".join(lines) + "\n",
        where="eligibility",
        remedy="Map what is not given in [columns] or [constants] (a line that `metasight init` "
        "proposes counts once its # ? is deleted); waive criteria that this study cannot assess in "
        "[waive], with the reason",
    )


def data_step(
    study: Study, cohort: Step, endpoint: str, population: str, contents: Contents
) -> Step:
    """Outcome, features, horizons and splits of one endpoint in one population."""
    analysis = study.settings.analysis
    primary = endpoint == study.protocol.primary.name
    headline = primary and population == study.protocol.headline_population
    asked = tuple(years_to_days(y) for y in analysis.horizons_years or ()) or None
    return cut_step(
        data.DataArgument(
            endpoint=endpoint,
            population=population,
            protocol=study.protocol,
            not_recorded=dict(study.settings.not_recorded),
            horizons_days=asked if primary else None,
            folds=analysis.folds,
            repeats=analysis.repeats,
            seed=analysis.seed,
            centres_out=headline and analysis.single_centre_reason is None,
            first_test_year=analysis.first_test_year if headline else None,
            leads=headline,
            set_aside=(study.settings.biology.expression,) if study.settings.biology else (),
            with_centre=any(m.harmonise for m in study.settings.model),
        ),
        cohort,
        contents,
    )


def cut_step(argument: data.DataArgument, cohort: Step, contents: Contents) -> Step:
    """The step that cuts an analysis' data out of the cohort."""
    return Step(
        name=f"data {argument.endpoint} {argument.population}",
        kind=StepKind.CUT_DATA,
        label="cohort",
        function=data.analysis_data,
        argument=argument,
        needs=(cohort,),
        contents=contents,
    )
