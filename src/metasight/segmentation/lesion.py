"""One lung lesion from a click or a box: density above its surroundings, freed of vessels.

The border lies half-way between the lesion's density and that of the lung about it (the point
spread leaves it there whatever the kernel), so a solid lesion and ground glass each have their own
threshold. What hangs on by a bridge thinner than the lesion itself is cut off: vessels and pleura
(Kostis et al., IEEE Trans Med Imaging 2003;22:1259; Kuhnigk et al., ibid. 2006;25:417). A solid
lesion is looked at again for ground glass round it. The chest wall is kept out by the lungs' shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, overload

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from metasight.errors import VolumeError
from metasight.segmentation.agreement import dice
from metasight.segmentation.lesion_by_network import RuleOutlines, Spread, outlined_by
from metasight.segmentation.lesion_field import CORE_MM, SNAP_MM, Field, Index
from metasight.segmentation.lesion_ground_glass import (
    GROUND_GLASS_HU,
    SOFT_HU,
    faint_of,
    own_solid,
    with_enclosed,
    with_ground_glass,
)
from metasight.segmentation.lesion_network import LesionNetwork
from metasight.segmentation.lesion_rules import (
    OTHERS,
    VOTERS,
    core_of,
    cut_share,
    half_way,
    majority,
    outline_by,
)
from metasight.segmentation.lung import Lungs
from metasight.volumes.volume import Mask, Volume

Booleans = npt.NDArray[np.bool_]
Floats32 = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]

_FIELDS_MM = (35.0, 60.0, 100.0)  # half sides tried: most lesions, large ones, masses
_SOLID_WITHIN_MM = 3.0
_VESSEL_MM = 1.8  # depth from which something solid near a click is no vessel of the periphery
_ROUNDS = 5
_LUNG_HU = -850.0  # where no lung is near
_LEAST_ABOVE_LUNG_HU = 120.0
_SMALLEST_MM3 = 8.0
_BESIDE_MM = 2.0
_ALIKE, _ROOT_MM = 0.8, 3.0
_SHORTEST_MM, _LONGEST_MM = 3.0, 160.0
_WITHIN_AXIS, _LINE_MM = 0.6, 1.0


@dataclass(frozen=True, kw_only=True)
class Outlines:
    """Outlines of one lesion by several rules and from several clicks.

    Attributes
    ----------
    scan
        The part of the scan that holds them all.
    answer
        The lesion, on that part.
    voters
        By the rules whose majority the lesion is, on that part.
    others
        By further rules, and by one rule from clicks 2 mm beside; on that part.
    cut_share
        Share of the lesion's surface at which something as dense goes on, within [0, 1].
    spread
        How sure the network is; None without network.
    compared
        With a network: what the ``rules`` and the ``network`` alone give, and the network at
        ``lower`` and at ``upper`` odds; one of less than two voxels is not there. They are then the
        voters, and there are no others.
    """

    scan: Volume
    answer: Mask
    voters: tuple[Mask, ...]
    others: tuple[Mask, ...]
    cut_share: float
    spread: Spread | None = None
    compared: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LesionFound:
    """A lesion and how its border was drawn.

    Attributes
    ----------
    mask
        On the scan's grid.
    threshold_hu
        Half-way between lesion and lung.
    lung_hu
        Of the lung round it.
    ground_glass
        Whether ground glass round a solid core was taken in.
    outlines
        What other rules and clicks beside this one gave.
    """

    mask: Mask
    threshold_hu: float
    lung_hu: float
    ground_glass: bool
    outlines: Outlines


def lesion_from_click(
    scan: Volume, lungs: Lungs, point_mm: Point, *, network: LesionNetwork | None = None
) -> LesionFound:
    """Segment the lesion that a point lies in, or within 5 mm of.

    Parameters
    ----------
    scan
        CT in HU.
    lungs
        Of the same scan.
    point_mm
        x, y, z in patient coordinates (LPS).
    network
        That outlines it with the rules; None for the rules alone.

    Raises
    ------
    VolumeError
        The point is off the scan, or nothing denser than lung is there.
    """
    at = np.asarray(point_mm, dtype=np.float64)
    index = scan.grid.to_index(at)
    if not (
        np.isfinite(at).all()
        and (index > -0.5).all()
        and (index < np.array(scan.grid.size) - 0.5).all()
    ):
        raise VolumeError(
            "the point is outside the scan",
            where="lesion",
            value=", ".join(f"{v:.1f}" for v in at),
            remedy="Give x, y, z in mm in the scan's patient coordinates",
        )
    return _largest_needed(scan, lungs, at, None, network)


def lesion_from_box(scan: Volume, lungs: Lungs, low_mm: Point, high_mm: Point) -> LesionFound:
    """Segment the lesion that a box holds; nothing more than 2 mm outside it is part of it.

    Parameters
    ----------
    low_mm, high_mm
        Two opposite corners, x, y, z in patient coordinates.

    Raises
    ------
    VolumeError
        The box is empty or off the scan, or holds nothing denser than lung.
    """
    ends = np.sort(np.array([low_mm, high_mm], dtype=np.float64), axis=0)
    inside = scan.grid.to_index(ends.mean(axis=0))
    size = np.array(scan.grid.size)
    if not (ends[1] > ends[0]).all() or not ((inside > -0.5) & (inside < size - 0.5)).all():
        raise VolumeError(
            "the box is empty, or outside the scan",
            where="lesion",
            remedy="Give two opposite corners in mm",
        )
    return _largest_needed(scan, lungs, ends.mean(axis=0), ends, None)


def lesion_from_axis(
    scan: Volume,
    lungs: Lungs,
    one_mm: Point,
    other_mm: Point,
    *,
    network: LesionNetwork | None = None,
) -> LesionFound:
    """Segment the lesion whose longest diameter ends at two points.

    Of all outlines by rules and network that one is taken whose surface is nearest to both ends.
    The line between them belongs to the lesion, and nothing does that is further from its middle
    than 0.6 of its length.

    Parameters
    ----------
    one_mm, other_mm
        Ends of the longest diameter, x, y, z in patient coordinates.

    Raises
    ------
    VolumeError
        The ends are less than 3 mm or more than 160 mm apart or off the scan, or nothing denser
        than lung is between them.
    """
    ends = np.array([one_mm, other_mm], dtype=np.float64)
    inside = np.array([scan.grid.to_index(e) for e in ends])
    long = float(np.linalg.norm(ends[1] - ends[0]))
    size = np.array(scan.grid.size)
    if not (
        _SHORTEST_MM <= long <= _LONGEST_MM
        and (inside > -0.5).all()
        and (inside < size - 0.5).all()
    ):
        raise VolumeError(
            "the ends are no longest diameter within the scan",
            where="lesion",
            value=f"{long:.1f} mm apart",
            remedy=f"Give two points {_SHORTEST_MM:g} to {_LONGEST_MM:g} mm apart, in mm in the "
            "scan's patient coordinates",
        )
    middle = ends.mean(axis=0)
    within = _WITHIN_AXIS * long
    half = next(h for h in _FIELDS_MM if h > within or h == _FIELDS_MM[-1])
    centre = scan.grid.to_mm(np.round(scan.grid.to_index(middle)))
    field = Field.cut(scan, lungs, centre, half, None)
    line = _near_line(field, ends)
    sphere = field.near(field.index(middle), within)
    field = replace(field, allowed=sphere & (field.allowed | line))
    drawn = _with_others(_drawn(field, middle, None, whole=True), field, middle, None)
    if network is not None:
        drawn = _with_network(drawn, network, field, scan, middle)
    return _found(scan, field, _fitted(field, drawn, ends, line, sphere))


def _near_line(field: Field, ends: Floats) -> Booleans:
    """What lies within 1 mm, or a voxel, of the line between two points."""
    turned = np.reshape(field.image.GetDirection(), (3, 3))
    a, b = ((e - field.image.GetOrigin()) @ turned for e in ends)
    along = (b - a) / np.linalg.norm(b - a)
    z, y, x = np.meshgrid(*[np.arange(n) for n in field.hu.shape], indexing="ij")
    off = np.stack([x, y, z], axis=-1) * field.spacing_mm - a
    place = np.clip(off @ along, 0, np.linalg.norm(b - a))
    away = np.linalg.norm(off - place[..., None] * along, axis=-1)
    return np.asarray(away <= max(_LINE_MM, field.spacing_mm))


def _fitted(field: Field, drawn: _Drawn, ends: Floats, line: Booleans, sphere: Booleans) -> _Drawn:
    """The outline whose surface is nearest to both ends; the three next to it tell the error."""
    seen = [drawn.answer, *drawn.voters, *drawn.others]
    seen = [(o & sphere) | line for o in seen if o.any()]
    at = [field.index(e) for e in ends]
    off = [max(abs(float((field.depth(o) - field.away(o))[i])) for i in at) for o in seen]
    best = np.argsort(off, kind="stable")
    answer = field.component(seen[int(best[0])], field.index(ends.mean(axis=0)))
    return replace(
        drawn,
        answer=answer,
        voters=[seen[int(k)] for k in best[1:4]],
        others=[seen[int(k)] for k in best[4:]],
        spread=None,
        compared={},
    )


def _largest_needed(
    scan: Volume,
    lungs: Lungs,
    at: Floats,
    box: npt.NDArray[np.float64] | None,
    network: LesionNetwork | None,
) -> LesionFound:
    # the field's middle on a voxel's: interpolation would blur more the further it is from one
    middle = scan.grid.to_mm(np.round(scan.grid.to_index(at)))
    held = [h for h in _FIELDS_MM[:-1] if box is None or (np.ptp(box, axis=0) / 2 <= h).all()]
    for half in held:
        field = Field.cut(scan, lungs, middle, half, box)
        drawn = _drawn(field, at, box, whole=False)
        if drawn is not None and not _touches(drawn.answer):
            break
    else:
        field = Field.cut(scan, lungs, middle, _FIELDS_MM[-1], box)
        drawn = _drawn(field, at, box, whole=True)
    drawn = _with_others(drawn, field, at, box)
    if network is not None:
        drawn = _with_network(drawn, network, field, scan, at)
    return _found(scan, field, drawn)


def _found(scan: Volume, field: Field, drawn: _Drawn) -> LesionFound:
    """On the scan's grid."""
    near = field.part_of(scan)
    # less may hold no voxel's middle
    least = 2 * float(np.prod(scan.spacing_mm)) / field.spacing_mm**3

    def on_part(regions: list[Booleans]) -> tuple[Mask, ...]:
        return tuple(field.on(near, r) for r in regions if r.sum() > least)

    compared = {n: field.on(near, r) for n, r in drawn.compared.items() if r.sum() > least}
    return LesionFound(
        mask=field.on(scan, drawn.answer),
        threshold_hu=drawn.threshold_hu,
        lung_hu=drawn.lung_hu,
        ground_glass=drawn.ground_glass,
        outlines=Outlines(
            scan=near,
            answer=field.on(near, drawn.answer),
            voters=tuple(compared.values()) if compared else on_part(drawn.voters),
            others=on_part(drawn.others),
            cut_share=drawn.cut_share,
            spread=drawn.spread,
            compared=compared,
        ),
    )


