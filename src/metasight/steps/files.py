"""How steps write and read their small results."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metasight.formats import KEY, require_format, with_format


def number(value: float | None) -> float | None:
    """A finite number, or None: JSON has no NaN."""
    return float(value) if value is not None and math.isfinite(value) else None


def write_json(path: Path, value: Any) -> None:
    """Write JSON that is the same for the same value."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False), "utf-8")


def write_told(path: Path, value: Mapping[str, Any], *, own: int) -> None:
    """Write JSON that others read, with the version of its format."""
    write_json(path, with_format(value, own))


def read_told(path: Path, *, own: int) -> Any:
    """Read what `write_told` wrote.

    Raises
    ------
    StoreError
        The file has another format, or names none.
    """
    found = read_json(path)
    require_format(found.get(KEY) if isinstance(found, dict) else None, own, file=path.name)
    return found


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text("utf-8"))


def link(source: Path, target: Path) -> None:
    """The same file under another name where the disk can, for images are large; else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
