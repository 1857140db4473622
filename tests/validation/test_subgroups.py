import numpy as np
import pytest

from metasight.estimate import Estimate
from metasight.validation.bootstrap import draw
from metasight.validation.brier import brier_score
from metasight.validation.centres import pool_centres
from metasight.validation.decision_curve import net_benefit
from metasight.validation.discrimination import harrell_c
from metasight.validation.ordering import follow_up
from metasight.validation.results import NotEstimable
from metasight.validation.subgroups import (
    _pool,
    evaluate_by_centre,
    evaluate_subgroups,
    headline_target,
    part_samples,
    refusal,
    target_events,
)
from metasight.validation.table import Target, align
from oracles.calibration import calibration_slope, mean_calibration

from .conftest import predictions
from .test_evaluate import plan


def test_a_group_of_everyone_is_the_whole():
    everyone = {f"p{i:04d}": "all" for i in range(120)}
    asked = plan(subgroups={"x": everyone})
    aligned, w = align(predictions(120), asked), draw(120, 20, 0)
    (got,) = evaluate_subgroups(aligned, "model0", w, asked, asked.subgroups)
    events, free = target_events(headline_target(aligned))
    assert (got.n, got.events) == (120, events)
    assert events + free <= 120
    assert isinstance(got.discrimination, Estimate)


def test_a_centre_that_is_not_estimable_is_listed_and_not_pooled():
    asked = plan(min_group_events=30)
    aligned = align(predictions(200), asked)
    got = evaluate_by_centre(aligned, "model0", draw(200, 20, 0), asked)
    assert len(got.centres) == 3
    poolable = [c for c in got.centres if isinstance(c.discrimination, Estimate)]
    if len(poolable) < 2:
        assert isinstance(got.discrimination, NotEstimable)
    else:
        assert got.discrimination.k == len(poolable)


@pytest.mark.parametrize(("floor", "refused"), [(1, False), (1000, True)])
def test_refusal_says_how_many(floor, refused):
    asked = plan(min_group_events=floor)
    why = refusal(align(predictions(120), asked), asked)
    assert (why is not None) == refused
    if why is not None:
        assert "1000 of each are needed" in why.not_estimable


ALONE = {"reference_model": "model0", "headline_model": "model0"}


def target_of(time, status, horizon):
    return Target(
        name="x", horizon_days=horizon, data=follow_up(time, status), horizon=horizon, headline=True
    )


def test_who_is_known_to_be_free_of_the_event_by_the_horizon():
    """An event on the day counts, a later one does not; a competing event is no event."""
    target = target_of([5, 10, 11, 10, 3, 4], [1, 1, 1, 0, 2, 0], 10)
    assert target_events(target) == (2, 2)  # followed past day 10, and competing on day 3


@pytest.mark.parametrize(("kind", "name"), [("survival", "1800 days"), ("nodal", "N1 or worse")])
def test_groups_are_judged_at_the_longest_horizon_or_at_any_node(kind, name):
    aligned = align(predictions(60, kind=kind), plan(kind))
    assert headline_target(aligned).name == name


def test_a_subgroup_is_judged_on_its_own_patients_alone():
    some = {f"p{i:04d}": ("old" if i % 3 else "young") for i in range(150)}  # ten are in neither
    asked = plan(subgroups={"age": some}, **ALONE)
    aligned = align(predictions(160, models=1, repeats=1), asked)
    draws = draw(160, 20, 0)
    old, young = evaluate_subgroups(aligned, "model0", draws, asked, asked.subgroups)
    assert [(g.variable, g.level, g.n) for g in (old, young)] == [
        ("age", "old", 100),
        ("age", "young", 50),
    ]
    model = aligned.models["model0"]
    time, status = np.empty(160), np.empty(160, dtype=np.int64)
    time[aligned.data.order], status[aligned.data.order] = aligned.data.time, aligned.data.status
    inside = np.array([some.get(p) == "old" for p in aligned.patients])
    args = time[inside], status[inside]
    c = harrell_c(*args, model.ranking[0][inside], tau=1800, strata=model.strata[0][inside])
    assert old.discrimination.value == pytest.approx(c.c)
    oe = mean_calibration(*args, model.risk[0, -1][inside], 1800)
    assert old.oe.value == pytest.approx(oe.oe)


