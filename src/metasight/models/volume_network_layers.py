"""The network over crops of lesions, its losses, and on what it is computed (needs torch)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from metasight.features.crops import ATTENUATIONS
from metasight.models.volume_network_inputs import CHANNELS, MASK_CHANNEL, Targets
from metasight.models.volume_network_settings import VolumeNetworkSettings

_HIDDEN = 32
_SHELL = 2  # voxels of the first stage: 6 mm at crops of 1.5 mm
_LEAST_VARIANCE = 1e-4
_LEAST_SPREAD = 1e-2
_FARTHEST = 6.0


@dataclass(frozen=True, kw_only=True)
class Compute:
    """On what a network is trained, and whether in mixed precision."""

    device: str
    mixed: bool


def compute_on(*, cuda: bool, bfloat16: bool) -> Compute:
    """A GPU where there is one, in bfloat16 where it can; else the CPU in float32.

    bfloat16 has the range of float32, so that no loss needs scaling; a GPU without it (before
    2020) computes in float32.
    """
    return Compute(device="cuda" if cuda else "cpu", mixed=cuda and bfloat16)


def compute_here() -> Compute:
    """What this machine offers."""
    cuda = torch.cuda.is_available()
    return compute_on(cuda=cuda, bfloat16=cuda and torch.cuda.is_bf16_supported())


class SmallTrunk(nn.Module):
    """Three stages of convolutions, each at half the resolution of the one before.

    The channels themselves and features of every stage are pooled over the lesion (mean and log
    standard deviation: unevenness is a sign of its own) and over a shell round it (mean), beside
    the logarithm of the lesion's volume: a lesion of 10 mm is one voxel of the last stage, and is
    not lost there. CT numbers are absolute and nothing is normalised by its surroundings, nor by
    other crops of a batch.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        wide = (width, 2 * width, 4 * width)
        self.stages = nn.ModuleList(
            [
                _block(CHANNELS, wide[0], stride=2),
                nn.Sequential(_block(wide[0], wide[1], stride=2), _block(wide[1], wide[1])),
                nn.Sequential(_block(wide[1], wide[2], stride=2), _block(wide[2], wide[2])),
            ]
        )
        self.features = 3 * (sum(wide) + CHANNELS) + 1

    def forward(self, crops: Tensor) -> Tensor:
        """Pooled features ``(n, features)`` of channels ``(n, 5, z, y, x)``."""
        mask = crops[:, MASK_CHANNEL : MASK_CHANNEL + 1]
        inside = functional.avg_pool3d(mask, 2)
        shell = _grown(inside) - inside
        wide_shell = functional.interpolate(shell, crops.shape[2:], mode="nearest") * (1 - mask)
        pooled = [mask.sum(dim=(2, 3, 4)).log(), *_pooled(crops, mask, wide_shell)]
        for number, stage in enumerate(self.stages):
            crops = stage(crops)
            if number:
                inside, shell = functional.avg_pool3d(inside, 2), functional.avg_pool3d(shell, 2)
            pooled += _pooled(crops, inside, shell)
        return torch.cat(pooled, dim=1)


