"""Kernels compiled by numba, kept from run to run under the hash of the code that they are of.

numba keeps a compiled kernel until the file that holds it changes, although a function that it
calls from another file may have changed. Its cache therefore lies in a folder named by the hash of
all code that kernels reach: changed code finds an empty folder, other code never finds this one.
Every kernel of the package takes :func:`njit` from here.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numba

from metasight.engine.cache import cache_folder
from metasight.engine.code import own_code

_KEPT = 3
"""Folders of earlier code that are kept: a second checkout, the version before."""


def kernel_folder(base: Path, digest: str) -> Path:
    """The folder of the kernels of one state of the code; those longest unused are removed.

    Parameters
    ----------
    base
        Holds one folder for each state of the code.
    digest
        Of the code that kernels reach.
    """
    folder = base / digest[:16]
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        others = [p for p in base.iterdir() if p.is_dir() and p != folder]
        for old in sorted(others, key=lambda p: p.stat().st_mtime, reverse=True)[_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)
    os.utime(folder)
    return folder


def _base() -> Path:
    asked = os.environ.get("NUMBA_CACHE_DIR", "")
    return Path(asked) if asked else cache_folder() / "kernels"


numba.config.CACHE_DIR = str(kernel_folder(_base(), own_code().of_importers(__name__).digest))  # type: ignore[attr-defined]

njit = numba.njit