def test_a_subgroup_in_which_too_little_happened_says_so_for_every_measure():
    few = {f"p{i:04d}": "few" for i in range(6)}
    asked = plan(subgroups={"x": few}, min_group_events=10, **ALONE)
    aligned = align(predictions(100, models=1), asked)
    (got,) = evaluate_subgroups(aligned, "model0", draw(100, 20, 0), asked, asked.subgroups)
    assert got.n == 6
    assert got.discrimination == got.auc == got.oe == got.ipa
    assert "10 of each are needed" in got.auc.not_estimable


def test_centres_are_pooled_on_the_scale_of_their_measure():
    asked = plan(min_group_events=5, **ALONE)
    aligned = align(predictions(240, models=1, repeats=1), asked)
    got = evaluate_by_centre(aligned, "model0", draw(240, 60, 0), asked)
    assert [c.centre for c in got.centres] == ["north", "south", "west"]
    assert sum(c.n for c in got.centres) == 240
    assert (got.measure, got.target) == ("Harrell's C", "1800 days")
    for pooled, parts, scale in (
        (got.discrimination, [c.discrimination for c in got.centres], "logit"),
        (got.oe, [c.oe for c in got.centres], "log"),
    ):
        want = pool_centres(
            [p.value for p in parts], [p.se for p in parts], scale=scale, ad_hoc=True
        )
        assert pooled == want


def test_patients_without_a_centre_are_in_none_and_one_centre_is_not_pooled():
    asked = plan(**ALONE)
    table = predictions(80, models=1).table.assign(centre="only")
    table.loc[table["patient"] == "p0001", "centre"] = None
    aligned = align(type(predictions(4))(table), asked)
    got = evaluate_by_centre(aligned, "model0", draw(80, 20, 0), asked)
    assert got == NotEstimable(not_estimable="1 centre; pooling needs two")


def test_what_lies_on_the_boundary_or_has_no_error_is_not_pooled():
    good = Estimate(value=0.7, lower=0.6, upper=0.8, se=0.05)
    edge = Estimate(value=1.0, lower=1.0, upper=1.0, se=0.05)
    sure = Estimate(value=0.7, lower=0.7, upper=0.7, se=0.0)
    bare = Estimate(value=0.7)
    none = NotEstimable(not_estimable="few events")
    told = _pool([good, edge, sure, bare, none], "logit", 0.95)
    assert told == NotEstimable(not_estimable="1 of 5 centres have an estimate; pooling needs two")
    assert _pool([good, good, none], "logit", 0.95).k == 2
    assert _pool([edge, good], "log", 0.95).k == 2  # O/E may be 1


def test_in_full_a_centre_has_its_own_slope_accuracy_and_net_benefit():
    asked = plan(min_group_events=5, **ALONE)
    aligned = align(predictions(240, models=1, repeats=1), asked)
    got = evaluate_by_centre(aligned, "model0", draw(240, 40, 0), asked, in_full=True)
    time, status = np.empty(240), np.empty(240, dtype=np.int64)
    time[aligned.data.order], status[aligned.data.order] = aligned.data.time, aligned.data.status
    inside = aligned.centre == "south"
    own = time[inside], status[inside], aligned.models["model0"].risk[0, -1][inside]
    south = next(c for c in got.centres if c.centre == "south")
    cut = np.minimum(own[0], 1800), own[1] * (own[0] <= 1800)
    slope = calibration_slope(*cut, own[2], 1800)
    assert south.slope.value == pytest.approx(slope.slope, abs=1e-6)
    assert south.ipa.value == pytest.approx(brier_score(*own, 1800).ipa)
    want = net_benefit(*own, 1800, asked.thresholds)
    assert [m.value for m in south.net_benefit] == pytest.approx(want.model.tolist())
    parts = [c.slope for c in got.centres]
    assert got.slope == pool_centres(
        [p.value for p in parts], [p.se for p in parts], scale="identity", ad_hoc=True
    )
    at_30 = [c.net_benefit[1] for c in got.centres]
    assert got.net_benefit[1] == pool_centres(
        [p.value for p in at_30], [p.se for p in at_30], scale="identity", ad_hoc=True
    )


