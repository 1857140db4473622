"""What a protocol holds: dictionary, criteria, endpoints, rules, thresholds, definitions."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metasight.errors import ProtocolError
from metasight.protocol.criteria import Condition, Criterion, CriterionTest
from metasight.protocol.endpoint import Endpoint
from metasight.protocol.evidence import FROM_SLIDES, problem_of_evidence
from metasight.protocol.markers import (
    Marker,
    MarkerNames,
    MarkerRoles,
    problem_of_markers,
    roles_of,
)

VariableType = Literal["number", "integer", "boolean", "category", "date", "text"]
DefinitionValue = float | str | tuple[float, ...] | None
Role = Literal["predictor", "criterion", "outcome", "treatment", "design"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Part):
    """Days from time zero within which a value must have been measured; ends included."""

    from_days: int
    to_days: int

    @model_validator(mode="after")
    def _ordered(self) -> Window:
        if self.from_days > self.to_days:
            raise ValueError("from_days is after to_days")
        return self


class Variable(_Part):
    """One entry of the data dictionary.

    Attributes
    ----------
    name
        Canonical name, unit included (``tumour_size_mm``).
    type, unit, values
        What a table may hold. ``values`` lists a category's levels, the reference first.
    minimum, maximum
        Accepted range, in ``unit``.
    plausible_median
        Range in which a cohort's median must lie; outside it the unit is taken to be wrong.
    role
        Predictor, criterion, outcome, treatment or design (centre, arm).
    window
        When a predictor must have been measured, in days from time zero.
    measured
        The same in words, for the report.
    measured_on
        Date variable that tells when it was measured; without one the window is declared only.
    spline
        Whether a regression may bend it.
    evidence
        ``table``, or the stage that supplies it; see `metasight.protocol.evidence`.
    source
        Where the definition comes from.
    spellings
        Other names that tables use for it; `metasight init` looks for them. One that ends in ``*``
        is the beginning of a name.
    level_spellings
        Level (``yes`` and ``no`` of a boolean, the number of an integer) → how tables write it;
        ``*`` as in ``spellings``, and alone as ``no`` it is every other code. ``unknown`` are codes
        of what is not known, ``ambiguous`` those that tables use either way. For `metasight init`.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    label: str
    type: VariableType
    unit: str = ""
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    plausible_median: tuple[float, float] | None = None
    role: Role
    window: Window | None = None
    measured: str = ""
    measured_on: str | None = None
    spline: bool = False
    evidence: str = "table"
    source: str = ""
    spellings: tuple[str, ...] = ()
    level_spellings: dict[str, tuple[str, ...]] = {}

    @model_validator(mode="after")
    def _complete(self) -> Variable:
        if self.type == "category" and len(self.values) < 2:
            raise ValueError(f"category {self.name!r} needs at least two values")
        if self.role == "predictor" and (self.window is None or not self.measured):
            raise ValueError(f"predictor {self.name!r} needs a window and when it is measured")
        problem = problem_of_evidence(self.name, self.evidence)
        if problem:
            raise ValueError(problem)
        strange = sorted(set(self.level_spellings) - {"unknown", "ambiguous"} - self._levels())
        if strange:
            raise ValueError(
                f"level_spellings of {self.name!r} name no level: {', '.join(strange)}"
            )
        return self

    def _levels(self) -> set[str]:
        if self.type == "boolean":
            return {"yes", "no"}
        if self.type == "integer" and self.minimum is not None and self.maximum is not None:
            return {str(n) for n in range(int(self.minimum), int(self.maximum) + 1)}
        return set(self.values)

    @property
    def accepted(self) -> str:
        """What a table may hold, in words."""
        unit = f" {self.unit}" if self.unit else ""
        match self.type:
            case "category":
                return "one of " + ", ".join(self.values)
            case "boolean":
                return "yes/no, true/false or 1/0"
            case "date":
                return "a date as YYYY-MM-DD"
            case "text":
                return "text"
        kind = "a whole number" if self.type == "integer" else "a number"
        if self.minimum is not None and self.maximum is not None:
            return f"{kind} from {self.minimum:g} to {self.maximum:g}{unit}"
        return kind + unit


class Rule(_Part):
    """A consistency rule between variables of one patient.

    Attributes
    ----------
    id, text
        For messages: ``text`` says what must hold.
    holds
        Condition; ``not met`` is a problem, ``unknown`` is not.
    column
        Variable whose column and value the message shows.
    """

    id: str
    text: str
    column: str
    holds: Condition


