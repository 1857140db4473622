import numpy as np
import pytest

from metasight.validation.bootstrap import draw
from metasight.validation.brier import brier_score
from metasight.validation.samples import concordance_samples, model_samples, target_samples
from metasight.validation.table import align

from .conftest import predictions
from .test_evaluate import plan


@pytest.fixture(scope="module")
def aligned():
    return align(predictions(100), plan())


def test_repeats_are_averaged(aligned):
    model, target = aligned.models["model0"], aligned.targets[-1]
    w = draw(100, 3, 0)
    both = target_samples(target, model.risk[:, -1], model.strata, w, (0.2,), calibrate=False)
    each = [
        target_samples(target, model.risk[[k], -1], model.strata[[k]], w, (0.2,), calibrate=False)
        for k in (0, 1)
    ]
    for name in ("auc", "brier", "ipa", "oe", "net_benefit"):
        want = (getattr(each[0], name) + getattr(each[1], name)) / 2
        assert getattr(both, name) == pytest.approx(want)
    assert np.isnan(both.slope).all()


def test_the_first_row_is_the_point(aligned):
    got = model_samples(aligned, aligned.models["model0"], draw(100, 2, 0), 1800.0, ())
    data = aligned.data
    scores = [
        brier_score(data.time, data.status, r[-1][data.order], 1800).brier.value
        for r in aligned.models["model0"].risk
    ]
    assert got.targets["1800 days"].brier[0] == pytest.approx(np.mean(scores))
    assert got.integrated_brier.shape == (3,)


def test_more_weight_on_nobody_is_nan(aligned):
    none = np.zeros((1, 100), dtype=np.int32)
    model = aligned.models["model0"]
    assert np.isnan(concordance_samples(aligned, model, none, None, censoring=False)).all()
