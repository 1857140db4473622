"""Gene sets from the user's GMT file; nothing is ever fetched."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from metasight.errors import StudyError

GeneSets = dict[str, tuple[str, ...]]


def require_gseapy() -> None:
    """Check that the extra ``biology`` is installed.

    Raises
    ------
    StudyError
        It is not.
    """
    if not find_spec("gseapy"):
        raise StudyError(
            "gene sets need a package that is not installed",
            value="gseapy",
            remedy="Install it: pip install 'metasight[biology]' -c constraints.txt",
        )


def read_gmt(path: Path) -> GeneSets:
    """Gene sets by name, genes in the file's order without repeats.

    Parameters
    ----------
    path
        A line a set: name, description, genes; separated by tabs.

    Raises
    ------
    StudyError
        The file is missing or no GMT, a name stands twice, or a set is empty.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError as error:
        raise StudyError("there is no such file of gene sets", where=path.name) from error
    except UnicodeDecodeError as error:
        raise StudyError("a file of gene sets is text in UTF-8", where=path.name) from error
    found: GeneSets = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name}, line {number}"
        fields = [f.strip() for f in line.split("\t")]
        genes = tuple(dict.fromkeys(f for f in fields[2:] if f))
        if len(fields) < 3 or not fields[0] or not genes:
            raise StudyError(
                "a line of a GMT file is a name, a description and genes",
                where=where,
                remedy="Separate them by tabs",
            )
        if fields[0] in found:
            raise StudyError("a gene set occurs twice in the file", where=where, value=fields[0])
        found[fields[0]] = genes
    if not found:
        raise StudyError("the file holds no gene set", where=path.name)
    return found


def within(sets: GeneSets, genes: list[str], *, smallest: int, largest: int) -> GeneSets:
    """Sets cut to measured genes, those of a usable size only.

    Raises
    ------
    StudyError
        None is left, as happens when symbols meet other identifiers.
    """
    measured = set(genes)
    cut = {name: tuple(g for g in own if g in measured) for name, own in sets.items()}
    kept = {name: own for name, own in cut.items() if smallest <= len(own) <= largest}
    if not kept:
        shared = len(measured & {g for own in sets.values() for g in own})
        raise StudyError(
            "no gene set has enough genes that were measured",
            value=f"{shared} of {len(measured)} genes are in any set; {smallest} to {largest} per "
            "set are required",
            remedy="Use the same identifiers in both, HGNC symbols for instance",
        )
    return kept
