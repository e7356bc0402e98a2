from __future__ import annotations

from dataclasses import replace

from benchmarks.together import CASES, LAB, TUNING, compare
from common.strategies import EVERYTHING


def test_both_ways_are_timed_and_give_the_same() -> None:
    case = replace(LAB, training=TUNING.model_copy(update={"epochs": 1, "batches": 3}), encounters=100)
    walls, cpus, same = compare(case, 2, (1, 2))
    assert same
    assert len(walls) == len(cpus) == 2
    assert all(seconds > 0 for pair in [*walls, *cpus] for seconds in pair)


def test_the_case_named_the_usual_one_is_what_it_says() -> None:
    case = next(case for case in CASES if case.name.startswith("V = 216"))
    models, stages = case.bench((1,))
    assert models[0].table.shape == (216, 768)
    assert stages[0].train.tokens.shape == (5000, 72)
    assert stages[0].training.batch_size == 32
    assert stages[0].tuned == EVERYTHING
