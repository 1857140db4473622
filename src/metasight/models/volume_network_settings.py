"""Size and training of the network that reads crops of lesions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Backbone = Literal["small", "resnet10", "resnet18"]


@dataclass(frozen=True, kw_only=True)
class VolumeNetworkSettings:
    """Size and training; the defaults suit a few hundred patients and one core.

    Attributes
    ----------
    backbone
        ``small`` is trained whole; ``resnet10`` and ``resnet18`` come with weights, stay as they
        are, and only what reads their features is trained.
    sha256
        Of the weights' file; empty for a small network from random weights.
    width
        Features of the first stage; the next have twice and four times as many.
    rounds, round_steps, batch
        Most rounds, steps of each and crops a step; after each round held-out folds are looked at.
    patience
        Rounds without a better held-out loss after which training stops.
    learning_rate, weight_decay, dropout
        Of AdamW; of the weights; of pooled features.
    pet_dropout
        Chance that a crop's PET is left out in training, so that a patient without one is none
        of a kind never seen.
    attenuation_weight, diameter_weight
        Of the auxiliary losses beside nodal stage's 1; every loss is in units of that of somebody
        who knows only how often each class is.
    noise_hu
        Standard deviation of the noise added to CT in training.
    """

    backbone: Backbone = "small"
    sha256: str = ""
    width: int = 8
    rounds: int = 30
    round_steps: int = 16
    batch: int = 8
    patience: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 3e-2
    dropout: float = 0.3
    pet_dropout: float = 0.3
    attenuation_weight: float = 0.5
    diameter_weight: float = 0.5
    noise_hu: float = 20.0

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)
