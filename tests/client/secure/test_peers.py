"""With whom a site may be in a secure sum: those whom its policy names, by their identities, and no others."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from client.audit import LOG
from client.audit.chain import read_lines
from client.policy import Policy
from client.refusals import UnknownPeerError
from client.secure.peers import check_peers, fingerprints
from client.secure.steps import introduce
from client.secure.vault import Vault
from client.site_file import load_site
from client.state import read_state
from common import __version__
from common.config import Training
from common.errors import SitebridgeError
from common.model import initial_weights
from common.secure.group import MASK, Member, Secure
from common.secure.statements import mark_of
from common.shape import ModelShape
from common.strategies import EVERYTHING
from common.tasks import Answer, Arrays, Embedding, Greet, Request, Work
from common.wire import pack

Site = Any  # the fixture's class
NAMES = ("allegheny", "hill", "lake")
MINILM = Embedding(name="minilm", normalisation="centred", unknown="mask", absence="text")
SHAPE = ModelShape()
TRAINING = Training(rounds=1, epochs=1, batches=2, batch_size=32, optimiser="sgd", learning_rate=0.01)


def members() -> dict[str, Member]:
    found = {}
    for name in NAMES:
        vault = Vault(None)
        vault.begin("r")
        found[name] = introduce(vault, name, "r")
    return found


def secure(of: dict[str, Member]) -> Secure:
    return Secure(stage=MASK, members=tuple(of.values()), came="0" * 64)


def test_those_whom_the_policy_names() -> None:
    step = secure(members())
    known = fingerprints(step)
    check_peers(Policy(), "allegheny", step)
    check_peers(Policy(peers={name: known[name] for name in ("hill", "lake")}), "allegheny", step)
    with pytest.raises(UnknownPeerError, match=f"site lake with identity {known['lake']}: policy.peers does not name"):
        check_peers(Policy(peers={"hill": known["hill"]}), "allegheny", step)
    swapped = Policy(peers={"hill": known["lake"], "lake": known["lake"]})
    with pytest.raises(UnknownPeerError, match=rf"site hill with identity {known['hill']}: .* another identity of it"):
        check_peers(swapped, "allegheny", step)
    with pytest.raises(UnknownPeerError, match="site hill"):
        check_peers(Policy(peers={}), "allegheny", step)


def weights() -> Arrays:
    return dict(pack(initial_weights(384, SHAPE, 0), EVERYTHING, 384, SHAPE))


def greeted(site: Site) -> Member:
    greet = Greet(version=__version__, run="r", session=1, embedding=MINILM, secure=True)
    return Member.model_validate(json.loads(site.ask(Request(greet.model_dump_json())).facts)["secure"])


def asked(site: Site, of: dict[str, Member]) -> Answer:
    fields = {"version": __version__, "run": "r", "session": 1, "strategy": "source", "embedding": MINILM, "seed": 1}
    step = Secure(stage=MASK, members=tuple(of.values()), came=mark_of(weights()))
    fields |= {"model": SHAPE, "training": TRAINING, "round": 1, "secure": step}
    answer: Answer = site.ask(Request(Work.model_validate(fields).model_dump_json(), weights()))
    return answer


def test_a_deployed_site_masks_for_its_peers_alone(deployed: Site) -> None:
    of = members() | {"allegheny": greeted(deployed)}
    known = fingerprints(secure(of))
    deployed.policy('secure = "require"\n[policy.peers]\n' + f'hill = "{known["hill"]}"\n')
    assert asked(deployed, of).code == "unknown-peer"
    deployed.policy('secure = "require"\n[policy.peers]\n' + "".join(f'{n} = "{known[n]}"\n' for n in NAMES[1:]))
    answer = asked(deployed, of)
    assert (answer.code, list(answer.arrays), answer.figures) == ("ok", ["masked"], {})
    assert answer.arrays["masked"].dtype == np.uint64
    made_up = of | {"lake": members()["lake"]}  # under the right name, with a key and an identity of a stranger
    assert asked(deployed, made_up).code == "unknown-peer"


def test_who_was_in_a_sum_is_in_the_audit_log(deployed: Site) -> None:
    of = members() | {"allegheny": greeted(deployed)}
    asked(deployed, of)
    lines = [line.record for line in read_lines(deployed.agent / LOG) if line.record]
    noted = [line for line in lines if line.get("secure")]
    assert {line["secure"] for line in noted} == {"mask"}
    assert noted[-1]["peers"] == fingerprints(secure(of))


def test_the_identity_is_told_to_who_runs_the_site_and_outlives_the_agent(deployed: Site) -> None:
    greeted(deployed)  # the socket is there before the state is
    told = read_state(deployed.agent)["identity"]
    assert told == Vault(deployed.agent).fingerprint
    deployed.end()
    deployed.start()
    greeted(deployed)
    assert read_state(deployed.agent)["identity"] == told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('secure = "always"', "policy.secure"),
        ('peers = { hill = "abc" }', "policy.peers.hill"),
        ("peers = { Hill = 'x' }", "policy.peers"),
    ],
)
def test_a_policy_that_cannot_be_read(site: Site, text: str, words: str) -> None:
    site.policy(text)
    with pytest.raises(SitebridgeError, match=words):
        load_site(site.site_file)
