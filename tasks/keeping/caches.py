"""Caches of a version: artifacts that no manifest names, made when they are asked for and lack."""

from __future__ import annotations

from tasks.duplicates.reference import reference_key
from tasks.labelling.active import regions_key
from tasks.lake import Version
from tasks.searching.search_index import KIND as SEARCH
from tasks.searching.search_index import index_key
from tasks.words.audit_pool import pool_key, units_key
from tasks.words.phrases import phrases_key
from tasks.words.tokens import words_key


def caches_of(version: Version) -> set[tuple[str, str]]:
    """Kind and key of the caches that the version would use."""
    found: set[tuple[str, str]] = set()
    if "samples" in version.columns:
        found.add(("words", words_key(version)))
    if "decision" in version.columns:
        found.add(("pool", pool_key(version)))
    if "embedding" in version.columns:
        found |= {(SEARCH, index_key(version)), ("regions", regions_key(version))}
    if "groups" in version.artifacts:
        found.add(("units", units_key(version)))
    audit = version.config.get("audit")
    if audit is not None:
        found.add(("phrases", phrases_key(version, audit["min_count"], audit["phrases"])))
    reference = version.config.get("dedup", {}).get("reference")
    return found | ({("reference", reference_key(version, reference))} if reference else set())