def test_otherwise_a_centre_has_discrimination_and_o_over_e_alone():
    asked = plan(min_group_events=5, **ALONE)
    aligned = align(predictions(240, models=1, repeats=1), asked)
    draws = draw(240, 20, 0)
    short = evaluate_by_centre(aligned, "model0", draws, asked)
    full = evaluate_by_centre(aligned, "model0", draws, asked, in_full=True)
    assert short.net_benefit == () and isinstance(short.slope, NotEstimable)
    assert (short.discrimination, short.oe) == (full.discrimination, full.oe)


def test_a_measure_below_zero_is_pooled_as_it_is():
    low = Estimate(value=-0.1, lower=-0.2, upper=0.1, se=0.05)
    high = Estimate(value=0.1, lower=0.0, upper=0.2, se=0.05)
    assert _pool([low, high], "identity", 0.95).value == pytest.approx(0.0)
    assert isinstance(_pool([low, high], "log", 0.95), NotEstimable)


def test_levels_are_compared_with_the_one_of_most_events_on_the_same_resamples():
    some = {f"p{i:04d}": ("old" if i % 3 else "young") for i in range(230)}
    some |= {f"p{i:04d}": "few" for i in range(230, 240)}
    asked = plan(subgroups={"age": some}, min_group_events=10, **ALONE)
    aligned, draws = align(predictions(240, models=1), asked), draw(240, 40, 0)
    few, old, young = evaluate_subgroups(aligned, "model0", draws, asked, asked.subgroups)
    assert (few.against, old.against, young.against) == ("old", "", "old")
    assert old.events > young.events
    assert isinstance(few.difference, NotEstimable) and isinstance(old.difference, NotEstimable)
    c = {}
    for level in ("old", "young"):
        keep = np.array([some[p] == level for p in aligned.patients])
        part = aligned.subset(keep)
        c[level] = part_samples(part, "model0", draws[:, keep], asked)
    gap = c["young"].discrimination - c["old"].discrimination
    assert young.difference.difference == pytest.approx(
        young.discrimination.value - old.discrimination.value
    )
    assert (young.difference.lower, young.difference.upper) == pytest.approx(
        tuple(np.quantile(gap[1:], [0.025, 0.975]))
    )
    assert young.oe_ratio.value == pytest.approx(young.oe.value / old.oe.value)


def test_groups_that_are_alike_differ_by_about_nothing():
    """Half of the patients against the other half: the interval covers zero nearly always."""
    covered = 0
    for seed in range(20):
        halves = {f"p{i:04d}": ("a" if i % 2 else "b") for i in range(160)}
        asked = plan(subgroups={"x": halves}, min_group_events=5, **ALONE)
        aligned = align(predictions(160, models=1, repeats=1, seed=seed), asked)
        groups = evaluate_subgroups(aligned, "model0", draw(160, 100, seed), asked, asked.subgroups)
        (one,) = [g.difference for g in groups if g.against]
        covered += one.lower <= 0 <= one.upper
    assert covered >= 16


def test_where_no_level_can_be_judged_there_is_none_to_compare_with():
    some = {f"p{i:04d}": f"level {i % 9}" for i in range(90)}
    asked = plan(subgroups={"x": some}, min_group_events=30, **ALONE)
    groups = evaluate_subgroups(
        align(predictions(90, models=1), asked), "model0", draw(90, 20, 0), asked, asked.subgroups
    )
    assert {g.against for g in groups} == {""}
    assert all("30 of each" in g.difference.not_estimable for g in groups)
