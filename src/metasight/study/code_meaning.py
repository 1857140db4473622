"""What the codes of a column usually mean: words, numbers and the spellings of a protocol."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from metasight.cohort.codes import find_code, number_of
from metasight.protocol.study import Variable
from metasight.study.column_names import plain_code, plain_name

Meaning = bool | int | float | str

_MISSING_WORDS = {
    *("na", "n/a", "nan", "none", "null", "unknown", "unk", "missing", "not known", "?", "."),
    *(
        "np",
        "--",
        "'--",
        "not pertinent",
        "ni",
        "nask",
        "asku",
        "nav",
        "msk",
        "n.a.",
        "[not available]",
        "[unknown]",
    ),
    *("[not evaluated]", "[discrepancy]", "[not applicable]", "blank(s)", "unspecified"),
    *("unbekannt", "k.a.", "k. a.", "keine angabe", "nicht bekannt", "nicht erhoben", "fehlend"),
}
_NOT_RECORDED = re.compile(
    r"not (collected|recorded|assessed|known|available|applicable|done|evaluated|tested|determined|"
    r"reported|stated)( .*)?|nicht (bestimmt|bekannt|erhoben|untersucht|beurteilbar)( .*)?|"
    r"unknown[ /;,].*|(?!no[ /]).*[/;,] ?unknown|(cannot|can not) be assessed"
)
_MISSING_NUMBERS = {-9.0, -99.0, -999.0, -9999.0}
_NO_DAY = re.compile(r"(?=.{8})(?:[09]+[./-]?)+|(?=.{8})(?:8+[./-]?)+|9999-12-31|31\.12\.9999")
_FIRST_DAYS = {"1900-01-01", "01.01.1900", "01/01/1900", "1/1/1900", "19000101"}
_UNKNOWN_NUMBERS = {"9", "99", "999", "8", "88", "98", "998"}
_UNKNOWN_CODES = {
    *("u", "x", "tx", "nx", "mx", "gx", "ptx", "pnx", "pmx", "px", "cx", "ctx", "cnx", "cmx", "xx"),
    *("indeterminate", "equivocal", "borderline", "inconclusive", "grenzwertig"),
}
_TRUE = {
    *("pos", "positive", "positiv", "+", "p", "present", "yes", "y", "true", "t", "ja", "j"),
    *("checked", "given", "performed", "done", "vorhanden", "oui", "si"),
}
_FALSE = {
    *("neg", "negative", "negativ", "-", "absent", "no", "n", "false", "f", "nein"),
    *("unchecked", "not given", "not performed", "nicht vorhanden", "non"),
}
_FINER = r"\d([a-d]\d?|mic?|i[+-]?|mol[+-]?|sn)*[+-]?"
"""Finer steps of a stage, and how it was found: 1c, 1mi, 0i-."""
_MOST_CODES = 60
_WITH_LABEL = re.compile(r"^\s*[0-9a-z]{1,3}\s*[:=–-]\s*(?P<label>\D.*)$", re.IGNORECASE)


def looks_missing(text: str) -> bool:
    """Whether a cell says in words or by a usual number that nothing is known."""
    low = text.lower()
    if low in _MISSING_WORDS or _NOT_RECORDED.fullmatch(low) or low in _FIRST_DAYS:
        return True
    return _NO_DAY.fullmatch(low) is not None or number_of(text) in _MISSING_NUMBERS


def meaning_of_codes(
    variable: Variable, texts: Sequence[str]
) -> tuple[dict[str, Meaning], tuple[str, ...]] | None:
    """Meaning of every code in a column, and the codes that mean unknown.

    Returns
    -------
    None where a code has no meaning that is usual, or all codes that are numbers have the same.
    """
    if not texts or len(texts) > _MOST_CODES:
        return None
    numbers = [t for t in texts if number_of(t) is not None]
    words = [t for t in texts if t not in numbers]
    found: dict[str, Meaning] = {}
    unknown: list[str] = []
    for text in words:
        meaning = _of_word(variable, text)
        if meaning is not None:
            found[text] = meaning
        elif _is_unknown(variable, text):
            unknown.append(text)
        else:
            return None
    told = _of_numbers(variable, numbers)
    if told is None or not (found or told[0]):
        return None
    numbered, without = told
    if variable.type == "boolean" and not _says_both(variable, found | numbered, bool(numbered)):
        return None
    return {t: m for t in texts for m in [(found | numbered).get(t)] if m is not None}, tuple(
        t for t in texts if t in {*unknown, *without}
    )


def _says_both(variable: Variable, found: dict[str, Meaning], numbers: bool) -> bool:
    """Whether the codes tell something: all-else-is-no needs a yes, numbers need both."""
    if "*" in variable.level_spellings.get("no", ()) or (numbers and len(found) > 1):
        return True in found.values() and (len(set(found.values())) > 1 or not numbers)
    return True


def _of_word(variable: Variable, text: str) -> Meaning | None:
    labelled = _WITH_LABEL.match(text)
    label = labelled["label"] if labelled else text
    for candidate in dict.fromkeys((text, label, re.sub(r"\s*[(\[].*$", "", label))):
        level = _spelled(variable, candidate)
        if level is None and variable.type == "boolean":
            level = _yes_or_no(candidate)
        elif level is None and variable.type == "category":
            level = _stage(candidate, variable.values)
        if level is not None:
            return level
    if _is_unknown(variable, text):
        return None
    return False if "*" in variable.level_spellings.get("no", ()) else None


def _spelled(variable: Variable, text: str) -> Meaning | None:
    """Level that a text names: as the protocol names it, or in one of its spellings."""
    if variable.type == "category":
        level = find_code(text, variable.values)
        plain = {plain_code(v): v for v in variable.values}
        if level is not None or plain_code(text) in plain:
            return level if level is not None else plain[plain_code(text)]
    if variable.type == "boolean" and plain_name(text) in {
        plain_name(variable.name),
        plain_name(variable.label),
    }:
        return True
    code = plain_code(text)
    for exact in (True, False):
        for level, spellings in variable.level_spellings.items():
            if level not in {"unknown", "ambiguous"} and _is_among(code, spellings, exact=exact):
                return _as_value(variable, level)
    return None


def _is_among(code: str, spellings: Collection[str], *, exact: bool) -> bool:
    if exact:
        return code in {plain_code(s) for s in spellings if not s.endswith("*")}
    begun = tuple(plain_code(s[:-1]) for s in spellings if s.endswith("*") and s != "*")
    return bool(begun) and code.startswith(begun)


def _as_value(variable: Variable, level: str) -> Meaning:
    if variable.type == "boolean":
        return level == "yes"
    return int(level) if variable.type == "integer" else level


def _yes_or_no(text: str) -> bool | None:
    low = text.lower().strip()
    return True if low in _TRUE else False if low in _FALSE else None


def _is_unknown(variable: Variable, text: str) -> bool:
    own = variable.level_spellings.get("unknown", ())
    code = plain_code(text)
    return (
        looks_missing(text)
        or code in _UNKNOWN_CODES
        or any(_is_among(code, own, exact=e) for e in (True, False))
    )


def _of_numbers(
    variable: Variable, texts: Sequence[str]
) -> tuple[dict[str, Meaning], list[str]] | None:
    """Meaning of the codes that are numbers, and those that mean unknown.

    Numbers whose meaning the protocol spells go by it if that tells them apart; 0/1 and 1/2 are
    no/yes and yes/no where it does not.
    """
    own = variable.level_spellings.get("unknown", ())
    unknown = [
        t for t in texts if t in _UNKNOWN_NUMBERS or _is_among(plain_code(t), own, exact=True)
    ]
    known = [t for t in texts if t not in unknown]
    spelled = {t: _spelled(variable, _whole(t)) for t in known}
    if None not in spelled.values() and len(set(spelled.values())) > 1:
        return {t: m for t, m in spelled.items() if m is not None}, unknown
    if variable.type == "category":
        found = {t: _stage(_whole(t), variable.values) for t in known}
        if None in found.values():
            return None
        return {t: m for t, m in found.items() if m is not None}, unknown
    values = {number_of(t) for t in known}
    if variable.type != "boolean" or not values:
        return ({}, unknown) if not known else None
    if is_ambiguous(variable, known):
        return None
    if values <= {0.0, 1.0} or values <= {1.0, 2.0}:
        return {t: number_of(t) == 1 for t in known}, unknown
    both = {t: s if s is not None else _zero_or_one(t) for t, s in spelled.items()}
    if None in both.values():
        return None
    return {t: m for t, m in both.items() if m is not None}, unknown


def is_ambiguous(variable: Variable, texts: Collection[str]) -> bool:
    """Whether tables use one of the codes either way (0 and 1 of sex)."""
    own = variable.level_spellings.get("ambiguous", ())
    return any(_is_among(plain_code(_whole(t)), own, exact=True) for t in texts)


def _zero_or_one(text: str) -> bool | None:
    number = number_of(text)
    return None if number not in {0.0, 1.0} else number == 1


def _whole(text: str) -> str:
    """1.0 as 1; 01 stays."""
    return re.sub(r"[.,]0+$", "", text)


def _stage(text: str, levels: Sequence[str]) -> str | None:
    """Level of a T, N or M category with a prefix or in finer steps: pT1c, cN0, 2, N1mi."""
    if not all(re.fullmatch(r"(T|N|M)(\d[a-c]?|is|1mi)", v) for v in levels):
        return None
    letter = levels[0][0]
    plain = re.sub(r"\s*\(.*", "", text.strip())
    match = re.fullmatch(rf"[ypcra]{{0,3}}{letter}?(?P<rest>(?:\d|is).*)", plain, re.IGNORECASE)
    if match is None:
        return None
    rest = match["rest"].lower()
    level = find_code(letter + rest, levels)
    if level is not None:
        return level
    coarse = f"{letter}{rest[0]}"
    return coarse if coarse in levels and re.fullmatch(_FINER, rest) else None
