"""A bundle is whole, unaltered and usable, or it is refused by name."""

from __future__ import annotations

import importlib
import json
import zipfile
from pathlib import Path

import pytest

from metasight import bundle
from metasight.errors import StoreError
from metasight.provenance import hash_file


def rehash(folder: Path) -> None:
    """As somebody would who edits a bundle and corrects its list of hashes."""
    hashes = {
        str(p.relative_to(folder)): hash_file(p)
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != "hashes.json"
    }
    (folder / "hashes.json").write_text(json.dumps(hashes))


def edit(folder: Path, name: str, change) -> None:
    path = folder / name
    told = json.loads(path.read_text())
    path.write_text(json.dumps(change(told)))
    rehash(folder)


def test_any_flipped_byte_of_any_member_is_refused_by_name(bundle_copy):
    for path in sorted(p for p in bundle_copy.rglob("*") if p.is_file()):
        data = path.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(StoreError) as refused:
                bundle.read(bundle_copy)
            if path.name != "hashes.json":
                assert refused.value.where == str(path.relative_to(bundle_copy))
        path.write_bytes(data)
    bundle.read(bundle_copy)


def test_a_file_more_or_less_is_named(bundle_copy):
    (bundle_copy / "extra.json").write_text("{}")
    with pytest.raises(StoreError, match=r"missing from the bundle or were added.*extra.json"):
        bundle.read(bundle_copy)
    (bundle_copy / "extra.json").unlink()
    (bundle_copy / "models" / "forest.json").unlink()
    with pytest.raises(StoreError, match=r"missing from the bundle or were added.*forest.json"):
        bundle.read(bundle_copy)


def test_a_bundle_of_version_0_1_names_the_version_that_reads_it(bundle_copy):
    edit(bundle_copy, "bundle.json", lambda b: {**b, "format": 1})
    with pytest.raises(StoreError, match=r"another format \(value: 1\).*metasight 0.1.0 reads it"):
        bundle.read(bundle_copy)
    edit(bundle_copy, "bundle.json", lambda b: {**b, "format": 99})
    with pytest.raises(StoreError, match="reads format 2"):
        bundle.read(bundle_copy)


def test_a_nan_is_no_weight(bundle_copy):
    path = bundle_copy / "models" / "clinical.json"
    text = path.read_text()
    assert '"coefficients":[' in text
    path.write_text(text.replace('"coefficients":[', '"coefficients":[NaN,', 1))
    rehash(bundle_copy)
    with pytest.raises(StoreError, match=r"models/clinical.json: a file of the bundle is damaged"):
        bundle.read(bundle_copy)


def test_a_path_that_leads_out_is_not_read(bundle_copy, tmp_path):
    (tmp_path / "elsewhere.json").write_text("{}")
    edit(
        bundle_copy,
        "bundle.json",
        lambda b: {
            **b,
            "models": {"clinical": "../elsewhere.json", "forest": "models/forest.json"},
        },
    )
    with pytest.raises(StoreError, match="a path of the bundle leads out of it"):
        bundle.read(bundle_copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda b: {k: v for k, v in b.items() if k != "horizons_days"},
        lambda b: {**b, "horizons_days": "soon"},
        lambda b: {**b, "features": [{}]},
        lambda b: {**b, "training": None},
        lambda b: {**b, "headline_model": "nobody"},
        lambda b: {**b, "refits": 3000},
        lambda b: [],
    ],
)
def test_what_bundle_json_lacks_is_said(bundle_copy, change):
    edit(bundle_copy, "bundle.json", change)
    with pytest.raises(StoreError):
        bundle.read(bundle_copy)


def test_damaged_interval_refits_are_refused(bundle_copy):
    edit(bundle_copy, "intervals.json", lambda s: {**s, "refits": {"1826": [[0.0]]}})
    with pytest.raises(StoreError, match="interval are damaged"):
        bundle.read(bundle_copy)


def test_links_are_not_followed(bundle_copy, tmp_path):
    path = bundle_copy / "model_card.md"
    (tmp_path / "card.md").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "card.md")
    with pytest.raises(StoreError, match="altered"):
        bundle.read(bundle_copy)


# ------------------------------------------------------------------ zips


def test_a_zip_lies_anywhere(developed, tmp_path):
    there = tmp_path / "mail" / "attachment.zip"
    there.parent.mkdir()
    there.write_bytes((developed / "results" / "latest" / "bundle.zip").read_bytes())
    with bundle.unpacked(there) as folder:
        assert bundle.read(folder).headline_model == "forest"
    assert not folder.exists()


def test_the_study_that_made_it_will_do(developed, tmp_path):
    with bundle.unpacked(developed) as folder:
        bundle.read(folder)
    (tmp_path / "study.toml").write_text("")
    with (
        pytest.raises(StoreError, match=r"no locked models yet. Run `metasight run"),
        bundle.unpacked(tmp_path),
    ):
        pass
    with (
        pytest.raises(StoreError, match="there is no bundle here"),
        bundle.unpacked(tmp_path / "nothing"),
    ):
        pass


@pytest.mark.parametrize("name", ["../out.json", "/etc/out.json", "a/../../out.json", "..\\out"])
def test_a_zip_that_leads_out_of_itself_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(name, "{}")
    with (
        pytest.raises(StoreError, match="leads out of it"),
        bundle.unpacked(tmp_path / "b.zip"),
    ):
        pass
    assert not (tmp_path.parent / "out.json").exists()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    module = importlib.import_module("metasight.bundle.read")
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", b"0" * 100_000)
    with pytest.raises(StoreError, match="larger"), bundle.unpacked(tmp_path / "b.zip"):
        pass


def test_what_is_no_zip_is_said(tmp_path):
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(StoreError, match="cannot be read"), bundle.unpacked(tmp_path / "b.zip"):
        pass


def test_a_byte_of_a_zip_is_a_named_error_or_makes_no_difference(tmp_path):
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", "one, two, three, " * 200)
        archive.writestr("weights/a", bytes(range(256)) * 8)
    whole = path.read_bytes()
    refused = 0
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            with bundle.unpacked(path):
                pass
        except StoreError:
            refused += 1
    assert refused > len(whole) / 3
