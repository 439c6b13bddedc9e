"""What Croissant asks of a dataset as a whole, from a version's manifest and from what the team declares."""

from __future__ import annotations

from typing import Any

from tasks.exporting.croissant import identifier
from tasks.lake import Version
from tasks.reporting import account, findings, responsible
from tasks.reporting.account import plain
from tasks.reporting.declared import UNKNOWN, declared, license_address
from tasks.reporting.wording import headline


def about(version: Version) -> dict[str, Any]:
    """Dataset-level properties; none whose value nobody gave."""
    told, manifest = declared(version), version.manifest
    unknown = {"@type": "sc:CreativeWork", "name": "unknown", "description": UNKNOWN}
    found: dict[str, Any] = {
        "name": version.lake.pool,
        "description": f"Image-caption pairs, curated for training. {headline(findings.funnel(version))}",
        "identifier": identifier(version),
        "version": None if version.number is None else f"{version.number}.0.0",  # each version changes the data
        "datePublished": manifest.get("created_at"),
        "license": license_address(told.license) if told.license else unknown,
        "creator": [{"@type": "sc:Organization", "name": name} for name in told.creators],
        "url": told.url,
        "citeAs": told.cite_as or _citation(version),
        "citation": account.ARTICLE,
        "keywords": ["text-to-image", "image-caption pairs"],
        **_provenance(version),
        **responsible.fields(version),
    }
    return {name: value for name, value in found.items() if value}


def _citation(version: Version) -> str:
    """The version itself, as BibTeX."""
    manifest, pool = version.manifest, version.lake.pool
    if not manifest:
        return ""
    return (
        f"@misc{{{pool}-{version.number}, title = {{{pool}, version {version.number}}}, "
        f"year = {{{manifest['created_at'][:4]}}}, note = {{curated with Sluice, {identifier(version)}}}}}"
    )


def _provenance(version: Version) -> dict[str, Any]:
    """In the words of PROV-O: the shards that went in, and the run that made it."""
    shards = [
        {"@type": "prov:Entity", "@id": f"urn:sha256:{part.digest}", "prov:label": plain(part.path)}
        for part in version.parts
    ]
    manifest = version.manifest
    if not manifest:
        return {"prov:wasDerivedFrom": shards}
    run = {
        "@type": "prov:Activity",
        "@id": f"urn:uuid:{manifest['run']}",
        "prov:label": f"sluice curate, code {plain(manifest['code'])}",
        "prov:endedAtTime": manifest["created_at"],
    }
    return {"prov:wasDerivedFrom": shards, "prov:wasGeneratedBy": run}