def _touches(region: Booleans) -> bool:
    return bool(region[[0, -1]].any() or region[:, [0, -1]].any() or region[:, :, [0, -1]].any())


# ------------------------------------------------------------------ the lesion in its field


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    answer: Booleans
    voters: list[Booleans]
    others: list[Booleans]
    seed: Index
    core_hu: float
    threshold_hu: float
    lung_hu: float
    ground_glass: bool
    cut_share: float
    spread: Spread | None = None
    compared: Mapping[str, Booleans] = field(default_factory=dict)


def _with_network(
    drawn: _Drawn, network: LesionNetwork, cube: Field, scan: Volume, at: Floats
) -> _Drawn:
    """What the network makes of the rules' outlines; they stay where it finds nothing."""
    rules = RuleOutlines(answer=drawn.answer, voters=drawn.voters, others=drawn.others)
    found = outlined_by(network, cube, scan, at, rules)
    compared = {
        "rules": drawn.answer,
        "network": found.network,
        "lower": found.lower,
        "upper": found.upper,
    }
    return replace(
        drawn,
        answer=found.answer,
        voters=list(compared.values()),
        others=[],
        spread=found.spread,
        compared=compared,
    )


@overload
def _drawn(field: Field, at: Floats, box: Floats | None, *, whole: Literal[True]) -> _Drawn: ...


