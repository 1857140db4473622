"""Every biomarker of a section in one call."""

from __future__ import annotations

import math

from metasight.biomarkers.definitions import BiomarkerDefinitions
from metasight.biomarkers.mixing import Mixing, Preference
from metasight.biomarkers.phenotype import infiltration_class, mixing_class, t_cell_location
from metasight.biomarkers.point_measures import (
    correlation_measures,
    mixing_measures,
    nearest_measures,
    without_points,
)
from metasight.biomarkers.raster_measures import (
    cells_by_block,
    compartment_measures,
    density_measures,
    quadrat_measures,
    tls_measures,
)
from metasight.biomarkers.results import Biomarkers, Curve
from metasight.biomarkers.section import section_of_cells, section_of_density
from metasight.maps.cells import Cells
from metasight.maps.density import DensityMap
from metasight.maps.window import TissueWindow


def measure(
    data: Cells | DensityMap,
    window: TissueWindow,
    tumour: TissueWindow | None,
    definitions: BiomarkerDefinitions,
    *,
    seed: int,
) -> Biomarkers:
    """Measure a section.

    Parameters
    ----------
    data
        Cells, or marker density where there are no cells; from a density map the measures that
        need positions are missing, and so are the nulls, which need cells to relabel.
    window
        The tissue that was looked at, in the frame of ``data``. Cells outside it do not count.
    tumour
        Tumour region: all within the tumour's borders, stroma included. None where nobody
        marked one: compartments are then missing, not guessed.
    definitions
        What each measure means.
    seed
        Of permutations and resampling; the same seed gives the same bytes.

    Returns
    -------
    Biomarkers

    Raises
    ------
    MarkerError
        No cell lies in the window, or a type that the definitions name is not among the data's.
    """
    if isinstance(data, Cells):
        section = section_of_cells(data, window, tumour, definitions, seed)
    else:
        section = section_of_density(data, window, tumour, definitions, seed)
    measures = density_measures(section)
    measures += compartment_measures(section)
    structures, aggregates = tls_measures(section)
    measures += structures
    measures += quadrat_measures(section)
    curves: list[Curve] = []
    mixing: Mixing | None = None
    preference = Preference(ratio=math.nan, lower=math.nan, upper=math.nan, z=math.nan)
    if section.points is None:
        measures += without_points()
    else:
        mixed, mixing, preference = mixing_measures(section, section.points)
        pairs, pair_curves = correlation_measures(section, section.points)
        nearest, nearest_curves = nearest_measures(section, section.points)
        measures += [*mixed, *pairs, *nearest]
        curves += [*pair_curves, *nearest_curves]
    value = {m.name: m.value for m in measures}
    kind = mixing_class(
        cells_by_block(section)["immune_cells_per_mm2"],
        section.blocks.area_um2,
        None if mixing is None else mixing.contacts_by_block,
        section.bootstrap,
        definitions,
    )
    labels = {
        "mixing_class": kind.name,
        "infiltration_class": infiltration_class(
            value["t_cells_epithelial_per_mm2"], value["t_cells_stromal_per_mm2"], definitions
        ),
        "t_cell_location": t_cell_location(preference, definitions),
    }
    return Biomarkers(
        measures=tuple(measures),
        labels=labels,
        probabilities={"mixing_class": kind.probability},
        aggregates=aggregates,
        curves=tuple(curves),
        window_area_mm2=section.window.area_mm2,
        n_cells=len(section.points) if section.points is not None else 0,
    )
