"""``[biology]`` of a study."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class BiologySettings(BaseModel):
    """What a risk is related to: expression of genes, and sets of them.

    Attributes
    ----------
    expression
        Name of the table in ``[modalities]``: a column a gene. Models do not read it.
    gene_sets
        GMT file, relative to the study folder; its genes are named as in the table.
    log_scale
        Required: whether values are logarithms. Others are transformed to log₂(value + 1).
    model
        Whose risk is related to expression; by default the headline model's.
    adjust
        Variables of the protocol, or ``centre``, that are adjusted for.
    purity
        Column of the table with the sample's tumour purity, adjusted for as well; optional.
    permutations, null_replicates
        Permutations of the risk for p values, and how many of them serve as negative controls.
    smallest, largest
        Numbers of measured genes between which a set is tested.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    expression: str
    gene_sets: str
    log_scale: bool = Field(strict=True)
    model: str | None = None
    adjust: tuple[str, ...]
    purity: str | None = None
    permutations: int = Field(default=2000, ge=200, le=100_000, strict=True)
    null_replicates: int = Field(default=100, ge=20, le=1000, strict=True)
    smallest: int = Field(default=10, ge=2)
    largest: int = Field(default=500, ge=2)

    @model_validator(mode="after")
    def _enough(self) -> BiologySettings:
        if self.null_replicates > self.permutations // 2:
            raise ValueError("null_replicates is at most half of permutations")
        return self