def _block(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv3d(inside, outside, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(convolution.weight)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return nn.Sequential(convolution, nn.ReLU())


def _grown(inside: Tensor) -> Tensor:
    """The largest value within two voxels along every axis: a cube, axis by axis."""
    for axis in range(3):
        kernel, padding = [1, 1, 1], [0, 0, 0]
        kernel[axis], padding[axis] = 2 * _SHELL + 1, _SHELL
        inside = functional.max_pool3d(inside, kernel, stride=1, padding=padding)
    return inside


def _pooled(features: Tensor, inside: Tensor, shell: Tensor) -> list[Tensor]:
    """Mean and log standard deviation within the lesion, mean in the shell, ``(n, c)`` each."""
    weight = torch.cat([inside, shell], dim=1).flatten(2).transpose(1, 2)
    weight = weight / weight.sum(dim=1, keepdim=True).clamp(min=1e-3)
    values = features.flatten(2)
    mean = values @ weight
    square = (values * values @ weight[..., :1])[..., 0]
    variance = (square - mean[..., 0] ** 2).clamp(min=0) + _LEAST_VARIANCE
    return [mean[..., 0], 0.5 * variance.log(), mean[..., 1]]


class Heads(nn.Module):
    """Nodal stage, attenuation and diameter from pooled features.

    The score is linear in the features plus a hidden layer of them, which the other two share.

    Nodal stage by cumulative links: P(stage > k) = expit(score − θ_k), θ ascending. The score
    begins at 0 for everybody: what is not learnt says nothing. Pooled features are standardised
    by what they were over the training patients before training, and cut off at six standard
    deviations.
    """

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(features, _HIDDEN), nn.GELU(), nn.Dropout(dropout)
        )
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.score = nn.Linear(_HIDDEN, 1, bias=False)
        self.direct = nn.Linear(features, 1, bias=False)
        self.thinned = nn.Dropout(dropout)
        self.first = nn.Parameter(torch.zeros(1))
        self.step = nn.Parameter(torch.zeros(1))
        self.attenuation = nn.Linear(_HIDDEN, len(ATTENUATIONS))
        self.diameter = nn.Linear(_HIDDEN, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.direct.weight)

    mean: Tensor
    spread: Tensor

    def begin_at(self, stage: NDArray[np.int64], pooled: Tensor) -> None:
        """Learn from training patients how often each stage is, half a patient added, and scales.

        Parameters
        ----------
        stage, pooled
            Shapes (n,) and (n, features).
        """
        self.mean.copy_(pooled.mean(dim=0))
        self.spread.copy_(pooled.std(dim=0, correction=0).clamp(min=_LEAST_SPREAD))
        counts = np.bincount(stage, minlength=3) + 0.5
        below = np.cumsum(counts)[:-1] / counts.sum()
        cuts = np.log(below / (1 - below))
        with torch.no_grad():
            self.first.fill_(float(cuts[0]))
            self.step.fill_(float(np.log(cuts[1] - cuts[0])))

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log odds of stage above 0 and 1 ``(n, 2)``, attenuation ``(n, 3)``, diameter ``(n,)``."""
        known = ((pooled - self.mean) / self.spread).clamp(-_FARTHEST, _FARTHEST)
        hidden = self.hidden(known)
        cuts = torch.cat([self.first, self.first + self.step.exp()])
        score = self.score(hidden) + self.direct(self.thinned(known))
        return (score - cuts, self.attenuation(hidden), self.diameter(hidden)[:, 0])


class VolumeNetwork(nn.Module):
    """Trunk and heads of one network; the trunk is the identity where features are given."""

    def __init__(self, settings: VolumeNetworkSettings, features: int | None = None) -> None:
        super().__init__()
        self.trunk: nn.Module = SmallTrunk(settings.width) if features is None else nn.Identity()
        wide = self.trunk.features if isinstance(self.trunk, SmallTrunk) else features
        self.heads = Heads(int(wide or 0), settings.dropout)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As :class:`Heads`."""
        found: tuple[Tensor, Tensor, Tensor] = self.heads(self.trunk(inputs))
        return found


@dataclass(frozen=True)
class Scale:
    """What losses are measured by, from the training patients.

    Attributes
    ----------
    stage, attenuation, diameter
        Loss of each task for somebody who knows only the training patients' frequencies.
    mean, sd
        Of the log diameter.
    """

    stage: float
    attenuation: float
    diameter: float
    mean: float
    sd: float

    @classmethod
    def of(cls, targets: Targets) -> Scale:
        """From training patients."""
        mean, sd = float(targets.log_diameter.mean()), float(targets.log_diameter.std())
        sd = max(sd, 0.05)
        apart = np.abs((targets.log_diameter - mean) / sd)
        huber = np.where(apart < 1, apart**2 / 2, apart - 0.5).mean()
        known = targets.attenuation[targets.attenuation >= 0]
        return cls(_entropy(targets.stage), _entropy(known), max(float(huber), 0.1), mean, sd)


def _entropy(classes: NDArray[np.int64]) -> float:
    """Of the classes' frequencies; 0.1 at least, for a task of one class is none."""
    if not len(classes):
        return 0.1
    share = np.bincount(classes) / len(classes)
    share = share[share > 0]
    return max(float(-(share * np.log(share)).sum()), 0.1)


def loss_of(
    found: tuple[Tensor, Tensor, Tensor],
    targets: Targets,
    scale: Scale,
    settings: VolumeNetworkSettings,
) -> Tensor:
    """All tasks' loss, each in units of what frequencies alone would lose."""
    above, kind, diameter = (f.float() for f in found)
    stage = torch.from_numpy(targets.stage).to(above.device)
    total = stage_losses(above, stage).mean() / scale.stage
    classes = torch.from_numpy(targets.attenuation).to(above.device)
    if bool((classes >= 0).any()):
        loss = functional.cross_entropy(kind, classes, ignore_index=-1)
        total = total + settings.attenuation_weight * loss / scale.attenuation
    size = torch.from_numpy((targets.log_diameter - scale.mean) / scale.sd).to(diameter)
    loss = functional.huber_loss(diameter, size)
    return total + settings.diameter_weight * loss / scale.diameter


def stage_losses(above: Tensor, stage: Tensor) -> Tensor:
    """Negative log-likelihood of each patient's stage, shape (n,)."""
    # log P(above 0), log P(not above 0), and the same of 1, without cancellation
    over, under = functional.logsigmoid(above), functional.logsigmoid(-above)
    # P(1) = P(> 0) − P(> 1); both from the larger tail
    between = over[:, 0] + torch.log1p(-torch.exp((over[:, 1] - over[:, 0]).clamp(max=-1e-6)))
    likelihood = torch.stack([under[:, 0], between, over[:, 1]], dim=1)
    return -likelihood.gather(1, stage[:, None])[:, 0]


def aligned(array: NDArray[np.float32]) -> Tensor:
    """A copy in memory as torch aligns it.

    Sums over memory that begins elsewhere may be taken in another order: in another process the
    same training would end in other last digits.
    """
    return torch.tensor(array)


def arrays_of(network: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Name → weights, float32 on the CPU."""
    return {
        name: value.detach().cpu().float().numpy().copy()
        for name, value in network.state_dict().items()
    }


def network_of(
    arrays: dict[str, NDArray[np.float32]], settings: VolumeNetworkSettings
) -> VolumeNetwork:
    """Inverse of :func:`arrays_of`, ready to predict."""
    given = settings.backbone != "small"
    network = VolumeNetwork(settings, len(arrays["heads.mean"]) if given else None)
    network.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in arrays.items()})
    return network.eval()


def scores(networks: Sequence[VolumeNetwork], inputs: Iterable[Tensor]) -> NDArray[np.float64]:
    """Log odds of any positive node on the CPU, shape (networks, n), one crop at a time."""
    with torch.inference_mode():
        found = [[float(n(x[None])[0][0, 0]) for n in networks] for x in inputs]
    return np.array(found, dtype=np.float64).T
