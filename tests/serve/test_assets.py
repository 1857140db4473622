"""Assets are those of the lock file, listed with hash and licence; nothing is asked of others."""

from __future__ import annotations

import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

from source_texts import ROOT

ASSETS = Path(str(files("metasight.serve") / "assets"))
VENDOR = ASSETS / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text("utf-8"))
LOCK = json.loads((ROOT / "bench" / "workbench_assets" / "package-lock.json").read_text("utf-8"))


def test_every_file_is_listed_with_its_hash() -> None:
    listed = {n: d for about in MANIFEST.values() for n, d in about["files"].items()}
    there = {p.relative_to(VENDOR).as_posix(): p for p in VENDOR.rglob("*") if p.is_file()}
    del there["manifest.json"]
    assert set(listed) == set(there)
    for name, path in there.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == listed[name], name


def test_versions_are_those_of_the_lock_file_and_licences_are_permissive() -> None:
    for package, about in MANIFEST.items():
        assert LOCK["packages"][f"node_modules/{package}"]["version"] == about["version"]
        assert about["licence"] in {"BSD-3-Clause", "0BSD", "BSD-2-Clause", "MIT"}
        assert any("LICENSE" in name for name in about["files"])


def test_own_assets_name_no_other_host() -> None:
    own = [*ASSETS.glob("*.*"), *(ASSETS.parent / "templates").glob("*.j2")]
    assert len(own) > 10
    for path in own:
        found = set(re.findall(r"https?://[^\s\"'<>)]+", path.read_text("utf-8")))
        assert found <= {"http://www.w3.org/2000/svg"}, path.name
