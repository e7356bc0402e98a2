"""A data steward's approval: what it shows, and that nothing but what it shows is done."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.approvals import FOLDER, approve, check_approved, review
from client.asked import tasks_of
from client.policy import Policy
from client.refusals import NotApprovedError
from client.secure.steps import introduce
from client.secure.vault import Vault
from common import __version__
from common.config import Federation, digest, load_federation
from common.errors import ConfigError
from common.likeness import Likeness
from common.privacy import Privacy
from common.secure.group import MASK, Member, Secure
from common.tasks import Embedding, Greet, Request, Work

Site = Any
MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="sentence")


@pytest.fixture
def federation(write: Callable[..., Path]) -> Federation:
    return load_federation(write(directions=[{"sources": ["allegheny"], "targets": ["salt-lake"]}]))


@pytest.fixture
def approved(site: Site, federation: Federation, tmp_path: Path) -> Path:
    approve(site.folder, tmp_path / "federation.toml", "A. Steward")
    return Path(site.agent)


def work(federation: Federation, strategy: str = "source", **changes: Any) -> Work:
    training = {"direct": None, "linear": federation.tuning, "full": federation.tuning}
    fields = {
        "version": __version__,
        "run": "r",
        "session": 1,
        "federation": digest(federation),
        "strategy": strategy,
        "embedding": MINILM,
        "model": federation.model,
        "training": training.get(strategy, federation.training),
        "seed": 7,
        "intervals": 100,
    }
    return Work.model_validate(fields | changes)


def check(agent: Path, task: Work | Greet, site: str = "allegheny", policy: Policy | None = None) -> None:
    check_approved(agent, site, policy or Policy(approval=True), task, Request(task.model_dump_json()))


def test_an_approval_says_who_when_and_what(approved: Path, federation: Federation) -> None:
    (file,) = (approved / FOLDER).iterdir()
    content = tomllib.loads(file.read_text())
    assert (file.stem, content["digest"], content["name"]) == (digest(federation), digest(federation), "small")
    assert content["by"] == "A. Steward"
    assert content["at"].tzinfo is not None
    assert content["federation"]["tuning"]["learning_rate"] == 0.01  # every preset key is spelt out
    assert ".toml" not in str(content["federation"]["sites"])


def test_it_shows_what_will_be_asked_and_what_the_policy_refuses(site: Site, federation: Federation) -> None:
    site.policy('strategies = ["direct", "local"]')
    words = "\n".join(review(site.folder, site.folder.parent / "federation.toml")[1])
    for said in (
        "the weights of the whole network",
        "goes to salt-lake",
        "2 rounds of 1 epoch of",
        "with seed 7",
        "minilm",
    ):
        assert said in words
    assert "linear:" not in words  # allegheny is no target
    assert "policy.strategies does not allow 'source'" in words


@pytest.mark.parametrize("strategy", ["source", "local", "direct"])
def test_what_was_approved_is_done(approved: Path, federation: Federation, strategy: str) -> None:
    check(approved, work(federation, strategy))
    check(approved, Greet(version=__version__, embedding=MINILM, federation=digest(federation)))


@pytest.mark.parametrize("strategy", ["linear", "full", "everything"])
def test_a_site_has_its_roles_and_no_others(approved: Path, federation: Federation, strategy: str) -> None:
    with pytest.raises(NotApprovedError, match="strategy"):
        check(approved, work(federation, strategy))
    assert tasks_of(federation, "salt-lake") == ("local", "direct", "linear", "full")


def test_a_greeting_asks_for_the_approved_model(approved: Path, federation: Federation) -> None:
    other = federation.model.model_copy(update={"classes": ("flu", "rsv", "none")})
    with pytest.raises(NotApprovedError, match="model"):
        check(approved, Greet(version=__version__, embedding=MINILM, federation=digest(federation), model=other))


def test_a_mean_is_told_at_the_approved_cost_and_to_no_other_federation(
    site: Site, write: Callable[..., Path], approved: Path, federation: Federation
) -> None:
    asked = {"strategy": "likeness", "training": None}
    with pytest.raises(NotApprovedError, match=r"other values: strategy$"):
        check(approved, work(federation, **asked, likeness=Likeness()))
    directions = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
    path = write(directions=directions, aggregation={"weights": "likeness", "likeness": {"epsilon": 0.5}})
    approve(site.folder, path, "A. Steward")
    own = load_federation(path)
    for name in ("allegheny", "salt-lake"):
        check(approved, work(own, **asked, likeness=Likeness(epsilon=0.5)), name)
    with pytest.raises(NotApprovedError, match="other values: likeness"):
        check(approved, work(own, **asked, likeness=Likeness(epsilon=0.6)))


def test_sources_of_an_ensemble_are_asked_without_a_pull_too(site: Site, write: Callable[..., Path]) -> None:
    directions = [{"sources": ["allegheny"], "targets": ["salt-lake"]}]
    prox = {"name": "FedProx", "options": {"proximal_mu": 0.1}}
    for strategies, alone in ((["direct"], False), (["direct", "ensemble"], True)):
        path = write(directions=directions, aggregation=prox, strategies=strategies)
        approve(site.folder, path, "A. Steward")
        task = work(load_federation(path))
        for pull, fine in ((0.1, True), (0.0, alone), (0.2, False)):
            request = Request(task.model_dump_json(), proximal_mu=pull)
            if fine:
                check_approved(site.agent, "allegheny", Policy(approval=True), task, request)
            else:
                with pytest.raises(NotApprovedError, match="proximal_mu"):
                    check_approved(site.agent, "allegheny", Policy(approval=True), task, request)


def members(names: str) -> tuple[Member, ...]:
    found = []
    for name in names:
        vault = Vault(None)
        vault.begin("r")
        found.append(introduce(vault, name, "r"))
    return tuple(found)


def secure(names: str, **changes: Any) -> Secure:
    return Secure.model_validate({"stage": MASK, "members": members(names), "came": "0" * 64, **changes})


def test_a_sum_over_others_than_were_approved_is_refused(site: Site, write: Callable[..., Path]) -> None:
    sites: dict[str, Any] = {name: {} for name in ("allegheny", *"abcd")}
    directions = [{"sources": [*"abc"], "targets": ["allegheny"]}]
    for aggregation in ({"secure": True}, {"secure": True, "weights": "equal"}, {}):
        path = write(sites=sites, directions=directions, aggregation=aggregation)
        approve(site.folder, path, "A. Steward")
        own = load_federation(path)
        equal = aggregation.get("weights") == "equal"
        fine: list[Secure | None] = [secure("abc", equal=equal)] if aggregation else [None]
        for asked in (None, secure("abc"), secure("abc", equal=True), secure("abd"), secure("bac"), secure("abcd")):
            task = work(own, secure=asked)
            if asked is None or fine[0] is None:
                right = asked is fine[0]
            else:
                right = (asked.sites, asked.equal) == (fine[0].sites, fine[0].equal)
            if right:
                check(site.agent, task, "a")
            else:
                with pytest.raises(NotApprovedError, match="other values: secure"):
                    check(site.agent, task, "a")


def test_it_shows_with_whom_an_update_is_summed(site: Site, write: Callable[..., Path]) -> None:
    sites: dict[str, Any] = {name: {} for name in ("allegheny", *"abcd")}
    directions = [{"sources": ["allegheny", *"abcd"]}]
    path = write(sites=sites, directions=directions, aggregation={"secure": True})
    words = "\n".join(review(site.folder, path)[1])
    assert "send the weights of the whole network masked, so that the coordinator sees their sum alone" in words
    assert "summed with a, b, c, d (at least 4 sites in all)" in words
    site.policy('secure = "require"')
    assert "will be refused" not in "\n".join(review(site.folder, path)[1])
    path = write(sites=sites, directions=directions)
    assert 'policy.secure is "require", and [aggregation] secure is not set: it will be refused' in "\n".join(
        review(site.folder, path)[1]
    )


CHANGES: list[tuple[str, Callable[[Work], dict[str, Any]]]] = [
    ("seed", lambda task: {"seed": 8}),
    ("round", lambda task: {"round": 3}),
    ("round", lambda task: {"round": 0}),
    ("intervals", lambda task: {"intervals": 1000}),
    ("model", lambda task: {"model": task.model.model_copy(update={"filters": 101})}),
    ("training", lambda task: {"training": task.training and task.training.model_copy(update={"epochs": 2})}),
    ("training", lambda task: {"training": task.training and task.training.model_copy(update={"learning_rate": 1.0})}),
    ("training", lambda task: {"training": None}),
    ("privacy", lambda task: {"privacy": Privacy(noise_multiplier=0.5)}),
    ("embedding", lambda task: {"embedding": MINILM.model_copy(update={"name": "one-hot"})}),
    ("normalisation", lambda task: {"embedding": MINILM.model_copy(update={"normalisation": "raw"})}),
    ("unknown", lambda task: {"embedding": MINILM.model_copy(update={"unknown": "keep"})}),
    ("absence", lambda task: {"embedding": MINILM.model_copy(update={"absence": "text"})}),
    ("vocabulary", lambda task: {"embedding": MINILM.model_copy(update={"vocabulary": ("a", "b")})}),
]


@pytest.mark.parametrize(("says", "change"), CHANGES)
def test_a_task_that_asks_for_something_else_is_found_by_what_it_asks(
    approved: Path, federation: Federation, says: str, change: Callable[[Work], dict[str, Any]]
) -> None:
    """Its digest is that of the approved federation; what it asks is not."""
    task = work(federation)
    with pytest.raises(NotApprovedError, match=f"other values: {says}$"):
        check(approved, task.model_copy(update=change(task)))


def test_a_pull_that_was_not_approved_is_refused(approved: Path, federation: Federation) -> None:
    task = work(federation)
    with pytest.raises(NotApprovedError, match="proximal_mu"):
        check_approved(approved, "allegheny", Policy(), task, replace(Request(task.model_dump_json()), proximal_mu=1.0))


def test_another_federation_another_site_or_another_name_is_not_approved(
    approved: Path, federation: Federation
) -> None:
    task = work(federation)
    for unknown in ("", "0" * 64, f"../approvals/{digest(federation)}", digest(federation)[:-1]):
        with pytest.raises(NotApprovedError, match="is not approved"):
            check(approved, task.model_copy(update={"federation": unknown}))
    with pytest.raises(NotApprovedError, match="does not name site"):
        check(approved, task, site="elsewhere")
    with pytest.raises(NotApprovedError, match=r"policy\.federations"):
        check(approved, task, policy=Policy(approval=True, federations=("other",)))
    check(approved, task, policy=Policy(approval=True, federations=("small",)))


def test_an_approval_that_was_edited_is_none(approved: Path, federation: Federation) -> None:
    (file,) = (approved / FOLDER).iterdir()
    for old, new in (("epochs = 1", "epochs = 9"), ("[federation.model]", "[federation.modell]")):
        whole = file.read_text()
        file.write_text(whole.replace(old, new))
        with pytest.raises(NotApprovedError):
            check(approved, work(federation))
        file.write_text(whole)
    check(approved, work(federation))


def test_someone_must_approve_and_the_site_must_be_asked(site: Site, write: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="--by"):
        approve(site.folder, write(), " ")
    others = write(sites={"b": {}, "c": {}}, directions=[{"sources": ["b"], "targets": ["c"]}])
    with pytest.raises(ConfigError, match="does not name site 'allegheny'"):
        approve(site.folder, others, "A. Steward")
    assert not (site.agent / FOLDER).exists()
