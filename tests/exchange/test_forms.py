"""Every form is one word of the command line and one that can be written."""

from __future__ import annotations

from metasight import exporting
from metasight.exchange.forms import Form


def test_every_form_has_its_writer() -> None:
    assert set(exporting._WRITERS) == set(Form)
    assert all(form.value.replace("-", "").isalpha() for form in Form)
