"""The page of the gates: which metrics each step's gate knows, within which bounds by default."""

from __future__ import annotations

from collections.abc import Iterable

from infra.docs.markdown import code, page, plain, table
from tasks import audit_gates
from tasks.suites import COMMON, Bound, Config, suite

STEPS = ("ingest", "filter", "dedup", "reweight", "publish")
INTRODUCTION = """\
After each step its gate asks these questions of the step's version; a version that fails one is not committed, and the
run's record keeps what was found. A metric that could not be computed fails its gate, too. The bounds that `[gates]`
sets are shown with their defaults; dedup's similarity is shown for a threshold of 0.95."""
AUDITED = """\
`[[gates.audit]]` bounds any of these figures, once the kept samples have weights. Those that end in `_lower` or
`_upper` are the ends of 95% intervals: a bound on one of them asks for certainty, a bound on the figure itself asks of
this pool alone. [Targets](../targets.md) has examples."""


def metrics_page() -> str:
    steps = [f"## After {step}\n\n{_bounds(_own(step))}" for step in STEPS]
    known = [
        ("a word, a phrase or a term group", audit_gates.OF_TERMS),
        ("a term group", audit_gates.OF_GROUPS),
        ("a term group and an attribute", audit_gates.OF_PAIRS),
        ("an attribute", audit_gates.OF_ATTRIBUTES),
    ]
    figures = table(("figure of", "figures"), ((what, ", ".join(map(code, sorted(names)))) for what, names in known))
    return page(
        "Metrics that gates know",
        INTRODUCTION,
        f"## After every step\n\n{_bounds(COMMON)}",
        *steps,
        f"## Audited figures\n\n{AUDITED}\n\n{figures}",
    )


def _own(step: str) -> list[Bound]:
    return [bound for bound in suite(step, Config(), 0.95) if bound not in COMMON]


def _bounds(bounds: Iterable[Bound]) -> str:
    rows = ((code(one.metric), _side(one.low), _side(one.high), plain(one.meaning)) for one in bounds)
    return table(("metric", "at least", "at most", "meaning"), rows)


def _side(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
