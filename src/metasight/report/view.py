"""A run seen by someone who writes it up: its headline, its models in order, its names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from metasight.biomarkers.names import in_words
from metasight.protocol.endpoint import Endpoint
from metasight.report.contents import AnalysisResult, ReportContents
from metasight.report.wording import in_years, years
from metasight.validation.results import (
    Comparison,
    ContrastMetric,
    Evaluation,
    Metric,
    ModelEvaluation,
    NotEstimable,
    TargetContrast,
    TargetEvaluation,
)

POPULATIONS: Mapping[str, str] = {
    "as_written": "eligible as written",
    "all_eligible": "all eligible",
    "external": "external patients",
}


@dataclass(frozen=True)
class View:
    """Contents of a report with the names and orders that every section uses.

    Attributes
    ----------
    contents
        The run.
    """

    contents: ReportContents

    @property
    def headline(self) -> AnalysisResult:
        """The analysis that the report leads with."""
        return self.contents.analyses[0]

    @property
    def evaluation(self) -> Evaluation:
        """Of the headline analysis."""
        return self.headline.evaluation

    @property
    def kind(self) -> str:
        """``survival``, ``competing`` or ``nodal``."""
        return self.evaluation.kind

    @property
    def nodal(self) -> bool:
        """Whether the headline endpoint is nodal stage."""
        return self.kind == "nodal"

    @property
    def external(self) -> bool:
        """Whether a finished model was evaluated on other patients, and nothing was fitted."""
        return self.headline.population == "external"

    @property
    def reference(self) -> str:
        """Name of the reference model."""
        return self.evaluation.settings.reference_model

    @property
    def lead(self) -> str:
        """Name of the headline model."""
        return self.evaluation.settings.headline_model

    @property
    def reads_images(self) -> bool:
        """Whether the study gives slides or scans."""
        return any(self.contents.settings.get(part) for part in ("slides", "scans"))

    @property
    def nested(self) -> bool:
        """Whether the increment is over a nested reference that the study did not name."""
        own = self.contents.study_reference
        return bool(own) and own != self.reference and own in self.evaluation.models

    @property
    def has_increment(self) -> bool:
        """Whether headline and reference are two models."""
        return self.reference != self.lead

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Models of the headline analysis: reference, headline, then as in the study file."""
        return self.order(self.evaluation)

    def order(self, evaluation: Evaluation) -> tuple[str, ...]:
        """Models of an evaluation in the order of the report."""
        settings = evaluation.settings
        told = [m.name for m in self.contents.models]
        wanted = [settings.reference_model, settings.headline_model, *told]
        wanted += sorted(evaluation.models)
        return tuple(m for m in dict.fromkeys(wanted) if m in evaluation.models)

    @property
    def leading(self) -> tuple[str, ...]:
        """Reference and headline model, once each."""
        return tuple(dict.fromkeys((self.reference, self.lead)))

    @property
    def endpoint(self) -> Endpoint:
        """The headline endpoint."""
        return self.endpoint_of(self.headline)

    def endpoint_of(self, analysis: AnalysisResult) -> Endpoint:
        """The protocol's endpoint that an analysis is of."""
        named = {e.name: e for e in self.contents.protocol.endpoint}
        return named.get(analysis.endpoint, self.contents.protocol.primary)

    def of_endpoint(self, population: str) -> AnalysisResult | None:
        """The headline endpoint in another population, if it was analysed there."""
        for analysis in self.contents.analyses:
            if (analysis.endpoint, analysis.population) == (self.headline.endpoint, population):
                return analysis
        return None

    def label(self, variable: str) -> str:
        """Label of a variable of the data dictionary, or a biomarker; a gene as it stands."""
        known = self.contents.protocol.variables
        return known[variable].label if variable in known else in_words(variable)

    @cached_property
    def headline_comparison(self) -> Comparison | None:
        """Headline model minus reference in the headline analysis."""
        return comparison(self.evaluation, self.lead)


def comparison(evaluation: Evaluation, model: str) -> Comparison | None:
    """A model minus the reference of an evaluation."""
    return next((c for c in evaluation.comparisons if c.model == model), None)


def target_name(target: TargetEvaluation | TargetContrast) -> str:
    """``5 years``, ``N1 or worse``."""
    return years(target.horizon_days) if target.horizon_days is not None else target.target


def at_target(target: TargetEvaluation | TargetContrast) -> str:
    """``at 5 years``, ``for N1 or worse``."""
    return ("at " if target.horizon_days is not None else "for ") + target_name(target)


def discrimination(model: ModelEvaluation, kind: str) -> Metric:
    """The measure of discrimination that leads: Harrell's (Wolbers') C, or the ordinal C."""
    return model.ordinal_c if kind == "nodal" else model.harrell_c


def discrimination_name(kind: str) -> str:
    """What :func:`discrimination` gives."""
    return {
        "survival": "Harrell’s C",
        "competing": "Wolbers’ C",
        "nodal": "Ordinal C",
    }[kind]


def discrimination_contrast(found: Comparison, kind: str) -> ContrastMetric:
    """Difference in :func:`discrimination`."""
    return found.ordinal_c if kind == "nodal" else found.harrell_c


def targets(evaluation: Evaluation) -> tuple[TargetEvaluation, ...]:
    """Horizons or thresholds of stage; any model has the same."""
    return next(iter(evaluation.models.values())).targets


def not_estimable(evaluation: Evaluation) -> Iterator[tuple[str, str, str]]:
    """Model, measure and reason of what the leading measures could not estimate."""
    for name, model in evaluation.models.items():
        for target in model.targets:
            measures: dict[str, Metric] = {"AUC": target.auc, "IPA": target.ipa}
            for measure, m in measures.items():
                if isinstance(m, NotEstimable):
                    yield name, f"{measure} {at_target(target)}", in_years(m.not_estimable)