class Definition(_Part):
    """A versioned definition that a stage uses and the report prints."""

    name: str
    text: str
    value: DefinitionValue = None
    unit: str = ""
    source: str


class Apart(_Part):
    """How far a scan's measurement may lie from the table's value.

    Attributes
    ----------
    variable
        Number that the table gives and the scan measures.
    more_than, more_than_share
        They differ when they lie further apart than both of these allow: an amount in the
        variable's unit, and a share of the table's value.
    """

    variable: str
    more_than: float = Field(ge=0, allow_inf_nan=False)
    more_than_share: float = Field(ge=0, allow_inf_nan=False)


class ScanCheck(_Part):
    """Where a scan gives reason to look at a patient's row of the table again.

    Nothing is overruled: the table's value counts, and a ledger row under ``criterion`` says that
    somebody should look. Exactly one of ``apart`` and ``condition`` is given.

    Attributes
    ----------
    criterion
        Id of the criterion that would be affected.
    apart
        A measurement that does not agree with the table.
    condition
        State that is not to be expected, tested on the patient's row with what the scan measured
        in place of the table's values; a row is written where it is met.
    text
        What ``condition`` found, in words.
    """

    criterion: str
    apart: Apart | None = None
    condition: Condition | None = None
    text: str = ""

    @model_validator(mode="after")
    def _one_of_two(self) -> ScanCheck:
        if (self.apart is None) == (self.condition is None):
            raise ValueError("a scan check has either apart or condition")
        if self.condition is not None and not self.text:
            raise ValueError("a scan check with a condition says in text what it found")
        return self

    def variables(self) -> list[str]:
        """Names of the variables read."""
        if self.condition is not None:
            return list(self.condition.variables())
        return [self.apart.variable] if self.apart is not None else []


class SlideProtocol(_Part):
    """The part of a protocol that measures on slides rest on, and nothing else.

    What is not in it may change without any slide being measured again: wording, endpoints,
    dictionary, title and version, and the density from which a region of a map counts as positive.

    Attributes
    ----------
    id
        Of the protocol, for messages.
    definitions
        Value of each definition, by its name.
    marker
        How markers are named and what they stain.
    criterion
        Those that read what a stage on slides supplies, in the protocol's order.
    """

    id: str
    definitions: dict[str, DefinitionValue]
    marker: tuple[MarkerNames, ...]
    criterion: tuple[CriterionTest, ...]

    def criteria_on(self, variable: str) -> tuple[CriterionTest, ...]:
        """As :meth:`Protocol.criteria_on`, of variables that slides supply."""
        return tuple(c for c in self.criterion if variable in set(c.condition.variables()))

    @property
    def marker_roles(self) -> MarkerRoles | None:
        """Markers of tumour, T and B cells; None where the protocol names no marker."""
        return roles_of(self.marker)


