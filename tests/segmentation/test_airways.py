"""The airway grown in a made-up chest: a trachea, a bronchus, and lung it must not run out into."""

from __future__ import annotations

import numpy as np

from metasight.segmentation.airways import find_airways

MM = 2.0


def chest() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, air within the body, lumen: a trachea of 16 mm that divides, one end open to lung."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices((80, 70, 120))
    hu = np.full(z.shape, 40.0)
    lung = (np.abs(x - 60) > 12) & (np.abs(x - 60) < 50) & (np.abs(y - 35) < 28) & (z < 60)
    hu[lung] = rng.normal(-840, 20, int(lung.sum()))
    trachea = (np.hypot(x - 60, y - 35) <= 4) & (z > 40)
    main = (np.abs(z - (44 - np.abs(x - 60) / 2)) <= 2.5) & (np.abs(y - 35) <= 2.5)
    main &= np.abs(x - 60) <= 20
    lumen = trachea | main
    hu[lumen] = -990.0
    return hu.astype(np.float32), hu < -400, lumen


def test_the_lumen_is_found_and_the_lung_is_not() -> None:
    hu, inside, lumen = chest()
    found = find_airways(hu, inside, (MM, MM, MM), middle=59.5, width=119)
    assert (found & lumen).sum() >= 0.95 * lumen.sum()
    # the wall's half: one voxel round it at most
    assert found.sum() <= 1.5 * lumen.sum()


def test_without_a_trachea_there_is_nothing() -> None:
    hu, inside, lumen = chest()
    hu[lumen], inside[lumen] = 40.0, False
    assert not find_airways(hu, inside, (MM, MM, MM), middle=59.5, width=119).any()


def test_the_same_as_one_component_after_another() -> None:
    """The one-pass growth against thresholds tried one by one with a labelling each."""
    from scipy import ndimage

    hu, inside, _ = chest()
    seed = (79, 35, 60)
    voxel_ml, volume = MM**3 / 1000, 0.0
    expected = np.zeros_like(inside)
    for limit in range(-950, -649, 10):
        labels, _ = ndimage.label(inside & (hu < limit))
        grown = labels == labels[seed]
        now = float(grown.sum()) * voxel_ml
        if now > 160 or (volume > 10 and now - volume > 12):
            break
        expected, volume = grown, now
    expected = ndimage.binary_dilation(expected) & inside & (hu < -700)
    found = find_airways(hu, inside, (MM, MM, MM), middle=59.5, width=119)
    assert (found == expected).all()