@overload
def _drawn(
    field: Field, at: Floats, box: Floats | None, *, whole: Literal[False]
) -> _Drawn | None: ...


def _drawn(field: Field, at: Floats, box: Floats | None, *, whole: bool) -> _Drawn | None:
    """By the rules that vote.

    Unless it is asked for whatever it shows, None as soon as a majority of them, with the outline
    by the lesion's own density, reaches a place at the field's edge: then so would the answer.
    """
    found, threshold, lung_hu, halo = _segment(field, at, box)
    seed = field.index(at) if box is None else _densest(field, lung_hu)
    seed, core = _core(field, seed, lung_hu)
    core = core_of(field, seed, core, lung_hu)
    voters = [found]
    for rule in VOTERS:
        voters.append(outline_by(field, rule, seed, core, lung_hu))
        if not whole and _touches(found & (np.sum(voters, axis=0) > (len(VOTERS) + 1) / 2)):
            return None
    answer = majority(voters)
    if _bears_out(field, answer, found):
        answer = found
    if answer.sum() * field.spacing_mm**3 < _SMALLEST_MM3:
        answer = found
    return _Drawn(
        answer=answer,
        voters=voters,
        others=[],
        seed=seed,
        core_hu=core,
        threshold_hu=threshold,
        lung_hu=lung_hu,
        ground_glass=halo,
        cut_share=cut_share(field, half_way(field, seed, core, lung_hu), core, lung_hu),
    )


