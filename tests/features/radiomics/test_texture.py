"""Texture of a lesion and of what surrounds it, with the error of drawing the lesion."""

import numpy as np
import pytest
from pydantic import ValidationError

from metasight.cohort.settings import JitterSettings, ScanSettings
from metasight.features.columns import ERROR
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.features.radiomics.texture import texture_of
from metasight.protocol.load import read_protocol
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

EDGES = (0.0, 4.0, 8.0)
JITTER = JitterSettings(sd_mm=1.0, correlation_mm=4.0, replicates=3)


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A ball of 9 mm that is dense within, in lung on one side of a wall."""
    rng = np.random.default_rng(2)
    grid = np.arange(-22, 23.0)
    z, y, x = np.meshgrid(grid, grid, grid, indexing="ij")
    far = np.sqrt(x**2 + y**2 + z**2)
    hu = np.where(far <= 9, 30.0 - 20 * (far > 5), -850.0) + rng.normal(0, 15, far.shape)
    wall = x > 13
    hu[wall] = 40
    volume = Volume.from_array(hu, unit="HU", spacing_mm=(1.0, 1.0, 1.0))
    lesion = Mask.from_array(far <= 9, on=volume, name="GTV")
    left = Mask.from_array(x < -20, on=volume)
    right = Mask.from_array(~wall & (x > -19) & (far > 9), on=volume)
    whole = Mask.from_array(~wall & (x > -19), on=volume)
    lungs = Lungs(right=right, left=left, right_whole=whole, left_whole=left, airways=None)
    settings = RadiomicsSettings.from_toml(
        read_protocol("nsclc-occult-node", folder=tmp_path_factory.mktemp("none")).radiomics
    )
    return volume, lesion, lungs, settings


def test_shells_hold_lung_and_the_lesion_its_own_values(scan):
    volume, lesion, lungs, settings = scan
    values, failed = texture_of(volume, lesion, lungs, settings, shell_edges_mm=EDGES)
    assert failed == ()
    mean = "statistics:mean"
    assert values[mean] > 5
    # parenchyma alone: the wall, 13 mm from the middle, is not in it
    for shell in ("shell 0-4 mm", "shell 4-8 mm"):
        assert values[f"{shell}:{mean}"] == pytest.approx(-850, abs=4)
    assert not any(name.startswith("shell") and "morphology" in name for name in values)
    without, failed = texture_of(volume, lesion, None, settings, shell_edges_mm=EDGES)
    assert failed == ("shells: no lung was found",)
    assert without[mean] == values[mean]


def test_the_error_is_what_other_boundaries_change_and_is_the_same_again(scan):
    volume, lesion, _, settings = scan
    values, failed = texture_of(volume, lesion, None, settings, jitter=JITTER, name="P1")
    assert failed == ()
    # air at the boundary moves the mean by tens of HU; the volume by its surface times 1 mm at most
    assert 5 < values[f"statistics:mean{ERROR}"] < 200
    volume_mm3 = values["morphology:volume (mesh)"]
    assert 0.01 < values[f"morphology:volume (mesh){ERROR}"] / volume_mm3 < 3 / 9
    again, _ = texture_of(volume, lesion, None, settings, jitter=JITTER, name="P1")
    assert again == values
    other, _ = texture_of(volume, lesion, None, settings, jitter=JITTER, name="P2")
    assert other[f"statistics:mean{ERROR}"] != values[f"statistics:mean{ERROR}"]


def test_settings_that_cannot_be_are_refused():
    base = {"path": "scans.csv", "id": "patient"}
    with pytest.raises(ValidationError, match="need radiomics"):
        ScanSettings(**base, jitter=JITTER)
    for edges in ((3.0,), (0.0, 3.0, 3.0), (5.0, 2.0)):
        with pytest.raises(ValidationError, match="rising distances"):
            ScanSettings(**base, radiomics=True, shell_edges_mm=edges)
