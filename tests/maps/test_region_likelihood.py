"""The likelihood of regions: SciPy's negative binomial, and shifts that it may and may not undo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from metasight.maps.region_likelihood import (
    RegionTargets,
    Targets,
    negative_binomial_nll,
    region_loss,
    shifts,
    stabilised,
    table_loss,
)


def test_it_is_scipys_negative_binomial() -> None:
    count, mean, dispersion = (
        np.array([0.0, 3, 40]),
        np.array([0.5, 5, 30]),
        np.array([2, 0.5, 0.1]),
    )
    n = 1 / dispersion
    wanted = -stats.nbinom.logpmf(count, n, n / (n + mean))
    found = negative_binomial_nll(*(torch.tensor(a) for a in (count, mean, dispersion)))
    assert np.allclose(found.numpy(), wanted, atol=1e-6)


def test_shifts_stay_within_the_predicted_error() -> None:
    assert shifts(0.0, 16.0) == [(0, 0)]
    assert shifts(16.0, 16.0)[0] == (0, 0)
    assert len(shifts(16.0, 16.0)) == 5
    assert max(j * j + i * i for j, i in shifts(40.0, 16.0)) <= 9
    assert max(abs(j) for j, _ in shifts(500.0, 16.0)) == 6


def field(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(rng.normal(size=(1, 1, 40, 40)), (0, 0, 3, 3))
    return torch.tensor(2000 * np.exp(1.5 * smooth / smooth.std()), dtype=torch.float32)


def loss_of(painted: torch.Tensor, target: torch.Tensor, p90_um: float) -> tuple[float, float]:
    log = torch.full_like(painted, np.log(0.02))
    targets = Targets(
        density=target, support=torch.ones_like(target), p90_um=torch.full((1, 1), p90_um)
    )
    loss, weight = region_loss(
        (painted, log),
        lambda x, _: torch.exp(x),
        targets,
        groups=[[0]],
        importance=torch.ones(1),
        region_px=[4, 8],
        spacing_um=16.0,
    )
    return float(loss), float(weight)


def test_a_displacement_within_the_error_costs_little_and_beyond_it_much() -> None:
    truth = field(1)
    moved = torch.roll(truth, (2, -1), dims=(2, 3))  # 36 µm
    right = loss_of(truth, truth, 48.0)[0]
    tolerated = loss_of(truth, moved, 48.0)[0] - right
    refused = loss_of(truth, moved, 4.0)[0] - loss_of(truth, truth, 4.0)[0]
    assert tolerated < 0.1 * refused
    wrong = loss_of(field(2), moved, 48.0)[0] - right
    assert tolerated < 0.1 * wrong


def test_a_worse_alignment_weighs_less_and_no_support_nothing() -> None:
    truth = field(1)
    assert loss_of(truth, truth, 20.0)[1] > loss_of(truth, truth, 128.0)[1]
    targets = Targets(
        density=truth, support=torch.zeros_like(truth), p90_um=torch.full((1, 1), 20.0)
    )
    loss, weight = region_loss(
        (truth, truth * 0),
        lambda x, _: torch.exp(x),
        targets,
        groups=[[0]],
        importance=torch.ones(1),
        region_px=[4],
        spacing_um=16.0,
    )
    assert (float(loss), float(weight)) == (0.0, 0.0)


def test_markers_of_one_section_are_displaced_together() -> None:
    truth = torch.cat([field(1), field(2)], dim=1)
    # one marker displaced one way and the other another way: no common shift explains both
    moved = torch.cat(
        [torch.roll(truth[:, :1], 2, dims=2), torch.roll(truth[:, 1:], -2, dims=2)], dim=1
    )
    targets = Targets(
        density=moved, support=torch.ones_like(moved), p90_um=torch.full((1, 2), 48.0)
    )
    log = torch.full_like(truth, np.log(0.02))

    def loss(groups: list[list[int]]) -> float:
        found, _ = region_loss(
            (truth, log),
            lambda x, _: torch.exp(x),
            targets,
            groups=groups,
            importance=torch.ones(2),
            region_px=[4],
            spacing_um=16.0,
        )
        return float(found.mean())

    apart = loss([[0], [1]])
    assert loss([[0, 1]]) / 2 > apart + 0.2 or loss([[0, 1]]) > apart + 0.2


def test_the_gradient_pulls_towards_what_was_counted() -> None:
    target = torch.full((1, 1, 16, 16), 3000.0)
    painted = torch.full((1, 1, 16, 16), 1000.0, requires_grad=True)
    targets = Targets(
        density=target, support=torch.ones_like(target), p90_um=torch.full((1, 1), 0.0)
    )
    loss, _ = region_loss(
        (painted, torch.zeros_like(target)),
        lambda x, _: torch.exp(x),
        targets,
        groups=[[0]],
        importance=torch.ones(1),
        region_px=[4],
        spacing_um=16.0,
    )
    loss.sum().backward()
    assert painted.grad is not None
    assert float(painted.grad.max()) < 0
    assert painted.grad[0, 0, 8, 8] == pytest.approx(float(painted.grad[0, 0, 8, 7]), rel=0.2)


# ------------------------------------------------------------------ regions of a table


def of_table(painted: torch.Tensor, covered: torch.Tensor, count: torch.Tensor):
    return table_loss(
        (painted, torch.full_like(painted, float(np.log(0.05)))),
        lambda x, scale: torch.exp(x) * (1 + scale),
        RegionTargets(covered=covered, count=count),
        importance=torch.tensor([1.0, 2.0]),
        region_px=[2, 8],
        spacing_um=16.0,
    )


def test_a_region_is_judged_by_the_cells_painted_in_it() -> None:
    painted = torch.zeros(1, 2, 8, 8)
    painted[0, 0, 2:4, 2:4] = 4000.0
    painted[0, 1] = 500.0
    covered = torch.zeros(1, 1, 8, 8)
    covered[0, 0, 2:4, 2:5] = torch.tensor([1.0, 1.0, 0.5])
    count = torch.tensor([[[5.0, np.nan]]])
    loss, weight = of_table(painted, covered, count)
    expected = torch.tensor(4 * 4000.0 * 256e-6)
    told = torch.tensor(5.0)
    wanted = 2.0 * (stabilised(told) - stabilised(expected)) ** 2
    # five pixels are nearer to 2 × 2 than to 8 × 8: the first scale's dispersion
    wanted = wanted + negative_binomial_nll(told, expected, torch.tensor(0.05))
    assert float(loss) == pytest.approx(float(wanted), rel=1e-5)
    assert float(weight) == 1.0
    both, weight = of_table(painted, covered, torch.tensor([[[5.0, 2.0]]]))
    assert float(weight) == 2.0
    second = torch.tensor(500.0 * 5 * 256e-6)
    more = 2 * 2.0 * (stabilised(torch.tensor(2.0)) - stabilised(second)) ** 2
    more = more + negative_binomial_nll(torch.tensor(2.0), second, torch.tensor(0.05))
    assert float(both) == pytest.approx(float(wanted + more) / 2, rel=1e-5)


def test_regions_without_a_count_say_nothing() -> None:
    painted = torch.full((2, 2, 8, 8), 300.0, requires_grad=True)
    covered = torch.zeros(2, 3, 8, 8)
    covered[0, 0] = 1.0
    covered[1, :2, :4] = 1.0
    count = torch.full((2, 3, 2), float("nan"))
    count[0, 0, 0] = 4.0
    count[1, 2, 0] = 4.0  # a place that no region fills
    loss, weight = of_table(painted, covered, count)
    assert loss.tolist()[1] == 0.0
    assert weight.tolist() == [1.0, 0.0]
    loss.sum().backward()
    assert painted.grad is not None
    assert torch.isfinite(painted.grad).all()
    assert painted.grad[0, 0].abs().sum() > 0
    assert painted.grad[1].abs().sum() == 0
    assert painted.grad[0, 1].abs().sum() == 0


def test_the_loss_of_regions_joins_that_of_sections() -> None:
    truth = field(1).repeat(1, 2, 1, 1)
    covered = torch.zeros(1, 1, 40, 40)
    covered[0, 0, 10:20, 10:20] = 1.0
    counted = (truth * covered).sum(dim=(2, 3))[:, None] * 256e-6
    told = {}
    for name, factor in (("right", 1.0), ("wrong", 3.0)):
        targets = Targets(
            density=torch.zeros_like(truth),
            support=torch.zeros_like(truth),
            p90_um=torch.zeros(1, 2),
            regions=RegionTargets(covered=covered, count=counted * factor),
        )
        loss, weight = region_loss(
            (truth, torch.full_like(truth, float(np.log(0.02)))),
            lambda x, _: torch.exp(x),
            targets,
            groups=[[0, 1]],
            importance=torch.ones(2),
            region_px=[4, 8],
            spacing_um=16.0,
        )
        assert loss.shape == weight.shape == (1, 2)
        assert weight.tolist() == [[0.0, 2.0]]  # the sections say nothing, both markers do
        told[name] = float(loss[0, 1])
    assert told["right"] < told["wrong"] - 5
