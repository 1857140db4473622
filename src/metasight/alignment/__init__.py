"""Two sections of one block brought together, with how far off that is."""

from metasight.alignment.align import Alignment, AlignmentSettings, align
from metasight.alignment.error import ErrorMap
from metasight.alignment.section import Section
from metasight.alignment.stack import Stack, align_stack
from metasight.alignment.transform import Transform
from metasight.alignment.transform_file import load_transform, save_transform

__all__ = [
    "Alignment",
    "AlignmentSettings",
    "ErrorMap",
    "Section",
    "Stack",
    "Transform",
    "align",
    "align_stack",
    "load_transform",
    "save_transform",
]
