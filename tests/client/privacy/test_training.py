"""Steps with noise: who is drawn, how much noise there is, and what is left of training when there is none."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from client.compact import basis_of
from client.privacy.accounting import Charge
from client.privacy.randomness import Randomness
from client.privacy.training import Guard, Patients, charge_of
from client.training import Encounters, Stage, pooled, snapshot, train
from common.config import Training
from common.model import ConceptCNN, initial_weights
from common.shape import ModelShape

KEY = bytes(range(32))
SHAPE = ModelShape(filters=8)
EVERYTHING = Training(
    rounds=1,
    epochs=6,
    batches="all",
    batch_size=1000,
    optimiser="sgd",
    learning_rate=0.1,
    weight_decay=0.01,
    dropout=0.0,
)


def table_of(rows: int = 12, width: int = 30) -> torch.Tensor:
    table = torch.randn(rows, width, generator=torch.Generator().manual_seed(1))
    table[0] = 0
    return table


def encounters(count: int = 60, patients: torch.Tensor | None = None) -> Encounters:
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(0, 12, (count, 5), generator=generator).to(torch.uint8)
    return Encounters(tokens, (tokens == 3).any(1).long(), patients)


def stage(guard: Guard | None, training: Training = EVERYTHING, tuned: tuple[str, ...] = ("cnn", "linear")) -> Stage:
    some = encounters()
    return Stage(some, some.first(0), training, tuned, lambda number: 5, basis=basis_of(table_of()), guard=guard)


def model_of(dropout: float = 0.0) -> ConceptCNN:
    model = ConceptCNN(table_of(), SHAPE, dropout)
    model.load_state_dict(initial_weights(30, SHAPE, 3))
    return model


@pytest.mark.parametrize("tuned", [("cnn", "linear"), ("linear",)])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("proximal_mu", [0.0, 0.5])
def test_without_noise_and_clip_it_is_training_on_everybody(
    tuned: tuple[str, ...], optimiser: str, proximal_mu: float
) -> None:
    training = EVERYTHING.model_copy(
        update={"optimiser": optimiser, "learning_rate": 0.01 if optimiser == "adam" else 0.1}
    )
    models = []
    for guard in (None, Guard(1e6, 0.0)):
        model = model_of()
        train(model, dataclasses.replace(stage(guard, training, tuned), proximal_mu=proximal_mu))
        models.append(model.state_dict())
    for name, value in models[0].items():
        torch.testing.assert_close(models[1][name], value, rtol=1e-4, atol=1e-5)


def test_the_clip_limits_a_step() -> None:
    training = EVERYTHING.model_copy(update={"epochs": 1, "weight_decay": 0.0, "momentum": 0.0, "learning_rate": 1.0})
    model = model_of()
    before = snapshot(model)
    train(model, stage(Guard(1e-3, 0.0), training))
    moved = torch.cat([(value - before[name]).flatten() for name, value in model.state_dict().items()]).norm()
    assert 0 < float(moved) <= 1e-3 * 1.001


@pytest.mark.parametrize(
    ("tuned", "compact"), [(("cnn", "linear"), True), (("cnn", "linear"), False), (("linear",), True)]
)
def test_noise_has_the_deviation_that_is_charged_for(tuned: tuple[str, ...], compact: bool) -> None:
    training = EVERYTHING.model_copy(update={"epochs": 1, "weight_decay": 0.0, "momentum": 0.0, "learning_rate": 1.0})
    clip, noise, moved = 0.01, 100.0, []
    basis = basis_of(table_of())
    assert basis is not None
    names = [f"{part.replace('cnn', 'conv')}.{kind}" for part in tuned for kind in ("weight", "bias")]
    for number in range(100):
        model = model_of()
        before = snapshot(model)
        guarded = stage(Guard(clip, noise, Randomness(bytes([number]) * 32)), training, tuned)
        train(model, guarded if compact else dataclasses.replace(guarded, basis=None))
        change = {name: value.double() - before[name] for name, value in model.state_dict().items()}
        if compact:
            change["conv.weight"] = change["conv.weight"][:, :, 0] @ basis  # the coordinates that have noise
        moved.append(torch.cat([change[name].flatten() for name in names]))
    drawn = torch.stack(moved) * 60 / (clip * noise)
    assert float(drawn.std()) == pytest.approx(1.0, abs=4 / (2 * drawn.numel()) ** 0.5)
    assert float(drawn.std(0).min()) > 0.7  # every coordinate has it


def test_two_trainings_differ_and_only_the_key_brings_one_back() -> None:
    states = []
    for key in (None, None, KEY, KEY):
        model = model_of(0.5)
        train(model, stage(Guard(1.0, 1.0, Randomness(key)), EVERYTHING.model_copy(update={"batch_size": 20})))
        states.append(model.state_dict()["linear.weight"])
    assert not torch.equal(states[0], states[1])
    assert torch.equal(states[2], states[3])


def test_patients_are_drawn_with_all_their_encounters() -> None:
    whose = torch.tensor([7, 7, -3, 9, 7, 9, 11] * 10)
    patients = Patients(encounters(70, whose))
    assert len(patients) == 4
    randomness, seen = Randomness(KEY), torch.zeros(4)
    for _ in range(4000):
        drawn = patients.draw(0.3, randomness)
        names = whose[drawn.chosen]
        assert len(drawn.counts) == len(names.unique())
        assert torch.equal(torch.bincount(drawn.patients, minlength=len(drawn.counts)), drawn.counts)
        for number, name in enumerate([-3, 7, 9, 11]):
            mine = drawn.chosen[names == name]
            assert len(mine) in (0, int((whose == name).sum()))
            assert len(mine.unique()) == len(mine)
            seen[number] += len(mine) > 0
        assert all(len(names[drawn.patients == number].unique()) == 1 for number in range(len(drawn.counts)))
    assert ((seen / 4000 - 0.3).abs() < 0.03).all()


def test_the_validation_encounters_choose_nothing() -> None:
    training = EVERYTHING.model_copy(update={"patience": 1, "batch_size": 20, "rounds": 4})
    states = []
    for validation in (encounters().first(0), encounters(50)):
        model = model_of(0.5)
        guarded = stage(Guard(1.0, 1.0, Randomness(KEY)), training)
        train(model, dataclasses.replace(guarded, validation=validation))
        states.append(model.state_dict()["conv.weight"])
    assert torch.equal(*states)


def test_charges_count_the_steps_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr("client.privacy.training.PrivateSteps.step", lambda steps: taken.append(steps.rate))
    for training, rate, steps in [
        (EVERYTHING.model_copy(update={"batch_size": 25, "rounds": 2}), 25 / 60, 2 * 6 * 3),
        (EVERYTHING.model_copy(update={"batches": 7, "batch_size": 6}), 0.1, 42),
        (EVERYTHING, 1.0, 6),
    ]:
        taken.clear()
        train(model_of(), stage(Guard(1.0, 1.0), training))
        assert taken == [rate] * steps
        assert charge_of(training, 60, 1.5, training.rounds) == Charge(rate, 1.5, steps)


def test_what_the_span_of_the_table_does_not_hold_tells_of_nobody() -> None:
    """Beside the span weights only decay, by a number that follows from the configuration."""
    moved = []
    basis = basis_of(table_of())
    assert basis is not None
    beside = torch.eye(30, dtype=torch.float64) - basis @ basis.T
    for some in (encounters(60), encounters(40)):
        model = model_of()
        train(model, dataclasses.replace(stage(Guard(1.0, 1.0), EVERYTHING), train=some))
        moved.append(model.conv.weight.detach()[:, :, 0].double() @ beside)
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=1e-6)
    assert float(moved[0].norm()) > 0.1


def test_the_head_alone_sees_filters_that_do_not_learn() -> None:
    model = model_of()
    before = pooled(model, encounters())
    train(model, stage(Guard(1.0, 1.0), tuned=("linear",)))
    assert torch.equal(before, pooled(model, encounters()))
