"""What ``pip install 'metasight[all]'`` brings is free of copyleft that binds those who call it."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata

from packaging.requirements import Requirement

from source_texts import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def wanted(extra: str) -> set[str]:
    """Requirements of an extra, those of the extras of metasight's that it names among them."""
    found: set[str] = set()
    for text in PROJECT["optional-dependencies"][extra]:
        one = Requirement(text)
        found |= (
            set().union(*(wanted(e) for e in one.extras)) if one.name == "metasight" else {text}
        )
    return found


def brought(texts: set[str]) -> dict[str, str]:
    """Installed packages that requirements bring, with what each says of its licence."""
    found: dict[str, str] = {}
    waiting = list(texts)
    while waiting:
        one = Requirement(waiting.pop())
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if name in found or (one.marker is not None and not one.marker.evaluate({"extra": ""})):
            continue
        try:
            told = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed here
        said = [told.metadata.get(f, "") for f in ("License-Expression", "License")]
        said += [c for c in told.metadata.get_all("Classifier") or [] if "License" in c]
        found[name] = " ".join(t.splitlines()[0] for t in said if t)
        waiting += told.requires or []
    return found


def copyleft(found: dict[str, str]) -> set[str]:
    """Those that leave no choice: ``(BSD-3-Clause OR GPL-2.0-only)`` may be had as BSD."""
    bare = {n: re.sub(r"\([^()]* OR [^()]*\)", "", said) for n, said in found.items()}
    return {n for n, said in bare.items() if re.search(r"(?<!L)GPL|(?<!Lesser )General Pub", said)}


def test_all_brings_no_gpl() -> None:
    found = brought({*PROJECT["dependencies"], *wanted("all")})
    assert len(found) > 50
    assert copyleft(found) == set()


def test_the_demonstration_s_data_are_asked_for_by_name() -> None:
    assert "scikit-survival" in copyleft(brought(wanted("demo")))
