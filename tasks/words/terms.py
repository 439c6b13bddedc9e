"""What a version's captions are asked about: every word, frequent phrases, and terms that someone names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.lake import Version
from tasks.queries import Database
from tasks.words.phrases import frequent_phrases, standing
from tasks.words.tokens import TermLists, read_words, tokenise


class Group(NamedTuple):
    """Terms numbered from 0, and which of them each of the version's n captions has."""

    names: pa.StringArray  # (t,) words joined by spaces
    n_words: np.ndarray  # (t,) int32
    captions: np.ndarray  # (t,) int64, of all samples, those with the term
    lists: TermLists  # (n,)


class Terms(NamedTuple):
    """Words; frequent phrases; and what was asked for and is neither, also where no caption has it."""

    groups: tuple[Group, Group, Group]
    asked: pa.StringArray  # keywords as their tokens with spaces between

    def keyword(self, group: Group) -> np.ndarray:
        """(t,) bool, whether a term of the group was asked for."""
        return pc.is_in(group.names, self.asked).to_numpy(zero_copy_only=False)


def terms_of(version: Version, keywords: Sequence[str] = (), min_count: int = 20, longest: int = 3) -> Terms:
    """Tokens must have been written. longest: words of a phrase that is counted unasked; 1 is words alone."""
    words = read_words(version)
    phrases = frequent_phrases(version, words, min_count, longest)
    asked = {" ".join(phrase): phrase for phrase in map(tokenise, keywords)}
    names = pa.array(list(asked), pa.string())
    known = pc.or_(pc.is_in(names, words.vocabulary), pc.is_in(names, phrases.vocabulary))
    new = names.filter(pc.invert(known))
    spelled = [asked[name] for name in new.to_pylist()]
    lists = standing(words, spelled)
    captions = np.bincount(lists.terms, minlength=len(new))
    groups = (
        Group(words.vocabulary, np.ones(len(words.vocabulary), np.int32), words.captions, words.lists),
        Group(phrases.vocabulary, phrases.n_words, phrases.captions, phrases.lists),
        Group(new, np.array([len(phrase) for phrase in spelled], np.int32), captions, lists),
    )
    return Terms(groups, names)


def add_terms(
    db: Database, version: Version, keywords: Sequence[str] = (), *, min_count: int = 20, longest: int = 1
) -> None:
    """Add `token` (sample, term), one row a caption and term of it, and `vocabulary` (term, word, n_words, keyword).

    For questions in SQL; the terms are those of `terms_of`, and all is in memory.
    """
    terms, first, tokens, vocabularies = terms_of(version, keywords, min_count, longest), 0, [], []
    for group in terms.groups:
        held = np.flatnonzero(group.lists.terms >= 0)
        samples = np.repeat(np.arange(version.rows, dtype=np.int32), group.lists.lengths)[held]
        tokens.append(pa.table([samples, group.lists.terms[held] + np.int32(first)], names=["sample", "term"]))
        numbers = np.arange(first, first + len(group.names), dtype=np.int32)
        columns = [pa.array(numbers), group.names, pa.array(group.n_words), pa.array(terms.keyword(group))]
        vocabularies.append(pa.table(columns, names=["term", "word", "n_words", "keyword"]))
        first += len(group.names)
    db.add("token", pa.concat_tables(tokens))
    db.add("vocabulary", pa.concat_tables(vocabularies))
