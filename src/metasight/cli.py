"""The command line: parse, call, print. Nothing is computed here.

Errors end with one clear message and exit status 2; ``--debug`` shows where they came from.
"""

from __future__ import annotations

import shlex
import sys
import traceback
import unicodedata
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from metasight.errors import MetasightError, StudyError

if TYPE_CHECKING:
    from metasight.engine.run import Pending
    from metasight.pipeline import Screening

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Metastasis-risk studies, from protocol to report. Research software, no medical device.",
)
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it (128 + SIGINT)."""

Folder = Annotated[Path, typer.Argument(help="The study's folder (holds study.toml).")]
Scheduler = Annotated[
    str,
    typer.Option(help="local (one process a core), inline, or the address of a Dask scheduler."),
]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make the study in.")],
    protocol: Annotated[
        str, typer.Option(help="breast-dmfs, nsclc-occult-node, or a protocol file.")
    ] = "breast-dmfs",
    table: Annotated[
        str, typer.Option(help="Patient table, relative to the folder; its header is mapped.")
    ] = "patients.csv",
    id_column: Annotated[str, typer.Option("--id", help="Column of the patient id.")] = "patient",
) -> None:
    """Write a commented study.toml, its mapping filled where column names match."""
    import secrets
    import tomllib

    from metasight.cohort.settings import TableSettings
    from metasight.cohort.tables import read_table
    from metasight.protocol.load import read_protocol
    from metasight.study.scaffold import study_toml

    path = folder / "study.toml"
    if path.exists():
        raise StudyError("there is a study.toml already", where=str(folder), remedy="Edit it")
    if folder.exists() and not folder.is_dir():
        raise StudyError(
            "there is a file of that name", where=str(folder), remedy="Give another folder"
        )
    known = read_protocol(protocol, folder=folder)
    header: list[str] = []
    if (folder / table).is_file():
        raw = read_table(folder, TableSettings(path=table, id=id_column))
        header = [str(c) for c in raw.cells.columns]
        if id_column not in header:
            raise StudyError(
                "the table has no such column",
                where=table,
                value=id_column,
                remedy=f"Give it: --id NAME, one of {', '.join(header)}",
            )
    text = study_toml(
        known,
        name=protocol,
        salt=secrets.token_hex(16),
        table=table,
        id_column=id_column,
        header=header,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    mapped = len(tomllib.loads(text)["columns"])
    out.print(f"Wrote {_shown(path)}.", soft_wrap=True)
    out.print(
        f"{mapped} variables mapped from {_shown(table)}."
        if header
        else f"{_shown(table)} is not there yet: put it there, or correct its path."
    )
    out.print(f"Next: fill in study.toml, then {_command('check', folder)}.", soft_wrap=True)


@app.command()
def check(folder: Folder) -> None:
    """Validate the tables and screen the patients; fit nothing."""
    from metasight.engine.progress import Bars
    from metasight.pipeline import screen
    from metasight.study.file import read_study

    with Bars(out) as bars:
        screening = screen(read_study(folder), progress=bars)
    _print_screening(screening)
    out.print(f"Next: {_command('run', folder)}.", soft_wrap=True)


@app.command()
def run(
    folder: Folder,
    scheduler: Scheduler = "local",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which steps would run, and why.")
    ] = False,
) -> None:
    """Run the study to its report; go on where an earlier run stopped."""
    from metasight import pipeline
    from metasight.engine.progress import Bars
    from metasight.plan.study import plan_study
    from metasight.study.file import read_study

    study = read_study(folder)
    if dry_run:
        waiting = pipeline.unmeasured(study)
        if waiting:
            out.print(
                f"{len(waiting)} steps on slides would run first; what follows from them is "
                "not known yet."
            )
            return
        _print_pending(plan_study(study).pending)
        return
    with Bars(out) as bars:
        results, ran = pipeline.run(study, scheduler=scheduler, progress=bars)
    out.print("Nothing was to do: results are up to date." if not ran else f"{len(ran)} steps ran.")
    _print_results(results)


@app.command()
def report(folder: Folder) -> None:
    """Write the report again from finished results (after a change of title, say)."""
    from metasight import pipeline
    from metasight.engine.progress import Bars
    from metasight.plan.study import plan_study
    from metasight.study.file import read_study

    study = read_study(folder)
    plan = plan_study(study)
    fits = [p for p in plan.pending if p.step.stage != "report"]
    if fits:
        raise StudyError(
            "the results are not up to date",
            value=f"{len(fits)} steps to run",
            remedy=f"Run `metasight run {folder}`",
        )
    with Bars(out) as bars:
        results, _ = pipeline.run(study, scheduler="inline", progress=bars)
    _print_results(results)


@app.command()
def staging(
    folder: Folder,
    patient: Annotated[str, typer.Argument(help="Study pseudonym, as in results and ledger.")],
) -> None:
    """Say what the last run's risk means for one patient's staging, beside the guideline's rule."""
    from metasight.steps.after.staging import staging_of

    for line in staging_of(folder, patient):
        out.print(_shown(line))


