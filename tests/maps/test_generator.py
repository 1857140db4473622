"""A generator's folder: card and weights name each other, and whom it saw is certain."""

from __future__ import annotations

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from metasight.errors import LeakageError, MarkerError  # noqa: E402
from metasight.maps.generator import (  # noqa: E402
    CARD,
    MODEL_CARD,
    WEIGHTS,
    Trained,
    load_generator,
    refuse_seen,
    write_generator,
)
from metasight.maps.generator_settings import GeneratorSettings  # noqa: E402
from metasight.maps.network import DensityNetwork  # noqa: E402

SMALL = GeneratorSettings(reads="pixels", width=4, depth=1, members=1, device="cpu")


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    network = DensityNetwork([300.0], SMALL)
    n = 2 * (network.features + 6)
    tensors = {f"member0.{k}": v.numpy() for k, v in network.state_dict().items()}
    tensors |= {
        "outlier.centre": np.zeros(n),
        "outlier.whitening": np.eye(n),
        "outlier.threshold": np.array(3.0),
        "error_factor": np.array([1.5], np.float32),
    }
    row = {"marker": "CD3", "patients": 3, "pearson": None, "error_factor": 1.5}
    trained = Trained(
        tensors=tensors,
        markers=("CD3",),
        settings=SMALL,
        trained_on=frozenset({"P2", "P1"}),
        story={"tiles": 40, "held_out_patients": 1, "seed": 3, "markers": [row]},
    )
    write_generator(trained, tmp_path)
    return tmp_path


def test_what_is_written_is_read(folder):
    found = load_generator(folder, device="cpu")
    assert found.markers == ("CD3",)
    assert found.trained_on == {"P1", "P2"}
    assert found.error_factor.tolist() == [1.5]
    assert found.settings == SMALL
    again = load_generator(folder, sha256=found.identity, device="cpu")
    assert again.identity == found.identity
    rgb = np.full((64, 64, 3), 180, np.uint8)
    np.testing.assert_array_equal(again.paint_tile(rgb).density, found.paint_tile(rgb).density)


def change(folder, **values):
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | values))


def test_a_card_that_forgets_a_patient_is_refused(folder):
    change(folder, trained_on=["P1"])
    with pytest.raises(MarkerError, match="card was changed") as error:
        load_generator(folder)
    assert "list of training patients" in error.value.remedy


def test_weights_that_are_not_the_cards(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS).write_bytes(bytes(data))
    with pytest.raises(MarkerError, match="not those that its card names"):
        load_generator(folder)


def test_a_card_and_weights_that_are_not_the_studys(folder):
    with pytest.raises(MarkerError, match="not those that the study names"):
        load_generator(folder, sha256="c" * 64)


@pytest.mark.parametrize("values", [{"format": "metasight-generator-0"}, {"extra": 1}])
def test_a_card_of_another_format(folder, values):
    change(folder, **values)
    with pytest.raises(MarkerError, match="not a generator of metasight"):
        load_generator(folder)


def test_parts_that_are_missing(folder):
    (folder / WEIGHTS).unlink()
    with pytest.raises(MarkerError, match="has no weights"):
        load_generator(folder)
    (folder / CARD).write_text("{")
    with pytest.raises(MarkerError, match="card cannot be read"):
        load_generator(folder)


def test_who_was_seen_is_refused_and_not_named(folder):
    found = load_generator(folder, device="cpu")
    refuse_seen(found, ["P3", "P4"])
    with pytest.raises(LeakageError) as error:
        refuse_seen(found, ["P1", "P3", "P2"])
    assert error.value.value == "2 of 3"
    assert "P1" not in str(error.value)


def test_the_card_for_people(folder):
    text = (folder / MODEL_CARD).read_text()
    assert "not a medical device" in text
    assert "| CD3 | 3 | – | 1.50 |" in text
    assert "P1" not in text
