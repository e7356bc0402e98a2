"""The embedding table: rows, normalisation, fingerprint."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.concepts import Token, builtin_concepts
from common.embeddings import (
    PROBE_PHRASES,
    EmbeddingTable,
    Fingerprint,
    builtin_table,
    load_table,
    make_table,
    one_hot,
)
from common.errors import TableError

Floats = npt.NDArray[np.float32]
D = 6
TOKENS = [Token("fever_P", "fever"), Token("fever_A", "Not fever"), Token("cough_P", "dry-cough")]


def draw(rows: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(1.0, 2.0, (rows, D)).astype(np.float32)


def built(rows: Floats | None = None, probes: Floats | None = None, **changed: Any) -> EmbeddingTable:
    about: dict[str, Any] = {"key": "text", "model": "tiny", "revision": "1", "pooling": "mean"} | changed
    rows = draw(3) if rows is None else rows
    return make_table(rows, TOKENS, probes=draw(len(PROBE_PHRASES), 1) if probes is None else probes, **about)


def imported(rows: Floats, tokens: list[Token] = TOKENS) -> EmbeddingTable:
    return make_table(rows, tokens, key="token", model="tiny", revision="1", pooling="cls")


vectors = arrays(np.float32, (5, D), elements=st.integers(-400, 400).map(lambda n: n / 4), unique=True)


@given(vectors)
def test_centred_rows_have_mean_zero_and_mean_norm_four(rows: Floats) -> None:
    tokens = [Token(f"t{i}", f"t{i}") for i in range(5)]
    centred = make_table(rows, tokens, key="token", model="m", revision="1", pooling="cls").normalised()
    np.testing.assert_allclose(np.linalg.norm(centred[1:], axis=1).mean(), 4.0, rtol=1e-4)
    np.testing.assert_allclose(centred[1:].mean(axis=0), 0.0, atol=1e-4)
    assert not centred[0].any()


def test_with_probes_it_is_they_that_have_mean_zero_and_mean_norm_four() -> None:
    table = built()
    assert table.probes is not None
    centred = (table.probes - table.centre) * table.scale
    np.testing.assert_allclose(np.linalg.norm(centred, axis=1).mean(), 4.0, rtol=1e-5)
    np.testing.assert_allclose(centred.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(table.normalised()[1:], (draw(3) - table.centre) * table.scale, rtol=1e-5)


def test_by_hand() -> None:
    rows = np.array([[0, 0], [6, 8]], np.float32)  # mean (3, 4), each 5 away from it
    table = make_table(rows, TOKENS[:2], key="token", model="m", revision="1", pooling="cls")
    np.testing.assert_allclose(table.normalised(), [[0.0, 0.0], [-2.4, -3.2], [2.4, 3.2]], rtol=1e-6)


def test_raw_rows_are_as_the_model_gave_them_and_a_copy() -> None:
    table = built()
    raw = table.normalised("raw")
    np.testing.assert_array_equal(raw[1:], draw(3))
    raw[1] = 9
    np.testing.assert_array_equal(table.vectors[1:], draw(3))
    np.testing.assert_array_equal(built(normalisation="raw").normalised(), table.vectors)
    assert raw.dtype == table.normalised().dtype == np.float32


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(TableError, match="no normalisation 'unit'; expected raw or centred"):
        built().normalised("unit")


@given(st.lists(st.sampled_from(TOKENS)))
def test_rows_come_in_the_order_asked(tokens: list[Token]) -> None:
    found = built().rows(tokens)
    assert found.dtype == np.int64
    assert found.tolist() == [TOKENS.index(token) + 1 for token in tokens]
    assert imported(draw(3)).rows(tokens).tolist() == found.tolist()


def test_a_built_table_knows_tokens_by_text_and_an_imported_one_by_name() -> None:
    other_name, other_text = Token("x_P", "dry cough"), Token("cough_P", "tussis")
    assert built().rows([other_name]).tolist() == [3]
    assert imported(draw(3)).rows([other_text]).tolist() == [3]
    with pytest.raises(TableError, match="no row for 1 of 1 tokens"):
        built().rows([other_text])
    with pytest.raises(TableError, match="no row for 1 of 1 tokens"):
        imported(draw(3)).rows([other_name])


def test_select_puts_the_zero_row_first() -> None:
    table = built()
    chosen = table.select([TOKENS[2], TOKENS[0]])
    np.testing.assert_array_equal(chosen, table.normalised()[[0, 3, 1]])


def test_missing_tokens_are_named_ten_at_most_with_their_number_and_the_way_out() -> None:
    strange = [Token(f"x{i}_P", f"strange {i}") for i in range(13)]
    with pytest.raises(TableError) as raised:
        built().rows([*TOKENS, *strange])
    message = str(raised.value)
    assert "no row for 13 of 16 tokens" in message
    assert "sitebridge embed build" in message
    assert "x9_P: strange 9" in message
    assert "x10_P" not in message
    assert message.endswith("and 3 more")


def test_one_hot_has_the_same_columns_for_any_order_of_tokens() -> None:
    forth, back = one_hot(TOKENS), one_hot(TOKENS[::-1])
    np.testing.assert_array_equal(forth.select(TOKENS), back.select(TOKENS))
    assert not forth.fingerprint().difference(back.fingerprint())
    assert forth.vectors.shape == (4, 3)
    assert forth.probes is None
    assert (forth.key, forth.centre_of, forth.pooling) == ("token", "table", "one-hot")


def test_one_hot_over_other_tokens_is_another_space() -> None:
    fewer = one_hot(TOKENS[:2])
    other = one_hot([*TOKENS[:2], Token("zoster_P", "zoster")])  # as many columns and the same centre
    assert "content" in " ".join(one_hot(TOKENS).fingerprint().difference(other.fingerprint()))
    assert "dimension: 3 and 2" in one_hot(TOKENS).fingerprint().difference(fewer.fingerprint())


def test_tables_of_one_model_over_different_vocabularies_are_one_space() -> None:
    assert built().fingerprint().difference(built(draw(3, seed=5)).fingerprint()) == []


def turned(probes: Floats) -> Floats:
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(D, D)))
    result: Floats = (probes @ turn).astype(np.float32)
    return result


@pytest.mark.parametrize(
    "change",
    [
        turned,
        lambda probes: -probes,
        lambda probes: probes[:, ::-1],
        lambda probes: probes[::-1],
        lambda probes: probes * np.float32(1.1),
        lambda probes: probes / np.linalg.norm(probes, axis=1, keepdims=True),
        lambda probes: probes + draw(len(probes), 3) * np.float32(0.1),  # another revision of the weights
    ],
    ids=["turned", "mirrored", "columns swapped", "rows swapped", "longer", "unit length", "retrained"],
)
def test_other_vectors_of_the_probes_are_another_space(change: Callable[[Floats], Floats]) -> None:
    probes = draw(len(PROBE_PHRASES), 1)
    difference = built().fingerprint().difference(built(probes=change(probes)).fingerprint())
    assert len(difference) == 1
    assert difference[0].startswith("vectors: they differ by")


def test_float_noise_of_another_machine_is_the_same_space() -> None:
    probes = draw(len(PROBE_PHRASES), 1)
    noisy = built(probes=probes * (1 + draw(len(probes), 3) * np.float32(1e-4)))
    assert built().fingerprint().difference(noisy.fingerprint()) == []
    assert built().fingerprint().digest != noisy.fingerprint().digest


@pytest.mark.parametrize("word", ["model", "revision", "pooling"])
def test_a_word_that_differs_is_named(word: str) -> None:
    changed: dict[str, Any] = {word: "other"}
    (line,) = built().fingerprint().difference(built(**changed).fingerprint())
    assert line.startswith(f"{word}: ")
    assert line.endswith(" and other")


def test_normalisation_is_part_of_the_space() -> None:
    table = built()
    assert table.fingerprint("raw").difference(table.fingerprint()) == ["normalisation: raw and centred"]
    assert table.fingerprint() == table.fingerprint("centred")


def test_imported_tables_must_agree_in_every_row() -> None:
    rows = draw(3)
    assert not imported(rows).fingerprint().difference(imported(rows[::-1], TOKENS[::-1]).fingerprint())
    swapped = imported(rows[[1, 0, 2]])  # the same centre, other meanings
    assert "content" in " ".join(imported(rows).fingerprint().difference(swapped.fingerprint()))


def test_a_fingerprint_survives_json() -> None:
    for table in (built(), one_hot(TOKENS)):
        fingerprint = table.fingerprint()
        assert Fingerprint.from_json(json.loads(json.dumps(fingerprint.to_json()))) == fingerprint
    assert len(built().fingerprint().digest) == 64


@pytest.mark.parametrize(
    "change",
    [
        {"model": 3},
        {"dimension": "384"},
        {"dimension": True},
        {"sketch": [1.0]},
        {"sketch": ["1"] * 16},
        {"sketch": [float("nan")] * 16},
        {"extra": 1},
    ],
)
def test_a_fingerprint_that_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TableError, match="fingerprint: expected"):
        Fingerprint.from_json({**built().fingerprint().to_json(), **change})


def test_rows_that_do_not_differ_cannot_be_centred() -> None:
    with pytest.raises(TableError, match="do not differ from each other"):
        imported(np.ones((3, D), np.float32))
    with pytest.raises(TableError, match="do not differ from each other"):
        one_hot(TOKENS[:1])
    with pytest.raises(TableError, match=r"shape \(V - 1, D\)"):
        one_hot([])


def test_a_centre_that_is_not_the_probes_is_refused() -> None:
    table = built()
    with pytest.raises(TableError, match="the centre is not the mean of the probes vectors"):
        dataclasses.replace(table, centre=table.centre + 1)
    with pytest.raises(TableError, match="the scale"):
        dataclasses.replace(table, scale=table.scale * 2)


def test_the_shipped_table_covers_both_wordings() -> None:
    table = load_table(builtin_table("minilm"))
    both = (*builtin_concepts("paper").values(), *builtin_concepts("own").values())
    tokens = [token for concept in both for token in concept.tokens()]
    assert table.vectors.shape == (707, 384)
    assert len(set(table.rows(tokens).tolist())) == len(tokens) == 430  # the rest of its rows are sentences
    assert builtin_table("minilm").stat().st_size < 1_200_000
    with pytest.raises(TableError, match="expected one of minilm"):
        builtin_table("gpt")


def test_most_of_another_hospitals_findings_lie_next_to_the_papers() -> None:
    table = load_table(builtin_table("minilm"))
    wordings = (builtin_concepts("paper"), builtin_concepts("own"))
    paper, own = (table.select([c.token("P") for c in w.values() if not c.values])[1:] for w in wordings)
    paper, own = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (paper, own))
    nearest = (own @ paper.T).argmax(axis=1)
    assert (nearest == np.arange(69)).sum() == 54
