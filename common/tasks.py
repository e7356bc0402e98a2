"""What a coordinator may ask of a site, and what a site may answer.

A task and an answer are JSON plus at most one array (`common.wire`). The relay that carries them at the site
understands neither; the agent, which has the data, checks both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from common.concepts import NONE, TEXT, Absence
from common.config import ONE_HOT, Name, Normalisation, Replicates, Training, Unknown
from common.likeness import Likeness
from common.privacy import UNPROTECTED, Privacy
from common.secure.group import Secure
from common.shape import MOST, ModelShape
from common.strategies import SOURCE
from common.toml import Declared

Share = Annotated[float, Field(gt=0, lt=1)]
Arrays = dict[str, NDArray[np.generic]]


def kind_of(values: NDArray[np.generic]) -> np.dtype[np.generic]:
    """Give the type in which an array may travel: weights as float32, what is masked for a secure sum as uint64."""
    return np.dtype("<u8") if values.dtype == np.uint64 else np.dtype("<f4")


# Everything that a site may say when it does not do what it was asked. The text of an exception never leaves it.
FAILURES = {
    "refused": "the site's policy does not allow this task",
    "bad-task": "the task or its weights do not fit what this version of Sitebridge accepts",
    "bad-site-file": "the site's own file cannot be used",
    "bad-cohort": "the site's cohort cannot be read as its site file describes it",
    "bad-table": "the site's embedding table is missing, damaged or does not cover its concepts",
    "other-label": "the site file's label is not what the federation predicts: the same names, in the same order",
    "too-few": "fewer patients than the site's min-cell",
    "too-alike": "the site's cohort differs by fewer patients than its min-cell from one that it has told of before",
    "diverged": "training went to numbers that are not finite; a lower learning rate may help",
    "not-approved": "the site's data steward has not approved this federation as it is configured",
    "old-run": "the message belongs to a run, or to a start of it, that another has replaced",
    "too-far": "the weights moved further than the site's policy lets out",
    "not-private": "the site's policy asks for differential privacy, and the task has none",
    "budget-spent": "the site's privacy budget for its patients does not cover this task",
    "plain": "the site's policy lets updates out in a secure sum only, and the federation has none",
    "unknown-peer": "the site's policy does not name these sites, with these keys, for a secure sum",
    "unsafe": "a step of secure aggregation that could uncover an update; the site's own log says which",
    "out-of-range": "a weight moved too far, or there are too many encounters, for the numbers of a secure sum",
    "agent-down": "the site's agent does not answer",
    "failed": "the site failed; the details are in its own log",
}

# Those that asking again may mend; the rest stay as they are until a person does something.
PASSING = ("agent-down", "failed")


class Embedding(Declared):
    """Which table a run works with, and how."""

    name: Name
    normalisation: Normalisation
    unknown: Unknown
    absence: Absence
    vocabulary: Annotated[tuple[str, ...], Field(max_length=1_000_000)] | None = (
        None  # one-hot only: the tokens of all sites, which are its columns
    )

    @property
    def shown(self) -> Absence:
        """How absent findings are shown; to one-hot a text is as far from its finding as anything can be."""
        return TEXT if self.name == ONE_HOT and self.absence != NONE else self.absence


class Task(Declared):
    """What every task says of where it comes from.

    Attributes
    ----------
    version : str
        Of Sitebridge at the coordinator.
    run : str
        Name of the run.
    session : int
        Nanoseconds of the coordinator's clock when the run was started or resumed. Grows with every start, so that a
        site can tell a message of an earlier one.
    federation : str
        `common.config.digest` of the federation's configuration.
    """

    version: str
    run: Annotated[str, Field(max_length=200)] = ""
    session: int = 0
    federation: Annotated[str, Field(max_length=64)] = ""


class Greet(Task):
    """Asks a site who it is, in which embedding space, and whether it has the label that `model` predicts."""

    kind: Literal["greet"] = "greet"
    embedding: Embedding
    model: ModelShape = ModelShape()
    secure: bool = False  # whether the site is asked for its keys


class Work(Task):
    """Asks a site to tune a model, or parts of it, and to score it.

    Attributes
    ----------
    strategy : str
        A transfer strategy, or "source" for a round of training at a source.
    round : int
        Of this training, from 1; with the seed and the site's name it fixes every random draw.
    score : tuple of str
        Splits to score the resulting model on.
    choose_threshold : bool
        Whether to choose the probability from which on an encounter is positive, on validation encounters; of two
        classes only.
    threshold : float or None
        Such a threshold as the sources chose it.
    alone : Training or None
        How a target that chooses among strategies would train alone, one of them.
    home : float or None
        AUROC of the model that comes, on validation encounters where it was learnt; for that choice.
    privacy : Privacy or None
        With which noise the site trains.
    prevalence : tuple of float or None
        At the sources: of the positive class, or of each class or label.
    likeness : Likeness or None
        Of the task "likeness" alone: what the mean that is asked for may cost a patient.
    secure : Secure or None
        With strategy "source": the step of secure aggregation that is asked for.
    """

    kind: Literal["work"] = "work"
    strategy: Name
    embedding: Embedding
    model: ModelShape
    training: Training | None
    seed: int
    round: int = 1
    score: tuple[Literal["validation", "test"], ...] = ()
    choose_threshold: bool = False
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    intervals: Replicates | Literal[0] = 0
    alone: Training | None = None
    home: Annotated[float, Field(ge=0, le=1)] | None = None
    privacy: Privacy | None = None
    prevalence: Annotated[tuple[Share, ...], Field(max_length=MOST)] | None = None
    likeness: Likeness | None = None
    secure: Secure | None = None

    @model_validator(mode="after")
    def _agree(self) -> Work:
        if not self.model.binary and (self.choose_threshold or self.threshold is not None):
            raise ValueError(f"threshold: the model predicts {self.model.predicts}; only two classes have one")
        if self.privacy is not None and (self.strategy in UNPROTECTED or self.model.kernel > 1):
            raise ValueError(f"privacy: strategy {self.strategy!r} with kernel {self.model.kernel} has none")
        questions = 1 if self.model.binary else self.model.outputs
        if self.prevalence is not None and len(self.prevalence) != questions:
            raise ValueError(f"prevalence: {len(self.prevalence)} numbers; the model predicts {self.model.predicts}")
        if self.secure is not None and self.strategy != SOURCE:
            raise ValueError(f"secure: strategy {self.strategy!r} sums nothing")
        return self


@dataclass(frozen=True)
class Request:
    """A task with its array, as the relay hands it to the agent.

    Attributes
    ----------
    task : str
        JSON of a `Greet` or a `Work`.
    arrays : dict of str to ndarray
        See `common.wire`.
    proximal_mu : float
        Weight of FedProx's pull towards the weights that came, set by Flower's strategy.
    """

    task: str
    arrays: Arrays = field(default_factory=dict)
    proximal_mu: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What a site says.

    Attributes
    ----------
    code : str
        "ok", or a key of `FAILURES`.
    site : str
        The site's name.
    figures : dict of str to float
        Numbers: ``num-examples``, ``test.auroc``, ``test.auroc.low`` and so on.
    facts : str
        JSON for a greeting: version, fingerprint, vocabulary; for a step of secure aggregation: keys, shares, a
        signature. Empty otherwise.
    arrays : dict of str to ndarray
        See `common.wire`.
    withheld : tuple of str
        Metrics that the site's policy keeps back; they are not zero, and not unknown.
    """

    code: str
    site: str
    figures: dict[str, float] = field(default_factory=dict)
    facts: str = ""
    arrays: Arrays = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
