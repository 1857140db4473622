"""What study.toml must not say: refused when it is read, with the entry named."""

from __future__ import annotations

import re

import pytest

from metasight.errors import StudyError
from metasight.models.settings import file_name
from metasight.study.file import read_study, read_toml

GENES = '[modalities.genes]\npath = "genes.csv"\nid = "id"\n'


def modality(name: str = "genes", more: str = "") -> tuple[str, str]:
    text = GENES.replace("genes]", f"{name}]")
    return "[columns]\n", f"{text}{more}\n[columns]\n"


def analysis(line: str) -> tuple[str, str]:
    """Replaces the line of that key, or adds one."""
    key = line.partition(" =")[0]
    known = {
        "horizons_years": "horizons_years = [3]",
        "folds": "folds = 3",
        "bootstrap": "bootstrap = 100",
        "subgroups": 'subgroups = ["er_positive"]',
        "reference_model": 'reference_model = "clinical"',
        "headline_model": 'headline_model = "forest"',
    }
    return (known[key], line) if key in known else ("[analysis]\n", f"[analysis]\n{line}\n")


def forest(line: str) -> tuple[str, str]:
    return "n_trees = 20\n", f"n_trees = 20\n{line}\n"


def npi_named(name: str) -> tuple[str, str]:
    return 'name = "NPI"', f'name = "{name}"'


@pytest.fixture
def said(breast_study):
    """Reads a study with something replaced; returns what the refusal says, on one line."""

    def read(*replace: tuple[str, str]) -> str:
        with pytest.raises(StudyError) as refusal:
            read_study(breast_study(replace=list(replace)))
        return " ".join(str(refusal.value).split())

    return read


@pytest.mark.parametrize(
    ("replace", "parts"),
    [
        (modality("clinical"), ["modalities: ", "'clinical' is reserved for the protocol's own"]),
        (analysis("interval_refits = 50"), ["interval_refits", "50 are too few; give 100 or more"]),
        (analysis("permutations = 18"), ["permutations", "18 are too few; give 19 or more"]),
        (modality("additional"), ["modalities: ", "'additional' is reserved for"]),
        (modality('"../genes"'), ["modalities: ", "'../genes' is not a letter followed by"]),
        (modality("g" * 32), ["modalities: ", "at most 30 letters"]),
        (modality(more="columns = []"), ["modalities: genes.columns is empty"]),
        (modality(more='columns = ["a", "b", "a"]'), ["genes.columns lists a twice"]),
        (analysis("seed = -1"), ["analysis.seed: should be greater than or equal to 0", "-1"]),
        (analysis("seed = 1.5"), ["analysis.seed: should be a whole number (value: 1.5)"]),
        (analysis("bootstrap = true"), ["analysis.bootstrap: "]),
        (analysis('folds = "5"'), ["analysis.folds: should be a whole number (value: '5')"]),
        (analysis("horizons_years = []"), ["analysis.horizons_years: should have at least 1"]),
        (analysis("horizons_years = [nan]"), ["horizons_years[1]: should be", "nan"]),
        (analysis("horizons_years = [3, inf]"), ["horizons_years[2]: should be", "inf"]),
        (analysis("horizons_years = [0]"), ["horizons_years[1]: should be greater than 0"]),
        (analysis("horizons_years = [0.001]"), ["a horizon is a day or more; 0.001 years"]),
        (analysis("horizons_years = [-3]"), ["horizons_years[1]: should be greater than 0"]),
        (analysis('horizons_years = ["3"]'), ["horizons_years[1]: should be a number"]),
        (analysis("horizons_years = [3, 3.0]"), ["horizons_years: a horizon is listed twice: 3"]),
        (("[waive]", '[not_recorded]\ndeath = "no"\n\n[waive]'), ["not_recorded: death = 'no'"]),
        (('I6 = "no slides in a test"', 'I6 = "none      "'), ["waive: I6 = 'none", "no reason"]),
        (npi_named("n" * 81), ["[[model]] 3 (nnn", "name: should have at most 80 characters"]),
        (npi_named("Clinical!"), ["model: 'clinical' and 'Clinical!' differ only in characters"]),
        (npi_named("clinical"), ["model: listed twice: clinical"]),
        (forest("features = []"), ["[[model]] 2 (forest) features: should have at least 1 item"]),
        (
            ('endpoints = ["distant_metastasis"]', 'endpoints = ["dmfs", "dmfs"]'),
            ["[[model]] 4 (cause-specific) endpoints: listed twice: dmfs"],
        ),
        (analysis('subgroups = ["grade", "grade"]'), ["subgroups: listed twice: grade"]),
    ],
)
def test_refused_by_the_file_itself(said, replace, parts):
    text = said(replace)
    assert text.startswith("study.toml: entries are wrong or missing:")
    for part in parts:
        assert part in text
    assert text.endswith("`metasight init` writes a commented example.")


