"""A trained generator: the arithmetic of its error, weights that do not fit, its device."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.errors import MarkerError  # noqa: E402
from metasight.maps.generator_settings import GeneratorSettings  # noqa: E402
from metasight.maps.network import DensityNetwork  # noqa: E402
from metasight.maps.nucleus_looks import N_LOOKS  # noqa: E402
from metasight.maps.nucleus_network import NucleiSeen, NucleusNetwork  # noqa: E402
from metasight.maps.outlier import OutlierModel  # noqa: E402
from metasight.maps.trained_generator import (  # noqa: E402
    NucleusGenerator,
    PixelGenerator,
    TrainedGenerator,
    _region_mean,
    device_of,
    network_of,
    paint_density,
)

SMALL = GeneratorSettings(reads="pixels", width=4, depth=1, members=1, device="cpu")
TYPICAL = [300.0, 40.0]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return DensityNetwork(TYPICAL, SMALL).eval()


def test_the_error_joins_counting_and_what_is_not_known(network):
    """Excess 1: variance of a region's density is mean / area + mean²; 128 µm are 0.016384 mm²."""
    with torch.inference_mode():
        density, error, _ = paint_density([network], torch.rand((1, 3, 128, 128)), SMALL)
    area = 0.128**2
    for plane, mean in enumerate(TYPICAL):
        wanted = np.sqrt(mean / area + mean**2)
        np.testing.assert_allclose(error[0, plane], wanted, rtol=1e-4)
    assert density.shape == (1, 2, 8, 8)


def test_members_that_differ_widen_the_error_and_average_the_map(network):
    other = DensityNetwork([900.0, 40.0], SMALL).eval()
    with torch.inference_mode():
        od = torch.rand((1, 3, 64, 64))
        density, error, _ = paint_density([network, other], od, SMALL)
        own = [paint_density([m], od, SMALL)[1] for m in (network, other)]
    np.testing.assert_allclose(density[0, 0], 600.0, rtol=1e-4)
    within = (own[0][0, 0] ** 2 + own[1][0, 0] ** 2) / 2
    np.testing.assert_allclose(error[0, 0] ** 2, within + 300.0**2, rtol=1e-4)
    np.testing.assert_allclose(error[0, 1], own[0][0, 1], rtol=1e-4)


@pytest.mark.parametrize("side", [1, 2, 3])
def test_a_regions_mean_is_over_what_lies_on_the_tile(side):
    rng = np.random.default_rng(0)
    image = rng.random((5, 6))
    found = _region_mean(torch.from_numpy(image)[None, None].float(), side)[0, 0].numpy()
    before, after = (side - 1) // 2, side // 2
    for row in range(5):
        for column in range(6):
            part = image[
                max(row - before, 0) : row + after + 1, max(column - before, 0) : column + after + 1
            ]
            assert found[row, column] == pytest.approx(part.mean(), rel=1e-5)


def generator(network, factor=(1.0, 1.0)) -> PixelGenerator:
    features = network.features + 6
    outliers = OutlierModel(
        centre=np.zeros(2 * features), whitening=np.eye(2 * features), threshold=1.0
    )
    return PixelGenerator(
        [network],
        np.array(factor, np.float32),
        outliers,
        markers=("Pan-CK", "CD3"),
        settings=SMALL,
        identity="a" * 64,
        trained_on=frozenset(),
    )


def test_a_tile_is_painted_with_its_calibrated_error(network):
    rgb = np.full((64, 96, 3), 200, np.uint8)
    plain = generator(network).paint_tile(rgb)
    twice = generator(network, (2.0, 0.5)).paint_tile(rgb)
    assert plain.density.shape == (2, 4, 6)
    np.testing.assert_array_equal(plain.density, twice.density)
    np.testing.assert_allclose(twice.error, plain.error * [[[2.0]], [[0.5]]], rtol=1e-6)
    assert plain.features.shape[1:] == (4, 6)


@pytest.mark.parametrize("shape", [(60, 64, 3), (64, 33, 3), (64, 64, 4)])
def test_tiles_that_do_not_fit(network, shape):
    with pytest.raises(MarkerError, match="multiples of 32 pixels"):
        generator(network).paint_tile(np.zeros(shape, np.uint8))


def test_weights_of_another_network_are_refused(network):
    tensors = {f"member0.{n}": v.numpy() for n, v in network.state_dict().items()}
    outlier = {
        "outlier.centre": np.zeros(1),
        "outlier.whitening": np.eye(1),
        "outlier.threshold": np.array(1.0),
        "error_factor": np.ones(2, np.float32),
    }
    told = {
        "markers": ("Pan-CK", "CD3"),
        "settings": SMALL,
        "identity": "a" * 64,
        "trained_on": frozenset(),
    }
    TrainedGenerator.of(tensors | outlier, **told)
    few = dict(tensors)
    few.pop(next(iter(few)))
    with pytest.raises(MarkerError, match="do not fit the network"):
        TrainedGenerator.of(few | outlier, **told)
    with pytest.raises(MarkerError, match="is incomplete"):
        TrainedGenerator.of(tensors, **told)


def test_a_gpu_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(MarkerError, match="no GPU"):
        device_of(GeneratorSettings(device="cuda"))
    assert device_of(GeneratorSettings()).type == "cpu"


NUCLEI = GeneratorSettings(width=4, members=1, device="cpu")


def test_the_settings_say_what_is_read():
    assert isinstance(network_of(SMALL, TYPICAL), DensityNetwork)
    assert isinstance(network_of(NUCLEI, TYPICAL), NucleusNetwork)


def test_the_error_of_nuclei_is_that_of_pixels(network):
    """One nucleus a pixel that stands for the typical density: the same mean, the same error."""
    own = NucleusNetwork(TYPICAL, NUCLEI).eval()
    own.settle(torch.zeros(N_LOOKS), torch.ones(N_LOOKS), 1e6 / 16**2)
    with torch.no_grad():
        own.background.fill_(-30.0)
    looks = torch.zeros((64, N_LOOKS))
    nuclei = NucleiSeen(looks=looks, place=torch.arange(64), tiles=1, rows=8, columns=8)
    with torch.inference_mode():
        density, error, features = paint_density([own], nuclei, NUCLEI)
        wanted = paint_density([network], torch.rand((1, 3, 128, 128)), SMALL)
    np.testing.assert_allclose(density, wanted[0], rtol=1e-4)
    np.testing.assert_allclose(error, wanted[1], rtol=1e-4)
    assert features.shape[2:] == (8, 8)


def test_weights_make_the_generator_that_the_settings_name():
    tensors = {
        f"member0.{n}": v.numpy() for n, v in NucleusNetwork(TYPICAL, NUCLEI).state_dict().items()
    }
    tensors |= {
        "outlier.centre": np.zeros(1),
        "outlier.whitening": np.eye(1),
        "outlier.threshold": np.array(1.0),
        "error_factor": np.ones(2, np.float32),
    }
    told = {"markers": ("Pan-CK", "CD3"), "identity": "a" * 64, "trained_on": frozenset()}
    assert isinstance(TrainedGenerator.of(tensors, settings=NUCLEI, **told), NucleusGenerator)
    with pytest.raises(MarkerError, match="do not fit the network"):
        TrainedGenerator.of(tensors, settings=SMALL, **told)
