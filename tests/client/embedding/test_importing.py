"""Importing the layout that the paper's authors published."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.embedding.importing import import_table, token_of
from common.concepts import Token, builtin_concepts
from common.errors import TableError

h5py: Any = pytest.importorskip("h5py")

DATA = Path(os.environ.get("SITEBRIDGE_DATA", "")) / "embeddings"
SIZES = {"bert": 768, "biobert": 768, "openai_small": 1536, "openai_large": 3072}
NAMES = ["C1 dry cough", "C1 Not dry cough", "C2 fever", "C2 Not fever", "age_old over 65", "age_old Not over 65"]


def write(path: Path, arrays: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def good() -> dict[str, Any]:
    return {name: np.full((1, 3), i + 1, np.float32) for i, name in enumerate(NAMES)}


def test_data_sets_become_tokens_by_name(tmp_path: Path) -> None:
    table = import_table(write(tmp_path / "t.h5", good()), model="tiny", pooling="cls")
    tokens = [Token("age_old", "any"), Token("C1_P", ""), Token("C1_A", ""), Token("C2_P", ""), Token("C2_A", "")]
    assert table.vectors[table.rows(tokens), 0].tolist() == [5, 1, 2, 3, 4]
    assert len(table.tokens) == 5
    assert (table.key, table.centre_of, table.model, table.revision) == ("token", "table", "tiny", "unknown")
    assert table.pooling == "cls"


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("C0521839 influenza like illness", Token("C0521839_P", "influenza like illness")),
        ("C0521839 Not influenza like illness", Token("C0521839_A", "Not influenza like illness")),
        ("AC000005 Nothing", Token("AC000005_P", "Nothing")),
        (
            "C0424781_A low grade\u00a0temperature(38\u201339.9C)",
            Token("C0424781_A", "low grade temperature(38 39.9C)"),
        ),
        ("agegroup_ls5 ages less", Token("agegroup_ls5", "ages less")),
        ("agegroup_ls5 Not ages less", None),
    ],
)
def test_a_name_is_a_token(name: str, token: Token | None) -> None:
    assert token_of(name) == token


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "flat": ({"C3 x": np.ones(3, np.float32)}, r"data set 'C3 x': expected shape \(1, 3\). Got \(3,\) instead"),
    "longer": ({"C3 x": np.ones((1, 4), np.float32)}, r"expected shape \(1, 3\). Got \(1, 4\)"),
    "whole numbers": ({"C3 x": np.ones((1, 3), int)}, "expected floating-point numbers. Got int64"),
    "not finite": ({"C3 x": np.full((1, 3), np.nan, np.float32)}, "numbers that are not finite"),
    "no text": ({"C3": np.ones((1, 3), np.float32)}, "data set 'C3': expected a name such as"),
    "twice": ({"C2  fever": np.ones((1, 3), np.float32)}, "2 data sets for the token C2_P; expected one"),
    "a group": ({"C3 w/x": np.ones((1, 3), np.float32)}, "data set 'C3 w': "),
}


@pytest.mark.parametrize(("added", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_data_set_of_another_kind_is_named(added: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", good() | added)
    with pytest.raises(TableError, match=message) as raised:
        import_table(path, model="tiny")
    assert str(raised.value).startswith(f"{path}: data set") or "2 data sets" in message


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    bad = good() | {name: array for added, _ in BROKEN.values() for name, array in added.items() if name != "C3 x"}
    bad |= {"C4 x": np.ones(3, np.float32), "C5 x": np.full((1, 3), np.inf, np.float32)}
    with pytest.raises(TableError, match="5 problems"):
        import_table(write(tmp_path / "t.h5", bad), model="tiny")


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="no such file"):
        import_table(tmp_path / "none.h5", model="tiny")
    (tmp_path / "t.h5").write_text("token,text")
    with pytest.raises(TableError, match="not an HDF5 file"):
        import_table(tmp_path / "t.h5", model="tiny")
    with pytest.raises(TableError, match="holds no data sets"):
        import_table(write(tmp_path / "empty.h5", {}), model="tiny")
    alone = {"age_old Not over 65": np.ones((1, 3), np.float32)}
    with pytest.raises(TableError, match="no data set is named"):
        import_table(write(tmp_path / "alone.h5", alone), model="tiny")


def test_rows_that_do_not_differ_are_refused_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "t.h5", {name: np.ones((1, 3), np.float32) for name in NAMES})
    with pytest.raises(TableError, match=r"t\.h5: .*do not differ"):
        import_table(path, model="tiny")


def test_without_h5py_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(TableError, match=r"pip install 'sitebridge\[embed\]'"):
        import_table(tmp_path / "t.h5", model="tiny")


@pytest.mark.skipif(not DATA.is_dir(), reason="SITEBRIDGE_DATA has no folder embeddings")
@pytest.mark.parametrize(("model", "size"), SIZES.items())
def test_the_authors_tables_cover_the_papers_findings(model: str, size: int) -> None:
    table = import_table(DATA / f"concept_pair_{model}.h5", model=model)
    assert table.vectors.shape == (1 + 177, size)  # 85 findings, present and absent; 4 temperatures; 3 age groups
    concepts = builtin_concepts()
    wanted = [c.token(v) for c in concepts.values() if not c.values for v in "PA"]
    wanted += concepts["C0424781"].tokens()
    wanted += [concepts["agegroup"].token(v) for v in ("ls5", "ge6ls65", "ge64")]
    assert len(set(table.rows(wanted).tolist())) == 2 * 69 + 4 + 3
    assert float(np.linalg.norm(table.normalised()[1:], axis=1).mean()) == pytest.approx(4.0, rel=1e-4)


@pytest.mark.skipif(not DATA.is_dir(), reason="SITEBRIDGE_DATA has no folder embeddings")
def test_two_of_the_authors_tables_are_two_spaces_even_under_one_name() -> None:
    one, other = (import_table(DATA / f"concept_pair_{m}.h5", model="bert").fingerprint() for m in ("bert", "biobert"))
    assert one.difference(other) == [
        "content: the two tables do not hold the same rows; without probe vectors they must"
    ]
