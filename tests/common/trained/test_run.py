"""What is read of a run's folder beside its weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.errors import ConfigError
from common.trained.run import RunModels

HEAD = "embedding,seed,strategy,sources,site,split,class,n"


def test_the_name_of_a_class_is_text(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(f"{HEAD}\nminilm,7,full,a,b,test,007,100\n")
    assert RunModels(tmp_path).classes["class"].tolist() == ["007"]


def test_classes_may_be_absent_and_must_be_whole(tmp_path: Path) -> None:
    assert RunModels(tmp_path).classes.empty
    (tmp_path / "classes.csv").write_text(f"{HEAD.replace(',class', '')}\n")
    with pytest.raises(ConfigError, match=r"classes.csv: column class is missing"):
        _ = RunModels(tmp_path).classes
