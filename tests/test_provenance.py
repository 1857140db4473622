"""Hashes: the same data give the same hash, changed code another."""

from __future__ import annotations

import numpy as np
import pytest

from metasight import provenance
from metasight.provenance import hash_code, hash_file, hash_json, hash_large_file, versions


def test_json_hash_does_not_depend_on_order():
    assert hash_json({"a": 1, "b": [1, 2]}) == hash_json({"b": [1, 2], "a": 1})
    assert hash_json({"a": 1}) != hash_json({"a": 2})
    with pytest.raises(ValueError, match="Out of range float"):
        hash_json(float("nan"))


def test_file_hash(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert hash_file(tmp_path / "x").startswith("ba7816bf8f01cfea")


def test_code_hash_follows_the_code(tmp_path, monkeypatch):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.py").write_text("x = 1")
    monkeypatch.setattr(provenance, "files", lambda _: tmp_path)
    hash_code.cache_clear()
    before = hash_code("part")
    (tmp_path / "part" / "a.py").write_text("x = 2")
    hash_code.cache_clear()
    assert hash_code("part") != before
    hash_code.cache_clear()


def test_versions_name_what_computes():
    found = versions()
    assert found["metasight"] != "not installed"
    assert {"python", "numpy", "greenwood"} <= set(found)


def test_large_file_hash_sees_size_and_pieces(tmp_path):
    rng = np.random.default_rng(0)
    data = bytearray(rng.bytes(6_000_000))
    (tmp_path / "x").write_bytes(data)
    before = hash_large_file(tmp_path / "x")
    assert hash_large_file(tmp_path / "x") == before
    for at in (0, 5_999_999):
        other = data.copy()
        other[at] ^= 1
        (tmp_path / "y").write_bytes(other)
        assert hash_large_file(tmp_path / "y") != before
    (tmp_path / "y").write_bytes(data + b"\0")
    assert hash_large_file(tmp_path / "y") != before
    (tmp_path / "small").write_bytes(b"abc")
    assert hash_large_file(tmp_path / "small") != before
