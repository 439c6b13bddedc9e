"""The remedy for a torchvision built for CUDA beside a torch that is not: declare the two operators it misses.

PyPI's torchvision wheels are CUDA builds. With a CPU-only torch their compiled part cannot load, and
`import torchvision` dies with "operator torchvision::nms does not exist". Nothing that we use of torchvision needs
the operators themselves.
"""

from __future__ import annotations

from functools import cache


@cache
def declare_missing_ops() -> None:
    """Make `import torchvision` work; does nothing where torchvision's own operators load. Call before open_clip."""
    import torch

    try:
        import torchvision
    except RuntimeError as problem:
        if "torchvision::" not in str(problem):
            raise
        _forget("torchvision")
        schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        torch.library.define("torchvision::nms", schema)
        torch.library.define("torchvision::qnms", schema)
        import torchvision  # noqa: F401


def _forget(package: str) -> None:
    """Drop the half-imported modules, so that the next import starts afresh."""
    import sys

    for name in [name for name in sys.modules if name == package or name.startswith(package + ".")]:
        del sys.modules[name]
