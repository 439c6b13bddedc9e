"""The suites: what each step's metrics must be for its version to be committed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from tasks.audit_gates import AuditBound
from tasks.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Config:
    """Bounds; a share is of the samples that reached the step."""

    max_quarantined: float = 0.5  # share of what was read
    max_filtered: float = 0.20  # share of the usable samples
    max_duplicates: float = 0.75  # share of what the filter kept
    min_pair_recall: float = 0.9  # estimated share of the near-duplicate pairs that were found
    max_residual: float = 0.02  # estimated share of the survivors that still have a near-duplicate among them
    min_effective_sample_share: float = 0.3  # effective sample size / kept samples
    min_kept: int = 1  # samples
    min_certified_recall: Mapping[str, float] = dataclasses.field(default_factory=dict)  # category → share
    max_certified_elusion: Mapping[str, float] = dataclasses.field(default_factory=dict)  # category → share of the kept
    audit: tuple[AuditBound, ...] = ()  # of what the audit found

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name in ("audit", "min_kept"):
                continue
            value = getattr(self, field.name)
            named = value if isinstance(value, Mapping) else {"": value}
            for category, share in named.items():
                if not 0 <= share <= 1:
                    where = ".".join(("gates", field.name, *([category] if category else [])))
                    raise ConfigError(f"{where}: a share between 0 and 1 was expected, {share} was found")

        seen: set[str] = set()
        for bound in self.audit:
            if bound.metric in seen:
                raise ConfigError(f"gates.audit: {bound.metric!r} is bounded twice; write both bounds in one table")
            seen.add(bound.metric)

    @property
    def certified(self) -> frozenset[str]:
        """The categories of which something must be certified."""
        return frozenset(self.min_certified_recall) | frozenset(self.max_certified_elusion)


@dataclasses.dataclass(frozen=True)
class Bound:
    """What a metric must be: low ≤ metric ≤ high; None leaves a side open."""

    metric: str
    low: float | None
    high: float | None
    meaning: str


def zero(metric: str, meaning: str) -> Bound:
    return Bound(metric, 0, 0, meaning)


COMMON: Final = (
    zero("samples_without_verdict", "every sample has exactly one verdict"),
    zero("removed_without_reason", "every removed sample has a stage and a reason"),
    zero("kept_with_reason", "no kept sample carries a reason for removal"),
    zero("duplicates_without_survivor", "every duplicate names the sample it stands for"),
    zero("samples_missing", "the parts' rows and the verdicts add up"),
)


def certified(config: Config) -> list[Bound]:
    """What must be certified of all parts; what is not certified counts as the worst there is."""
    recall = [
        Bound(f"certified_recall.{name}", low, None, f"recall of {name!r} certified for all parts, 0 where none is")
        for name, low in config.min_certified_recall.items()
    ]
    return recall + [
        Bound(
            f"certified_elusion.{name}", 0, high, f"share of {name!r} left in what is kept, 1 where none is certified"
        )
        for name, high in config.max_certified_elusion.items()
    ]


def suite(stage: str, config: Config, threshold: float = 0.0) -> tuple[Bound, ...]:
    """The bounds of one step; `threshold` is dedup's cosine."""
    kept = Bound("kept", config.min_kept, None, "samples kept")
    suites: dict[str, tuple[Bound, ...]] = {
        "ingest": (
            kept,
            zero("uids_missing", "every sample has a uid of 32 hex digits"),
            zero("uids_repeated", "no two usable samples share a uid"),
            zero("usable_without_image", "every usable sample has an image"),
            Bound("quarantined_share", 0, config.max_quarantined, "share of the samples quarantined"),
            zero("rows_unaligned", "one embedding row for each sample"),
            zero("embeddings_not_finite", "embeddings are finite"),
            Bound("norm_error_max", 0, 0.01, "embeddings have unit norm"),
        ),
        "filter": (
            kept,
            Bound("filtered_share", 0, config.max_filtered, "share of the usable samples filtered"),
            *certified(config),
        ),
        "dedup": (
            kept,
            Bound("duplicate_share", 0, config.max_duplicates, "share of what the filter kept removed"),
            zero("orphans", "every duplicate has a kept near-duplicate"),
            zero("survivor_pairs", "no two survivors are verified near-duplicates"),
            zero("overfull_groups", "no group keeps more than its cap"),
            Bound("duplicate_similarity_min", threshold - 1e-6, 1 + 1e-6, "similarity of a duplicate to its survivor"),
            Bound("pair_recall", config.min_pair_recall, 1, "estimated share of the near-duplicate pairs found"),
            Bound("residual_rate", 0, config.max_residual, "estimated share of survivors with a near-duplicate left"),
        ),
        "reweight": (
            kept,
            zero("weights_unusable", "every kept sample has a finite weight above 0"),
            zero("weights_of_removed", "no removed sample has a weight"),
            Bound("weight_mean", 1 - 1e-6, 1 + 1e-6, "the mean weight is 1"),
            Bound(
                "effective_sample_share", config.min_effective_sample_share, 1 + 1e-9, "effective sample size / kept"
            ),
            *(Bound(one.metric, one.at_least, one.at_most, one.meaning) for one in config.audit),
        ),
        "publish": (
            kept,
            zero("rows_unpublished", "one published row for each sample"),
            zero("weights_unusable", "every kept sample has a finite weight above 0"),
        ),
    }
    return COMMON + suites[stage]
