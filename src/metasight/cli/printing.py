"""What the terminal shows: tables and sentences, free of markup and control characters."""

from __future__ import annotations

import json
import shlex
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape
from rich.table import Table

from metasight.cli.terminal import Terminal
from metasight.errors import StudyError
from metasight.units import DAYS_PER_YEAR

if TYPE_CHECKING:
    from metasight.engine.progress import Bars
    from metasight.engine.run import Pending
    from metasight.pipeline import Screening

out = Terminal(highlight=False, emoji=False)
err = Terminal(stderr=True, highlight=False, emoji=False)


def progress_bars() -> Bars:
    """Bars on this terminal, as talkative as ``--verbose`` and ``--quiet`` ask."""
    from metasight.engine.progress import Bars, Talk

    return Bars(out, Talk[out.talk])


def shown(text: object) -> str:
    """Text as the terminal shows it: no markup of Rich's, no control or formatting characters."""
    return escape(
        "".join(
            c for c in str(text) if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"}
        )
    )


def command_line(name: str, folder: Path) -> str:
    """A command as one would type it."""
    return f"`metasight {name} {shown(shlex.quote(str(folder)))}`"


def print_screening(screening: Screening) -> None:
    """Eligibility, and what each analysis has to go on."""
    cohort = screening.cohort
    out.print(
        f"{cohort['screened']} patients in the table, {cohort['failed']} excluded because of errors"
    )
    table = Table("criterion", "", "excluded", "unknown", "left", title="Eligibility")
    for s in cohort["steps"]:
        waived = " (waived in part)" if s["in_part"] else " (waived)" if s["waived"] else ""
        table.add_row(
            s["criterion"],
            shown(s["text"]) + waived,
            str(s["excluded"]),
            str(s["unknown"]),
            str(s["remaining"]),
        )
    out.print(table)
    for s in cohort["steps"]:
        if s["against"]:
            out.print(f"  note: {s['criterion']} is waived: {shown(s['waived'])}", soft_wrap=True)
    for d in screening.data:
        who = f"{d['endpoint']}, {d['population'].replace('_', ' ')}"
        out.print(f"{shown(who)}: {_outcomes(d)}")
        for line in [*d["deviations"], *d["refused"]]:
            out.print(f"  note: {shown(line)}")
        if any(d["missing"].values()):
            out.print(f"  missing: {shown(_missing(d['missing']))}")
    for line in screening.skipped:
        out.print(f"Not analysed: {shown(line)}")


def _outcomes(data: Mapping[str, Any]) -> str:
    """Patients and events of an analysis; of nodal stage, how many were examined."""
    if data.get("examined") is not None:
        return (
            f"{data['n']} patients, {data['examined']} with examined nodes, "
            f"{data['events']} with nodal metastasis"
        )
    horizons = ", ".join(f"{h / DAYS_PER_YEAR:.3g} years" for h in data["horizons_days"])
    return f"{data['n']} patients, {data['events']} events, horizons: {horizons or 'none'}"


def _missing(counts: dict[str, int], most: int = 10) -> str:
    """Features with missing values, those with most first."""
    some = sorted(((n, name) for name, n in counts.items() if n), key=lambda c: -c[0])
    text = ", ".join(f"{name} {n}" for n, name in some[:most])
    return text + (f", and {len(some) - most} more" if len(some) > most else "")


def print_pending(pending: tuple[Pending, ...]) -> None:
    """Steps that would run next, and why."""
    if not pending:
        out.print("Results are up to date; nothing to do.")
        return
    reasons = Counter((p.step.label, p.why) for p in pending)
    table = Table("steps", "stage", "why")
    for (stage, why), n in reasons.items():
        table.add_row(str(n), stage, shown(why))
    out.print(table)
    if any(p.step.kind.measures for p in pending):
        n = sum(p.step.kind.measures for p in pending)
        out.print(f"{n} image measurements would run first; later steps are planned after them.")
    else:
        out.print(f"{len(pending)} steps would run; what follows from them is planned after them.")


def print_results(results: Path, latest: str = "latest") -> None:
    """Where the results are."""
    place = results.parent / latest
    for name in ("report.html", "report.pdf", "predictions.parquet", "ledger.parquet"):
        if (results / name).is_file():
            out.print(f"  {shown(place / name)}", soft_wrap=True)


def say_where(output: Path, *, failed: bool) -> None:
    """Where the results of a batch are; exit status 1 if an input could not be read."""
    out.print(f"Results in {shown(output)}.", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def print_predictions(folder: Path, only: str | None) -> None:
    """Each patient's risk, or why there is none; ``only`` is one pseudonym.

    Raises
    ------
    StudyError
        There is no such patient.
    """
    found = json.loads((folder / "predictions.json").read_text("utf-8"))
    out.print(shown(found["disclaimer"]), soft_wrap=True)
    told = [p for p in found["patients"] if only in {None, p["patient"]}]
    if not told:
        raise StudyError(
            "the table has no such patient",
            remedy="Give the id as written in the patient table",
        )
    for p in told:
        risks = ", ".join(f"{_target(r['target'])} {_risk(r['risk'])}" for r in p["risks"])
        why = "no risk given: " + "; ".join(p["why_none"])
        out.print(f"{p['patient']}: {shown(risks or why)}", soft_wrap=True)
    out.print(f"Pages in {shown(folder / 'pages')}.", soft_wrap=True)


def _target(target: str) -> str:
    return f"{int(target) / DAYS_PER_YEAR:.3g} years" if target.isdigit() else target


def _risk(risk: dict[str, float | None]) -> str:
    value, lower, upper = (risk[k] for k in ("value", "lower", "upper"))
    if value is None or lower is None or upper is None:
        return "unknown" if value is None else f"{100 * value:.1f} %"
    return f"{100 * value:.1f} % ({100 * lower:.1f} to {100 * upper:.1f})"
