"""Vectors are read from wherever they lie, in whatever order they are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.duplicates import stored as module
from tasks.duplicates.stored import chunks, gather, lay_out, opened, pieces, read, stored
from tasks.errors import EncoderError
from tests.tasks.planted import planted


def test_vectors_are_gathered_from_all_parts_in_the_order_asked_for(tmp_path: Path) -> None:
    rows = planted(10)
    np.save(tmp_path / "a.npy", rows[:4])
    number = np.array([9, 0, 3, 4, 5])
    vectors = stored([tmp_path / "a.npy", rows[4:4], rows[4:]], number)
    assert (gather(vectors, np.array([4, 0, 2, 2, 4])) == rows[[5, 9, 3, 3, 5]]).all()


@pytest.mark.parametrize("cut", [0, 4])
def test_vectors_are_gathered_into_memory_that_is_given(cut: int) -> None:
    rows, out = planted(10), np.empty((3, planted(10).shape[1]), np.float16)
    vectors = stored([rows[:cut], rows[cut:]] if cut else [rows])
    assert gather(vectors, np.array([5, 1, 9]), out) is out
    assert (out == rows[[5, 1, 9]]).all()
    with pytest.raises(IndexError):
        gather(stored([rows])._replace(number=np.array([0, 10])), np.array([1, 0]))


def test_vectors_of_a_file_that_lie_together_are_not_copied(tmp_path: Path) -> None:
    rows = planted(10)
    np.save(tmp_path / "a.npy", rows)
    vectors = opened(stored([tmp_path / "a.npy"]))
    together = gather(vectors, np.arange(3, 8))
    assert (together == rows[3:8]).all()
    assert np.shares_memory(together, vectors.files[0])
    together[:] = 0  # what is written by mistake stays in memory
    assert (np.load(tmp_path / "a.npy") == rows).all()
    rows.flags.writeable = False
    assert not np.shares_memory(gather(stored([rows]), np.arange(3)), rows)  # torch warns of what cannot be written


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 60), cut=st.integers(0, 60), size=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_vector_is_in_one_chunk_of_one_file(n: int, cut: int, size: int, seed: int) -> None:
    rows = planted(60)
    number = np.random.default_rng(seed).permutation(60)[:n]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", size)
        found = chunks(stored([rows[:cut], rows[cut:]], number))
    assert sorted(np.concatenate([[], *(chunk.rows for chunk in found)]).tolist()) == [*range(n)]
    for chunk in found:
        assert len(chunk.rows) <= size
        assert (read(chunk) == rows[number[chunk.rows]]).all()


@settings(max_examples=50, deadline=None)
@given(
    n=st.integers(0, 60), cuts=st.lists(st.integers(0, 60), max_size=4), size=st.integers(1, 70), seed=st.integers(0, 9)
)
def test_every_vector_is_in_one_piece_from_the_files_that_hold_it(
    n: int, cuts: list[int], size: int, seed: int
) -> None:
    rows = planted(60)
    files = np.split(rows, sorted(cuts))
    number = np.random.default_rng(seed).permutation(60)[:n]
    found = pieces(stored(files, number), size)
    assert sorted(np.concatenate([[], *(piece.rows for piece in found)]).tolist()) == [*range(n)]
    assert [len(piece.rows) for piece in found[:-1]] == [size] * (len(found) - 1)
    for piece in found:
        assert (gather(piece.vectors, np.arange(len(piece.rows))) == rows[number[piece.rows]]).all()
        held, starts = piece.vectors.number, piece.vectors.starts
        assert held.min() < starts[1]
        assert starts[-2] <= held.max() < starts[-1]


def test_files_are_mapped_once_and_again_where_they_were_written_anew(tmp_path: Path) -> None:
    rows, file, order = planted(10), tmp_path / "a.npy", np.array([3, 1])
    np.save(file, rows)
    vectors = stored([file])
    first, again = opened(vectors), opened(vectors)
    assert first.files[0] is again.files[0]
    assert (gather(first, order) == rows[order]).all()
    np.save(tmp_path / "b.npy", rows[::-1])
    (tmp_path / "b.npy").replace(file)
    assert (gather(opened(vectors), order) == rows[::-1][order]).all()
    assert (gather(first, order) == rows[order]).all()


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_mapped_files_hold_what_was_written_and_no_descriptor(kind: type[np.floating], tmp_path: Path) -> None:
    rows = planted(12).astype(kind)
    for number, some in enumerate((rows[:5], rows[5:5], np.asfortranarray(rows[5:]))):
        np.save(tmp_path / f"{number}.npy", some)
    vectors = stored(sorted(tmp_path.glob("*.npy")))
    before = psutil.Process().num_fds()
    held = opened(vectors)
    assert psutil.Process().num_fds() <= before + 1  # the one in Fortran's order, which no lake has
    assert (gather(held, np.arange(12)[::-1]) == rows[::-1]).all()
    assert [file.dtype for file in held.files if isinstance(file, np.ndarray)] == [np.dtype(kind)] * 3


def test_what_is_written_into_a_map_stays_in_memory(tmp_path: Path) -> None:
    rows = planted(4)
    np.save(tmp_path / "a.npy", rows)
    held = gather(opened(stored([tmp_path / "a.npy"])), np.arange(4))
    held[:] = 0
    assert (np.load(tmp_path / "a.npy") == rows).all()


def test_arrays_in_memory_are_taken_as_they_are() -> None:
    vectors = stored([planted(4)])
    assert opened(vectors) is vectors


def test_vectors_are_laid_out_in_the_order_that_is_given(tmp_path: Path) -> None:
    rows = planted(50).astype(np.float32)
    order = np.random.default_rng(0).permutation(50)
    lay_out(stored([rows[:20], rows[20:]]), order, tmp_path / "out.npy")
    assert (np.load(tmp_path / "out.npy") == rows[order]).all()


def test_parts_of_several_dimensions_are_refused() -> None:
    with pytest.raises(EncoderError, match=r"\[16, 32\]"):
        stored([planted(3, d=32), planted(3, d=16)])
