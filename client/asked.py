"""What a federation asks of one site: its tasks, how they train, and all of it in plain words."""

from __future__ import annotations

from client.policy import Policy
from common.config import Direction, Federation, Training, digest
from common.errors import ConfigError
from common.likeness import LIKENESS, NUMBERS
from common.privacy import Privacy
from common.secure.rules import threshold
from common.strategies import CNN, ENSEMBLE, LINEAR, LOCAL, LOGISTIC, SOURCE, STRATEGIES

_WORDS = {CNN: "convolution", LINEAR: "last layer (linear head)"}


def tasks_of(federation: Federation, site: str) -> tuple[str, ...]:
    """Give the tasks that a federation sends to a site, of `common.strategies.ROLES`."""
    source = any(site in direction.sources for direction in federation.directions)
    target = any(site in direction.targets for direction in federation.directions)
    asked = [SOURCE] if source else []
    everywhere = {LOCAL, LOGISTIC}
    asked += [name for name in federation.strategies if name in everywhere or (target and name in STRATEGIES)]
    if source and "direct" not in asked:
        asked.append("direct")  # sources score the model that they learnt
    if federation.aggregation.weights == LIKENESS and (source or target):
        asked.append(LIKENESS)
    return tuple(asked)


def training_of(federation: Federation, strategy: str) -> Training | None:
    """Give the section by which a task of this strategy trains."""
    if strategy in (SOURCE, LOCAL):
        return federation.training
    return federation.tuning if strategy in STRATEGIES and STRATEGIES[strategy].tuned else None


def alone_of(federation: Federation, strategy: str) -> Training | None:
    """Give the section by which a target would train alone, where that is one of what it chooses from."""
    choice = STRATEGIES[strategy].candidates if strategy in STRATEGIES else ()
    return federation.training if LOCAL in choice else None


def describe(federation: Federation, site: str, policy: Policy) -> list[str]:
    """Say in plain words what a federation will ask of a site, one line each.

    Raises
    ------
    ConfigError
        The federation does not name the site.
    """
    if site not in federation.sites:
        raise ConfigError(
            f"federation {federation.name!r} does not name site {site!r}; it names {', '.join(federation.sites)}"
        )
    asked = tasks_of(federation, site)
    lines = [f"Federation {federation.name!r}, digest {digest(federation)}, asks of {site}:"]
    lines += [f"  {name}: {_meaning(federation, site, name)}" for name in asked]
    lines += [
        f"  all of it {_times(len(federation.seeds))}, with {_seeds(federation)} for the random draws",
        f"  with embeddings {', '.join(federation.embeddings)} ({federation.normalisation}); unknown values: "
        f"{federation.unknown}",
        f"  a model of {federation.model.filters} filters, kernel {federation.model.kernel}, that predicts "
        f"{federation.model.predicts}",
        _noise(federation.privacy, policy),
    ]
    return lines + _refusals(federation, asked, policy)


def _noise(privacy: Privacy | None, policy: Policy) -> str:
    """Say how much a patient may count."""
    if privacy is None:
        refused = policy.privacy is not None and policy.privacy.required
        return "  without noise" + ("; your policy.privacy.required refuses all training" if refused else "")
    if privacy.epsilon is None:
        return (
            f"  with noise {privacy.noise_multiplier:g} times what a patient may add to a step, clip {privacy.clip:g}"
        )
    cost = f"epsilon {privacy.epsilon:g} at delta {privacy.delta:g}"
    return f"  with noise by which each training costs a patient {cost}, clip {privacy.clip:g}"


