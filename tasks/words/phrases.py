"""Words that stand side by side: the frequent phrases of a pool, found once; and where any asked phrase stands.

A phrase is frequent only if the two phrases in it that are a word shorter are (a priori pruning, Agrawal and Srikant
1994): each length is counted among what the last one left, in SQL, over the whole pool but a block at a time in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tasks.files import read_table, write_array, write_table
from tasks.lake import Lake, Version
from tasks.queries import database
from tasks.words.tokens import TermLists, Words, growing, read_lists, read_numbers, words_key

REVISION = 1
BATCH = 64  # rows of a table that are looked at together
MEMORY = "256MB"  # of DuckDB, which spills beyond
SLOTS = 2**23  # of the table that tells, of most pairs that are not frequent, that they are not

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]


class Phrases(NamedTuple):
    """The frequent phrases, and which of them each caption has."""

    vocabulary: pa.StringArray  # (p,) words joined by spaces; shorter phrases first
    n_words: Codes  # (p,)
    captions: Ints  # (p,) of all samples, those with the phrase
    lists: TermLists  # (n,) without repeats


def phrases_key(version: Version, min_count: int, longest: int) -> str:
    return Lake.key("phrases", REVISION, words_key(version), min_count, longest)


def frequent_phrases(version: Version, words: Words, min_count: int, longest: int) -> Phrases:
    """Phrases of 2 to `longest` words that stand at least min_count times; from artifacts/phrases-<key>, once made.

    Where one stands twice in a caption, fewer captions than that have it: whoever counts captions will see.
    """
    if longest < 2:
        nothing = TermLists(np.zeros(version.rows + 1, np.int64), np.empty(0, np.int32))
        return Phrases(pa.array([], pa.string()), np.empty(0, np.int32), np.empty(0, np.int64), nothing)
    lake, key = version.lake, phrases_key(version, min_count, longest)
    if not lake.has_artifact("phrases", key):
        with lake.new_artifact("phrases", key) as folder:
            _write_phrases(words, min_count, longest, folder)
    folder = lake.artifact_path("phrases", key)
    table = read_table(folder / "phrases.parquet").combine_chunks()
    vocabulary = table["phrase"].chunk(0) if len(table) else pa.array([], pa.string())
    return Phrases(vocabulary, table["n_words"].to_numpy(), table["captions"].to_numpy(), read_lists(folder))


def _write_phrases(words: Words, min_count: int, longest: int, folder: Path) -> None:
    """Length by length: which neighbours stand together often enough, then which phrase begins at each token."""
    ends, frequent = words.lists.ends, np.append(words.captions >= min_count, False)
    spelled = [np.arange(len(words.vocabulary), dtype=np.int32)[:, None]]  # of each length (p, length) word numbers
    with tempfile.TemporaryDirectory(dir=folder) as work:
        begins = [_written(Path(work) / "1.npy", _frequent_words(words.lists, frequent))]
        for length in range(2, longest + 1):
            shorter, size = TermLists(ends, begins[-1]), max(len(spelled[-1]), 1)
            found = _frequent_pairs(shorter, size, min_count)
            first, second = np.divmod(found, size)
            spelled.append(np.concatenate([spelled[-1][first], spelled[-1][second][:, -1:]], axis=1))
            places = (_places(pairs, found) for pairs in _pairs(shorter, size))
            begins.append(_written(Path(work) / f"{length}.npy", places))
        counts = [len(phrases) for phrases in spelled[1:]]
        _write_lists([TermLists(ends, numbers) for numbers in begins[1:]], counts, folder)
    names = [_names(words.vocabulary, phrases) for phrases in spelled[1:]]
    sizes = np.repeat(np.arange(2, longest + 1, dtype=np.int32), counts)
    captions = np.zeros(len(sizes), np.int64)
    lists = read_lists(folder)
    for rows in lists.blocks():
        captions += np.bincount(lists.read(rows).terms, minlength=len(sizes))
    columns = [pa.concat_arrays([pa.array([], pa.string()), *names]), sizes, captions]
    write_table(folder / "phrases.parquet", pa.table(columns, names=["phrase", "n_words", "captions"]))


def _frequent_words(lists: TermLists, frequent: NDArray[np.bool_]) -> Iterator[Codes]:
    """Blocks of the words in order, repeats like the first, −1 where rare. frequent: (v + 1,), False at the end."""
    for rows in lists.blocks():
        words = once(lists.read(rows).terms)
        yield np.where(frequent[words], words, -1).astype(np.int32)


def once(terms: Codes) -> Codes:
    """Terms as in TermLists, a repeat like the first."""
    return terms ^ (terms >> 31)


def _written(path: Path, blocks: Iterator[Codes]) -> Codes:
    with growing(path) as file:
        for block in blocks:
            file.write(block.data)
    return read_numbers(path)


def _pairs(lists: TermLists, size: int) -> Iterator[Ints]:
    """Blocks of (k,) the phrases that begin at a token and at the next, as one number; −1 where one is missing."""
    for rows in lists.blocks():
        block = lists.read(rows)
        terms, pairs = block.terms, np.full(len(block.terms), -1, np.int64)
        both = (terms[:-1] >= 0) & (terms[1:] >= 0)
        lasts = block.ends[(block.ends > 0) & (block.ends < len(terms))] - 1  # the next token is of another caption
        both[lasts] = False
        place = np.flatnonzero(both)
        pairs[place] = terms[place].astype(np.int64) * size + terms[place + 1]
        yield pairs


def _frequent_pairs(lists: TermLists, size: int, min_count: int) -> Ints:
    """(p,) pairs that stand at least min_count times, ascending."""
    schema = pa.schema([("pair", pa.int64())])
    batches = (pa.record_batch([pairs[pairs >= 0]], schema=schema) for pairs in _pairs(lists, size))
    with database({}, memory=MEMORY) as db:
        db.connection.register("pair", pa.RecordBatchReader.from_batches(schema, batches))
        return db.run("audit", "frequent_pairs", min_count=min_count)["pair"].to_numpy()


def _places(pairs: Ints, frequent: Ints) -> Codes:
    """(k,) → (k,) place among the frequent pairs, ascending; −1 of the others."""
    known = np.zeros(SLOTS, np.bool_)  # most pairs are not frequent: a look into a table spares them the search
    known[frequent % SLOTS] = True
    asked = np.flatnonzero(known[pairs % SLOTS] & (pairs >= 0))
    place = np.minimum(np.searchsorted(frequent, pairs[asked]), max(len(frequent) - 1, 0))
    found = np.full(len(pairs), -1, np.int32)
    right = frequent[place] == pairs[asked] if len(frequent) else np.zeros(0, np.bool_)
    found[asked[right]] = place[right]
    return found


def _write_lists(begins: Sequence[TermLists], counts: Sequence[int], folder: Path) -> None:
    """Write each caption's different phrases, numbered through all lengths."""
    firsts, ends = np.cumsum([0, *counts]), np.zeros(len(begins[0].ends), np.int64)
    with growing(folder / "terms.npy") as file:
        for block in begins[0].blocks():
            rows, numbers = [], []
            for first, lists in zip(firsts, (one.read(block) for one in begins), strict=False):
                held = np.flatnonzero(lists.terms >= 0)
                rows.append(np.searchsorted(lists.ends, held, side="right") - 1)
                numbers.append(lists.terms[held] + first)
            made = lists_of(np.concatenate(rows), np.concatenate(numbers), block.stop - block.start)
            file.write(made.terms.data)
            ends[block.start + 1 : block.stop + 1] = ends[block.start] + made.ends[1:]
    write_array(folder / "ends.npy", ends)


