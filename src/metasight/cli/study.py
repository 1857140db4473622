"""Commands on a study: init, check, run, report, staging, validate, doctor, demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from metasight.cli.machine_readable import (
    doctor_found,
    pending_found,
    print_json,
    screening_found,
)
from metasight.cli.options import HERE, AsJson, Folder, LockedModels, placed
from metasight.cli.printing import (
    command_line,
    out,
    print_pending,
    print_results,
    print_screening,
    progress_bars,
    shown,
)
from metasight.engine.placement import Placement
from metasight.errors import StudyError

if TYPE_CHECKING:
    from metasight.cohort.settings import TableSettings
    from metasight.doctor import Finding
    from metasight.protocol.study import Protocol
    from metasight.study.propose import Proposal
    from metasight.study.status_pair import StatusPair


class IdKind(StrEnum):
    """How ids of a table are read, as in ``study.toml``."""

    TEXT = "text"
    NUMBER = "number"
    ROW = "row"


class Recalibration(StrEnum):
    """What of a locked model's risks is moved to external patients."""

    IN_THE_LARGE = "in-the-large"
    SLOPE = "slope"
    REFIT = "refit"


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Metastasis-risk studies, from protocol to report. Research software, not a medical "
    "device.",
    epilog="Exit status: 0 done; 1 done, but something needs attention (a slide could not be read, "
    "doctor found a fault); 2 the command, the study or its files need correction; 3 internal "
    "error; 130 interrupted. Results of finished steps are kept.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from metasight import __version__

        out.print(f"metasight {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="On an error, show where in the code it occurred.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print each step as it is done.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress.")] = False,
) -> None:
    """Options of every command; ``main`` takes them out, wherever they are given."""
    del version, debug, verbose, quiet


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new study.")] = HERE,
    protocol: Annotated[
        str, typer.Option(help="breast-dmfs, nsclc-occult-node, or a protocol file.")
    ] = "breast-dmfs",
    table: Annotated[
        str, typer.Option(help="Patient table, relative to the folder; columns are mapped by name.")
    ] = "patients.csv",
    id_column: Annotated[str, typer.Option("--id", help="Column with the patient id.")] = "patient",
    ids: Annotated[
        IdKind,
        typer.Option(
            help="How ids are read: text, number (0017 is 17), or row (the table has no ids)."
        ),
    ] = IdKind.TEXT,
    sheet: Annotated[
        str | None, typer.Option(help="Sheet to read, if the workbook has several.")
    ] = None,
    header_row: Annotated[
        int, typer.Option(min=1, help="Row with the column names, if a title is above it.")
    ] = 1,
    dictionary: Annotated[
        str | None,
        typer.Option(help="Data dictionary of a REDCap raw export, relative to the folder."),
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="Encoding of a text file, for example cp1252.")
    ] = "utf-8",
) -> None:
    """Write a commented study.toml; columns are mapped where their names match."""
    import tomllib

    from metasight.cohort.settings import TableSettings
    from metasight.protocol.load import read_protocol
    from metasight.study.propose import image_tables
    from metasight.study.scaffold import study_toml
    from metasight.study.vault import default_path, make_key

    path = folder / "study.toml"
    _require_new(folder)
    known = read_protocol(protocol, folder=folder)
    given = TableSettings(
        path=table,
        id=id_column,
        ids=ids.value,
        sheet=sheet,
        header_row=header_row,
        format="redcap" if dictionary else "table",
        dictionary=dictionary,
        encoding=encoding,
    )
    there = (folder / table).is_file()
    given, proposals, pairs = _proposed(known, folder, given) if there else (given, {}, [])
    text = study_toml(
        known,
        name=protocol,
        vault=default_path(folder),
        table=given,
        proposals=proposals,
        pairs=pairs,
        images=image_tables(folder, id_column) if folder.is_dir() else {},
    )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    vault = folder / default_path(folder)
    made = make_key(vault)
    columns = tomllib.loads(text)["columns"]
    out.print(f"Wrote {shown(path)}.", soft_wrap=True)
    if there:
        _print_proposals(known, proposals, tuple(columns), pairs)
    else:
        out.print(f"{shown(table)} is not there yet: put it there, or correct its path.")
    out.print(
        f"The key of the pseudonyms {'is' if made else 'was there already:'} "
        f"{shown(vault.resolve())}. Back it up and keep it secret.",
        soft_wrap=True,
    )
    out.print(f"Next: fill in study.toml, then {command_line('check', folder)}.", soft_wrap=True)


