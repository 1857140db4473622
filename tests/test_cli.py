"""The command line itself: help, doctor, report, and errors without a traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from metasight import __version__
from metasight.cli import INTERNAL, INTERRUPTED, NEEDS_CORRECTION, main
from metasight.cli.printing import print_screening
from metasight.doctor import _extras, _packages, examine
from metasight.pipeline import Screening


def test_help_names_every_command():
    done = subprocess.run(
        [sys.executable, "-m", "metasight", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("init", "check", "run", "report", "validate", "staging", "doctor", "demo"):
        assert command in done.stdout


def test_importing_metasight_imports_nothing_heavy():
    heavy = "pandas", "numba", "dask"
    code = f"import sys, metasight.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_doctor():
    findings = examine()
    assert all(f.verdict == "PASS" or f.fix for f in findings)
    assert not [f for f in findings if f.verdict == "FAIL"]


@pytest.mark.parametrize(
    "arguments",
    [["run", "nowhere"], ["validate", "nowhere", "nowhere"], ["init", "x", "--protocol", "none"]],
)
def test_errors_end_with_status_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.err.startswith("error ")
    assert "Traceback" not in said.err + said.out


@pytest.mark.parametrize(
    "given",
    [["--recalibrate", "slope"], ["--output", "new"], ["-o", "new", "--scheduler", "inline"]],
)
def test_a_recalibrated_bundle_needs_a_method_and_a_folder(given, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["validate", "nowhere", "nowhere", *given])
    assert stop.value.code == 2
    assert "needs a method and a folder" in capsys.readouterr().err


def test_report_needs_results(breast_study, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", str(breast_study())])
    assert stop.value.code == 2
    assert "the results are not up to date" in capsys.readouterr().err


def test_our_own_mistakes_show_no_value_and_no_traceback(breast_study, capsys, monkeypatch):
    def broken(study, *, progress):
        raise KeyError("MRN-00001")

    monkeypatch.setattr("metasight.pipeline.screen", broken)
    with pytest.raises(SystemExit) as stop:
        main(["check", str(breast_study())])
    assert stop.value.code == 3
    said = capsys.readouterr()
    assert "internal error KeyError in test_cli.py, line" in " ".join(said.err.split())
    assert "MRN-" not in said.err
    with pytest.raises(KeyError):
        main(["--debug", "check", str(breast_study(name="again"))])


def test_ctrl_c_says_that_finished_steps_are_kept(breast_study):
    folder = breast_study(replace=[("instability_resamples = 3", "instability_resamples = 400")])
    running = subprocess.Popen(
        [sys.executable, "-m", "metasight", "run", str(folder), "--scheduler", "inline"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a shell starts what it puts in the background deaf to Ctrl-C, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    assert running.stdout is not None
    first = running.stdout.readline()  # a stage is finished, others are not
    running.send_signal(signal.SIGINT)
    said, complaints = running.communicate(timeout=60)
    assert "done" in first
    assert running.returncode == 130, complaints
    assert "Stopped. Results of finished steps are kept;" in complaints
    assert "Traceback" not in said + complaints


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--nope"], "No such option"),
        (["nope"], "No such command"),
        (["staging"], "Missing argument"),
    ],
)
def test_usage_errors_are_the_command_lines_own(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Usage: metasight" in shown


def test_folder_names_are_printed_as_they_are(tmp_path, capsys):
    folder = tmp_path / "a [bold]study[/bold] :warning: [x]"
    with pytest.raises(SystemExit):
        main(["init", str(folder)])
    said = capsys.readouterr().out
    assert f"Wrote {folder}/study.toml." in said
    assert f"`metasight check '{folder}'`" in said


def test_control_characters_are_not_printed(tmp_path, capsys):
    folder = tmp_path / "red\x1b[31m\u202e\udcffname"
    with pytest.raises(SystemExit) as stop:
        main(["check", str(folder)])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "red[31mname: there is no study.toml" in said
    assert "\x1b" not in said


def test_init_leaves_nothing_behind_when_it_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["init", str(tmp_path / "new"), "--protocol", "nope"])
    assert stop.value.code == 2
    assert "there is no such protocol (value: nope)" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(["init", str(tmp_path / "file")])
    assert stop.value.code == 2
    assert "there is a file of that name" in " ".join(capsys.readouterr().err.split())


def test_check_lists_few_features_with_missing_values(capsys):
    counts = {f"gene_{i:02d}": i for i in range(14)} | {"complete": 0}
    analysis = {
        "endpoint": "dmfs",
        "population": "as_written",
        "n": 8,
        "events": 3,
        "horizons_days": [1826],
        "deviations": ["[b]a note[/b]"],
        "refused": [],
        "missing": counts,
    }
    cohort = {"screened": 12, "failed": 1, "steps": [], "as_written": ["p"] * 10}
    print_screening(Screening(cohort=cohort, data=(analysis,), skipped=()))
    said = " ".join(capsys.readouterr().out.split())
    listed = ", ".join(f"gene_{i:02d} {i}" for i in range(13, 3, -1))
    assert f"missing: {listed}, and 3 more" in said
    assert "complete" not in said
    assert "note: [b]a note[/b]" in said
    nodal = analysis | {"endpoint": "nodal_stage", "examined": 7, "horizons_days": []}
    print_screening(Screening(cohort=cohort, data=(nodal,), skipped=()))
    said = " ".join(capsys.readouterr().out.split())
    assert "8 patients, 7 with examined nodes, 3 with nodal metastasis" in said
    print_screening(Screening(cohort=cohort, data=(analysis | {"missing": {"a": 0}},), skipped=()))
    assert "missing" not in capsys.readouterr().out


def test_doctors_advice_can_be_followed_in_a_clone(monkeypatch):
    monkeypatch.setattr("metasight.doctor.find_spec", lambda name: None)
    advice = [f.fix for f in [*_packages(), *_extras()]]
    assert "in a clone of the repository: pip install . -c constraints.txt" in advice
    assert (
        "if needed, in a clone of the repository: pip install '.[demo]' -c constraints.txt"
        in advice
    )


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.strip() == f"metasight {__version__}"


@pytest.mark.parametrize("arguments", [["-h"], ["check", "-h"], ["slides", "map", "-h"]])
def test_h_is_help(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0
    assert "Usage: metasight" in capsys.readouterr().out


def test_help_lists_the_exit_status(capsys):
    with pytest.raises(SystemExit):
        main(["-h"])
    said = " ".join(capsys.readouterr().out.split())
    page = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text("utf-8")
    for status in (0, 1, NEEDS_CORRECTION, INTERNAL, INTERRUPTED):
        assert re.search(rf"\b{status} \w", said.split("Exit status:")[1]), status
        assert f"| {status} | " in page


def test_completion_is_offered():
    environment = {**os.environ, "_METASIGHT_COMPLETE": "complete_bash"}
    environment |= {"COMP_WORDS": "metasight val", "COMP_CWORD": "1"}
    code = "from metasight.cli import main; main([])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["validate"]


def test_without_a_folder_it_is_the_current_one(breast_study, capsys, monkeypatch):
    monkeypatch.chdir(breast_study())
    with pytest.raises(SystemExit) as stop:
        main(["check"])
    assert stop.value.code == 0
    assert "`metasight run .`" in capsys.readouterr().out


def _init(folder: Path, *more: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["init", str(folder), "--table", "p.csv", *more])
    return int(stop.value.code or 0)


def test_init_says_which_columns_may_be_ids(tmp_path, capsys):
    (tmp_path / "p.csv").write_text("age,mrn,gene\n50,7,0.1\n50,8,0.2\n")
    assert _init(tmp_path) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "Name the id column with `--id`, perhaps mrn; or give `--ids row`" in said
    (tmp_path / "p.csv").write_text("age,gene\n50,0.1\n50,0.2\n")
    assert _init(tmp_path) == 2
    assert "Give `--ids row`" in " ".join(capsys.readouterr().err.split())
    assert _init(tmp_path, "--ids", "row") == 0


def test_init_tells_of_a_status_and_a_time_that_name_no_event(tmp_path, capsys):
    (tmp_path / "p.csv").write_text("id,time,event\n1,7.5,0\n2,3.1,1\n3,9.9,0\n")
    assert _init(tmp_path, "--id", "id") == 0
    assert "distant_metastasis ← event and time" in capsys.readouterr().out


def test_init_reads_a_redcap_export_with_its_dictionary(tmp_path, capsys):
    (tmp_path / "d.csv").write_text(
        '"Variable / Field Name","Form Name","Field Type","Field Label",'
        '"Choices, Calculations, OR Slider Labels","Identifier?"\n'
        "record_id,base,text,Record ID,,\n"
        'q7,base,radio,ER status,"1, positive | 2, negative",\n'
    )
    (tmp_path / "p.csv").write_text("record_id,q7\n1,1\n2,2\n")
    assert _init(tmp_path, "--id", "record_id", "--dictionary", "d.csv") == 0
    assert "er_positive ← q7" in capsys.readouterr().out
    told = tomllib.loads((tmp_path / "study.toml").read_text("utf-8").replace("# ? ", ""))
    assert told["patients"]["dictionary"] == "d.csv"
    assert told["columns"]["er_positive"]["values"] == {"negative": False, "positive": True}
