"""The exceptions that a person may see, drawn as one tree.

    SluiceError                     the run stops; the lake keeps what it had (exit status 1)
    ├── UsageError                  the call or its configuration is wrong; nothing was begun (exit status 2)
    │   ├── ConfigError             a key, a value or a file that the configuration names
    │   └── PoolError               the pool is absent, empty or of a layout that we do not read
    ├── LakeError                   the lake is of another format, or damaged
    │   └── LakeHeld                another run holds it; it may pass by itself
    ├── Unavailable                 storage, a cluster or a server does not answer; it may pass by itself
    ├── LabelsError                 labels that no classifier can be trained on
    ├── EncoderError                a model that cannot be loaded or does not fit the embeddings
    ├── GateFailed                  a version did not meet its expectations and was not committed
    └── Interrupted                 a person stopped the run (exit status 130)

Every message says what was expected, what was found, where, and what to do next.
"""

from __future__ import annotations


class SluiceError(Exception):
    """The run stops; the lake keeps what it had."""

    exit_status = 1


class UsageError(SluiceError):
    """The call or its configuration is wrong; nothing was begun."""

    exit_status = 2


class ConfigError(UsageError):
    """A key, a value or a file that the configuration names."""


class PoolError(UsageError):
    """The pool is absent, empty or of a layout that we do not read."""


class LakeError(SluiceError):
    """The lake is of another format, or damaged."""


class LakeHeld(LakeError):
    """Another run holds the lake; it may pass by itself."""


class Unavailable(SluiceError):
    """Storage, a cluster or a server does not answer; it may pass by itself."""


class LabelsError(SluiceError):
    """Labels that no classifier can be trained on."""


class EncoderError(SluiceError):
    """A model that cannot be loaded or does not fit the embeddings."""


class GateFailed(SluiceError):
    """A version did not meet its expectations and was not committed."""


class Interrupted(SluiceError):
    """A person stopped the run."""

    exit_status = 130
