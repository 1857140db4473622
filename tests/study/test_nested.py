"""The headline is compared with itself without what it adds, not with another kind of model."""

from __future__ import annotations

import pytest

from metasight.study.file import read_study
from metasight.study.nested import increment_reference, models_to_fit, nested_reference

GENES = """
[modalities.genes]
path = "genes.csv"
id = "id"

[[model]]
kind = "elastic_net_cox"
name = "clinical + genes"
modalities = ["clinical", "genes"]
penalty_factors = { genes = 2.0 }
l1_ratios = [0.05]
"""
HEADLINE = ('headline_model = "forest"', 'headline_model = "clinical + genes"')


@pytest.fixture
def settings(breast_study):
    def read(more=GENES, replace=(HEADLINE,)):
        folder = breast_study(replace=list(replace))
        path = folder / "study.toml"
        path.write_text(path.read_text("utf-8") + more, "utf-8")
        return read_study(folder).settings

    return read


def test_the_nested_reference_is_the_headlines_procedure_on_what_the_reference_reads(settings):
    found = settings()
    nested = nested_reference(found)
    assert nested is not None
    headline = next(m for m in found.model if m.name == "clinical + genes")
    differs = {"name", "modalities", "penalty_factors"}
    assert nested.model_dump(exclude=differs) == headline.model_dump(exclude=differs)
    assert nested.name == "clinical + genes, without genes"
    assert nested.modalities == ("clinical",)
    assert nested.penalty_factors == {}
    assert increment_reference(found) == nested.name
    assert models_to_fit(found) == (*found.model, nested)


def test_a_headline_on_the_same_predictors_has_none(settings):
    found = settings(replace=())
    assert nested_reference(found) is None
    assert increment_reference(found) == found.analysis.reference_model
    assert models_to_fit(found) == found.model


def test_a_reference_that_is_the_same_procedure_is_taken_as_it_is(settings):
    own = '\n[[model]]\nkind = "elastic_net_cox"\nname = "ridge"\nl1_ratios = [0.05]\n'
    found = settings(
        GENES + own, (HEADLINE, ('reference_model = "clinical"', 'reference_model = "ridge"'))
    )
    assert nested_reference(found) is None
    assert increment_reference(found) == "ridge"


def test_a_model_of_the_study_that_is_the_procedure_is_fitted_once(settings):
    own = '\n[[model]]\nkind = "elastic_net_cox"\nname = "ridge"\nl1_ratios = [0.05]\n'
    found = settings(GENES + own)
    assert nested_reference(found) is None
    assert increment_reference(found) == "ridge", "not the study's unpenalised reference"


def test_a_stack_is_compared_with_a_stack_of_one(settings):
    stacked = GENES.replace('"elastic_net_cox"', '"stacked"').replace(
        "penalty_factors = { genes = 2.0 }\n", ""
    )
    nested = nested_reference(settings(stacked))
    assert nested is not None
    assert (nested.kind, nested.modalities) == ("stacked", ("clinical",))


def test_a_ridge_by_modality_is_compared_with_the_ridge_of_the_first(settings):
    ridge = GENES.replace('"elastic_net_cox"', '"modality_ridge"').replace(
        "penalty_factors = { genes = 2.0 }", "penalty_factors = { clinical = 0.0, genes = 0.0 }"
    )
    nested = nested_reference(settings(ridge))
    assert nested is not None
    assert (nested.kind, nested.modalities) == ("modality_ridge", ("clinical",))
    assert nested.penalty_factors == {"clinical": 0.0}


def test_a_headline_that_leaves_out_what_the_reference_reads_has_none(settings):
    genes = GENES.replace('["clinical", "genes"]', '["genes"]').replace("{ genes = 2.0 }", "{}")
    assert nested_reference(settings(genes)) is None


def test_a_published_score_is_a_reference_as_it_is(settings):
    found = settings(GENES, (HEADLINE, ('reference_model = "clinical"', 'reference_model = "NPI"')))
    assert nested_reference(found) is None
    assert increment_reference(found) == "NPI"


def test_long_names_stay_names(settings):
    long = "clinical + genes " + "x" * 62
    text = GENES.replace('name = "clinical + genes"', f'name = "{long}"')
    found = settings(text, (('headline_model = "forest"', f'headline_model = "{long}"'),))
    nested = nested_reference(found)
    assert nested is not None
    assert len(nested.name) == 80
    assert nested.name not in {m.name for m in found.model}
