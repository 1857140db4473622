"""The model card says for whom the model is, and for whom not."""

from __future__ import annotations

from dataclasses import replace

from metasight import bundle
from metasight.bundle.card import model_card


def test_numbers_of_training_and_what_it_is_not_for(developed):
    locked = bundle.read(developed / "results" / "latest" / "bundle")
    card = model_card(locked)
    assert "- Patients: 150, events: 95, centres: 2" in card
    assert "not a medical device" in card
    assert "A patient's interval: of the true risk" in card
    assert "acquired differently from those of the training patients" in card.replace("\n", " ")
    assert "by 3 years" in card


def test_a_demonstration_says_so(developed):
    locked = bundle.read(developed / "results" / "latest" / "bundle")
    shown = replace(
        locked, settings=locked.settings.model_copy(update={"demonstration": "Simulated."})
    )
    assert "Simulated." in model_card(shown)
    assert "Simulated." not in model_card(locked)
