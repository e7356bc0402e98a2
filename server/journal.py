"""Keeps every answer on disk before the run goes on, so that a run that was killed continues to the same bits.

All that a coordinator does between two answers follows from the configuration and the answers before. So a run is
resumed by starting it again: what is in the journal is taken from there, and only the first question that is not in it
goes to the sites. This holds for every strategy of Flower's, whatever it keeps in memory; not for drawn noise.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from flwr.app import Message
from numpy.typing import NDArray

from common.errors import ConfigError
from common.files import write_atomically
from common.tasks import Answer
from common.transport import ARRAYS, CONFIG
from server.exchange import Crossing


@dataclass(frozen=True)
class Entry:
    """One question's answers, what crossed for them, who was gone on without, and who failed and why."""

    answers: dict[str, Answer]
    crossings: list[Crossing]
    absent: list[str]
    failed: dict[str, str]


class Journal:
    """The answers of a run, in order.

    Parameters
    ----------
    folder : Path
        Where they are kept; made when the first comes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = 0

    def recall(self, messages: Mapping[str, Message]) -> Entry | None:
        """Give what the journal has of the next question, or None.

        Raises
        ------
        ConfigError
            The journal has answers to another question: this is not the run that wrote it. Or the file is damaged.
        """
        self.asked += 1
        path = self._path()
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, framework="numpy") as file:
                record = json.loads(file.metadata()["journal"])
                arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # not a mapping
            question, entry = record["question"], _entry(record, arrays)
        except Exception:  # whatever the disk made of it
            raise ConfigError(
                f"{path}: damaged; remove it and what follows it, and those answers are asked anew"
            ) from None
        if question != _digest(messages):
            raise ConfigError(f"{path}: answers another question; resume with the run's own configuration and software")
        return entry

    def keep(
        self,
        messages: Mapping[str, Message],
        answers: Mapping[str, Answer],
        crossings: Sequence[Crossing],
        absent: Sequence[str],
        failed: Mapping[str, str],
    ) -> None:
        """Write down the answers to the question that `recall` did not know."""
        said = {site: {key: value for key, value in vars(a).items() if key != "arrays"} for site, a in answers.items()}
        record = {
            "question": _digest(messages),
            "answers": said,
            "crossings": [asdict(crossing) for crossing in crossings],
            "absent": list(absent),
            "failed": dict(failed),
        }
        arrays = {f"{site}/{name}": np.asarray(v) for site, a in answers.items() for name, v in a.arrays.items()}
        write_atomically(self._path(), safetensors.numpy.save(arrays, metadata={"journal": json.dumps(record)}))

    def close(self) -> None:
        """Remove the journal of a run that is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self) -> Path:
        return self.folder / f"{self.asked:06d}.safetensors"


def _entry(record: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Entry:
    """Put together what was written down, and fail where that is not it."""
    answers = {}
    for site, said in record["answers"].items():
        own = {key.removeprefix(f"{site}/"): values for key, values in arrays.items() if key.startswith(f"{site}/")}
        answers[site] = Answer(**said | {"withheld": tuple(said["withheld"])}, arrays=own)
    crossings = [Crossing(**crossing) for crossing in record["crossings"]]
    return Entry(answers, crossings, list(record["absent"]), dict(record["failed"]))


def _digest(messages: Mapping[str, Message]) -> str:
    """Give the SHA-256 of what is asked of whom, apart from the run's name and start: a folder may have been moved."""
    digest = hashlib.sha256()
    for site, message in messages.items():
        task = json.loads(str(message.content.config_records[CONFIG]["task"]))
        for key in ("run", "session"):
            task.pop(key, None)
        if secure := task.get("secure"):  # without keys and shares, which follow from the answers before or are drawn
            task["secure"] = [secure["stage"], [member["site"] for member in secure["members"]], secure["left"]]
        digest.update(json.dumps([site, task], sort_keys=True).encode())
        record = message.content.array_records.get(ARRAYS)
        for name, array in (record or {}).items():
            digest.update(name.encode() + array.data)
    return digest.hexdigest()