def lists_of(rows: NDArray[np.integer], terms: NDArray[np.integer], size: int) -> TermLists:
    """(k,) captions of `size` and terms of theirs → their lists, each term once, ascending."""
    pairs = np.sort((rows.astype(np.int64) << 32) | terms)
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    ends = np.concatenate([[0], np.bincount(pairs >> 32, minlength=size).cumsum()])
    return TermLists(ends, (pairs & 0xFFFFFFFF).astype(np.int32))


def _names(vocabulary: pa.StringArray, phrases: Codes) -> pa.StringArray:
    """(p, length) word numbers → (p,) phrases."""
    return pc.binary_join_element_wise(*(vocabulary.take(pa.array(column)) for column in phrases.T), " ")


def standing(words: Words, phrases: Sequence[Sequence[str]]) -> TermLists:
    """Which of these different phrases each caption has, of any length; (n,) lists of their places in this order."""
    if not phrases:
        return TermLists(np.zeros(len(words.lists.ends), np.int64), np.empty(0, np.int32))
    tree = _tree(words.vocabulary, phrases)
    found = [TermLists(np.zeros(1, np.int64), np.empty(0, np.int32))]
    for rows in words.lists.blocks():
        block = words.lists.read(rows)
        found.append(lists_of(*_walk(block, tree), len(block.ends) - 1))
    ends = np.concatenate([[0], *(lists.lengths for lists in found)]).cumsum()
    return TermLists(ends, np.concatenate([lists.terms for lists in found]))


