"""Multiple imputation is planned where predictors of the leading models are missing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.engine.contents import Contents
from metasight.engine.step import StepKind
from metasight.features.columns import Feature, Kind
from metasight.plan import imputing
from metasight.plan.fits import fit_steps, gaps_of, judge_steps
from steps.analysed import followed, write_data

from .test_fits import KFOLD, headline, study  # noqa: F401 (fixtures)

GRADE = Feature(name="grade", kind=Kind.ORDINAL)
GENE = Feature(name="g1", kind=Kind.CONTINUOUS, modality="genes")


def steps_of(study, headline, gaps, **changes):  # noqa: F811
    analysis = study.settings.analysis.model_copy(update=changes)
    asked = replace(study, settings=study.settings.model_copy(update={"analysis": analysis}))
    found = fit_steps(asked, headline, KFOLD, Contents(), gaps)
    return [s for s in found if s.kind is StepKind.FIT_IMPUTED]


def test_a_cohort_without_missing_predictors_plans_no_step(study, headline):  # noqa: F811
    assert steps_of(study, headline, ()) == []
    # what no leading model reads counts for nothing
    other = Feature(name="x", kind=Kind.CONTINUOUS, modality="unread")
    assert steps_of(study, headline, (other,)) == []


def test_it_can_be_left_out_and_is_of_the_headline_analysis_alone(study, headline):  # noqa: F811
    assert steps_of(study, headline, (GRADE,))
    assert steps_of(study, headline, (GRADE,), imputations=0) == []
    beside = replace(headline, headline=False)
    assert steps_of(study, beside, (GRADE,)) == []


def test_every_fold_has_a_step_and_the_coefficients_one(study, headline):  # noqa: F811
    """The headline model here is a forest, which is not refitted; it is named."""
    found = steps_of(study, headline, (GRADE,), folds=3)
    assert [getattr(s.argument, "fold", None) for s in found] == [0, 1, 2, None]
    told = found[-1].argument
    assert {m.name for m in told.models} == {"clinical"}
    assert "forests" in told.left_out["forest"]
    assert told.imputations == 20
    assert len({s.key for s in found}) == len(found)
    fewer = steps_of(study, headline, (GRADE,), folds=3, imputations=5)
    assert not {s.key for s in found} & {s.key for s in fewer}


def test_a_model_of_which_nothing_is_missing_is_not_refitted(study, headline):  # noqa: F811
    """Its predictions over imputations are those that it has."""
    net = next(m for m in headline.models if m.name == "clinical").model_copy(
        update={"kind": "elastic_net_cox", "name": "forest", "modalities": ("clinical", "genes")}
    )
    models = tuple(net if m.name == "forest" else m for m in headline.models)
    fused = replace(headline, models=models)
    found = steps_of(study, fused, (GENE,), folds=3)
    told = found[-1].argument
    assert [m.name for m in told.models] == ["forest"]
    assert "clinical" in told.complete


@pytest.mark.parametrize("too_many", [False, True])
def test_a_model_with_too_many_incomplete_predictors_is_left_out(
    study,  # noqa: F811
    headline,  # noqa: F811
    monkeypatch,
    too_many,
):
    monkeypatch.setattr(imputing, "MOST_INCOMPLETE", 0 if too_many else 1)
    told = steps_of(study, headline, (GRADE,))[-1].argument
    assert ("clinical" in told.left_out) == too_many


def test_the_evaluation_reads_the_imputations(study, headline):  # noqa: F811
    fits = fit_steps(study, headline, KFOLD, Contents(), (GRADE,))
    own = {s.key for s in fits if s.kind is StepKind.FIT_IMPUTED}
    _, evaluation, *_ = judge_steps(study, headline, fits, [], Contents())
    assert own
    assert own <= {s.key for s in evaluation.needs}


def test_gaps_are_read_from_the_data(tmp_path):
    data = followed()
    values = data.features.values
    values.iloc[0, 1] = float("nan")
    values["d"] = float("nan")  # nobody has it: nothing can be imputed
    folder = write_data(tmp_path / "data", data)
    assert [f.name for f in gaps_of(folder)] == ["b"]
