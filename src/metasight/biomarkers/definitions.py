"""What the biomarkers mean, in numbers, each with its source; the report prints the ones used."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from metasight.errors import ProtocolError
from metasight.protocol.study import SlideProtocol


@dataclass(frozen=True, kw_only=True)
class BiomarkerDefinitions:
    """Every number that a biomarker depends on.

    Attributes
    ----------
    tumour_types, t_cell_types, b_cell_types
        Cell types (or planes of a density map) that play each role; disjoint.
    other_immune_types
        Further immune types: with T and B cells they are the immune cells of the mixing score.
    tls_minimum_lymphocytes, tls_minimum_area_um2, tls_density_ratio
        An aggregate of T and B cells is a TLS from these on (PMC8460026).
    tls_minimum_b_percent
        Share of B cells from which an aggregate is one of both rather than a T-cell infiltrate.
    tls_ring_um
        Width of the surroundings that an aggregate is compared with.
    tls_permutations
        Of the null of TLS, which looks for aggregates anew each time.
    lymphocyte_area_um2
        Area that one lymphocyte takes in a section, for the TIL percentages, which are shares of
        area (Salgado 2015): a disc of 8 µm.
    epithelium_density_per_mm2
        Lowest tumour-cell density at which a place counts as tumour epithelium, at a bandwidth
        of ``compartment_bandwidth_um``; the rest of the tumour region is stroma. A nest of cells
        of 12–20 µm holds 2,500–7,000 per mm²: this is half of the sparsest nest.
    contact_um
        Centres of two touching cells are at most this far apart (two tumour cells of 20 µm).
    mixing_limit_low, mixing_limit_high
        The mixing score from which an immune-infiltrated tumour is mixed, below it
        compartmentalised (Keren 2018), lies between these two; equal where it is taken as known.
        Over the authors' 33 infiltrated tumours the classes part at 0.306 to 0.326, and at 0.5
        there is one tumour–immune contact for two immune–immune ones.
    class_probability
        A class with a lower probability than this is not called.
    cold_below_per_mm2
        Immune cells per mm² below which a tumour is cold: 250 cells in Keren's 0.64 mm² field.
    infiltrated_from_per_mm2
        T cells per mm² of a compartment from which it is infiltrated, for inflamed, excluded
        and desert.
    preference_margin
        T cells prefer a side when the tumour share round them differs from that round any cell
        by more than this factor, and by more than chance.
    neighbourhood_um
        Radius of a cell's neighbourhood.
    reach_um, bin_um
        Largest distance of K, G and the pair-correlation function, and their steps.
    near_um, far_um
        Distances at which they are reported as features: next to each other, and at the size of
        a nest.
    quadrat_um
        Side of the squares of hot spots and entropy.
    false_discovery_rate
        Of hot spots (Benjamini–Hochberg).
    block_um
        Side of the blocks of tissue that the bootstrap draws.
    minimum_blocks
        With fewer blocks of tissue than this no interval is given.
    resamples, permutations
        Of the bootstrap and of the null; permutations are one less than a multiple of 64.
    """

    tumour_types: tuple[str, ...] = ("tumour",)
    t_cell_types: tuple[str, ...] = ("t_cell",)
    b_cell_types: tuple[str, ...] = ("b_cell",)
    other_immune_types: tuple[str, ...] = ()
    tls_minimum_lymphocytes: float = 45.0
    tls_minimum_area_um2: float = 6245.0
    tls_density_ratio: float = 3.0
    tls_minimum_b_percent: float = 10.0
    tls_ring_um: float = 50.0
    tls_permutations: int = 19
    lymphocyte_area_um2: float = 50.3
    epithelium_density_per_mm2: float = 1250.0
    compartment_bandwidth_um: float = 20.0
    contact_um: float = 20.0
    mixing_limit_low: float = 0.306
    mixing_limit_high: float = 0.5
    class_probability: float = 0.9
    cold_below_per_mm2: float = 390.0
    infiltrated_from_per_mm2: float = 200.0
    preference_margin: float = 1.25
    neighbourhood_um: float = 30.0
    reach_um: float = 100.0
    bin_um: float = 2.5
    near_um: float = 20.0
    far_um: float = 100.0
    quadrat_um: float = 100.0
    false_discovery_rate: float = 0.05
    block_um: float = 250.0
    minimum_blocks: int = 10
    resamples: int = 999
    permutations: int = 127

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, int | float) and not value > 0:
                raise ProtocolError(
                    "a biomarker's number must be above zero", where=f.name, value=str(value)
                )
        roles = [*self.tumour_types, *self.t_cell_types, *self.b_cell_types]
        roles += self.other_immune_types
        twice = sorted({name for name in roles if roles.count(name) > 1})
        if twice:
            raise ProtocolError("a cell type plays two roles", value=", ".join(twice))
        if (self.permutations + 1) % 64:
            raise ProtocolError(
                "permutations are one less than a multiple of 64",
                where="permutations",
                value=str(self.permutations),
            )
        if not self.bin_um <= self.near_um <= self.far_um <= self.reach_um:
            raise ProtocolError("distances must satisfy bin ≤ near ≤ far ≤ reach")
        if not self.mixing_limit_low <= self.mixing_limit_high:
            raise ProtocolError("the lower limit of the mixing score is above the upper one")
        if not 0.5 < self.class_probability < 1:
            raise ProtocolError(
                "the probability from which a class is called lies between 0.5 and 1",
                value=str(self.class_probability),
            )
        if self.preference_margin < 1:
            raise ProtocolError(
                "a margin is a factor of at least 1", value=str(self.preference_margin)
            )

    @property
    def roles(self) -> tuple[tuple[str, ...], ...]:
        """Cell types of tumour, T and B cells, in the order of their kind numbers 1, 2, 3."""
        return self.tumour_types, self.t_cell_types, self.b_cell_types


_FIELDS = {
    "tls": ("tls_minimum_lymphocytes", "tls_minimum_area_um2", "tls_density_ratio"),
    "tls_composition": ("tls_minimum_b_percent", "tls_ring_um"),
    "tils": ("lymphocyte_area_um2",),
    "tumour_epithelium": ("epithelium_density_per_mm2", "compartment_bandwidth_um"),
    "immune_phenotype": (
        "mixing_limit_low",
        "mixing_limit_high",
        "class_probability",
        "cold_below_per_mm2",
        "contact_um",
    ),
    "t_cell_infiltration": ("infiltrated_from_per_mm2",),
    "t_cell_preference": ("preference_margin", "neighbourhood_um"),
    "spatial_distances": ("reach_um", "bin_um", "near_um", "far_um"),
    "hot_spots": ("quadrat_um", "false_discovery_rate"),
    "tissue_bootstrap": ("block_um", "minimum_blocks", "resamples"),
    "label_permutation": ("permutations", "tls_permutations"),
}
"""Definition of a protocol → the fields that its values fill, in order."""


def definitions_from_protocol(
    protocol: SlideProtocol, base: BiomarkerDefinitions | None = None
) -> BiomarkerDefinitions:
    """Take each number that the protocol defines; the others stay as documented here.

    Parameters
    ----------
    protocol
        The values of its definitions; see the source for the names and the order of values.
    base
        What stands where the protocol is silent, such as the names of cell types.

    Raises
    ------
    ProtocolError
        A definition has another number of values than it needs.
    """
    found: dict[str, float | int] = {}
    for definition, value in protocol.definitions.items():
        names = _FIELDS.get(definition)
        if names is None or value is None:
            continue
        values = value if isinstance(value, tuple) else (value,)
        if len(values) != len(names) or any(isinstance(v, str) for v in values):
            raise ProtocolError(
                f"definition {definition!r} needs {len(names)} numbers",
                value=str(value),
                remedy=f"They are: {', '.join(names)}",
            )
        whole = {"minimum_blocks", "resamples", "permutations", "tls_permutations"}
        for name, number in zip(names, values, strict=True):
            found[name] = int(float(number)) if name in whole else float(number)
    return replace(base or BiomarkerDefinitions(), **found)  # type: ignore[arg-type]
