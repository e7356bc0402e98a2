"""What the audit log says of a message: never a patient's value, nor the value of any figure or weight."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from client.audit.chain import Record
from client.frames import Frame
from client.secure.peers import fingerprints
from common.tasks import Answer, Arrays, Greet, Work, kind_of

UNREADABLE = "unreadable"


def came(frame: Frame, task: Greet | Work | None) -> Record:
    """Tell of a message that came; what is decided about it stands in the line of its answer."""
    return {"direction": "in", **about(task), **_payload(frame), "decision": "received"}


def came_broken(why: str) -> Record:
    """Tell of bytes that came and were no message."""
    return {"direction": "in", "run": "", "what": UNREADABLE, "decision": "bad-task", "why": why}


def leaves(frame: Frame, task: Greet | Work | None, answer: Answer) -> Record:
    """Tell of an answer that is about to leave."""
    said = {"decision": answer.code, "figures": sorted(answer.figures), "withheld": list(answer.withheld)}
    words = {"facts_bytes": len(answer.facts.encode())} if answer.facts else {}
    return {"direction": "out", **about(task), **_payload(frame), **said, **words}


def about(task: Greet | Work | None) -> dict[str, Any]:
    """Say which task it is; of one that cannot be read, that."""
    if task is None:
        return {"run": "", "what": UNREADABLE}
    origin = {"run": task.run, "session": task.session, "federation": task.federation}
    embedding = {"embedding": task.embedding.name}
    if isinstance(task, Greet):
        return origin | embedding | {"what": "greet"}
    work = origin | embedding | {"what": task.strategy, "round": task.round, "seed": task.seed}
    if task.secure is None:
        return work
    return work | {"secure": task.secure.stage, "peers": fingerprints(task.secure), "left": list(task.secure.left)}


def _payload(frame: Frame) -> dict[str, Any]:
    return {"arrays": _arrays(frame.arrays), "bytes": frame.size, "sha256": frame.sha256}


def _arrays(arrays: Arrays) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "shape": list(values.shape),
            "numbers": int(values.size),
            "sha256": hashlib.sha256(np.asarray(values, dtype=kind_of(values)).tobytes()).hexdigest(),
        }
        for name, values in arrays.items()
    ]
