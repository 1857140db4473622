"""Where a result comes from: hashes of inputs, settings and code, and versions of what ran."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any


def canonical_json(value: Any) -> str:
    """JSON text that is the same for the same data: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_json(value: Any) -> str:
    """sha256 of the canonical JSON of ``value``, as hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """sha256 of a file's bytes, as hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


MODULES = {
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sksurv": "scikit-survival",
    "SimpleITK": "simpleitk",
    "openslide": "openslide-python",
    "PIL": "pillow",
}
"""Module → package that brings it, where the names differ."""


def versions_of(modules: Iterable[str]) -> dict[str, str]:
    """Versions of Python and of the packages that some modules come from.

    Parameters
    ----------
    modules
        Top-level names as they are imported; those of the standard library count as Python.
    """
    found = {"python": platform.python_version(), "metasight": _version("metasight")}
    for module in modules:
        if module not in sys.stdlib_module_names:
            name = MODULES.get(module, module)
            found[name] = _version(name)
    return dict(sorted(found.items()))


@cache
def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
