"""Endpoints as data: whole days, rounded down, and what they need."""

import pytest
from pydantic import ValidationError

from metasight.protocol.endpoint import NodalEndpoint, SurvivalEndpoint

PLAIN = {
    "type": "survival",
    "name": "dm",
    "label": "Distant metastasis",
    "event": ("distant_metastasis",),
    "horizons_years": (1, 5, 10),
    "tau_years": 10,
    "thresholds": (0.1,),
    "source": "a test",
}


def test_years_are_whole_days_of_365_25_rounded_down():
    endpoint = SurvivalEndpoint(**PLAIN)
    assert endpoint.horizons_days == (365, 1826, 3652)
    assert endpoint.tau_days == 3652
    assert endpoint.competing == ()
    assert endpoint.primary is False


@pytest.mark.parametrize("missing", ["event", "horizons_years"])
def test_an_endpoint_has_an_event_and_a_horizon(missing):
    with pytest.raises(ValidationError):
        SurvivalEndpoint(**{**PLAIN, missing: ()})


def test_a_nodal_endpoint_has_no_horizon():
    about = {"type": "nodal_stage", "name": "n", "label": "N", "variable": "pn", "source": "s"}
    endpoint = NodalEndpoint(**about, thresholds=(0.1,))
    assert endpoint.arm is None
    with pytest.raises(ValidationError, match="horizons_years"):
        NodalEndpoint(**about, thresholds=(0.1,), horizons_years=(5,))