@app.command()
def validate(
    folder: Folder,
    external: Annotated[
        Path, typer.Argument(help="Folder of the external patients, with a study.toml of its own.")
    ],
    scheduler: Scheduler = "inline",
) -> None:
    """Try a run's locked models on an external table."""
    from metasight import pipeline
    from metasight.engine.progress import Bars
    from metasight.study.file import read_study

    with Bars(out) as bars:
        results = pipeline.validate(
            folder / "results" / "latest" / "bundle",
            read_study(external),
            scheduler=scheduler,
            progress=bars,
        )
    _print_results(results)


@app.command()
def doctor() -> None:
    """Say whether this machine has what is needed: PASS, WARN or FAIL, with the fix."""
    from metasight.doctor import examine

    findings = examine()
    table = Table("", "what", "found", "fix")
    colours = {"PASS": "green", "WARN": "yellow", "FAIL": "red"}
    for f in findings:
        verdict = f"[{colours[f.verdict]}]{f.verdict}[/]"
        table.add_row(verdict, _shown(f.what), _shown(f.found), _shown(f.fix))
    out.print(table)
    if any(f.verdict == "FAIL" for f in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to make the demonstration in.")] = Path(
        "demo/breast-dmfs"
    ),
    simulated: Annotated[
        bool, typer.Option("--simulated", help="From slides: 16 simulated patients, some minutes.")
    ] = False,
    lung: Annotated[
        bool, typer.Option("--lung", help="From CT: 44 simulated patients, some minutes.")
    ] = False,
    scheduler: Scheduler = "local",
) -> None:
    """Run the demonstration: 198 real patients (TRANSBIG), from tables to report."""
    from metasight.demonstration import (
        write_demonstration,
        write_simulated,
        write_simulated_lung,
    )
    from metasight.engine.progress import Bars

    if simulated and lung:
        raise StudyError("one demonstration at a time", remedy="Give --simulated or --lung")
    if simulated or lung:
        with Bars(out) as bars:
            (write_simulated_lung if lung else write_simulated)(folder, bars)
    else:
        write_demonstration(folder)
    run(folder, scheduler=scheduler, dry_run=False)


# ------------------------------------------------------------------------------------- slides

slides = typer.Typer(no_args_is_help=True, help="Slides without a study: files in, results out.")
app.add_typer(slides, name="slides")

Files = Annotated[
    list[Path], typer.Option("-i", "--input", help="A slide; give it again for more.")
]
Out = Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")]
Mpp = Annotated[
    list[float] | None,
    typer.Option("--mpp", help="Micrometres a pixel over what the file says; once, or one a file."),
]
StainOption = Annotated[str, typer.Option(help="H&E, IHC (DAB) or fluorescence.")]
Markers = Annotated[str, typer.Option(help="Markers to read, with ; between them.")]
Nuclear = Annotated[str, typer.Option(help="Name of the nuclear channel of fluorescence.")]
ReaderOption = Annotated[str | None, typer.Option(help="tiff or openslide; chosen without it.")]