def _with_others(drawn: _Drawn, field: Field, at: Floats, box: Floats | None) -> _Drawn:
    """By further rules and, from a click, from clicks beside; from a box no others are tried."""
    lung_hu = drawn.lung_hu
    others = [outline_by(field, rule, drawn.seed, drawn.core_hu, lung_hu) for rule in OTHERS]
    if box is None:
        others += _from_beside(field, at, lung_hu)
    return replace(drawn, others=others)


def _bears_out(field: Field, voted: Booleans, found: Booleans) -> bool:
    """Whether the vote bears out the outline by the lesion's own density.

    That one has its border half-way and keeps the roots of strands, which openings take and readers
    draw in; the vote says where it ran into a vessel or stopped at the core.
    """
    if not voted.any() or dice(voted, found) < _ALIKE:
        return False
    return bool(field.within(voted, _ROOT_MM)[found].all())


def _from_beside(field: Field, at: Floats, lung_hu: float) -> list[Booleans]:
    """What the first voter draws from clicks 2 mm beside this one, where they hit anything."""
    drawn: dict[Index, Booleans] = {}
    from_clicks = []
    for step in np.vstack([np.eye(3), -np.eye(3)]) * _BESIDE_MM:
        try:
            seed, core = _core(field, field.index(at + step), lung_hu)
        except VolumeError:  # lung is there
            continue
        if seed not in drawn:  # most lead to the same place
            core = core_of(field, seed, core, lung_hu)
            drawn[seed] = outline_by(field, VOTERS[0], seed, core, lung_hu)
        from_clicks.append(drawn[seed])
    return from_clicks


def _segment(field: Field, at: Floats, box: Floats | None) -> tuple[Booleans, float, float, bool]:
    lung_hu = _lung_about(field)
    seed = field.index(at) if box is None else _densest(field, lung_hu)
    seed, core = _core(field, seed, lung_hu)
    for _ in range(_ROUNDS):
        threshold = (min(core, SOFT_HU) + lung_hu) / 2
        faint = threshold < (GROUND_GLASS_HU + lung_hu) / 2 + _LEAST_ABOVE_LUNG_HU
        dense = field.hu > threshold
        if faint:
            own = own_solid(field, lung_hu, threshold, seed)
            if own is not None:  # the core is brighter than the ground glass, whose border counts
                threshold = min(threshold, (GROUND_GLASS_HU + lung_hu) / 2)
            dense = faint_of(field, lung_hu, threshold, of_lesion=own)
        found, deepest = field.freed(dense, seed, faint=faint)
        if faint:
            found = with_enclosed(field, found, threshold)
        if deepest == seed:
            break
        seed, core = deepest, float(np.median(field.hu[field.near(deepest, CORE_MM)]))
    halo = False
    if not faint:
        wider = with_ground_glass(field, found, seed, lung_hu)
        halo = wider is not None
        found = found if wider is None else wider
    if halo:
        threshold = (GROUND_GLASS_HU + lung_hu) / 2
    found = _bordered(field, found, threshold, faint=faint or halo)
    if found.sum() * field.spacing_mm**3 < _SMALLEST_MM3:
        raise VolumeError(
            "nothing denser than lung is at the point",
            where="lesion",
            remedy="Click within the lesion",
        )
    return found, float(threshold), float(lung_hu), halo


