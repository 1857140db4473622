"""Texts of a slide's file that a message or a result may repeat: the field's own words only.

A channel, a picture or a class of cells may be called anything, also after a patient. What is made
of known markers, dyes and words of microscopy is shown; anything else is called by its number.
"""

from __future__ import annotations

import re


def _listed(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MARKER = re.compile(
    r"cd\d{1,3}[a-zα-ε]{0,2}|ki\d{2}|pdl?\d|panck|pck|cks?\d{0,2}|ae[13]|foxp\d|sox\d{1,2}|p\d{2}|"
    r"her\d|cy\d|af\d{3}|ttf\d|lag\d|tim\d|ctla\d|muc\d{1,2}|s\d{3}|ms4a1|l26|opal\d{3}|"
    r"h33\d{3}|hoechst\d{0,5}|33\d{3}|l\d|draq\d|c\d{1,2}|ch\d{1,2}|a?sma|αsma|sytox|\d{1,3}|q?dot\d{3}"
)
_WORDS = _listed(
    "pan cytokeratin pancytokeratin keratin epithelial epithelium cadherin vimentin smooth muscle "
    "actin desmin collagen podoplanin estrogen oestrogen progesterone receptor er pr granzyme gzmb "
    "hla dr dq abc melanoma napsin chromogranin synaptophysin epsilon tumor tumour lymphocyte "
    "lymphocytes immune stroma stromal necrosis other negative positive cell cells b t nk nuclear "
    "nucleus nuclei membrane cytoplasm dapi hoechst opal cy alexa fluor af atto dylight fitc tritc "
    "texas red green blue pe gfp rfp cfp yfp apc percp spgreen sporange spectrum autofluorescence "
    "sample background blank empty brightfield haematoxylin hematoxylin eosin dab fast channel "
    "macrophage macrophages plasma endothelial fibroblast ignore artifact artefact unclassified "
    "ki67 high low weak moderate strong plus minus pd pdl ki foxp cd ck mhc unmixed"
)
_PICTURES = re.compile(
    r"label|macro|overview|thumbnail|preview|slide ?image|barcode", re.IGNORECASE
)
_LONGEST = 40
_MOST_DIGITS = 8  # "Pan-CK (Opal 690), CD3": no hospital number has so few beside a marker


def is_known(text: str) -> bool:
    """Whether a name is made of markers, dyes and words of microscopy alone."""
    words = re.findall(r"[^\W_]+", text.casefold())
    if not words or len(text) > _LONGEST or sum(c.isdigit() for c in text) > _MOST_DIGITS:
        return False
    known = all(w in _WORDS or _MARKER.fullmatch(w) is not None for w in words)
    return known and any(not w.isdigit() for w in words)


def channel(text: str, number: int) -> str:
    """A channel's name, or ``channel_3`` where it may be anything; ``number`` counts from 1."""
    return text.strip() if is_known(text) else f"channel_{number}"


def is_beside_the_slide(text: str) -> bool:
    """Whether a picture of a file is called a label, a macro image or an overview."""
    return _PICTURES.search(text) is not None
