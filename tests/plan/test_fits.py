"""Every fit of an analysis: how many, of which models, and what they rest on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from metasight.engine.contents import Contents
from metasight.engine.step import StepKind
from metasight.features.bags import MODALITY
from metasight.plan.analysis import Analysis, cohort_step, data_step
from metasight.plan.fits import backbones, fit_steps, image_folders, judge_steps
from metasight.study.file import read_study
from metasight.study.nested import increment_reference, models_to_fit

KFOLD = [{"scheme": "kfold", "repeat": 0, "fold": k, "held_out": ""} for k in range(3)]
CENTRES = [{"scheme": "centre", "repeat": 0, "fold": k, "held_out": "x"} for k in range(2)]


@pytest.fixture
def study(breast_study):
    return read_study(breast_study())


@pytest.fixture
def headline(study):
    contents = Contents()
    cohort = cohort_step(study, (), contents)
    protocol = study.protocol
    endpoint, population = protocol.primary.name, protocol.headline_population
    return Analysis(
        data=data_step(study, cohort, endpoint, population, contents),
        endpoint=endpoint,
        population=population,
        models=tuple(m for m in models_to_fit(study.settings) if not m.endpoints),
        headline=True,
    )


def kinds(steps):
    return Counter(s.kind for s in steps)


def test_the_headline_has_every_fit_and_every_check(study, headline):
    found = fit_steps(study, headline, [*KFOLD, *CENTRES], Contents())
    models = len(headline.models)
    assert kinds(found) == {
        StepKind.FIT: 5 * models,
        StepKind.FIT_RESAMPLE: 3,  # instability_resamples, of the headline model alone
        StepKind.FIT_EVERYBODY: models,
        StepKind.FIT_NOISE: 1,
        StepKind.FIT_SPOILT: models,
        StepKind.FIT_CENTRE: 1,
        StepKind.FIT_INTERVALS: 1,  # of the headline model
    }
    assert {s.subject for s in found if s.kind is StepKind.FIT_RESAMPLE} == {"forest"}
    assert len({s.name for s in found}) == len({s.key for s in found}) == len(found)


def test_without_centres_left_out_the_centre_is_not_guessed(study, headline):
    assert StepKind.FIT_CENTRE not in kinds(fit_steps(study, headline, KFOLD, Contents()))


def test_another_analysis_is_only_cross_validated(study, headline):
    beside = replace(headline, headline=False)
    assert set(kinds(fit_steps(study, beside, KFOLD, Contents()))) == {StepKind.FIT}


def test_a_fit_is_the_same_whichever_endpoints_its_model_serves(study, headline):
    """Which endpoints a model is fitted for decides which fits there are, not what one is."""
    more = tuple(m.model_copy(update={"endpoints": (headline.endpoint,)}) for m in headline.models)
    plain = fit_steps(study, headline, KFOLD, Contents())
    again = fit_steps(study, replace(headline, models=more), KFOLD, Contents())
    assert [s.key for s in plain] == [s.key for s in again]


def test_resamples_have_numbers_of_their_own(study, headline):
    found = fit_steps(study, headline, KFOLD, Contents())
    numbers = [s.argument.number for s in found if s.kind is StepKind.FIT_RESAMPLE]
    assert numbers == [0, 1, 2]


def test_the_evaluation_reads_every_fit_but_the_checks(study, headline):
    fits = fit_steps(study, headline, [*KFOLD, *CENTRES], Contents())
    leakage, evaluation, *_ = judge_steps(study, headline, fits, ["grade"], Contents())
    checks = {StepKind.FIT_NOISE, StepKind.FIT_SPOILT, StepKind.FIT_CENTRE}
    read = {s.key for s in evaluation.needs}
    assert {f.key for f in fits if f.kind not in checks} | {headline.data.key} == read
    assert leakage.argument.windows_checked == ("grade",)
    asked = {s.key for s in leakage.needs}
    assert {f.key for f in fits if f.kind in {*checks, StepKind.FIT}} <= asked
    assert not any(f.key in asked for f in fits if f.kind is StepKind.FIT_RESAMPLE)


def test_the_reference_of_an_increment_is_among_the_models(study, headline):
    fits = fit_steps(study, headline, KFOLD, Contents())
    _, evaluation, *_ = judge_steps(study, headline, fits, [], Contents())
    told = evaluation.argument
    assert told.headline_model == "forest"
    assert told.reference_model in told.models
    assert "clinical" in (told.reference_model, *told.also_against)
    assert "NPI" in told.also_against  # a published score is compared with as it is
    assert told.subgroups == ("er_positive",)


def test_an_endpoint_without_the_leading_models_is_led_by_its_first_and_last(study, headline):
    others = tuple(m for m in headline.models if m.name in {"NPI"})
    beside = replace(headline, headline=False, models=others)
    fits = fit_steps(study, beside, KFOLD, Contents())
    (evaluation,) = judge_steps(study, beside, fits, [], Contents())
    told = evaluation.argument
    assert (told.reference_model, told.headline_model) == ("NPI", "NPI")
    assert told.subgroups == ()
    assert not told.leads


def test_intervals_are_left_out_where_not_asked_for_or_where_images_are_read(study, headline):
    def planned(settings, analysis):
        asked = replace(study, settings=settings)
        steps = fit_steps(asked, analysis, KFOLD, Contents())
        return [s for s in steps if s.kind is StepKind.FIT_INTERVALS]

    settings = study.settings
    (step,) = planned(settings, headline)
    assert (step.argument.model.name, step.argument.refits) == ("forest", 200)
    none = settings.analysis.model_copy(update={"interval_refits": 0})
    assert planned(settings.model_copy(update={"analysis": none}), headline) == []
    images = tuple(
        m.model_copy(update={"modalities": ("clinical", MODALITY)}) for m in headline.models
    )
    assert planned(settings, replace(headline, models=images)) == []


def repeated(study, **changes):
    own = study.settings.analysis.model_copy(update={"repeats": 5, **changes})
    return replace(study, settings=study.settings.model_copy(update={"analysis": own}))


def test_headline_and_reference_are_fitted_without_pairs_of_folds(study, headline):
    asked = repeated(study, nested_splits=4)
    steps = fit_steps(asked, headline, KFOLD, Contents())
    found = [s for s in steps if s.kind is StepKind.FIT_PAIRS]
    assert {s.subject for s in found} == {"forest", increment_reference(study.settings)}
    assert sorted(s.argument.repeat for s in found) == [0, 0, 1, 1, 2, 2, 3, 3]
    _, evaluation, *_ = judge_steps(asked, headline, steps, [], Contents())
    assert {s.key for s in found} <= {s.key for s in evaluation.needs}


@pytest.mark.parametrize("changes", [{"nested_splits": 2}, {"repeats": 2}, {"folds": 2}])
def test_too_few_divisions_are_not_fitted_without_pairs(study, headline, changes):
    steps = fit_steps(repeated(study, **changes), headline, KFOLD, Contents())
    assert StepKind.FIT_PAIRS not in kinds(steps)


def test_networks_and_maps_are_not_fitted_without_pairs(study, headline):
    for dear in (MODALITY, "scan_network", "generated"):
        images = tuple(
            m.model_copy(update={"modalities": (*m.modalities, dear)}) for m in headline.models
        )
        steps = fit_steps(repeated(study), replace(headline, models=images), KFOLD, Contents())
        assert StepKind.FIT_PAIRS not in kinds(steps)


def test_permutations_are_of_what_the_headline_adds(study, headline):
    asked = repeated(study, permutations=19)
    reference = increment_reference(study.settings)
    wider = tuple(
        m.model_copy(update={"modalities": ("clinical", "genes", "spatial")})
        if m.name == "forest"
        else m
        for m in headline.models
    )
    steps = fit_steps(asked, replace(headline, models=wider), KFOLD, Contents())
    found = [s for s in steps if s.kind is StepKind.FIT_PERMUTED]
    assert [s.argument.number for s in found] == list(range(19))
    told = found[0].argument
    assert (told.model.name, told.reference) == ("forest", reference)
    assert told.added == ("genes", "spatial")
    fits = [s for s in steps if s.kind is StepKind.FIT and s.subject == reference]
    assert {s.key for s in fits} <= {s.key for s in found[0].needs}
    same = fit_steps(repeated(study, permutations=0), headline, KFOLD, Contents())
    assert StepKind.FIT_PERMUTED not in kinds(same)


def test_a_model_without_images_needs_no_folder_of_them(headline):
    assert image_folders(headline.data.needs[0]) == ()


def test_models_without_a_network_name_no_backbone(study, tmp_path):
    assert backbones(tmp_path, study.settings.model) == {}
