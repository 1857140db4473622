"""Where a result comes from: hashes of inputs, settings and code, and versions of what ran."""

from __future__ import annotations

import hashlib
import json
import platform
from functools import cache, lru_cache
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

REPORTED_PACKAGES = (
    "metasight",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "numba",
    "greenwood",
    "scikit-learn",
    "scikit-image",
    "opencv-python-headless",
    "openslide-python",
    "tifffile",
    "imagecodecs",
    "shapely",
    "dask",
    "distributed",
    "matplotlib",
    "typst",
    "pydantic",
)


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


_PIECE = 1 << 16
_PIECES = 64


def hash_large_file(path: Path) -> str:
    """sha256 of a large file's size and of 64 pieces of 64 KiB spread over it, as hex.

    A slide of gigabytes is not read through for every run. Assumes that a file whose size and
    pieces are the same is the same: true of a scan, not of a file altered on purpose. Within one
    process a file of the same size and time of change is read once: a run plans three times.
    """
    about = path.stat()
    return _hash_pieces(path, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=1 << 17)
def _hash_pieces(path: Path, size: int, changed_ns: int) -> str:
    del changed_ns  # part of what the answer is remembered by
    digest = hashlib.sha256(str(size).encode())
    last = max(0, size - _PIECE)
    with path.open("rb") as stream:
        for number in range(_PIECES):
            stream.seek(last * number // (_PIECES - 1))
            digest.update(stream.read(_PIECE))
            if size <= _PIECE:
                break
    return digest.hexdigest()


def hash_files(path: Path) -> list[list[str]]:
    """Number and hash of the files that make up a scan or slide, in the order of their names.

    A folder counts with all that lies in it; a file that cannot be read with the kind of error:
    the step that reads it says so, in its turn.
    """
    found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    told = []
    for number, file in enumerate(found):
        try:
            told.append([str(number), hash_large_file(file)])
        except OSError as error:
            told.append([str(number), type(error).__name__])
    return told


@cache
def hash_code(*packages: str) -> str:
    """sha256 over the source files of parts of metasight.

    Parameters
    ----------
    packages
        Subpackages or modules of metasight (``models``, ``ledger.py``) that a step's result
        rests on; their Python, TOML and template files count.
    """
    root = Path(str(files("metasight")))
    digest = hashlib.sha256()
    for name in sorted(packages):
        start = root / name
        paths = [start] if start.is_file() else sorted(start.rglob("*"))
        for path in paths:
            if path.is_file() and path.suffix in {".py", ".toml", ".j2", ".typ", ".css", ".json"}:
                digest.update(str(path.relative_to(root)).encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that compute."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in REPORTED_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