class Protocol(_Part):
    """A study's protocol, valid on construction.

    Attributes
    ----------
    id, registration, title, version
        ``version`` changes with any change of a criterion, endpoint, definition, marker or check.
    time_zero
        In words; times in tables count from it.
    landmark_days
        Day after time zero by which every predictor is known and on which patients enter: who has
        an event or is censored by then is not analysed for an endpoint of follow-up, and a risk is
        that of a patient without an event on that day. 0: patients enter at time zero.
    criteria
        In the order in which the flow diagram applies them.
    clinical_predictors
        Variables of the clinical reference model, in order.
    unknown_eligibility
        ``hold``: a patient whose eligibility is unknown is not analysed and is counted apart.
    marker
        Markers of the study's sections; see `metasight.protocol.markers`. Empty where it has none.
    scan_check
        Where a scan gives reason to look at a patient's row of the table again.
    ct_quality
        Value of CT quality → ``low``, ``high``, ``required``; see `metasight.volumes.ct_limits`.
    radiomics
        How texture of CT is measured; see `metasight.features.radiomics.settings`.
    nodal_staging
        What a risk is held against; see `metasight.decisions.nodal_staging`. Empty: not shown.
    """

    id: str
    registration: str
    title: str
    version: str
    time_zero: str
    time_zero_date: str
    landmark_days: int = Field(default=0, ge=0)
    setting: str
    intended_use: str
    unknown_eligibility: Literal["hold"] = "hold"
    headline_population: Literal["as_written", "all_eligible"]
    clinical_predictors: tuple[str, ...]
    variable: tuple[Variable, ...]
    criterion: tuple[Criterion, ...]
    endpoint: tuple[Endpoint, ...]
    rule: tuple[Rule, ...] = ()
    definition: tuple[Definition, ...] = ()
    marker: tuple[Marker, ...] = ()
    scan_check: tuple[ScanCheck, ...] = ()
    ct_quality: dict[str, dict[str, float | bool]] = {}
    radiomics: dict[str, Any] = {}
    nodal_staging: dict[str, float] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        names = [v.name for v in self.variable]
        _no_duplicates(names, "variable")
        _no_duplicates([c.id for c in self.criterion], "criterion")
        _no_duplicates([e.name for e in self.endpoint], "endpoint")
        problem = problem_of_markers(self.marker)
        if problem:
            raise ValueError(problem)
        for check in self.scan_check:
            if check.criterion not in self.criteria:
                raise ValueError(f"a scan check names no criterion: {check.criterion}")
        known = set(names)
        for what, used in self._uses():
            unknown = sorted(set(used) - known)
            if unknown:
                raise ValueError(f"{what} uses undefined variables: {', '.join(unknown)}")
        if sum(e.primary for e in self.endpoint) != 1:
            raise ValueError("exactly one endpoint must be primary")
        self._refuse_late_predictors()
        return self

    def _refuse_late_predictors(self) -> None:
        """A predictor that may be measured after patients entered would tell of their future."""
        if not any(e.type == "survival" for e in self.endpoint):
            return
        for v in self.variable:
            if v.role == "predictor" and v.window and v.window.to_days > self.landmark_days:
                raise ValueError(
                    f"variable {v.name} may be measured until day {v.window.to_days}, but patients "
                    f"enter on day {self.landmark_days}: end its window earlier, or set "
                    "landmark_days"
                )

    def _uses(self) -> list[tuple[str, list[str]]]:
        uses = [(f"criterion {c.id}", list(c.condition.variables())) for c in self.criterion]
        uses += [(f"rule {r.id}", [*r.holds.variables(), r.column]) for r in self.rule]
        uses += [(f"a scan check of {c.criterion}", c.variables()) for c in self.scan_check]
        uses += [("clinical_predictors", list(self.clinical_predictors))]
        uses += [(f"variable {v.name}", [v.measured_on]) for v in self.variable if v.measured_on]
        for e in self.endpoint:
            if e.type == "survival":
                events = [*e.event, *e.competing]
                uses.append((f"endpoint {e.name}", events + [f"{n}_days" for n in events]))
            else:
                uses.append((f"endpoint {e.name}", [e.variable]))
        return uses

    @property
    def variables(self) -> dict[str, Variable]:
        """Data dictionary by name."""
        return {v.name: v for v in self.variable}

    @property
    def criteria(self) -> dict[str, Criterion]:
        """Criteria by id."""
        return {c.id: c for c in self.criterion}

    def criteria_on(self, variable: str) -> tuple[Criterion, ...]:
        """Criteria whose condition reads ``variable``, in the protocol's order.

        This is how a stage that supplies a variable finds what the protocol asks of it. Empty
        where no criterion does, or where the protocol has no such variable.
        """
        return tuple(c for c in self.criterion if variable in set(c.condition.variables()))

    @property
    def marker_roles(self) -> MarkerRoles | None:
        """Markers of tumour, T and B cells; None where the protocol names no marker."""
        return roles_of(self.marker)

    @property
    def for_slides(self) -> SlideProtocol:
        """What measures on slides rest on."""
        return SlideProtocol(
            id=self.id,
            definitions={d.name: d.value for d in self.definition},
            marker=tuple(m.names for m in self.marker),
            criterion=tuple(
                c.test for c in self.criterion if FROM_SLIDES & set(c.condition.variables())
            ),
        )

    @property
    def required_markers(self) -> tuple[str, ...]:
        """Markers that a patient's sections must show, in the protocol's order."""
        return tuple(m.name for m in self.marker if m.required)

    @property
    def primary(self) -> Endpoint:
        """The primary endpoint."""
        return next(e for e in self.endpoint if e.primary)


def require_roles(protocol: Protocol | SlideProtocol, *, where: str) -> MarkerRoles:
    """Markers of tumour, T and B cells of a protocol that must name them.

    Raises
    ------
    ProtocolError
        It names no marker.
    """
    roles = protocol.marker_roles
    if roles is None:
        raise ProtocolError(
            "the protocol names no markers of tumour, T and B cells",
            where=where,
            value=protocol.id,
            remedy="Add [[marker]] entries to the protocol, one for each role",
        )
    return roles


def _no_duplicates(names: list[str], what: str) -> None:
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise ValueError(f"{what} defined twice: {', '.join(twice)}")
