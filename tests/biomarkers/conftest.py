"""Windows that are not boxes."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.maps.window import TissueWindow


@pytest.fixture(scope="session")
def l_window():
    """An L of 1000 × 1000 µm with a quarter missing."""
    mask = np.ones((100, 100), dtype=bool)
    mask[50:, 50:] = False
    return TissueWindow(mask=mask, spacing_um=10.0)