@pytest.mark.parametrize(
    ("replace", "parts"),
    [
        (
            analysis('reference_model = "cause-specific"'),
            [
                "analysis.reference_model is not fitted for the primary endpoint, dmfs",
                "(value: cause-specific, endpoints distant_metastasis)",
                "or name one of clinical, forest, NPI",
            ],
        ),
        (
            analysis('headline_model = "cause-specific"'),
            ["analysis.headline_model is not fitted for the primary endpoint, dmfs"],
        ),
        (
            forest('features = ["grade", "gradee"]'),
            [
                "model 'forest': features names features that it cannot read (value: gradee)",
                "In clinical there are",
            ],
        ),
        # A predictor, but of the modality that the model does not read.
        (forest('features = ["postmenopausal"]'), ["features names features that it cannot read"]),
        (
            forest('features = ["death"]'),
            ["features names features that it cannot read (value: death)"],
        ),
        (analysis('subgroups = ["death"]'), ["subgroups: death is an outcome variable"]),
        (analysis('subgroups = ["surgery_date"]'), ["surgery_date is a design variable (date)"]),
        (analysis('subgroups = ["pure_dcis"]'), ["pure_dcis is a criterion variable"]),
        (analysis('subgroups = ["gradee"]'), ["gradee is no variable", "Use some of centre,"]),
    ],
)
def test_refused_by_the_protocol(said, replace, parts):
    text = said(replace)
    assert text.startswith("study.toml: ")
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    "replace",
    [
        analysis('subgroups = ["centre", "grade"]'),
        analysis("horizons_years = [2, 3.5]"),
        forest('features = ["grade", "age_years"]'),
        modality("Genes_2-a", 'columns = ["a", "b"]'),
        ('endpoints = ["distant_metastasis"]', 'endpoints = ["dmfs", "distant_metastasis"]'),
    ],
)
def test_accepted(breast_study, replace):
    read_study(breast_study(replace=[replace]))


def test_features_of_a_modalitys_table_are_not_known_before_it_is_read(breast_study):
    reads = forest('modalities = ["clinical", "genes"]\nfeatures = ["X200726_at"]')
    read_study(breast_study(replace=[modality(), reads]))


@pytest.mark.parametrize(
    ("name", "file"),
    [("clinical", "clinical"), ("Clinical + Genes", "clinical_genes"), ("模型", "model")],
)
def test_a_models_file(name, file):
    assert file_name(name) == file


def test_several_mistakes_are_named_at_once(said):
    text = said(analysis("seed = -1"), npi_named("Clinical!"), modality("clinical"))
    assert all(p in text for p in ("analysis.seed:", "model: 'clinical'", "modalities: the name"))


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("folds = 3", "foldz = 3", "analysis.foldz: unknown entry; did you mean 'folds'?"),
        ("bootstrap = 100", "boostrap = 100", "unknown entry; did you mean 'bootstrap'?"),
        ('protocol = "breast-dmfs"', "", "  protocol: missing entry"),
        ('kind = "npi"', "", "[[model]] 3 (NPI) kind: missing entry"),
        ('name = "NPI"', "", "[[model]] 3 name: missing entry"),
        (
            "n_trees = 20",
            "n_trees = 2",
            "[[model]] 2 (forest) n_trees: should be greater than or equal to 10 (value: 2)",
        ),
        (
            '"age"',
            '{ column = "age", units = "y" }',
            "  columns.age_years.units: unknown entry; did you mean 'unit'?",
        ),
        ('"age"', "3", "  columns.age_years: should be text in quotes or a table (value: 3)"),
        ('"age"', "{ }", "  columns.age_years.column: missing entry"),
        (
            'reference_model = "clinical"',
            'reference_model = "clin"',
            "  analysis.reference_model = 'clin' is no [[model]]",
        ),
        ("[analysis]", "[[analysis]]", "should be one table: write [analysis] once"),
    ],
)
def test_the_wording_of_a_refusal(breast_study, old, new, line):
    with pytest.raises(StudyError) as refusal:
        read_study(breast_study(replace=[(old, new)]))
    text = str(refusal.value)
    assert line in text
    assert not re.search(r"Value error|ColumnMapping|\(file\)|Input should|Extra inputs", text)
    assert len(text.splitlines()) == 3, "one line for one mistake"


def test_one_table_where_several_are_wanted(breast_study):
    folder = breast_study()
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    path.write_text(text[: text.index("[[model]]")] + '[model]\nkind = "cox"\nname = "clinical"\n')
    with pytest.raises(StudyError, match=r"model: should be a list: write \[\[model\]\] with two"):
        read_study(folder)


def test_a_mark_before_the_text_is_read_over(breast_study):
    folder = breast_study()
    path = folder / "study.toml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_study(folder).settings.protocol == "breast-dmfs"


def test_text_that_is_not_utf8_and_a_header_twice(breast_study):
    folder = breast_study()
    path = folder / "study.toml"
    whole = path.read_text("utf-8")
    path.write_bytes(whole.replace("no slides", "né slides").encode("cp1252"))
    with pytest.raises(StudyError, match=r"study.toml: the file is not UTF-8 text \(value: byte"):
        read_study(folder)
    path.write_text(whole + '\n[columns]\ngrade = "grade"\n')
    with pytest.raises(StudyError, match=r"not valid TOML .*each \[section\] has one header"):
        read_study(folder)


def test_crops_of_lesions_are_not_stacked_for_follow_up(said):
    """What their network learns is nodal stage; the study file is refused, not the fit."""
    scans = '[scans]\npath = "scans.csv"\nid = "patient"\ncrops = {}\n\n[analysis]'
    stacked = 'kind = "stacked"\nmodalities = ["clinical", "scan_network"]'
    text = said(("[analysis]", scans), ('kind = "forest"', stacked))
    assert "stacks crops of lesions" in text


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[columns]\nsex = "a"\nage = "b"\nsex = "c"\n', "): sex)"),
        ('[columns]\nsex = "a"\n[x]\n[columns]\n', "): [columns])"),
        ("salt = very_private\n", "): salt)"),
    ],
)
def test_the_key_of_a_line_that_is_wrong_is_named_and_its_value_is_not(tmp_path, text, key):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(StudyError) as error:
        read_toml(path)
    assert key in str(error.value)
    assert "very_private" not in str(error.value)