def _proposed(
    protocol: Protocol, folder: Path, given: TableSettings
) -> tuple[TableSettings, dict[str, Proposal], list[StatusPair]]:
    """How the table is to be read, and what its columns probably are.

    Raises
    ------
    StudyError
        It has no column of that id.
    """
    from metasight.cohort.redcap import field_labels, looks_exported, read_redcap
    from metasight.cohort.tables import read_table
    from metasight.study.propose import decimal_sign, id_columns, propose
    from metasight.study.status_pair import events_by_time, settled_events, status_pairs

    labels: dict[str, str] = {}
    if given.dictionary is None:
        raw = read_table(folder, given, ())  # what is wrong with a column is for `check` to say
    else:
        raw = read_redcap(folder, given)
        labels = field_labels(folder, given, [str(c) for c in raw.cells.columns])
    header = [str(c) for c in raw.cells.columns]
    if given.id not in header:
        raise StudyError(
            "the table has no such column",
            where=given.path,
            value=given.id,
            remedy=_which_id(id_columns(raw.cells)),
        )
    if given.dictionary is None and looks_exported(header):
        out.print(
            "The table looks like a raw export of REDCap: delete study.toml and give its data "
            "dictionary with --dictionary.",
            soft_wrap=True,
        )
    proposals = propose(protocol, raw.cells, given.id, labels)
    proposals = settled_events(protocol, raw.cells, proposals)
    pairs = status_pairs(protocol, raw.cells, proposals)
    told = {p.event for p in pairs}
    by_time = events_by_time(protocol, raw.cells, proposals)
    proposals |= {n: p for n, p in by_time.items() if n not in told}
    return given.model_copy(update={"decimal": decimal_sign(raw.cells)}), proposals, pairs


def _which_id(possible: Sequence[str]) -> str:
    """Remedy for an id column that is not there."""
    if not possible:
        return (
            "No column of it can be an id: each has empty or repeated cells, or measurements. Give "
            "`--ids row`"
        )
    return (
        f"Name the id column with `--id`, perhaps {' or '.join(possible[:5])}; or give "
        "`--ids row` if there is none"
    )


def _require_new(folder: Path) -> None:
    """Refuse to write over a study, or over a file.

    Raises
    ------
    StudyError
        There is one.
    """
    if (folder / "study.toml").exists():
        raise StudyError(
            "there is a study.toml already",
            where=str(folder),
            remedy="Edit that file, or delete it",
        )
    if folder.exists() and not folder.is_dir():
        raise StudyError(
            "there is a file of that name", where=str(folder), remedy="Give another folder"
        )


def _print_proposals(
    protocol: Protocol,
    proposals: Mapping[str, Proposal],
    mapped: Sequence[str],
    pairs: Sequence[StatusPair],
) -> None:
    n = sum(v.evidence in {"table", "CT measurement"} for v in protocol.variable)
    names = ", ".join(f"{v} ← {proposals[v].column}" for v in mapped)
    told = f"Mapped {len(mapped)} of {n} variables by column name"
    told += f" ({names}). Check them in study.toml." if mapped else "."
    out.print(shown(told), soft_wrap=True)
    others = [f"{v} ← {p.column}" for v, p in proposals.items() if v not in mapped]
    others += [f"{p.event} ← {p.status} and {p.time}" for p in pairs if p.event not in proposals]
    if others:
        told = f"{len(others)} more with a question mark: {', '.join(others)}."
        out.print(shown(f"{told} Confirm each by deleting its # ? mark."), soft_wrap=True)


@app.command()
def vault(folder: Folder = HERE) -> None:
    """Move the key of the pseudonyms out of the study's folder."""
    from metasight.study.vault import move_to_vault

    path, changed = move_to_vault(folder)
    out.print(f"The key of the pseudonyms is in {shown(path.resolve())}.", soft_wrap=True)
    if changed:
        out.print(
            "study.toml names it in place of salt. Pseudonyms and folds change with the next run; "
            "earlier results keep theirs."
        )


