"""Sketches of cohorts: equal ones are equal, few differences are never missed nor overstated."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from client.cohorts.cohort import Cohort, Split
from client.cohorts.sketch import BUCKETS, Sketch, apart, sketches
from common.concepts import Token

KEY = bytes(range(32))
VOCABULARY = tuple(Token(name, name) for name in "abcdef")
Encounter = tuple[int, int, int]  # two tokens and a label

encounters = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 1)), max_size=60)


def split(rows: list[Encounter]) -> Split:
    array = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Split(array[:, :2].astype(np.uint8), array[:, 2])


def sketch(rows: list[Encounter], key: bytes = KEY, vocabulary: tuple[Token, ...] = VOCABULARY) -> Sketch:
    return sketches(Cohort(vocabulary, split(rows), split([]), split([])), key)["train"]


def differing(first: Sketch, second: Sketch) -> int:
    return apart(first, second, named=True)


def differ(first: list[Encounter], second: list[Encounter]) -> int:
    """Encounters of either that the other has not, each as often as it is there."""
    one, other = Counter(first), Counter(second)
    return sum(((one - other) + (other - one)).values())


@given(encounters, st.randoms())
def test_order_does_not_matter(rows: list[Encounter], random: Random) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert differing(sketch(rows), sketch(shuffled)) == 0


@given(encounters, encounters)
def test_a_difference_is_seen_and_never_overstated(first: list[Encounter], second: list[Encounter]) -> None:
    first, second = ([(min(a, b), max(a, b), label) for a, b, label in rows] for rows in (first, second))
    found = differing(sketch(first), sketch(second))
    assert found <= differ(first, second)
    assert (found > 0) == (differ(first, second) > 0)


def test_twins_that_come_together_are_seen() -> None:
    rows = [(1, 2, 0), (3, 4, 1)]
    assert differing(sketch(rows), sketch([*rows, (5, 6, 1), (5, 6, 1)])) == 1


def test_a_label_that_changes_is_seen_and_so_is_a_token_for_another() -> None:
    assert differing(sketch([(1, 2, 0)]), sketch([(1, 2, 1)])) == 2
    assert differing(sketch([(1, 2, 0)]), sketch([(1, 3, 0)])) == 2


def test_what_a_token_is_counts_and_not_its_number() -> None:
    turned = VOCABULARY[::-1]
    assert differing(sketch([(1, 2, 0)]), sketch([(6, 5, 0)], vocabulary=turned)) == 0


def test_another_key_gives_another_sketch() -> None:
    assert differing(sketch([(1, 2, 0)]), sketch([(1, 2, 0)], key=KEY[::-1])) > 0


def test_many_differences_are_counted_nearly_whole() -> None:
    generator = np.random.default_rng(0)
    names = tuple(Token(str(number), str(number)) for number in range(250))
    rows = [tuple(map(int, row)) for row in np.column_stack([generator.integers(1, 250, (5000, 2)), np.zeros(5000)])]
    found = differing(sketch(rows, vocabulary=names), sketch(rows[400:], vocabulary=names))  # type: ignore[arg-type]
    assert 380 <= found <= 400
    assert BUCKETS > 5000


def test_several_labels_each_count() -> None:
    def of(labels: list[list[int]]) -> Sketch:
        part = Split(np.array([[1, 2]] * len(labels), np.uint8), np.array(labels, np.int64))
        return sketches(Cohort(VOCABULARY, part, part, part), KEY)["test"]

    assert differing(of([[1, 0], [0, 0]]), of([[0, 1], [0, 0]])) == 2
    assert differing(of([[1, 0], [0, 0]]), of([[0, 0], [1, 0]])) == 0


def test_whose_encounters_they_are() -> None:
    def of(rows: list[Encounter], patients: list[int]) -> Sketch:
        part = split(rows)
        named = Split(part.tokens, part.labels, np.array(patients, np.int64))
        return sketches(Cohort(VOCABULARY, named, split([]), split([])), KEY)["train"]

    rows = [(1, 2, 0), (3, 4, 1), (5, 6, 1), (1, 6, 0)]
    before = of(rows, [7, 7, 8, 9])
    assert differing(before, of(rows[::-1], [9, 8, 7, 7])) == 0
    assert differing(before, of(rows[2:], [8, 9])) == 1  # one patient went, with two encounters
    assert differing(before, of(rows[1:], [7, 8, 9])) == 1  # and one stayed, with one of hers
    assert differing(before, of(rows, [7, 8, 7, 9])) == 2


def test_without_names_a_change_is_not_taken_for_two_patients() -> None:
    rows = [(1, 2, 0), (3, 4, 1), (5, 6, 1), (1, 6, 0)]
    for changed in range(1, 5):
        other = [(a, b, 1 - label) for a, b, label in rows[:changed]] + rows[changed:]
        assert apart(sketch(rows), sketch(other), named=False) == changed
        assert apart(sketch(rows), sketch(rows[changed:]), named=False) == -(-changed // 2)
