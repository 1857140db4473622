"""How steps write and read their small results."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any


def number(value: float | None) -> float | None:
    """A finite number, or None: JSON has no NaN."""
    return float(value) if value is not None and math.isfinite(value) else None


def write_json(path: Path, value: Any) -> None:
    """Write JSON that is the same for the same value."""
    path.write_text(json.dumps(value, indent=1, allow_nan=False), "utf-8")


def read_json(path: Path) -> Any:
    """Read JSON."""
    return json.loads(path.read_text("utf-8"))
