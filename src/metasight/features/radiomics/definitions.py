"""The features on offer: IBSI's code, name and family, and pyradiomics' name where both agree.

Codes and names: Image Biomarker Standardisation Initiative, reference manual (Zwanenburg et al.,
Radiology 2020;295:328, and arXiv 1612.07003). A feature that IBSI defines and that is not in the
table is not offered; :data:`LEFT_OUT` says which and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

DIRECTIONAL = ("2D:avg", "2D:smrg", "2.5D:dmrg", "2.5D:vmrg", "3D:avg", "3D:mrg")
"""How matrices of several directions become one value (GLCM, GLRLM).

``2D:avg`` (BTW3) a value for each slice and direction, averaged; ``2D:smrg`` (SUJT) directions of
a slice merged, slices averaged; ``2.5D:dmrg`` (JJUI) slices merged, directions averaged;
``2.5D:vmrg`` (ZW7Z) all merged; ``3D:avg`` (ITBB) a value for each of 13 directions, averaged;
``3D:mrg`` (IAZD) all 13 merged.
"""

PLAIN = ("2D", "2.5D", "3D")
"""Matrices without direction: each slice (8QNN), slices merged (62GR), in space (KOBO)."""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """One feature as IBSI defines it.

    Attributes
    ----------
    code
        IBSI's four characters; the IVH features share a code over their percentages.
    name
        IBSI's name in lower case; unique within its family.
    family
        ``morphology``, ``local intensity``, ``statistics``, ``histogram``, ``IVH``, ``GLCM``,
        ``GLRLM``, ``GLSZM``, ``GLDZM``, ``NGTDM`` or ``NGLDM``.
    aggregations
        Ways it can be aggregated; empty for a feature that has one value only.
    tag
        Short name of the feature in IBSI's tables of reference values.
    pyradiomics
        pyradiomics' class and feature, ``glcm_JointEntropy``, where the definitions agree; None
        where pyradiomics lacks it or defines it otherwise. Texture agrees for ``3D:avg`` and
        ``3D`` with bins that start at a multiple of their width.
    """

    code: str
    name: str
    family: str
    aggregations: tuple[str, ...]
    tag: str
    pyradiomics: str | None

    def key(self, aggregation: str = "") -> str:
        """Name of the value: ``3D:avg:GLCM:joint entropy``, ``statistics:mean``."""
        head = f"{aggregation}:" if aggregation else ""
        return f"{head}{self.family}:{self.name}"


LEFT_OUT = {
    "ZH1A": "volume density, oriented minimum bounding box: IBSI has no reference value",
    "IQYR": "area density, oriented minimum bounding box: IBSI has no reference value",
    "SWZ1": "volume density, minimum volume enclosing ellipsoid: IBSI has no reference value",
    "BRI8": "area density, minimum volume enclosing ellipsoid: IBSI has no reference value",
    "9CMM": "area under the IVH curve: IBSI has no reference value",
}
"""Features that IBSI defines and that are not offered, by code, with the reason."""

# code, IBSI's tag, name, pyradiomics' feature
_MORPHOLOGY = """
RNU0 volume | volume (mesh) | shape_MeshVolume
YEKZ vol_approx | volume (voxel counting) | shape_VoxelVolume
C0JK area_mesh | surface area | shape_SurfaceArea
2PR5 av | surface to volume ratio | shape_SurfaceVolumeRatio
SKGS comp_1 | compactness 1 |
BQWJ comp_2 | compactness 2 |
KRCK sph_dispr | spherical disproportion |
QCFX sphericity | sphericity | shape_Sphericity
25C7 asphericity | asphericity |
KLMA com | centre of mass shift |
L0JK diam | maximum 3D diameter | shape_Maximum3DDiameter
TDIC pca_maj_axis | major axis length |
P9VJ pca_min_axis | minor axis length |
7J51 pca_least_axis | least axis length |
Q3CK pca_elongation | elongation | shape_Elongation
N17B pca_flatness | flatness | shape_Flatness
PBX1 vol_dens_aabb | volume density (axis-aligned bounding box) |
R59B area_dens_aabb | area density (axis-aligned bounding box) |
6BDE vol_dens_aee | volume density (approximate enclosing ellipsoid) |
RDD2 area_dens_aee | area density (approximate enclosing ellipsoid) |
R3ER vol_dens_conv_hull | volume density (convex hull) |
7T7F area_dens_conv_hull | area density (convex hull) |
99N0 integ_int | integrated intensity |
N365 moran_i | Moran's I index |
NPT7 geary_c | Geary's C measure |
"""
_PEAK = """
VJGA peak_loc | local intensity peak |
0F91 peak_glob | global intensity peak |
"""
_STATISTICS = """
Q4LE mean | mean | firstorder_Mean
ECT3 var | variance | firstorder_Variance
KE2A skew | skewness | firstorder_Skewness
IPH6 kurt | excess kurtosis |
Y12H median | median | firstorder_Median
1GSF min | minimum | firstorder_Minimum
QG58 p10 | 10th percentile | firstorder_10Percentile
8DWT p90 | 90th percentile | firstorder_90Percentile
84IY max | maximum | firstorder_Maximum
SALO iqr | interquartile range | firstorder_InterquartileRange
2OJQ range | range | firstorder_Range
4FUA mad | mean absolute deviation | firstorder_MeanAbsoluteDeviation
1128 rmad | robust mean absolute deviation | firstorder_RobustMeanAbsoluteDeviation
N72L medad | median absolute deviation |
7TET cov | coefficient of variation |
9S40 qcod | quartile coefficient of dispersion |
N8CA energy | energy | firstorder_Energy
5ZWQ rms | root mean square | firstorder_RootMeanSquared
"""
_HISTOGRAM = """
X6K6 mean | mean |
CH89 var | variance |
88K1 skew | skewness |
C3I7 kurt | excess kurtosis |
WIFQ median | median |
1PR8 min | minimum |
GPMT p10 | 10th percentile |
OZ0C p90 | 90th percentile |
3NCY max | maximum |
AMMC mode | mode |
WR0O iqr | interquartile range |
5Z3W range | range |
D2ZX mad | mean absolute deviation |
WRZB rmad | robust mean absolute deviation |
4RNL medad | median absolute deviation |
CWYJ cov | coefficient of variation |
SLWD qcod | quartile coefficient of dispersion |
TLU2 entropy | entropy | firstorder_Entropy
BJ5W uniformity | uniformity | firstorder_Uniformity
12CE max_grad | maximum gradient |
8E6O max_grad_g | maximum gradient grey level |
VQB3 min_grad | minimum gradient |
RHQZ min_grad_g | minimum gradient grey level |
"""
_IVH = """
BC2M v10 | volume fraction at 10 % intensity |
BC2M v90 | volume fraction at 90 % intensity |
GBPN i10 | intensity at 10 % volume |
GBPN i90 | intensity at 90 % volume |
DDTU diff_v10_v90 | volume fraction difference between 10 and 90 % intensity |
CNV2 diff_i10_i90 | intensity difference between 10 and 90 % volume |
"""
_GLCM = """
GYBY joint_max | joint maximum | MaximumProbability
60VM joint_avg | joint average | JointAverage
UR99 joint_var | joint variance | SumSquares
TU9B joint_entr | joint entropy | JointEntropy
TF7R diff_avg | difference average | DifferenceAverage
D3YU diff_var | difference variance | DifferenceVariance
NTRS diff_entr | difference entropy | DifferenceEntropy
ZGXS sum_avg | sum average | SumAverage
OEEB sum_var | sum variance |
P6QZ sum_entr | sum entropy | SumEntropy
8ZQL energy | angular second moment | JointEnergy
ACUI contrast | contrast | Contrast
8S9J dissimilarity | dissimilarity |
IB1Z inv_diff | inverse difference | Id
NDRX inv_diff_norm | normalised inverse difference | Idn
WF0Z inv_diff_mom | inverse difference moment | Idm
1QCO inv_diff_mom_norm | normalised inverse difference moment | Idmn
E8JP inv_var | inverse variance | InverseVariance
NI2N corr | correlation | Correlation
QWB0 auto_corr | autocorrelation | Autocorrelation
DG8W clust_tend | cluster tendency | ClusterTendency
7NFM clust_shade | cluster shade | ClusterShade
AE86 clust_prom | cluster prominence | ClusterProminence
R8DG info_corr1 | information correlation 1 | Imc1
JN9H info_corr2 | information correlation 2 | Imc2
"""
_GLRLM = """
22OV sre | short runs emphasis | ShortRunEmphasis
W4KF lre | long runs emphasis | LongRunEmphasis
V3SW lgre | low grey level run emphasis | LowGrayLevelRunEmphasis
G3QZ hgre | high grey level run emphasis | HighGrayLevelRunEmphasis
HTZT srlge | short run low grey level emphasis | ShortRunLowGrayLevelEmphasis
GD3A srhge | short run high grey level emphasis | ShortRunHighGrayLevelEmphasis
IVPO lrlge | long run low grey level emphasis | LongRunLowGrayLevelEmphasis
3KUM lrhge | long run high grey level emphasis | LongRunHighGrayLevelEmphasis
R5YN glnu | grey level non-uniformity | GrayLevelNonUniformity
OVBL glnu_norm | normalised grey level non-uniformity | GrayLevelNonUniformityNormalized
W92Y rlnu | run length non-uniformity | RunLengthNonUniformity
IC23 rlnu_norm | normalised run length non-uniformity | RunLengthNonUniformityNormalized
9ZK5 r_perc | run percentage | RunPercentage
8CE5 gl_var | grey level variance | GrayLevelVariance
SXLW rl_var | run length variance | RunVariance
HJ9O rl_entr | run entropy | RunEntropy
"""
_GLSZM = """
5QRC sze | small zone emphasis | SmallAreaEmphasis
48P8 lze | large zone emphasis | LargeAreaEmphasis
XMSY lgze | low grey level zone emphasis | LowGrayLevelZoneEmphasis
5GN9 hgze | high grey level zone emphasis | HighGrayLevelZoneEmphasis
5RAI szlge | small zone low grey level emphasis | SmallAreaLowGrayLevelEmphasis
HW1V szhge | small zone high grey level emphasis | SmallAreaHighGrayLevelEmphasis
YH51 lzlge | large zone low grey level emphasis | LargeAreaLowGrayLevelEmphasis
J17V lzhge | large zone high grey level emphasis | LargeAreaHighGrayLevelEmphasis
JNSA glnu | grey level non-uniformity | GrayLevelNonUniformity
Y1RO glnu_norm | normalised grey level non-uniformity | GrayLevelNonUniformityNormalized
4JP3 zsnu | zone size non-uniformity | SizeZoneNonUniformity
VB3A zsnu_norm | normalised zone size non-uniformity | SizeZoneNonUniformityNormalized
P30P z_perc | zone percentage | ZonePercentage
BYLV gl_var | grey level variance | GrayLevelVariance
3NSA zs_var | zone size variance | ZoneVariance
GU8N zs_entr | zone size entropy | ZoneEntropy
"""
_GLDZM = """
0GBI sde | small distance emphasis |
MB4I lde | large distance emphasis |
S1RA lgze | low grey level zone emphasis |
K26C hgze | high grey level zone emphasis |
RUVG sdlge | small distance low grey level emphasis |
DKNJ sdhge | small distance high grey level emphasis |
A7WM ldlge | large distance low grey level emphasis |
KLTH ldhge | large distance high grey level emphasis |
VFT7 glnu | grey level non-uniformity |
7HP3 glnu_norm | normalised grey level non-uniformity |
V294 zdnu | zone distance non-uniformity |
IATH zdnu_norm | normalised zone distance non-uniformity |
VIWW z_perc | zone percentage |
QK93 gl_var | grey level variance |
7WT1 zd_var | zone distance variance |
GBDU zd_entr | zone distance entropy |
"""
_NGTDM = """
QCDE coarseness | coarseness | Coarseness
65HE contrast | contrast | Contrast
NQ30 busyness | busyness | Busyness
HDEZ complexity | complexity | Complexity
1X9X strength | strength | Strength
"""
_NGLDM = """
SODN lde | low dependence emphasis | SmallDependenceEmphasis
IMOQ hde | high dependence emphasis | LargeDependenceEmphasis
TL9H lgce | low grey level count emphasis | LowGrayLevelEmphasis
OAE7 hgce | high grey level count emphasis | HighGrayLevelEmphasis
EQ3F ldlge | low dependence low grey level emphasis | SmallDependenceLowGrayLevelEmphasis
JA6D ldhge | low dependence high grey level emphasis | SmallDependenceHighGrayLevelEmphasis
NBZI hdlge | high dependence low grey level emphasis | LargeDependenceLowGrayLevelEmphasis
9QMG hdhge | high dependence high grey level emphasis | LargeDependenceHighGrayLevelEmphasis
FP8K glnu | grey level non-uniformity | GrayLevelNonUniformity
5SPA glnu_norm | normalised grey level non-uniformity |
Z87G dcnu | dependence count non-uniformity | DependenceNonUniformity
OKJI dcnu_norm | normalised dependence count non-uniformity | DependenceNonUniformityNormalized
6XV8 dc_perc | dependence count percentage |
1PFV gl_var | grey level variance | GrayLevelVariance
DNX2 dc_var | dependence count variance | DependenceVariance
FCBV dc_entr | dependence count entropy | DependenceEntropy
CAS9 dc_energy | dependence count energy |
"""

_FAMILIES = (
    ("morphology", _MORPHOLOGY, (), "morph_", ""),
    ("local intensity", _PEAK, (), "loc_", ""),
    ("statistics", _STATISTICS, (), "stat_", ""),
    ("histogram", _HISTOGRAM, (), "ih_", ""),
    ("IVH", _IVH, (), "ivh_", ""),
    ("GLCM", _GLCM, DIRECTIONAL, "cm_", "glcm_"),
    ("GLRLM", _GLRLM, DIRECTIONAL, "rlm_", "glrlm_"),
    ("GLSZM", _GLSZM, PLAIN, "szm_", "glszm_"),
    ("GLDZM", _GLDZM, PLAIN, "dzm_", ""),
    ("NGTDM", _NGTDM, PLAIN, "ngt_", "ngtdm_"),
    ("NGLDM", _NGLDM, PLAIN, "ngl_", "gldm_"),
)
FAMILIES = tuple(f[0] for f in _FAMILIES)
"""Names of the families, in IBSI's order."""


@cache
def definitions() -> tuple[Definition, ...]:
    """Every feature on offer, in IBSI's order."""
    found = []
    for family, table, aggregations, tag_head, their_head in _FAMILIES:
        for line in table.strip().splitlines():
            short, name, theirs = (part.strip() for part in line.split("|"))
            code, tag = short.split()
            found.append(
                Definition(
                    code=code,
                    name=name,
                    family=family,
                    aggregations=aggregations,
                    tag=tag_head + tag,
                    pyradiomics=their_head + theirs if theirs else None,
                )
            )
    return tuple(found)


@cache
def names_of(family: str) -> tuple[str, ...]:
    """Names of a family's features, in IBSI's order."""
    return tuple(d.name for d in definitions() if d.family == family)
