"""What hospitals' files have, and what metasight makes of it: one table of all parts.

``python bench/doors.py`` prints each situation of scans, PET, slides and tables with its outcome:
right, refused with a remedy, or wrong. Exit status 1 if one is wrong. Some five minutes.
"""

from __future__ import annotations

import sys

import doors_slides
import doors_tables
import doors_volumes
from doors_common import main

PARTS = (doors_volumes, doors_slides, doors_tables)


if __name__ == "__main__":
    sys.exit(main([s for part in PARTS for s in part.situations()]))
