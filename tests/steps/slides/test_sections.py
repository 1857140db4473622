"""What a protocol defines of alignment reaches the aligner."""

from __future__ import annotations

import pytest

from metasight.alignment.align import AlignmentSettings
from metasight.errors import ProtocolError
from metasight.protocol.study import SlideProtocol
from metasight.steps.slides.sections import alignment_settings


def protocol(**definitions) -> SlideProtocol:
    return SlideProtocol(id="toy", definitions=definitions, marker=(), criterion=())


def test_a_protocol_without_definitions_has_the_built_in_settings():
    assert alignment_settings(protocol()) == AlignmentSettings()


@pytest.mark.parametrize("gate", [60, 60.0])
def test_a_whole_number_counts_as_a_number(gate):
    """An integer gate was once passed over in silence, and 100 µm held."""
    asked = protocol(
        alignment_error_gate_um=gate, alignment_resolution_um=8, alignment_most_px=2048
    )
    found = alignment_settings(asked)
    assert (found.gate_um, found.finest_um, found.longest_px) == (60.0, 8.0, 2048)


@pytest.mark.parametrize("value", ["wide", [100.0, 200.0]])
def test_what_is_no_number_is_named(value):
    with pytest.raises(ProtocolError, match="alignment_error_gate_um"):
        alignment_settings(protocol(alignment_error_gate_um=value))
