"""A run as its writer sees it: order of models, names of targets, the other population."""

from __future__ import annotations

from dataclasses import replace

from metasight.report.view import (
    View,
    at_target,
    comparison,
    discrimination,
    discrimination_name,
    not_estimable,
    target_name,
    targets,
)
from metasight.validation.results import NotEstimable


def test_the_reference_comes_first_and_the_headline_second(survival):
    view = View(survival)
    assert view.models[:2] == (view.reference, view.lead)
    assert set(view.models) == set(view.evaluation.models)
    assert view.leading == (view.reference, view.lead)
    turned = replace(survival, models=survival.models[::-1])
    assert View(turned).models == view.models


def test_one_model_is_reference_and_headline(survival):
    first = survival.analyses[0]
    settings = replace(first.evaluation.settings, headline_model=View(survival).reference)
    changed = replace(first, evaluation=replace(first.evaluation, settings=settings))
    view = View(replace(survival, analyses=(changed,)))
    assert not view.has_increment
    assert view.leading == (view.reference,)


def test_the_other_population_of_the_headline_endpoint(survival):
    view = View(survival)
    found = view.of_endpoint("as_written")
    assert (found.endpoint, found.population) == (view.headline.endpoint, "as_written")
    assert view.of_endpoint("external") is None


def test_names_of_targets(survival, nodal):
    five = targets(View(survival).evaluation)[0]
    assert at_target(five) == f"at {target_name(five)}"
    assert target_name(five).replace("\u00a0", " ") == "5 years"
    stage = targets(View(nodal).evaluation)[0]
    assert (target_name(stage), at_target(stage)) == ("N1 or worse", "for N1 or worse")


def test_what_leads_in_each_kind(survival, nodal):
    model = View(survival).evaluation.models[View(survival).lead]
    assert discrimination(model, "survival") is model.harrell_c
    stage = View(nodal).evaluation.models[View(nodal).lead]
    assert discrimination(stage, "nodal") is stage.ordinal_c
    assert [discrimination_name(k) for k in ("survival", "competing", "nodal")] == [
        "Harrell’s C",
        "Wolbers’ C",
        "Ordinal C",
    ]


def test_the_comparison_of_a_model_with_the_reference(survival):
    view = View(survival)
    assert view.headline_comparison.model == view.lead
    assert comparison(view.evaluation, view.reference) is None


def test_what_could_not_be_estimated_is_listed_with_its_model(survival):
    view = View(survival)
    name = view.lead
    model = view.evaluation.models[name]
    broken = replace(model.targets[0], auc=NotEstimable(not_estimable="no case"))
    models = {**view.evaluation.models, name: replace(model, targets=(broken, *model.targets[1:]))}
    told = list(not_estimable(replace(view.evaluation, models=models)))
    before = list(not_estimable(view.evaluation))
    assert [t for t in told if t not in before] == [(name, f"AUC {at_target(broken)}", "no case")]


def test_labels_of_variables_and_of_genes(survival):
    view = View(survival)
    assert view.label("tumour_size_mm") == survival.protocol.variables["tumour_size_mm"].label
    assert view.label("ENSG0001") == "ENSG0001"