@app.command()
def plan(
    folder: Folder = HERE,
    lock: Annotated[
        bool, typer.Option("--lock", help="Lock the plan; do this before `metasight check`.")
    ] = False,
    amend: Annotated[
        str | None, typer.Option(help="Amend the locked plan; the reason is printed in the report.")
    ] = None,
) -> None:
    """Show the analysis plan, made from study.toml alone, or lock it before outcomes are read."""
    from metasight.study.analysis_plan import PAGE_FILE, compare_with_plan, lock_plan, plan_entries
    from metasight.study.file import read_study

    study = read_study(folder)
    if lock or amend is not None:
        locked = lock_plan(study, reason=amend)
        out.print(f"{'Amended' if amend else 'Locked'}: {shown(folder / PAGE_FILE)}")
        out.print(f"sha256 {locked.sha256}", soft_wrap=True)
        return
    table = Table("entry", "planned")
    for name, text in plan_entries(study.settings, study.protocol).items():
        table.add_row(name, shown(text))
    out.print(table)
    found = compare_with_plan(study)
    if found.plan is None:
        out.print(f"Not locked. Next: {command_line('plan', folder)} --lock.", soft_wrap=True)
    elif found.deviations:
        names = ", ".join(name for name, _, _ in found.deviations)
        out.print(f"Differs from the plan locked on {found.plan.day}: {names}.", soft_wrap=True)
    else:
        out.print(f"As locked on {found.plan.day}.")


@app.command()
def check(folder: Folder = HERE, as_json: AsJson = False) -> None:
    """Check the tables and screen the patients. Nothing is fitted."""
    from metasight.engine.progress import Silent
    from metasight.pipeline import screen
    from metasight.study.file import read_study

    if as_json:
        print_json("check", screening_found(screen(read_study(folder), progress=Silent())))
        return
    with progress_bars() as bars:
        screening = screen(read_study(folder), progress=bars)
    print_screening(screening)
    out.print(f"Next: {command_line('run', folder)}.", soft_wrap=True)


@app.command()
@placed("auto")
def run(
    folder: Folder = HERE,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the steps that would run, and why; run none.")
    ] = False,
    as_json: AsJson = False,
    *,
    scheduler: Placement,
) -> None:
    """Run the whole study and write the report. An interrupted run is resumed."""
    from metasight import pipeline
    from metasight.engine.progress import Silent
    from metasight.engine.progress_file import noted
    from metasight.plan.needs import require_needed
    from metasight.study.file import read_study

    if as_json and not dry_run:
        raise StudyError("--json needs --dry-run", remedy="Give both, or leave --json out")
    study = read_study(folder)
    if dry_run:
        require_needed(study)
    if as_json:
        print_json("run --dry-run", pending_found(pipeline.look(study, progress=Silent())))
        return
    if dry_run:
        with progress_bars() as bars:
            print_pending(pipeline.look(study, progress=bars))
        return
    with progress_bars() as bars, noted(folder, bars) as progress:
        results, ran = pipeline.run(study, scheduler=scheduler, progress=progress)
    out.print("Results are up to date; nothing to do." if not ran else f"{len(ran)} steps ran.")
    print_results(results)


@app.command()
def report(folder: Folder = HERE) -> None:
    """Rewrite the report from finished results, for example after a change of title."""
    from metasight import pipeline
    from metasight.study.file import read_study

    study = read_study(folder)
    with progress_bars() as bars:
        waiting = [p for p in pipeline.look(study, progress=bars) if not p.step.kind.reports]
    if waiting:
        raise StudyError(
            "the results are not up to date",
            value=f"{len(waiting)} steps to run",
            remedy=f"Run `metasight run {folder}`",
        )
    with progress_bars() as bars:
        results, _ = pipeline.run(study, scheduler="inline", progress=bars)
    print_results(results)


