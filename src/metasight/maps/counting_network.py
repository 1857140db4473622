"""What the networks of pixels and of nuclei share: units, dispersion, and optical density.

Apart from both, so that whoever reads nuclei does not wait for what only pixels need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

# A region's relative excess spread: below it counting noise is all there is, and above it nothing
# is known at all.
_LEAST_LOG_DISPERSION, _MOST_LOG_DISPERSION = math.log(1e-3), math.log(1e3)


def optical_density_of(rgb: Tensor) -> Tensor:
    """Decadic optical density (n, 3, h, w) of grey levels 0–255 over white glass."""
    return -torch.log10((rgb.float() + 1.0) / 256.0)


class CountingNetwork(nn.Module):
    """What every network that paints has: each marker's unit, and the dispersion of its regions.

    Parameters
    ----------
    typical
        Per marker the mean density (cells/mm²) of the training tiles, above 0: its unit.
    scales
        Sizes of region.
    """

    typical: Tensor

    def __init__(self, typical: Sequence[float], scales: int) -> None:
        super().__init__()
        self.register_buffer("typical", torch.tensor(list(typical), dtype=torch.float32))
        # one dispersion a scale: the larger the region, the more of the errors within it cancel
        self.scale_offset = nn.Parameter(torch.zeros(scales, len(typical)))

    def dispersion(self, log_dispersion: Tensor, scale: int) -> Tensor:
        """Excess variance over squared mean of a region's count, pooled ``log_dispersion``."""
        log = log_dispersion + self.scale_offset[scale][:, None, None]
        return torch.exp(torch.clamp(log, _LEAST_LOG_DISPERSION, _MOST_LOG_DISPERSION))
