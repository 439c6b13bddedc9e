"""The page of tables and columns: the contract that everyone downstream reads, and what the lake's files hold."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from infra.docs import comments
from infra.docs.markdown import code, page, plain, table
from tasks import samples

CONTRACT = """\
`sluice export V --format parquet` writes `samples.parquet`: one row for each sample that ingest saw, in the order of
parts and rows. Names and types of these columns do not change."""
GROUPS = """\
Column groups lie in `columns/<group>-<key>/<part>.parquet`, row-aligned: row i of part p is the same sample in each of
them. `embedding` is a `.npy` of float16, (rows, dimensions), of unit norm, zeros where a sample's status is not ok."""
# Where the schema's own comment does not say it all.
SAID = {
    "uid": "the sample's identity, 32 hex digits: the input's own, else made of its url, else of its bytes and key",
    "key": "the sample's name inside its shard",
    "shard": "path of the sample's shard, relative to the pool",
    "height": "pixels",
    "verdict": "kept, filtered, duplicate or quarantined",
    "reason": "why the sample is out; several categories all, alphabetically; null where it is kept",
    "score_<category>": "one a category: what its classifier says, 0 to 1; null where the image is unusable",
}
REASONS = """\
What quarantines a sample; the text stands in `reason` as it stands here. Besides: `forgotten`, after a
[deletion request](../forget.md)."""


def columns_page() -> str:
    beside = {**comments.columns(samples, "SAMPLES"), **comments.columns(samples, "DECISION"), **SAID}
    known = {field.name: field for schema in (samples.SAMPLES, samples.DECISION) for field in schema}
    contract = [known.get(name, pa.field(name, pa.string())) for name in samples.CONTRACT]
    place = samples.CONTRACT.index("reason") + 1
    contract.insert(place, pa.field("score_<category>", pa.float32()))
    return page(
        "Tables and columns",
        "## samples.parquet",
        CONTRACT,
        _table(contract, beside),
        "## Column groups",
        GROUPS,
        "### samples",
        _table(samples.SAMPLES, {**beside, "reason": "why it is quarantined; null where status is ok"}),
        "### decision",
        _table(samples.DECISION, beside),
        "### score.&lt;category&gt;",
        _table(samples.SCORE, {"score": beside["score_<category>"]}),
        "## Reasons",
        REASONS,
        "\n".join(f"- {reason}" for reason in reasons()),
    )


def reasons() -> list[str]:
    """Why ingest may quarantine a sample, in the order of their declaration."""
    decided = {samples.OK, *samples.VERDICTS}
    return [value for name, value in vars(samples).items() if name.isupper() and isinstance(value, str)
            and not name.startswith("_") and value not in decided]  # fmt: skip


def _table(fields: Sequence[pa.Field] | pa.Schema, beside: dict[str, str]) -> str:
    rows = ((code(field.name), str(field.type), plain(beside.get(field.name, ""))) for field in fields)
    return table(("column", "type", "meaning"), rows)
