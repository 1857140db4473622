"""Whether this machine has what metasight needs."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from metasight.engine.machine import cores, memory_bytes

EXTRAS = {
    "demo": ("sksurv", "the demonstration's patients"),
    "exchange": ("fhir", "export as FHIR and Word"),
    "deep": ("torch", "neural networks: maps, slides, crops of lesions"),
    "serve": ("fastapi", "the workbench in a browser"),
    "cluster": ("dask_jobqueue", "Slurm clusters"),
    "biology": ("gseapy", "gene sets ([biology] of a study)"),
}
NEEDED = (
    "numpy",
    "pandas",
    "pyarrow",
    "numba",
    "greenwood",
    "sklearn",
    "distributed",
    "cryptography",
    "typst",
    "cv2",
    "openslide",
    "tifffile",
    "imagecodecs",
    "skimage",
    "shapely",
)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of the examination.

    Attributes
    ----------
    verdict
        ``FAIL`` stops a study, ``WARN`` limits it.
    what, found, fix
        The thing, its state, and what to do about it (empty when nothing).
    """

    verdict: Literal["PASS", "WARN", "FAIL"]
    what: str
    found: str
    fix: str = ""


def examine() -> list[Finding]:
    """Python, packages, extras, cores, memory, disk, and the report's PDF writer."""
    return [_python(), *_packages(), *_extras(), _cores(), _memory(), _disk(), _pdf()]


def _python() -> Finding:
    # An older Python cannot import this module, so there is nothing to fail.
    return Finding(verdict="PASS", what="Python", found=".".join(map(str, sys.version_info[:3])))


def _packages() -> list[Finding]:
    missing = [n for n in NEEDED if find_spec(n) is None]
    if missing:
        return [
            Finding(
                verdict="FAIL",
                what="packages",
                found=f"missing: {', '.join(missing)}",
                fix="in a clone of the repository: pip install . -c constraints.txt",
            )
        ]
    return [Finding(verdict="PASS", what="packages", found=f"{len(NEEDED)} found")]


def _extras() -> list[Finding]:
    findings = []
    for extra, (module, purpose) in EXTRAS.items():
        if find_spec(module) is not None:
            findings.append(Finding(verdict="PASS", what=f"extra {extra}", found=purpose))
        else:
            findings.append(
                Finding(
                    verdict="WARN",
                    what=f"extra {extra}",
                    found=f"not installed: {purpose}",
                    fix="if needed, in a clone of the repository: "
                    f"pip install '.[{extra}]' -c constraints.txt",
                )
            )
    return findings


def _cores() -> Finding:
    n = cores()
    verdict: Literal["PASS", "WARN"] = "PASS" if n >= 2 else "WARN"
    return Finding(
        verdict=verdict,
        what="cores",
        found=str(n),
        fix="" if n >= 2 else "studies take longer on one core",
    )


def _memory() -> Finding:
    gib = memory_bytes() / 2**30
    if gib >= 3.5:
        return Finding(verdict="PASS", what="memory", found=f"{gib:.0f} GiB")
    return Finding(
        verdict="WARN",
        what="memory",
        found=f"{gib:.1f} GiB",
        fix="4 GiB or more; or run with --scheduler inline",
    )


def _disk() -> Finding:
    gib = shutil.disk_usage(Path.cwd()).free / 2**30
    if gib >= 2:
        return Finding(verdict="PASS", what="free disk here", found=f"{gib:.0f} GiB")
    return Finding(
        verdict="FAIL" if gib < 0.2 else "WARN",
        what="free disk here",
        found=f"{gib:.1f} GiB",
        fix="free 2 GiB",
    )


def _pdf() -> Finding:
    if find_spec("typst") is None:
        return Finding(
            verdict="FAIL", what="PDF writer", found="typst is missing", fix="pip install typst"
        )
    import typst

    pdf = typst.compile(b"#set document(title: [x])\nx", format="pdf")
    ok = isinstance(pdf, bytes) and pdf.startswith(b"%PDF")
    return Finding(
        verdict="PASS" if ok else "FAIL",
        what="PDF writer",
        found="typst writes PDF" if ok else "typst wrote no PDF",
        fix="" if ok else "pip install --force-reinstall typst",
    )
