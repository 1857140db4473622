"""What ``--json`` prints: one object, its format first, without patient identifiers or pseudonyms.

The formats are described in ``docs/command-line.md``. A field that is removed or changes its
meaning raises the number; new fields may be added under the same number.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metasight.errors import MetasightError, TableError
from metasight.formats import with_format

if TYPE_CHECKING:
    from metasight.doctor import Finding
    from metasight.engine.run import Pending
    from metasight.pipeline import Screening

FORMAT = 1
OPTION = "--json"
_PSEUDONYM = re.compile(r"\bP?[0-9a-f]{16}\b")


def print_json(command: str, found: Mapping[str, Any]) -> None:
    """One object on standard output: format, version, command, and what was found."""
    from metasight import __version__

    told = with_format({"metasight": __version__, "command": command, **found}, FORMAT)
    # ASCII only: a file name with control characters or lone surrogates stays printable
    sys.stdout.write(json.dumps(told, indent=2, allow_nan=False) + "\n")


def error_found(error: Exception, *, status: int) -> dict[str, Any]:
    """An error as the terminal shows it, in parts; ``problems`` are those of the tables."""
    told: dict[str, Any] = {"kind": type(error).__name__, "exit_status": status}
    if isinstance(error, MetasightError):
        told |= {name: getattr(error, name) for name in ("problem", "where", "value", "remedy")}
    if isinstance(error, TableError):
        told["problem"] = "problems in the patient tables"
        told["problems"] = [
            {
                "table": p.table,
                "row": p.row,
                "column": p.column,
                "value": p.value,
                "problem": p.problem,
                "accepted": p.accepted,
            }
            for p in error.problems
        ]
    return {"error": told}


def screening_found(screening: Screening) -> dict[str, Any]:
    """Counts of `metasight check`; whom they count is in the ledger of a run."""
    cohort = screening.cohort
    steps = (
        "criterion",
        "text",
        "excluded",
        "unknown",
        "remaining",
        "waived",
        "in_part",
        "against",
    )
    return {
        "screened": cohort["screened"],
        "failed": cohort["failed"],
        "eligibility": [{name: s[name] for name in steps} for s in cohort["steps"]],
        "analyses": [
            {
                "endpoint": d["endpoint"],
                "population": d["population"],
                "eligible": len(cohort[d["population"]]),
                "patients": d["n"],
                "events": d["events"],
                "examined": d["examined"],
                "horizons_days": list(d["horizons_days"]),
                "missing": dict(d["missing"]),
                "notes": [*d["deviations"], *d["refused"]],
            }
            for d in screening.data
        ],
        "not_analysed": list(screening.skipped),
    }


def pending_found(pending: Sequence[Pending]) -> dict[str, Any]:
    """Steps that would run, counted by stage and reason.

    A reason may name another step, and a step's name its patient's pseudonym, which is left out.
    """
    reasons = Counter(
        (p.step.label, p.step.kind.measures, _PSEUDONYM.sub("…", p.why)) for p in pending
    )
    return {
        "up_to_date": not pending,
        "steps": [
            {"stage": stage, "n": n, "measures_images": images, "why": why}
            for (stage, images, why), n in reasons.items()
        ],
    }


def doctor_found(findings: Sequence[Finding]) -> dict[str, Any]:
    """What `metasight doctor` found."""
    return {
        "ok": all(f.verdict != "FAIL" for f in findings),
        "findings": [
            {"verdict": f.verdict, "what": f.what, "found": f.found, "fix": f.fix} for f in findings
        ],
    }


def slides_found(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Quality of slides, numbered in the order of the files: a file's name may hold a patient's."""
    return {
        "slides": [
            {
                "slide": n,
                "quality": _quality(f),
                "reasons": [f["failed"]] if "failed" in f else list(f["reasons"]),
            }
            for n, f in enumerate(found, start=1)
        ]
    }


def scans_found(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """CT and PET of folders, numbered in their order: a folder's name may hold a patient's."""
    return {
        "scans": [
            {"scan": number, **scan}
            for number, checked in enumerate(found, start=1)
            for scan in checked["scans"]
        ]
    }


def _quality(found: Mapping[str, Any]) -> str:
    words = {True: "sufficient", False: "refused", None: "unknown"}
    return "failed" if "failed" in found else words[found["sufficient"]]