def _lung_about(field: Field) -> float:
    """Middle density of aerated lung in the field; vessels and the lesion are brighter."""
    values = field.hu[field.lung & (field.hu < -500)]
    return float(np.median(values)) if len(values) > 500 else _LUNG_HU


def _densest(field: Field, lung_hu: float) -> Index:
    """The deepest point of the dense part of a box."""
    for limit in (-300.0, (GROUND_GLASS_HU + lung_hu) / 2):
        dense = field.allowed & (field.hu > limit)
        if dense.sum() * field.spacing_mm**3 < _SMALLEST_MM3:
            continue
        inner = field.depth(dense)
        middle = (np.array(field.hu.shape) - 1) / 2
        grid = np.ogrid[tuple(slice(0, n) for n in field.hu.shape)]
        away = np.sqrt(sum((g - c) ** 2 for g, c in zip(grid, middle, strict=True)))
        # a rib or the heart at the box's edge is deeper than a small lesion in its middle
        at = np.unravel_index(np.argmax(inner - 0.3 * away * field.spacing_mm), field.hu.shape)
        return int(at[0]), int(at[1]), int(at[2])
    raise VolumeError("nothing denser than lung is in the box", where="lesion")


def _core(field: Field, seed: Index, lung_hu: float) -> tuple[Index, float]:
    """The seed, moved to a solid body within 3 mm or something denser than lung within 5 mm."""
    solid = field.hu > (SOFT_HU + lung_hu) / 2
    inner = np.where(solid & field.near(seed, _SOLID_WITHIN_MM), field.depth(solid), 0.0)
    if inner.max() > _VESSEL_MM:
        best = np.unravel_index(np.argmax(inner), inner.shape)
        seed = int(best[0]), int(best[1]), int(best[2])
    core = float(np.median(field.hu[field.near(seed, CORE_MM)]))
    if core - lung_hu < _LEAST_ABOVE_LUNG_HU:
        near = field.near(seed, SNAP_MM) & field.allowed
        smooth = ndimage.uniform_filter(field.hu, max(3, round(CORE_MM / field.spacing_mm)))
        best = np.unravel_index(np.argmax(np.where(near, smooth, -np.inf)), field.hu.shape)
        seed = int(best[0]), int(best[1]), int(best[2])
        core = float(np.median(field.hu[field.near(seed, CORE_MM)]))
    if core - lung_hu < _LEAST_ABOVE_LUNG_HU:
        raise VolumeError(
            "nothing denser than lung is at the point",
            where="lesion",
            value=f"{core:.0f} HU",
            remedy="Click within the lesion",
        )
    return seed, core


def _bordered(field: Field, found: Booleans, threshold: float, *, faint: bool) -> Booleans:
    """The border placed on the scan as it is: smoothing draws convex borders inwards.

    Round ground glass, what was dense after smoothing and is not in ``found`` is vessel that was
    left out, and stays out. The roots of a solid lesion's strands are drawn in by radiologists.
    """
    rim = ndimage.binary_dilation(found) & ~ndimage.binary_erosion(found)
    if faint:
        rim &= found | (field.faint <= threshold)
    share = ndimage.uniform_filter((field.sharp > threshold).astype(np.float32), 3)
    return np.asarray((found & ~rim) | (rim & (field.sharp > threshold) & (share > 1 / 3)))
