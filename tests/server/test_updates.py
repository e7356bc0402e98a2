"""Updates of sources: how long, how far from the others', and cut where they are too long."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config import load_federation
from common.errors import ConfigError
from common.tasks import Answer
from common.wire import Flat
from server.exchange import Errand
from server.updates import FAR, Bound, Updates, look

ERRAND = Errand("source", "one-hot", 7, 3)


def flat(values: list[float]) -> Flat:
    return np.array(values, np.float32)


def answers(values: dict[str, list[float]]) -> dict[str, Answer]:
    return {
        site: Answer("ok", site, {"num-examples": 5.0}, arrays={"conv+linear": np.array(one, np.float32)})
        for site, one in values.items()
    }


def bounded(tmp_path: Path, bound: Bound, values: dict[str, list[float]]) -> tuple[dict[str, list[float]], Updates]:
    updates = Updates(tmp_path / "updates.csv", bound, lambda line: None)
    sent = np.array([1.0, 1.0], np.float32)
    found = updates.bounded(answers(values), dict.fromkeys(values, sent), ERRAND)
    return {site: answer.arrays["conv+linear"].tolist() for site, answer in found.items()}, updates


def test_by_hand() -> None:
    found = look({"a": flat([3, 4]), "b": flat([3, 2]), "c": flat([3, 12])}, None)
    # the median of the updates is (3, 4), from which they are 0, 2 and 8 away
    assert [found[site].change for site in "abc"] == pytest.approx([5, math.sqrt(13), math.sqrt(153)])
    assert [found[site].from_others for site in "abc"] == pytest.approx([0 / 5, 2 / 4, 8 / 1])
    assert {one.used for one in found.values()} == {1.0}


def test_two_sites_cannot_be_told_apart() -> None:
    found = look({"a": flat([3, 4]), "b": flat([-300, 4])}, None)
    assert all(math.isnan(one.from_others) for one in found.values())


def test_sites_that_agree_are_at_no_distance_and_one_that_does_not_is_infinitely_far() -> None:
    same = flat([1, 2])
    found = look({"a": same, "b": same, "c": same, "d": flat([9, 9])}, None)
    assert [found[site].from_others for site in "abcd"] == [1, 1, 1, math.inf]


def test_more_weights_than_are_looked_at_together() -> None:
    generator = np.random.default_rng(0)
    updates = {site: generator.normal(size=40_000).astype(np.float32) for site in "abcd"}
    every = np.stack(list(updates.values())).astype(np.float64)
    apart = np.linalg.norm(every - np.median(every, axis=0), axis=1)
    found = look(updates, None)
    for place, site in enumerate("abcd"):
        assert found[site].from_others == pytest.approx(apart[place] / np.median(np.delete(apart, place)))


def test_a_long_change_is_scaled_to_the_bound_and_a_short_one_is_untouched(tmp_path: Path) -> None:
    found, updates = bounded(tmp_path, 5.0, {"far": [31.0, 41.0], "near": [4.0, 5.0], "at": [1.3, 1.7]})
    assert found == {"far": pytest.approx([4.0, 5.0]), "near": [4.0, 5.0], "at": pytest.approx([1.3, 1.7])}
    assert found["at"] == flat([1.3, 1.7]).tolist()
    lines = list(csv.DictReader(updates.path.read_text().splitlines()))
    assert [line["site"] for line in lines] == ["far", "near", "at"]
    assert [float(line["used"]) for line in lines] == pytest.approx([0.1, 1, 1])
    assert {(line["embedding"], line["seed"], line["phase"], line["round"]) for line in lines} == {
        ("one-hot", "7", "source", "3")
    }


@given(st.lists(st.floats(0.015625, 1e6, width=32), min_size=1, max_size=8))
def test_no_change_is_longer_than_the_median(norms: list[float]) -> None:
    updates = {str(place): flat([norm, 0]) for place, norm in enumerate(norms)}
    median = float(np.median([look(updates, None)[site].change for site in updates]))
    for one in look(updates, "median").values():
        assert one.change * one.used <= median * (1 + 1e-9)
        assert one.used == 1 or one.change > median


def test_a_site_far_from_the_others_is_named_once_and_counted(tmp_path: Path) -> None:
    told: list[str] = []
    updates = Updates(tmp_path / "updates.csv", None, told.append)
    sent = np.zeros(2, np.float32)
    good = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [1.0, 1.0]}
    for number, odd in enumerate(([0.0, 0.5], [90.0, 90.0], [99.0, 99.0], [0.0, 0.5], [90.0, -90.0]), start=1):
        values = good | {"odd": odd}
        updates.bounded(answers(values), dict.fromkeys(values, sent), Errand("source", "one-hot", 7, number))
    assert [line.split(":")[0] for line in told] == ["source, round 2", "source, round 5"]
    assert all("odd sent weights" in line and "times as far from the others' as usual" in line for line in told)
    (line,) = updates.far
    assert line.startswith("odd: in 3 of 5 rounds, at most ")


def test_a_run_names_a_site_that_scales_its_weights(
    write: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three sites, all of one file's distribution; the third sends a hundred times its change."""
    from common import grid
    from server import simulate
    from server.summary import show

    class Lying(grid.InProcessGrid):
        def push_messages(self, messages: Any) -> Any:
            sent = list(messages)
            numbers = list(super().push_messages(sent))
            for message, number in zip(sent, numbers, strict=True):
                reply = self._replies[number]
                if message.metadata.dst_node_id == 4 and "arrays" in reply.content:
                    ((name, learnt),) = reply.content.array_records["arrays"].items()
                    ((_, came),) = message.content.array_records["arrays"].items()
                    lie = came.numpy() + 100 * (learnt.numpy() - came.numpy())
                    reply.content.array_records["arrays"][name] = type(learnt)(lie)
            return numbers

    path = write()
    hospital = Path(load_federation(path).sites["allegheny"].file or "")
    sites = {}
    for name in ("one", "two", "three"):
        file = hospital.with_name(f"updates-{name}.toml")
        file.write_text(hospital.read_text().replace('name = "allegheny"', f'name = "{name}"'))
        sites[name] = {"file": str(file)}
    path = write(sites=sites, directions=[{"sources": list(sites), "targets": []}], strategies=["direct"])
    monkeypatch.setattr(simulate, "InProcessGrid", Lying)
    federation = load_federation(path)
    simulate.run(federation, path, tmp_path / "run")
    show(tmp_path / "run", federation)
    said = capsys.readouterr().out
    assert "far from the other sources (updates.csv): three: in 2 of 2 rounds, at most" in said
    assert "one: in" not in said
    assert '"kind": "far"' in (tmp_path / "run" / "events.jsonl").read_text()
    lines = list(csv.DictReader((tmp_path / "run" / "updates.csv").read_text().splitlines()))
    assert [float(line["from_others"]) > FAR for line in lines] == [False, False, True] * 2


@pytest.mark.parametrize("value", [0, -1.0, "mean"])
def test_a_bound_that_is_none_is_refused(write: Callable[..., Path], value: object) -> None:
    with pytest.raises(ConfigError, match=r"aggregation\.norm_bound"):
        load_federation(write(aggregation={"norm_bound": value}))
