"""Compiled kernels are those of the code that runs, and are kept where this user may write."""

from __future__ import annotations

import os
import subprocess
import sys

from metasight.engine import cache
from metasight.engine.code import CodeBase, own_code
from metasight.engine.kernels import kernel_folder


def test_other_code_has_another_folder_and_old_ones_go(tmp_path):
    for k in range(6):
        folder = kernel_folder(tmp_path, f"{k}" * 64)
        (folder / "kernel.nbi").write_text("x")
        os.utime(folder, (k, k))
    left = sorted(p.name[0] for p in tmp_path.iterdir())
    assert left == ["2", "3", "4", "5"]
    assert (kernel_folder(tmp_path, "5" * 64) / "kernel.nbi").is_file()


def test_kernels_of_other_files_count(tmp_path):
    """numba would keep a kernel although the function that it calls has changed."""
    import shutil

    root = tmp_path / "metasight"
    shutil.copytree(own_code().root, root, ignore=shutil.ignore_patterns("__pycache__"))
    before = CodeBase(root).of_importers("metasight.engine.kernels").digest
    path = root / "models" / "partial_likelihood.py"
    text = path.read_text()
    path.write_text(text.replace("import numpy as np", "import numpy as np  # the same", 1))
    assert CodeBase(root).of_importers("metasight.engine.kernels").digest == before
    assert " 0.5" in text or "0.0" in text
    path.write_text(text.replace("0.0", "0.25", 1))
    assert CodeBase(root).of_importers("metasight.engine.kernels").digest != before


def test_every_kernel_is_compiled_through_this_module():
    for path in own_code().root.rglob("*.py"):
        if path.parts[-2:] != ("engine", "kernels.py"):
            text = path.read_text()
            assert "import numba" not in text, path.name
            assert "from numba" not in text, path.name


def test_without_a_home_a_private_temporary_folder_serves(tmp_path):
    """A service account has no home that can be written; everything else works."""
    text = "from metasight.engine.cache import cache_folder; print(cache_folder())"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    told = subprocess.run(
        [sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == str(tmp_path / f"metasight-{os.getuid()}")


def test_a_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(cache.os, "getuid", lambda: 12345)
    assert not cache._usable(tmp_path)
