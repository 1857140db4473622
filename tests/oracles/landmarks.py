"""How good an alignment is, where the same structures are marked on both sections."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from metasight.alignment.section import Section
from metasight.alignment.transform import Transform
from metasight.errors import AlignmentError

Floats = NDArray[np.float64]


def landmark_error_um(transform: Transform, fixed_um: Floats, moving_um: Floats) -> Floats:
    """Distance on the moving section between where landmarks lie and where they are put, (n,).

    Parameters
    ----------
    fixed_um, moving_um
        (n, 2), the same structures in the same order; µm from each image's corner, so that a
        landmark on the pixel (i, j) lies at ((i + 0.5) · mpp, (j + 0.5) · mpp).

    Raises
    ------
    AlignmentError
        The two differ in number, or there are none.
    """
    if fixed_um.shape != moving_um.shape or len(fixed_um) == 0:
        raise AlignmentError(
            "landmarks come in pairs",
            value=f"{len(fixed_um)} and {len(moving_um)}",
            remedy="Give the same landmarks on both sections",
        )
    return np.asarray(np.linalg.norm(transform.points(fixed_um) - moving_um, axis=1))


def relative_error(error_um: Floats, section: Section) -> Floats:
    """Errors as shares of a section's image diagonal (rTRE; Borovec et al., IEEE TMI 2020)."""
    return error_um / section.diagonal_um
