"""What a column's name may say: the name itself, without additions, and the unit that it states."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

_UNITS = {
    **dict.fromkeys(("mm", "millimetre", "millimeter"), "mm"),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), "cm"),
    **dict.fromkeys(("years", "year", "yrs", "yr", "jahre", "jahren", "jahr"), "years"),
    **dict.fromkeys(("months", "month", "mos", "mo", "monate", "monaten"), "months"),
    **dict.fromkeys(("weeks", "week", "wks", "wochen"), "weeks"),
    **dict.fromkeys(("days", "day", "d", "tage", "tagen"), "days"),
    **dict.fromkeys(("%", "percent", "prozent"), "%"),
}
_UNIT = re.compile(
    rf"[\s_.,(\[]+(?:in\s+)?(?P<unit>{'|'.join(sorted(map(re.escape, _UNITS), key=len))})[)\]]?$",
    re.IGNORECASE,
)
_CHOICE = re.compile(r"\(choice=(?P<choice>[^)]*)\)\s*$")
_ADDITION = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
_SECTION = re.compile(
    r"^(?:cases|demographic|diagnoses|treatments|exposures|follow_ups|clinical|patient)[.]",
    re.IGNORECASE,
)
_WHOSE = re.compile(r"^(?:the\s+)?(?:patient|patients|patient's|pat)[\s_.]+", re.IGNORECASE)
_SAME_WORD = {
    **dict.fromkeys(("adj",), "adjuvant"),
    **dict.fromkeys(("neoadj", "neoad"), "neoadjuvant"),
    **dict.fromkeys(("chemo", "ctx"), "chemotherapy"),
    **dict.fromkeys(("endo", "hormone", "hormonal", "hormon"), "endocrine"),
    **dict.fromkeys(("treatment", "tx"), "therapy"),
    **dict.fromkeys(("dx", "diag"), "diagnosis"),
    **dict.fromkeys(("surg", "op", "operation", "surgical"), "surgery"),
    **dict.fromkeys(("hist", "histo", "histologic", "histological", "histopathology"), "histology"),
    **dict.fromkeys(("smoke", "smoker", "smoked"), "smoking"),
    **dict.fromkeys(("met", "mets", "metastases", "metastatic"), "metastasis"),
    **dict.fromkeys(("relapse", "recur", "recurred"), "recurrence"),
    **dict.fromkeys(("tumor", "tum"), "tumour"),
    **dict.fromkeys(("ln", "lns", "nodes", "nodal"), "node"),
    **dict.fromkeys(("path", "pathologic", "pathology"), "pathological"),
    **dict.fromkeys(("clin", "clinically"), "clinical"),
    **dict.fromkeys(("pos",), "positive"),
    **dict.fromkeys(("fu", "followup"), "followup"),
    **dict.fromkeys(("dt", "dates", "day"), "date"),
    **dict.fromkeys(("estrogen", "oest"), "oestrogen"),
    **dict.fromkeys(("diam",), "diameter"),
    **dict.fromkeys(("max", "maximum", "maximal", "longest", "greatest"), "largest"),
    **dict.fromkeys(("meno", "menopausal", "menop"), "menopause"),
    **dict.fromkeys(("dead", "died", "deceased"), "death"),
    **dict.fromkeys(("center",), "centre"),
    **dict.fromkeys(("hosp",), "hospital"),
    **dict.fromkeys(("hx",), "history"),
    **dict.fromkeys(("loc",), "location"),
}
_NO_WORDS = {
    *("of", "the", "at", "in", "on", "by", "for", "from", "to", "and", "is", "was", "with"),
    *("status", "code", "cd", "recode", "value", "val", "yn", "flag", "indicator", "event", "bin"),
    *("summary", "summ", "result", "puf", "tnm", "ajcc", "rx"),
    *("lymph", "receptor", "num", "no", "nr", "number", "count", "patient", "patients", "pat"),
}
_STAGE = {"stage", "category", "cat", "kategorie"}
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e"})


@dataclass(frozen=True, kw_only=True)
class ColumnName:
    """A column's name as it is compared.

    Attributes
    ----------
    whole
        As it stands, plain.
    parts
        Without what was added: a unit, an explanation in brackets, whose it is, the section of a
        nested export. Of a box of REDCap, what the box says. Plain.
    words
        Words of the name with and without additions, as `words_of` has them.
    unit
        That it states; empty where it states none.
    """

    whole: str
    parts: frozenset[str]
    words: frozenset[frozenset[str]]
    unit: str

    def rank(
        self, known: Collection[str], known_words: Collection[frozenset[str]] = ()
    ) -> int | None:
        """1: the whole name is known; 2: without additions; 3: by its words; 4: its beginning.

        Parameters
        ----------
        known
            Plain names; one that ends in ``*`` is a beginning.
        known_words
            Words of names, see `words_of`.
        """
        if self.whole in known:
            return 1
        if self.parts & set(known):
            return 2
        if self.words & set(known_words):
            return 3
        begun = tuple(n[:-1] for n in known if n.endswith("*"))
        return 4 if begun and any(n.startswith(begun) for n in {self.whole, *self.parts}) else None


def column_name(column: str) -> ColumnName:
    """What the name of a column, or a label in its place, may say."""
    spaced = re.sub(r"(?<=[a-zäöü])(?=[A-ZÄÖÜ])", " ", column.strip())
    box = _CHOICE.search(spaced)
    if box:
        return ColumnName(
            whole=plain_name(column),
            parts=frozenset({plain_name(box["choice"])}),
            words=frozenset({words_of(box["choice"])} - {frozenset()}),
            unit="",
        )
    unit, parts, waiting = "", set[str](), [spaced]
    words = {words_of(spaced)}
    while waiting:
        text = waiting.pop()
        found = _UNIT.search(text)
        if found and not unit:
            unit = _UNITS[found["unit"].lower()]
        shorter = [p.sub("", text) for p in (_UNIT, _ADDITION, _SECTION, _WHOSE)]
        new = {s for s in shorter if s and plain_name(s) not in parts and s != text}
        parts |= {plain_name(s) for s in new}
        words |= {words_of(s) for s in new}
        waiting += sorted(new)
    return ColumnName(
        whole=plain_name(column),
        parts=frozenset(parts - {""}),
        words=frozenset(words - {frozenset()}),
        unit=unit,
    )


def words_of(name: str) -> frozenset[str]:
    """Words of a name whatever their order, abbreviations and words that say nothing aside."""
    plain = name.lower().translate(_UMLAUTS).replace("follow-up", "followup")
    plain = re.sub(r"follow[ _]up", "followup", plain)
    words = [w for w in re.split(r"[^a-z0-9]+", plain) if w]
    # survival and its status are a time and an event
    empty = _NO_WORDS - {"status", "event", "indicator"} if "survival" in words else _NO_WORDS
    told = frozenset(_SAME_WORD.get(w, w) for w in words if w not in empty)
    # T, N and pT are stages without the word; nodes are no stage of the nodes
    return told - _STAGE if any(len(w) <= 2 for w in told) else told


def plain_name(name: str) -> str:
    """Letters and digits of a name, in small letters; German letters as they are transcribed."""
    return re.sub(r"[^a-z0-9]", "", name.lower().translate(_UMLAUTS))


def plain_spelling(spelling: str) -> str:
    """As :func:`plain_name`, with the ``*`` of a beginning kept."""
    return plain_name(spelling) + ("*" if spelling.endswith("*") else "")


def plain_code(code: str) -> str:
    """Letters, digits and signs of a code, in small letters: "<= 20 mm" and "<=20mm" are one."""
    low = code.lower().translate(_UMLAUTS).replace("≤", "<=").replace("≥", ">=")
    return re.sub(r"[^a-z0-9<>=+]", "", low) or low.strip()