@slides.command("encoders")
def slides_encoders() -> None:
    """List the encoders of tiles that are known, with their licences."""
    from metasight.features.encoders import cards, require_deep

    require_deep("the list of encoders")
    table = Table("name", "features", "µm a pixel", "licence", "weights")
    for card in cards().values():
        where = "embedded" if card.shape is None else "on request" if card.gated else "public"
        dimension = 1280 if card.shape is None else card.shape.dimension
        table.add_row(card.name, f"{dimension:,}", f"{card.mpp:g}", card.licence, where)
    out.print(table)


@slides.command("check")
def slides_check(
    files: Files,
    output: Out,
    stain: StainOption = "H&E",
    mpp: Mpp = None,
    nuclear: Nuclear = "DAPI",
    reader: ReaderOption = None,
    scheduler: Scheduler = "inline",
) -> None:
    """Judge the quality of slides."""
    from metasight.engine.progress import Bars
    from metasight.plan import loose_slides as slide_batch

    batch = _batch(files, stain, "", mpp, reader, nuclear)
    with Bars(out) as bars:
        found = slide_batch.check(batch, output, scheduler=scheduler, progress=bars)
    words = {True: "sufficient", False: "refused", None: "not known"}
    table = Table("slide", "quality", "why")
    for n, f in enumerate(found, start=1):
        said = "could not be read" if "failed" in f else words[f["sufficient"]]
        table.add_row(f"{n}", said, _shown(f.get("failed") or "; ".join(f["reasons"])))
    out.print(table)
    _say_where(output, failed=any("failed" in f for f in found))


@slides.command("align")
def slides_align(
    files: Files,
    output: Out,
    mpp: Mpp = None,
    nuclear: Nuclear = "DAPI",
) -> None:
    """Align the second slide to the first, and say how far off that is."""
    from metasight.plan import loose_slides as slide_batch

    if len(files) != 2:
        raise StudyError(
            "two slides make a pair", value=f"{len(files)} given", remedy="Give -i FIXED -i MOVING"
        )
    found = slide_batch.align(
        files[0], files[1], output, mpp=mpp or [], nuclear=nuclear, protocol="breast-dmfs"
    )
    verdict = "Accepted" if found["accepted"] else "Refused"
    p50, p90 = _number(found["error_p50_um"]), _number(found["error_p90_um"])
    out.print(
        f"{verdict}: predicted error {p50} µm (median), {p90} µm (p90); "
        f"gate {found['gate_um']:g} µm."
    )
    for reason in found["reasons"]:
        out.print(f"  {_shown(reason)}")
    _say_where(output, failed=False)


@slides.command("map")
def slides_map(
    files: Files,
    output: Out,
    markers: Markers = "",
    stain: StainOption = "fluorescence",
    mpp: Mpp = None,
    nuclear: Nuclear = "DAPI",
    reader: ReaderOption = None,
    scheduler: Scheduler = "inline",
) -> None:
    """Turn marker sections into cells and cells per mm²; H&E (--stain H&E) into nuclei."""
    from metasight.engine.progress import Bars
    from metasight.plan import loose_slides as slide_batch

    batch = _batch(files, stain, markers, mpp, reader, nuclear)
    with Bars(out) as bars:
        found = slide_batch.map_markers(batch, output, scheduler=scheduler, progress=bars)
    table = Table("slide", "marker", "positive", "per mm²", "threshold by")
    for n, f in enumerate(found, start=1):
        if "failed" in f:
            table.add_row(f"{n}", "", "", "", _shown(f["failed"]))
        for m in f.get("markers", ()):
            table.add_row(
                f"{n}", _shown(m["marker"]), f"{m['positive']:,}", f"{m['per_mm2']:,.0f}", m["rule"]
            )
    out.print(table)
    _say_where(output, failed=any("failed" in f for f in found))


