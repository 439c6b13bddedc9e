"""128 bits that tell vectors apart by their bytes, so that equal ones are found without comparing any two."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 256  # hashed at a time: their float64 stay in the cache
WORD, HASH, EXACT = 16, 64, 53  # bits of a word of a vector, of a hash, and of the whole numbers that float64 holds


def vector_codes(vectors: NDArray[np.floating[Any]]) -> NDArray[np.uint64]:
    """Of n float vectors; the first 64 bits are 0 where one is zero or not finite. (n, 2)

    Multilinear hashing with odd multipliers (Lemire and Kaser 2014, arXiv 1202.4961): two vectors share a code less
    often than once in 2⁹⁰ pairs. Lakes keep the codes: they must stay as they are.
    """
    import torch

    vectors = np.ascontiguousarray(vectors)
    words = vectors.view(np.uint16)
    factors = _factors(words.shape[1])  # (words, 2 · limbs)
    code = np.empty((len(words), 2), np.uint64)
    for start in range(0, len(words), ROWS):
        block = torch.from_numpy(words[start : start + ROWS].astype(np.float64))
        sums = (block @ factors).numpy().astype(np.uint64).reshape(len(block), -1, 2)  # whole numbers: exact
        shifts = np.arange(sums.shape[1], dtype=np.uint64) * np.uint64(_limb(words.shape[1]))
        mixed = (sums << shifts[:, None]).sum(axis=1, dtype=np.uint64)  # modulo 2⁶⁴
        code[start : start + ROWS] = mixed ^ (mixed >> np.uint64(29))
    code[:, 0] |= np.uint64(1)
    code[_unusable(vectors), 0] = 0
    return code


def _unusable(vectors: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Which of n vectors are zero or hold what is no finite number, by their bits. (n,)"""
    bits = vectors.view(f"u{vectors.itemsize}")
    size = bits & (np.iinfo(bits.dtype).max >> 1)  # without the sign
    largest = size.max(axis=1, initial=0)
    return np.asarray((largest == 0) | (largest >= np.array(np.inf, vectors.dtype).view(bits.dtype)))


def _limb(words: int) -> int:
    """Bits of a multiplier that may be taken at a time, so that the sum of so many products is exact in float64."""
    return EXACT - WORD - (words - 1).bit_length()


@lru_cache(maxsize=4)
def _factors(words: int) -> Tensor:
    """The odd multipliers of two hashes, the low bits first, in limbs. (words, 2 · limbs) float64"""
    import torch

    rng, limb = np.random.default_rng(0), _limb(words)
    factors = rng.integers(0, 2**63, (words, 2), dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    mask = np.uint64(2**limb - 1)
    limbs = [(factors >> np.uint64(shift)) & mask for shift in range(0, HASH, limb)]
    return torch.from_numpy(np.hstack(limbs).astype(np.float64))
