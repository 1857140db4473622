"""Hashes and versions: the same data give the same hash; versions are of what is asked for."""

from __future__ import annotations

import pytest

from metasight.provenance import MODULES, hash_file, hash_json, versions_of


def test_json_hash_does_not_depend_on_order():
    assert hash_json({"a": 1, "b": [1, 2]}) == hash_json({"b": [1, 2], "a": 1})
    assert hash_json({"a": 1}) != hash_json({"a": 2})
    with pytest.raises(ValueError, match="Out of range float"):
        hash_json(float("nan"))


def test_file_hash(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x").startswith("ba7816bf8f01cfea")


def test_versions_are_of_packages_and_not_of_the_standard_library():
    found = versions_of(["numpy", "json", "cv2", "sklearn"])
    assert set(found) == {
        "python",
        "metasight",
        "numpy",
        "opencv-python-headless",
        "scikit-learn",
    }
    assert "not installed" not in found.values()


def test_every_module_of_another_name_is_one_that_can_be_installed():
    found = versions_of(MODULES)
    assert set(MODULES.values()) <= set(found)
    assert found["scikit-image"] != "not installed"
    assert versions_of(["no_such_package"])["no_such_package"] == "not installed"
