from __future__ import annotations

import numpy as np
import pytest

from common.concepts import NONE, OFFSET, SENTENCE, TEXT, Absence, Concept, Token, with_sentences
from common.embeddings import PROBE_PHRASES, EmbeddingTable, make_table, one_hot
from common.embeddings.absence import width
from common.errors import TableError

COUGH = Concept("cough", "cough")
AGE = Concept("age", "age", {"young": "a child", "A": "an adult"})


@pytest.fixture
def table() -> EmbeddingTable:
    """Two numbers a token; the probes' centre is (1, 0) and their centred norm 2, so that the scale is 2."""
    rows = [[2.0, 1.0], [2.0, 2.0], [3.0, 0.0], [1.0, 5.0], [2.5, 3.0], [0.0, 0.5]]
    tokens = with_sentences([*COUGH.tokens()[:2], *AGE.tokens()[:2]])
    probes = np.array([[1.0, 2.0], [1.0, -2.0]] * (len(PROBE_PHRASES) // 2))
    return make_table(rows, tokens, key="text", model="m", revision="r", pooling="mean", probes=probes)


@pytest.mark.parametrize(
    ("absence", "present", "absent", "grade"),
    [
        (TEXT, [2, 2], [2, 4], [0, 10]),
        (NONE, [2, 2], [2, 4], [0, 10]),
        (SENTENCE, [3, 6, 0, 0], [0, 0, -2, 1], [0, 10, 0, 0]),
        (OFFSET, [2, 2, 0], [2, 2, 4], [0, 10, 0]),
    ],
)
def test_what_the_classifier_sees_of_an_absent_finding(
    table: EmbeddingTable, absence: Absence, present: list[float], absent: list[float], grade: list[float]
) -> None:
    tokens = [COUGH.token("P"), COUGH.token("A"), AGE.token("A")]
    seen = table.select(tokens, "centred", absence)
    np.testing.assert_allclose(seen, [[0] * len(present), present, absent, grade], atol=1e-6)
    assert seen.dtype == np.float32
    assert seen.shape[1] == width(absence, 2) == table.fingerprint("centred", absence).dimension


def test_in_a_raw_table_the_coordinate_of_absence_is_as_long_as_the_probes(table: EmbeddingTable) -> None:
    seen = table.select([COUGH.token("A")], "raw", OFFSET)
    np.testing.assert_allclose(seen[1], [2, 1, np.sqrt(5)], rtol=1e-6)


def test_which_rows_a_finding_needs_depends_on_how_absence_is_shown(table: EmbeddingTable) -> None:
    part = make_table(
        table.vectors[1:2], table.tokens[:1], key="text", model="m", revision="r", pooling="mean", probes=table.probes
    )
    assert part.select([COUGH.token("A")], absence=OFFSET).shape == (2, 3)
    with pytest.raises(TableError, match="cough_A: Not cough"):
        part.select([COUGH.token("A")])
    with pytest.raises(TableError, match=r"cough_A: The patient does not have cough\."):
        part.select([COUGH.token("A")], absence=SENTENCE)


def test_two_ways_to_show_absence_are_two_spaces(table: EmbeddingTable) -> None:
    for one, other in ((TEXT, SENTENCE), (TEXT, NONE), (SENTENCE, OFFSET)):
        differs = table.fingerprint(absence=one).difference(table.fingerprint(absence=other))
        assert f"absence: {one} and {other}" in differs


def test_an_absent_finding_knows_what_it_denies_and_no_other_token_does() -> None:
    assert COUGH.token("A").denied == Token("cough_P", "cough")
    assert COUGH.token("A") == Token("cough_A", "Not cough")
    assert [token.denied for token in (*AGE.tokens(), COUGH.token("P"), COUGH.token("M"))] == [None] * 5


def test_a_table_found_by_name_takes_the_tokens_own_row_for_its_sentence() -> None:
    seen = one_hot(COUGH.tokens()).select([COUGH.token("A")], "raw", SENTENCE)
    assert seen[1].tolist() == [0, 0, 0, 1, 0, 0]