@app.command()
def staging(
    folder: Folder,
    patient: Annotated[str, typer.Argument(help="The patient's id in the hospital.")],
) -> None:
    """Show one patient's predicted risk of nodal metastasis next to the guideline."""
    from metasight.cohort.canonical import pseudonym
    from metasight.cohort.ids import normal_id
    from metasight.steps.after.staging import staging_of
    from metasight.study.file import read_study

    key = read_study(folder).settings.key
    for line in staging_of(folder, pseudonym(normal_id(patient), key)):
        out.print(shown(line))


@app.command()
@placed("auto")
def validate(
    bundle: LockedModels,
    external: Annotated[
        Path, typer.Argument(help="Folder of the external patients, with its own study.toml.")
    ],
    recalibrate: Annotated[
        Recalibration | None,
        typer.Option(help="Also write a bundle with the headline model recalibrated in them."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="New folder for that bundle.")
    ] = None,
    *,
    scheduler: Placement,
) -> None:
    """Evaluate locked models in another hospital's patients. Nothing is refitted."""
    from metasight import pipeline
    from metasight.plan.publishing import VALIDATION

    new = None
    if recalibrate is not None and output is not None:
        new = pipeline.NewBundle(method=recalibrate.value, folder=output)
    elif recalibrate is not None or output is not None:
        raise StudyError(
            "a recalibrated bundle needs a method and a folder",
            remedy="Give both --recalibrate and --output, or neither",
        )
    with progress_bars() as bars:
        results = pipeline.validate(
            bundle, external, scheduler=scheduler, progress=bars, recalibrated=new
        )
    print_results(results, latest=VALIDATION)
    if output is not None:
        out.print(f"Recalibrated bundle: {shown(str(output))}")


@app.command()
@placed("auto")
def predict(
    bundle: LockedModels,
    patients: Annotated[
        Path,
        typer.Argument(help="Folder of the new patients; its study.toml names their files."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")],
    patient: Annotated[
        str | None, typer.Option(help="Print only this patient, given by the id in the hospital.")
    ] = None,
    *,
    scheduler: Placement,
) -> None:
    """Predict the risk of new patients, whose outcome is not yet known."""
    from metasight import pipeline
    from metasight.cli.printing import print_predictions
    from metasight.cohort.canonical import pseudonym
    from metasight.cohort.ids import normal_id
    from metasight.study.new_patients import read_patient_settings

    with progress_bars() as bars:
        pipeline.predict(bundle, patients, output, scheduler=scheduler, progress=bars)
    key = read_patient_settings(patients).key
    print_predictions(output, None if patient is None else pseudonym(normal_id(patient), key))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check that this machine has what metasight needs: PASS, WARN or FAIL, with the fix."""
    from metasight.doctor import examine

    findings = examine()
    if as_json:
        print_json("doctor", doctor_found(findings))
    else:
        _print_doctor(findings)
    if any(f.verdict == "FAIL" for f in findings):
        raise typer.Exit(1)


def _print_doctor(findings: Sequence[Finding]) -> None:
    table = Table("", "what", "found", "fix")
    colours = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}
    for f in findings:
        verdict = f"[{colours[f.verdict]}]{f.verdict}[/]"
        table.add_row(verdict, shown(f.what), shown(f.found), shown(f.fix))
    out.print(table)


@app.command()
@placed("auto")
def demo(
    folder: Annotated[Path, typer.Argument(help="Folder of the demonstration.")] = Path(
        "demo/breast-dmfs"
    ),
    simulated: Annotated[
        bool,
        typer.Option("--simulated", help="Simulated slides of 16 patients instead; a few minutes."),
    ] = False,
    lung: Annotated[
        bool, typer.Option("--lung", help="Simulated CT of 44 patients instead; a few minutes.")
    ] = False,
    *,
    scheduler: Placement,
) -> None:
    """Run the demonstration: 198 real patients (TRANSBIG), from tables to report."""
    from metasight.demonstration import (
        write_demonstration,
        write_simulated,
        write_simulated_lung,
    )

    if simulated and lung:
        raise StudyError("one demonstration at a time", remedy="Give `--simulated` or `--lung`")
    if simulated or lung:
        with progress_bars() as bars:
            (write_simulated_lung if lung else write_simulated)(folder, bars)
    else:
        write_demonstration(folder)
    run(folder, scheduler=scheduler, dry_run=False)
