"""Small results: JSON that is the same for the same value, and has no NaN."""

import math

import pytest

from metasight.errors import StoreError
from metasight.steps.files import number, read_json, read_told, write_json, write_told


def test_a_number_is_finite_or_none():
    assert number(2) == 2.0
    assert isinstance(number(2), float)
    assert number(None) is None
    assert number(math.nan) is None
    assert number(-math.inf) is None


def test_json_comes_back_and_a_nan_is_refused(tmp_path):
    value = {"a": [1, None, "ä"], "b": {"c": 0.1}}
    write_json(tmp_path / "x.json", value)
    assert read_json(tmp_path / "x.json") == value
    first = (tmp_path / "x.json").read_bytes()
    write_json(tmp_path / "x.json", dict(value))
    assert (tmp_path / "x.json").read_bytes() == first
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", math.nan)


def test_what_others_read_says_its_format_and_another_is_refused(tmp_path):
    write_told(tmp_path / "scan.json", {"patient": "P"}, own=1)
    assert read_json(tmp_path / "scan.json") == {"format": 1, "patient": "P"}
    assert read_told(tmp_path / "scan.json", own=1)["patient"] == "P"
    for other in ({"patient": "P"}, {"format": 2}, []):
        write_json(tmp_path / "scan.json", other)
        with pytest.raises(StoreError, match=r"scan\.json: the file is written in another format"):
            read_told(tmp_path / "scan.json", own=1)