@slides.command("measure")
def slides_measure(
    files: Files,
    output: Out,
    markers: Markers = "",
    stain: StainOption = "fluorescence",
    mpp: Mpp = None,
    nuclear: Nuclear = "DAPI",
    reader: ReaderOption = None,
    scheduler: Scheduler = "inline",
) -> None:
    """Check, map and measure slides; a sheet for each."""
    from metasight.engine.progress import Bars
    from metasight.plan import loose_slides as slide_batch

    batch = _batch(files, stain, markers, mpp, reader, nuclear)
    with Bars(out) as bars:
        found = slide_batch.measure(batch, output, scheduler=scheduler, progress=bars)
    table = Table("slide", "stage", "verdict", "value", "why")
    for n, f in enumerate(found, start=1):
        for e in f["ledger"]:
            table.add_row(f"{n}", e["stage"], e["verdict"], _shown(e["value"]), _shown(e["reason"]))
    out.print(table)
    _say_where(output, failed=any(e["verdict"] == "failed" for f in found for e in f["ledger"]))


def _batch(
    files: list[Path],
    stain: str,
    markers: str,
    mpp: list[float] | None,
    reader: str | None,
    nuclear: str = "DAPI",
) -> Any:
    from metasight.cohort.slide_table import STAINS
    from metasight.plan.loose_slides import Batch

    known = next((s for s in STAINS if s == stain), None)
    if known is None:
        raise StudyError("unknown stain", value=_shown(stain), remedy=f"One of {', '.join(STAINS)}")
    if reader not in {None, "tiff", "openslide"}:
        raise StudyError("unknown reader", value=_shown(reader), remedy="tiff or openslide")
    chosen: Any = reader
    return Batch(
        files=tuple(files),
        stain=known,
        mpp=tuple(mpp or ()),
        reader=chosen,
        nuclear=nuclear,
        markers=tuple(m.strip() for m in markers.split(";") if m.strip()),
    )


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"