def _meaning(federation: Federation, site: str, name: str) -> str:
    training = training_of(federation, name)
    if name == SOURCE:
        others = sorted({other for direction in federation.directions for other in _with(direction, site)})
        to = f"; what is learnt goes to {', '.join(others)}" if others else ""
        if federation.aggregation.secure:
            masked = "send the weights of the whole network masked, so that the coordinator sees their sum alone"
            summed = f"summed with {_groups(federation, site)}"
            return f"train with your patients and {masked}, {_extent(training)}; {summed}{to}"
        return f"train with your patients and send the weights of the whole network, {_extent(training)}{to}"
    if name == LOCAL:
        return f"train alone and send scores, {_extent(training)}"
    if name == LIKENESS:
        cost = federation.aggregation.likeness
        noise = f"with noise (epsilon {cost.epsilon:g}, delta {cost.delta:g} of differential privacy for each patient)"
        return f"tell a mean of your patients' findings, {NUMBERS} numbers {noise}, once for each embedding"
    if name == LOGISTIC:
        return "fit a logistic regression to your patients' findings and send scores"
    if name == ENSEMBLE:
        return "score the mean of models that other sites trained alone and send scores"
    if STRATEGIES[name].prior:
        number = "as a number" if federation.model.binary else "as a number for each class or label"
        return f"send by how much your patients' prevalence differs from the other sites', {number}, and scores"
    if name == "direct":
        return "score a model as it comes and send scores"
    if numbers := STRATEGIES[name].recalibrated:
        fitted = "a number" if numbers == 1 else "two numbers"
        if not federation.model.binary:
            fitted += " for each class or label"
        return f"fit {fitted} that recalibrate a model to your patients, and send them and scores"
    if candidates := STRATEGIES[name].candidates:
        one = f"do as {', '.join(candidates)} would and choose one of them by your patients"
        sent = "send which, by how much the others were behind, the weights of the whole network, and scores"
        return f"{one}; {sent}, {_extent(training)}"
    returned = " and ".join(_WORDS[part] for part in STRATEGIES[name].returned)
    return f"tune a model with your patients and send the weights of the {returned}, and scores, {_extent(training)}"


def _groups(federation: Federation, site: str) -> str:
    """Name the sites with whose updates a source's is summed, and how many of all must be left."""
    groups = {tuple(direction.sources) for direction in federation.directions if site in direction.sources}
    return " or ".join(
        f"{', '.join(name for name in group if name != site)} (at least {threshold(len(group))} sites in all)"
        for group in sorted(groups)
    )


def _with(direction: Direction, site: str) -> set[str]:
    """Give the other sites that see what a site's training contributes to, where it is a source."""
    return {*direction.sources, *direction.targets} - {site} if site in direction.sources else set()


def _extent(training: Training | None) -> str:
    if training is None:
        return ""
    batches = "all batches" if training.batches == "all" else _counted(training.batches, "batch", "batches")
    rounds = _counted(training.rounds, "round", "rounds")
    epochs = _counted(training.epochs, "epoch", "epochs")
    return f"in {rounds} of {epochs} of {batches} of {training.batch_size} encounters"


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _seeds(federation: Federation) -> str:
    return f"seed{'s' if len(federation.seeds) > 1 else ''} {', '.join(map(str, federation.seeds))}"


def _refusals(federation: Federation, asked: tuple[str, ...], policy: Policy) -> list[str]:
    """Say what the site's own policy will refuse all the same."""
    lines = []
    if policy.federations is not None and federation.name not in policy.federations:
        lines.append(f"policy.federations does not name {federation.name!r}: every task will be refused")
    for name in asked:
        training = training_of(federation, name)
        if name == LIKENESS:
            if policy.likeness is None:
                lines.append("policy.likeness is not given: no mean leaves, and the run will stop")
        elif name not in policy.strategies:
            lines.append(f"policy.strategies does not allow {name!r}: it will be refused")
        elif name == SOURCE and policy.secure == "require" and not federation.aggregation.secure:
            lines.append('policy.secure is "require", and [aggregation] secure is not set: it will be refused')
        elif training is not None and (
            training.rounds > policy.max_rounds
            or training.epochs > policy.max_epochs
            or training.batch_size < policy.min_cell
        ):
            lines.append(f"{name}: its rounds, epochs or batches are outside your policy: it will be refused")
    return [f"  ! your {line}" if line.startswith("policy") else f"  ! {line}" for line in lines]
