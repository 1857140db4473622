"""GMT files: read as they are, cut to what was measured, refused where they are none."""

from __future__ import annotations

import pytest

from metasight.biology.gene_sets import read_gmt, within
from metasight.errors import StudyError


@pytest.fixture
def read(tmp_path):
    def of(text: str | bytes):
        data = text.encode() if isinstance(text, str) else text
        (tmp_path / "s.gmt").write_bytes(data)
        return read_gmt(tmp_path / "s.gmt")

    return of


def test_sets_keep_their_order_and_lose_repeats_and_blanks(read):
    told = read("B\thttp://x\tTP53\tMYC\tTP53\t\n\nA\t\t CD3E \tCD8A\n")
    assert list(told.items()) == [("B", ("TP53", "MYC")), ("A", ("CD3E", "CD8A"))]


@pytest.mark.parametrize(
    ("text", "problem", "where"),
    [
        ("A\tx\tG1\nB x G1 G2\n", "a name, a description and genes", "s.gmt, line 2"),
        ("A\tx\t\t\n", "a name, a description and genes", "s.gmt, line 1"),
        ("\tx\tG1\n", "a name, a description and genes", "s.gmt, line 1"),
        ("A\tx\tG1\nA\ty\tG2\n", "occurs twice in the file", "s.gmt, line 2"),
        ("\n  \n", "holds no gene set", "s.gmt"),
        (b"A\tx\tG\xff\n", "text in UTF-8", "s.gmt"),
    ],
)
def test_files_that_are_no_gmt(read, text, problem, where):
    with pytest.raises(StudyError, match=problem) as error:
        read(text)
    assert error.value.where == where


def test_there_is_no_file(tmp_path):
    with pytest.raises(StudyError, match="no such file"):
        read_gmt(tmp_path / "none.gmt")


SETS = {"small": ("a", "b"), "middle": ("a", "b", "c", "x"), "large": tuple("abcdefgh")}


def test_size_is_that_of_the_measured_genes_and_its_ends_count():
    assert within(SETS, list("abc"), smallest=3, largest=3) == {
        "middle": ("a", "b", "c"),
        "large": ("a", "b", "c"),
    }
    assert set(within(SETS, list("abcdefgh"), smallest=2, largest=7)) == {"small", "middle"}


def test_identifiers_that_do_not_meet():
    with pytest.raises(StudyError, match="no gene set has enough") as error:
        within(SETS, ["ENSG01", "a"], smallest=2, largest=9)
    assert error.value.value.startswith("1 of 2 genes are in any set")
    assert "HGNC" in error.value.remedy