def _say_where(output: Path, *, failed: bool) -> None:
    out.print(f"Results in {_shown(output)}.", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


# ---------------------------------------------------------------------------------- simulation

simulation = typer.Typer(no_args_is_help=True, help="Cohorts whose truth is known; no evidence.")
app.add_typer(simulation, name="simulate")


@simulation.command("breast")
def simulate_breast(
    folder: Annotated[Path, typer.Argument(help="New folder; an interrupted run goes on in it.")],
    settings: Annotated[
        Path | None, typer.Option(help="TOML file; docs/simulation.md lists what it may say.")
    ] = None,
    patients: Annotated[int | None, typer.Option(help="Number; 24 without.")] = None,
    tissue_mm: Annotated[float | None, typer.Option(help="Side of the tissue; 2 without.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same settings and seed, same bytes.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Draw a simulated breast-dmfs study: slides, tables, study.toml, and the truth beside."""
    from metasight.engine.progress import Bars
    from metasight.simulate.breast import cohort
    from metasight.simulate.breast.settings import STAMP, read_settings

    given = {"patients": patients, "tissue_mm": tissue_mm}
    chosen = read_settings(settings, **{k: v for k, v in given.items() if v is not None})
    with Bars(out) as bars:
        cohort.simulate_breast(folder, chosen, seed, jobs=jobs, progress=bars)
    out.print(f"{STAMP} Truth in {_shown(folder / 'truth')}.", soft_wrap=True)
    out.print(f"Next: {_command('run', folder)}.", soft_wrap=True)


@simulation.command("lung")
def simulate_lung(
    folder: Annotated[Path, typer.Argument(help="New folder; an interrupted run goes on in it.")],
    settings: Annotated[
        Path | None, typer.Option(help="TOML file; docs/simulation-lung.md lists what it may say.")
    ] = None,
    patients: Annotated[int | None, typer.Option(help="Number; 24 without.")] = None,
    defects: Annotated[
        float | None, typer.Option(help="Share of scans with a quality defect; none without.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same settings and seed, same bytes.")] = 1,
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Draw a simulated nsclc-occult-node study: CT, PET, tables, and the truth beside."""
    from metasight.engine.progress import Bars
    from metasight.simulate.breast.settings import STAMP
    from metasight.simulate.lung import cohort
    from metasight.simulate.lung.settings import read_settings

    given = {"patients": patients, "defect_fraction": defects}
    chosen = read_settings(settings, **{k: v for k, v in given.items() if v is not None})
    with Bars(out) as bars:
        cohort.simulate_lung(folder, chosen, seed, jobs=jobs, progress=bars)
    out.print(f"{STAMP} Truth in {_shown(folder / 'truth')}.", soft_wrap=True)
    out.print(f"Next: {_command('run', folder)}.", soft_wrap=True)


# ----------------------------------------------------------------------------------- printing


def _shown(text: object) -> str:
    """Text as the terminal shows it: no markup of Rich's, no control or formatting characters."""
    return escape(
        "".join(
            c for c in str(text) if c in "\n\t" or unicodedata.category(c) not in {"Cc", "Cf", "Cs"}
        )
    )


def _command(name: str, folder: Path) -> str:
    return f"`metasight {name} {_shown(shlex.quote(str(folder)))}`"


def _print_screening(screening: Screening) -> None:
    cohort = screening.cohort
    out.print(f"{cohort['screened']} patients in the table, {cohort['failed']} left out for errors")
    table = Table("criterion", "", "excluded", "unknown", "left", title="Eligibility")
    for s in cohort["steps"]:
        waived = " (waived)" if s["waived"] else ""
        table.add_row(
            s["criterion"],
            _shown(s["text"]) + waived,
            str(s["excluded"]),
            str(s["unknown"]),
            str(s["remaining"]),
        )
    out.print(table)
    for d in screening.data:
        horizons = ", ".join(f"{h / 365.25:.3g} years" for h in d["horizons_days"])
        who = f"{d['endpoint']}, {d['population'].replace('_', ' ')}"
        out.print(
            f"{_shown(who)}: {d['n']} patients, {d['events']} events, "
            f"horizons: {horizons or 'none'}"
        )
        lost = len(cohort[d["population"]]) - d["n"]
        if lost:
            out.print(f"  note: {lost} more are eligible but not in it: no outcome, or another arm")
        for line in [*d["deviations"], *d["refused"]]:
            out.print(f"  note: {_shown(line)}")
        if any(d["missing"].values()):
            out.print(f"  missing: {_shown(_missing(d['missing']))}")


def _missing(counts: dict[str, int], most: int = 10) -> str:
    """Features with missing values, those with most first."""
    some = sorted(((n, name) for name, n in counts.items() if n), key=lambda c: -c[0])
    text = ", ".join(f"{name} {n}" for n, name in some[:most])
    return text + (f", and {len(some) - most} more" if len(some) > most else "")


def _print_pending(pending: tuple[Pending, ...]) -> None:
    if not pending:
        out.print("Nothing is to do: results are up to date.")
        return
    reasons = Counter((p.step.stage, p.why) for p in pending)
    table = Table("steps", "stage", "why")
    for (stage, why), n in reasons.items():
        table.add_row(str(n), stage, _shown(why))
    out.print(table)
    out.print(f"{len(pending)} steps would run.")


def _print_results(results: Path) -> None:
    latest = results.parent / "latest"
    for name in ("report.html", "report.pdf", "predictions.parquet", "ledger.parquet"):
        if (results / name).is_file():
            out.print(f"  {_shown(latest / name)}", soft_wrap=True)


def main(arguments: list[str] | None = None) -> Any:
    """Entry point; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in arguments
    try:
        app([a for a in arguments if a != "--debug"], prog_name="metasight")
    except MetasightError as error:
        if debug:
            raise
        err.print(f"[red]error[/red] {_shown(error)}", soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        if debug:
            raise
        place = Path(error.filename).name if error.filename else ""
        err.print(
            f"[red]error[/red] {_shown(place)}: {_shown(error.strerror or error)}. "
            "Check permissions and free space.",
            soft_wrap=True,
        )
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}, line {where.lineno}"
        # The message may quote a patient's value and stays out.
        err.print(
            f"[red]internal error[/red] {type(error).__name__} in {place}: a mistake in "
            "metasight, not in your study. Finished steps are kept. --debug shows all of it.",
            soft_wrap=True,
        )
        sys.exit(2)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as stop:
        # Typer makes this of Ctrl-C inside a command, and says nothing.
        if stop.code == INTERRUPTED:
            _stopped()
        raise


def _stopped() -> NoReturn:
    err.print("Stopped. Finished steps are kept; the same command goes on from there.")
    sys.exit(INTERRUPTED)