class Tree(NamedTuple):
    """Phrases word by word: a node is what phrases begin with, node 0 nothing."""

    begins: Ints  # (v,) node of each word, 0 where no phrase begins with it
    steps: Ints  # (e,) node · v + word, ascending
    leads: Ints  # (e,) node that the step leads to
    phrase: Ints  # (nodes,) the phrase that ends there, −1 where none does


def _tree(vocabulary: pa.StringArray, phrases: Sequence[Sequence[str]]) -> Tree:
    """Of the phrases whose words are all in the vocabulary."""
    asked = list(dict.fromkeys(word for phrase in phrases for word in phrase))
    number = dict(zip(asked, pc.index_in(pa.array(asked, pa.string()), vocabulary).to_pylist(), strict=True))
    nodes: dict[tuple[int, int], int] = {(0, -1): 0}
    last: dict[int, int] = {}
    size = len(vocabulary)
    for i, phrase in enumerate(phrases):
        if any(number[word] is None for word in phrase):
            continue
        node = 0
        for word in phrase:
            node = nodes.setdefault((node, number[word]), len(nodes))
        last[node] = i
    begins, phrase_of = np.zeros(size, np.int64), np.full(len(nodes), -1, np.int64)
    phrase_of[list(last)] = list(last.values())
    for (node, word_number), lead in nodes.items():
        if not node and lead:
            begins[word_number] = lead
    edges = sorted((node * size + word_number, lead) for (node, word_number), lead in nodes.items() if node)
    steps, leads = np.array(edges, np.int64).reshape(-1, 2).T
    return Tree(begins, steps, leads, phrase_of)


def _walk(block: TermLists, tree: Tree) -> tuple[Ints, Ints]:
    """(k,) captions of the block and (k,) phrases that stand in them: all tokens take their steps at once."""
    words, size = once(block.terms), len(tree.begins)
    place = np.flatnonzero(tree.begins[words])
    node, row = tree.begins[words[place]], np.searchsorted(block.ends, place, side="right") - 1
    rows, phrases = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    while len(place):
        done = tree.phrase[node] >= 0
        rows.append(row[done])
        phrases.append(tree.phrase[node[done]])
        place = place + 1
        more = place < block.ends[row + 1]
        place, node, row = place[more], node[more], row[more]
        step = node * size + words[place]
        edge = np.searchsorted(tree.steps, step)
        known = np.append(tree.steps, -1)[edge] == step
        place, node, row = place[known], tree.leads[edge[known]], row[known]
    return np.concatenate(rows), np.concatenate(phrases)


def longest_phrases(words: pa.Table, counted: str) -> Iterator[dict[str, Any]]:
    """Rows in order, without those of terms that stand in exactly the captions where a longer phrase of them does.

    words: the columns term, n_words and `counted`, captions with the term.
    """
    longer: dict[int, list[str]] = {}
    for row in words.filter(pc.greater(words["n_words"], 1)).select([counted, "term"]).to_pylist():
        longer.setdefault(row[counted], []).append(f" {row['term']} ")
    for start in range(0, len(words), BATCH):
        for row in words.slice(start, BATCH).to_pylist():
            term = f" {row['term']} "
            if not any(term in phrase and term != phrase for phrase in longer.get(row[counted], [])):
                yield row
