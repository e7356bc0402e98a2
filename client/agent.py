"""The agent: the one part of a site that opens data. It checks a task, does it, and answers with numbers alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import cached_property

import torch
from pydantic import ValidationError

from client.boundary import check_work
from client.preparation import Prepared, fingerprint, pool, prepare
from client.scores import DivergedError, figures_of, threshold_of
from client.site_file import Site
from client.training import Encounters, Stage, snapshot, train, train_round
from common import __version__
from common.errors import CohortError, PolicyError, SitebridgeError, TableError, WireError
from common.model import ConceptCNN
from common.seeds import derive
from common.strategies import EVERYTHING, LOCAL, ROLES, SOURCE, TransferStrategy
from common.tasks import Answer, Embedding, Greet, Request, Work
from common.transport import WEIGHT
from common.wire import pack, unpack

log = logging.getLogger("sitebridge.site")

_PREPARED = 2  # embeddings whose cohort and table stay in memory


class TooFewError(SitebridgeError):
    """A number would be computed on fewer patients than the site's min-cell."""


_CODES: list[tuple[type[Exception], str]] = [
    (PolicyError, "refused"),
    (WireError, "bad-task"),
    (CohortError, "bad-cohort"),
    (TableError, "bad-table"),
    (TooFewError, "too-few"),
    (DivergedError, "diverged"),
]


class Agent:
    """Answers tasks for one site, or, in a simulation, for several sites' data pooled.

    Parameters
    ----------
    sites : sequence of Site
        One; several are pooled under the name "pooled".

    Notes
    -----
    Cohort and table stay in memory between tasks. Whatever goes wrong, the coordinator hears a code of
    `common.tasks.FAILURES`; the words stay in the log of this process.
    """

    def __init__(self, sites: Sequence[Site]) -> None:
        self.sites = tuple(sites)
        self._prepared: dict[Embedding, Prepared] = {}

    @cached_property
    def name(self) -> str:
        """The name under which this agent draws its random numbers and answers."""
        return self.sites[0].name if len(self.sites) == 1 else "pooled"

    def answer(self, request: Request) -> Answer:
        """Do a task, or say by a code why not."""
        try:
            return self._handle(request)
        except SitebridgeError as error:
            return self._fail(next((code for kind, code in _CODES if isinstance(error, kind)), "failed"), error)
        except Exception as error:  # whatever it is, its words may quote a patient's row, and must not travel
            log.exception("site %s failed", self.name)
            return self._fail("failed", error)

    def _handle(self, request: Request) -> Answer:
        try:
            kind = json.loads(request.task).get("kind")
            task = (Greet if kind == "greet" else Work).model_validate_json(request.task)
        except (ValueError, AttributeError, ValidationError) as error:
            raise WireError(f"the task cannot be read: {error}") from None
        if task.version != __version__:
            raise WireError(f"the coordinator runs Sitebridge {task.version}, this site {__version__}")
        if isinstance(task, Greet):
            return self._greet(task)
        return self._work(task, request)

    def _greet(self, task: Greet) -> Answer:
        """Say which embedding space and which words this site has; neither depends on a patient."""
        facts = {
            "version": __version__,
            "fingerprint": fingerprint(self.sites[0], task.embedding).to_json(),
            "vocabulary": sorted({token.name for site in self.sites for token in site.vocabulary}),
        }
        return Answer("ok", self.name, facts=json.dumps(facts))

    def _work(self, task: Work, request: Request) -> Answer:
        strategy = ROLES.get(task.strategy)
        if strategy is None:
            raise WireError(f"strategy {task.strategy!r} is not known here")
        check_work(self.sites, task)  # the site's file is asked before any data is touched
        data = self._prepare(task.embedding)
        dimension = data.table.shape[1]
        weights = unpack(
            request.arrays, EVERYTHING, dimension, task.model
        )  # before anything of the task's size is made
        if task.model.kernel > data.length:
            raise WireError(f"model.kernel is {task.model.kernel}; an encounter here has {data.length} tokens")
        model = ConceptCNN(data.table, task.model, task.training.dropout if task.training else 0.0)
        model.load_state_dict(weights)
        figures: dict[str, float] = {}
        if task.strategy == SOURCE and task.score:
            figures |= self._score(model, task, data, prefix="came.")  # what came, before this round changes it
        if strategy.tuned:
            self._tune(model, task, strategy, data, request.proximal_mu)
            figures[WEIGHT] = float(len(data.splits["train"]))
        if task.strategy != SOURCE:
            figures |= self._score(model, task, data)
        arrays = pack(snapshot(model), strategy.returned, dimension, task.model)
        return Answer("ok", self.name, figures, arrays=dict(arrays))

    def _tune(
        self, model: ConceptCNN, task: Work, strategy: TransferStrategy, data: Prepared, proximal_mu: float
    ) -> None:
        if task.training is None:
            raise WireError(f"strategy {task.strategy!r} needs a training section")
        if not self._enough(data.splits["train"]):
            raise TooFewError(f"{self.name}: the train split has a class of fewer than {self._min_cell} encounters")
        # A site that trains alone draws what it would draw as the one source: the two then give the same bits.
        purpose = "train" if task.strategy in (SOURCE, LOCAL) else task.strategy
        validation = data.splits["validation"]
        stage = Stage(
            data.splits["train"],
            validation if self._enough(validation) else validation.first(0),  # as the coordinator would select
            task.training,
            strategy.tuned,
            seed_of=lambda number: derive(task.seed, purpose, self.name, number),
            proximal_mu=proximal_mu,
            basis=data.basis,
        )
        if task.strategy == SOURCE and task.training.rounds > 1:
            train_round(model, stage, task.round)
        else:
            train(model, stage)
        if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
            raise DivergedError(f"{self.name}: the weights are not finite after {task.strategy}, round {task.round}")

    def _score(self, model: ConceptCNN, task: Work, data: Prepared, prefix: str = "") -> dict[str, float]:
        figures: dict[str, float] = {}
        threshold = task.threshold
        if task.choose_threshold and self._enough(data.splits["validation"]):
            threshold = threshold_of(model, data.splits["validation"])
            figures["threshold"] = threshold
        for split in task.score:
            encounters = data.splits[split]
            if self._enough(encounters):
                seed = derive(task.seed, "bootstrap", self.name, split)
                replicates = task.intervals if split == "test" else 0  # validation is for choosing, not for reporting
                scored = figures_of(model, encounters, threshold, replicates, seed, self._min_cell)
                figures |= {f"{prefix}{split}.{name}": value for name, value in scored.items()}
        return figures

    def _prepare(self, embedding: Embedding) -> Prepared:
        torch.set_num_threads(1)  # two threads lose to one on small matrices; one gives the same bits everywhere
        if embedding not in self._prepared:
            while len(self._prepared) >= _PREPARED:
                del self._prepared[next(iter(self._prepared))]
            parts = [prepare(site, embedding) for site in self.sites]
            self._prepared[embedding] = parts[0] if len(parts) == 1 else pool(parts)
        return self._prepared[embedding]

    @property
    def _min_cell(self) -> int:
        return max(site.policy.min_cell for site in self.sites)

    def _enough(self, encounters: Encounters) -> bool:
        """Whether each class has enough patients for a number about it to leave."""
        positive = int((encounters.labels == 1).sum())
        return min(positive, len(encounters) - positive) >= self._min_cell

    def _fail(self, code: str, error: Exception) -> Answer:
        log.error("%s", error)
        return Answer(code, self.name)
