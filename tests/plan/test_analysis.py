"""Which analyses a study has, in whom, with which models; and why nobody is eligible."""

from __future__ import annotations

import pytest

from metasight.engine.contents import Contents
from metasight.errors import StudyError
from metasight.plan.analysis import cohort_step, data_step, nobody_eligible, plan_analyses
from metasight.study.file import read_study

SOME, MORE = ["P1", "P2"], ["P1", "P2", "P3"]


@pytest.fixture
def planned(breast_study):
    """Builds the analyses of the made-up study, given who is eligible."""

    def build(as_written, all_eligible, replace=None, name="study"):
        study = read_study(breast_study(replace=replace, name=name))
        contents = Contents()
        cohort = cohort_step(study, (), contents)
        info = {"as_written": as_written, "all_eligible": all_eligible}
        return list(plan_analyses(study, cohort, info, contents))

    return build


def told(analyses):
    return [(a.endpoint, a.population, a.headline) for a in analyses]


def test_where_both_populations_are_alike_there_is_one_of_each_endpoint(planned):
    found = told(planned(SOME, SOME))
    assert found[0][2]
    assert len({f[:2] for f in found}) == len(found)
    assert sum(headline for *_, headline in found) == 1
    assert {population for _, population, _ in found} == {found[0][1]}


def test_where_they_differ_the_primary_endpoint_is_analysed_in_both(planned):
    found = told(planned(SOME, MORE))
    primary = found[0][0]
    assert [f[1] for f in found if f[0] == primary] == [found[0][1], found[1][1]]
    assert found[0][1] != found[1][1]
    assert all(f[1] == found[0][1] for f in found if f[0] != primary)


def test_an_empty_other_population_is_no_analysis(planned):
    (headline, *_) = told(planned(SOME, SOME))
    populations = {"as_written": SOME, "all_eligible": SOME}
    populations[next(p for p in populations if p != headline[1])] = []
    assert len(told(planned(**populations, name="other"))) == len(
        told(planned(SOME, SOME, name="b"))
    )


def test_beside_the_headline_only_the_leading_models_are_fitted(planned):
    headline, other, *rest = planned(SOME, MORE)
    names = {m.name for m in headline.models}
    assert {"clinical", "forest", "NPI"} <= names
    assert "cause-specific" not in names  # its endpoint is another
    assert {m.name for m in other.models} < names
    assert "forest" in {m.name for m in other.models}
    assert [m.name for a in rest for m in a.models if a.endpoint == "distant_metastasis"] == [
        "cause-specific"
    ]


def test_an_endpoint_without_models_is_not_analysed(planned):
    without = planned(SOME, SOME, [('endpoints = ["distant_metastasis"]', "")])
    assert {a.endpoint for a in without} == {without[0].endpoint}
    assert "cause-specific" in {m.name for m in without[0].models}


def test_only_the_headline_leaves_centres_out_and_insists_on_its_horizons(breast_study):
    study = read_study(breast_study())
    contents = Contents()
    cohort = cohort_step(study, (), contents)
    primary, headline = study.protocol.primary.name, study.protocol.headline_population
    other = "all_eligible" if headline == "as_written" else "as_written"
    lead, beside, second = (
        data_step(study, cohort, e, p, contents).argument
        for e, p in (
            (primary, headline),
            (primary, other),
            ("distant_metastasis", headline),
        )
    )
    assert (lead.centres_out, lead.leads) == (True, True)
    assert (beside.centres_out, beside.leads) == (False, False)
    assert (second.centres_out, second.leads) == (False, False)
    assert lead.horizons_days == beside.horizons_days == (1095,)  # 3 years
    assert second.horizons_days is None  # those of its own protocol


def test_nobody_eligible_names_what_each_criterion_does_and_what_is_not_given(breast_study):
    study = read_study(breast_study())
    criteria = list(study.protocol.criteria)
    first, second = criteria[:2]
    info = {
        "screened": 150,
        "verdicts": {
            first: {"excluded": 100, "unknown": 0},
            second: {"excluded": 0, "unknown": 50, "kept": 100},
            criteria[2]: {"kept": 150},
        },
    }
    error = nobody_eligible(study, info)
    assert "none of the 150 patients" in error.problem
    assert f"{first}: 100 excluded, 0 unknown: {study.protocol.criteria[first].text}" in str(error)
    assert f"{second}: 0 excluded, 50 unknown" in str(error)
    assert f"{criteria[2]}:" not in str(error)
    assert "[waive]" in error.remedy


def test_a_criterion_whose_variable_is_not_mapped_says_so(breast_study):
    study = read_study(breast_study())
    for name, criterion in study.protocol.criteria.items():
        lacking = [v for v in criterion.condition.variables() if not study.settings.gives(v)]
        if not lacking:
            continue
        info = {"screened": 3, "verdicts": {name: {"unknown": 3}}}
        assert f"[not given: {', '.join(dict.fromkeys(lacking))}]" in str(
            nobody_eligible(study, info)
        )
        return
    raise AssertionError("every variable is given: the study maps more than it did")


def test_a_cohort_s_step_is_another_for_other_patients_or_another_key(breast_study):
    study = read_study(breast_study())
    plain = cohort_step(study, (), Contents())
    assert cohort_step(study, (), Contents()).key == plain.key
    assert cohort_step(study, (), Contents(), new_patients=True).key != plain.key
    assert cohort_step(study, (), Contents(), overlap_key="ab" * 16).key != plain.key


def test_with_an_empty_population_an_error_is_raised_not_an_empty_plan(breast_study):
    study = read_study(breast_study())
    contents = Contents()
    info = {"as_written": [], "all_eligible": [], "screened": 2, "verdicts": {}}
    with pytest.raises(StudyError, match="none of the 2 patients is eligible"):
        next(plan_analyses(study, cohort_step(study, (), contents), info, contents))
