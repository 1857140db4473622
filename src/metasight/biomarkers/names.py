"""The columns of spatial biomarkers as a pathologist says them."""

from __future__ import annotations

from collections.abc import Mapping

GENERATED = "generated_"
"""Begins the columns of what was measured on a map that a generator painted on H&E."""

_WORDS: Mapping[str, str] = {
    "tumour_cells_per_mm2": "Tumour cells per mm²",
    "t_cells_per_mm2": "T cells per mm²",
    "b_cells_per_mm2": "B cells per mm²",
    "immune_cells_per_mm2": "Immune cells per mm²",
    "tils_stromal_percent": "Stromal TILs (T and B cells), % of area",
    "tils_intratumoural_percent": "Intratumoural TILs (T and B cells), % of area",
    "t_cells_stromal_per_mm2": "T cells in stroma per mm²",
    "t_cells_epithelial_per_mm2": "T cells in tumour epithelium per mm²",
    "tumour_epithelium_percent": "Tumour epithelium, % of tissue",
    "tls_count": "Tertiary lymphoid structures, number",
    "tls_density_per_mm2": "Tertiary lymphoid structures per mm²",
    "tls_area_percent": "Tertiary lymphoid structures, % of tissue",
    "tls_largest_area_um2": "Largest tertiary lymphoid structure, µm²",
    "tls_b_cell_percent": "B cells in tertiary lymphoid structures, %",
    "tls_distance_to_tumour_um": "Tertiary lymphoid structures to tumour, µm",
    "t_cell_hot_spot_percent": "T-cell hot spots, % of tissue",
    "t_cell_tumour_hot_spot_overlap_percent": "T-cell hot spots that are tumour hot spots, %",
    "cell_type_entropy_bits": "Entropy of cell types, bits",
    "spatial_information_bits": "Entropy of cell types that place tells, bits",
    "mixing_score_ratio": "Mixing score (tumour–immune over immune–immune contacts)",
    "t_cell_tumour_preference_ratio": "Preference of T cells for tumour cells, ratio",
    "tumour_t_cell_clustering_near_ratio": "Clustering of tumour and T cells, near, ratio",
    "tumour_t_cell_l_excess_far_um": "Clustering of tumour and T cells, far (L − r), µm",
    "t_cell_b_cell_clustering_near_ratio": "Clustering of T and B cells, near, ratio",
    "t_cell_b_cell_l_excess_far_um": "Clustering of T and B cells, far (L − r), µm",
    "t_cell_t_cell_clustering_near_ratio": "Clustering of T cells, near, ratio",
    "t_cell_t_cell_l_excess_far_um": "Clustering of T cells, far (L − r), µm",
    "tumour_to_t_cell_near_percent": "Tumour cells with a T cell near, %",
    "tumour_to_t_cell_distance_um": "Tumour cell to nearest T cell, µm",
    "t_cell_to_tumour_near_percent": "T cells with a tumour cell near, %",
    "t_cell_to_tumour_distance_um": "T cell to nearest tumour cell, µm",
    "t_cell_to_b_cell_near_percent": "T cells with a B cell near, %",
    "t_cell_to_b_cell_distance_um": "T cell to nearest B cell, µm",
}


def in_words(column: str) -> str:
    """Name of a biomarker's column for people, with its unit; other columns as they stand.

    What was measured on a generated map says so. "Near" and "far" are the distances of
    :class:`metasight.biomarkers.definitions.BiomarkerDefinitions`, which the report prints.
    """
    measured = column.removeprefix(GENERATED)
    if measured not in _WORDS:
        return column
    return f"{_WORDS[measured]} (generated map)" if measured != column else _WORDS[measured]
