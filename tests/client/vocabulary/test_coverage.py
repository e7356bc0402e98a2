from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from typer import Typer
from typer.testing import CliRunner

from client.vocabulary.commands import coverage, vocabulary
from client.vocabulary.coverage import find_nearest
from client.vocabulary.listing import read_vocabulary, spoken
from common.concepts import Concept, Token, builtin_concepts, with_sentences
from common.embeddings import EmbeddingTable, make_table, save_table
from common.errors import TableError

app = Typer()
app.command()(coverage)
app.command()(vocabulary)

KNOWN = [Token("fever_P", "fever"), Token("cough_P", "cough")]
OWN = [Token("t_P", "raised temperature"), Token("x_P", "parking fee"), Token("c_P", "coughing")]


def table_of(tokens: list[Token], rows: list[list[float]], revision: str = "r") -> EmbeddingTable:
    probes = [[5.0, 5.0], [5.0, 7.0]] * 16  # centre (5, 6), away from which the angles are
    vectors = np.add(rows, [5, 6])
    return make_table(vectors, tokens, key="text", model="m", revision=revision, pooling="mean", probes=probes)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    save_table(table_of(KNOWN, [[1, 0], [0, 1]]), tmp_path / "known.safetensors")
    return tmp_path / "known.safetensors"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    save_table(table_of(OWN, [[3, 4], [-1, -1], [0, 2]]), tmp_path / "own.safetensors")
    return tmp_path / "own.safetensors"


def test_the_nearest_by_the_angle_about_the_probes_centre(known: Path, own: Path) -> None:
    tables = [read_vocabulary(str(path))[1] for path in (known, own)]
    assert tables[0] is not None
    assert tables[1] is not None
    found = find_nearest(KNOWN, tables[0], OWN, tables[1])
    assert [one.nearest.text for one in found] == ["cough", "fever", "cough"]
    np.testing.assert_allclose([one.cosine for one in found], [0.8, -np.sqrt(0.5), 1.0], rtol=1e-5)


def test_a_vocabulary_larger_than_a_block_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(215)
    tokens = [Token(f"{n}_P", str(n)) for n in range(50)]
    table = table_of(tokens, rng.normal(size=(50, 2)).tolist())
    whole = find_nearest(tokens, table, tokens, table)
    monkeypatch.setattr("client.vocabulary.coverage._BLOCK", 7 * 50)
    assert find_nearest(tokens, table, tokens, table) == whole
    assert [one.nearest for one in whole] == tokens


def test_tables_of_two_spaces_are_not_compared(known: Path) -> None:
    table = read_vocabulary(str(known))[1]
    assert table is not None
    with pytest.raises(TableError, match="different spaces: revision: r and another"):
        find_nearest(KNOWN, table, OWN, table_of(OWN, [[3, 4], [-1, -1], [0, 2]], revision="another"))


def test_json_says_what_is_far_farthest_first(known: Path, own: Path) -> None:
    result = CliRunner().invoke(app, ["coverage", str(known), str(own), "--json"])
    concepts = json.loads(result.stdout)["concepts"]
    assert [(one["text"], one["far"]) for one in concepts] == [
        ("parking fee", True), ("raised temperature", False), ("coughing", False)
    ]  # fmt: skip
    assert concepts[1] | {"cosine": 0.8} == concepts[1]


def test_csv_has_every_concept_and_the_table_says_how_many_are_far(known: Path, own: Path) -> None:
    result = CliRunner().invoke(app, ["coverage", str(known), str(own), "--csv", "--far", "0.9"])
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [(row["token"], row["nearest_token"], row["far"]) for row in rows] == [
        ("x_P", "fever_P", "true"), ("t_P", "cough_P", "true"), ("c_P", "cough_P", "false")
    ]  # fmt: skip
    shown = CliRunner().invoke(app, ["coverage", str(known), str(own)]).stdout
    assert "1 of 3 concepts have no near one (cosine below 0.3)" in shown


def test_texts_without_vectors_need_a_table(known: Path, tmp_path: Path) -> None:
    listed = tmp_path / "words.csv"
    listed.write_text("token,text\nc_P,cough\nc_A,Not cough\n")
    without = CliRunner().invoke(app, ["coverage", str(listed), str(listed)])
    assert isinstance(without.exception, TableError)
    assert "--table" in str(without.exception)
    result = CliRunner().invoke(app, ["coverage", str(known), str(listed), "--table", str(known), "--json"])
    assert [one["nearest_text"] for one in json.loads(result.stdout)["concepts"]] == ["cough"]


def test_only_what_is_said_is_compared_not_its_denial() -> None:
    temperature = builtin_concepts()["C0424781"]  # P, A, I and M are grades of its own
    tokens = [*with_sentences(Concept("c", "cough").tokens()), *temperature.tokens(), Token("lone_A", "Not alone")]
    names = [token.name for token in spoken(tokens)]
    assert names == ["c_P", *(token.name for token in temperature.tokens()), "lone_A"]


def test_a_sites_vocabulary_is_written_as_embed_build_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,flu,felt_hot\n1,1,1\n")
    (tmp_path / "site.toml").write_text(
        'name = "a"\n[cohort]\nfile = "a.csv"\nid = "id"\n[cohort.label]\ncolumn = "flu"\npositive = ["1"]\n'
        'negative = ["0"]\n[cohort.findings]\nspelling = "1/0/blank"\n[cohort.findings.columns]\nfelt_hot = "hot"\n'
        '[cohort.texts]\nhot = "feels hot, or cold"\n[split]\nby = "hash"\ntest = 0.3\n'
    )
    out = tmp_path / "words.csv"
    CliRunner().invoke(app, ["vocabulary", "--site", str(tmp_path / "site.toml"), "--out", str(out)])
    assert out.read_text().splitlines()[:2] == ["token,text", 'hot_P,"feels hot, or cold"']
    site = read_vocabulary(str(tmp_path / "site.toml"))[0]
    assert list(read_vocabulary(str(out))[0]) == with_sentences(site)
    assert out.read_text().endswith('hot_A_sentence,"The patient does not have feels hot, or cold."\n')


def test_a_file_of_another_kind_is_refused() -> None:
    with pytest.raises(TableError, match=r"expected a site file \(.toml\)"):
        read_vocabulary("words.xlsx")
