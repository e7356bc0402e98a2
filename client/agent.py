"""The agent: the one part of a site that opens data. It checks a task, does it, and answers with numbers alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch

from client import likeness
from client.baselines import ensemble_of, fit_logistic
from client.boundary import check_change, check_label, check_work, let_out, read_task
from client.choice import choose, tuned
from client.preparation import Prepared, fingerprint, pool, prepare
from client.privacy.ledger import PrivacyLedger
from client.privacy.protection import Protection, populations, protection_of
from client.refusals import DivergedError, TooFewError, code_of
from client.releases import Releases
from client.scored import Scored
from client.scores import enough, trainable
from client.secure.steps import Party, introduce
from client.secure.update import update_of
from client.secure.vault import Vault
from client.site_file import Site
from client.training import (
    Baseline,
    Encounters,
    Stage,
    State,
    half_way,
    recalibrate,
    snapshot,
    train_round,
    train_steps,
)
from common import __version__
from common.choice import figures_of
from common.errors import SitebridgeError, WireError
from common.figures import LEAVING, WEIGHT
from common.likeness import LIKENESS
from common.model import ConceptCNN, initial_weights
from common.seeds import derive
from common.shape import ModelShape
from common.strategies import EVERYTHING, FULL, LOCAL, ROLES, SOURCE, TransferStrategy
from common.tasks import Answer, Embedding, Greet, Request, Work
from common.wire import Flat, pack, unpack

log = logging.getLogger("sitebridge.site")

_PREPARED = 2  # embeddings whose cohort and table stay in memory


class Agent:
    """Answers tasks for one site, or, in a simulation, for several sites' data pooled.

    Parameters
    ----------
    sites : sequence of Site
        One; several are pooled under the name "pooled".
    ledger : PrivacyLedger, optional
        What patients have spent; without one it is kept in memory, as long as this agent is.
    releases : Releases, optional
        What was told of how like patients are; without them it is kept in memory, as long as this agent is.
    vault : Vault, optional
        Keys and notes of secure aggregation; without one they are kept in memory, as long as this agent is.

    Notes
    -----
    Cohort and table stay in memory between tasks. Whatever goes wrong, the coordinator hears a code of
    `common.tasks.FAILURES`; the words stay in the log of this process.
    """

    def __init__(
        self,
        sites: Sequence[Site],
        ledger: PrivacyLedger | None = None,
        releases: Releases | None = None,
        vault: Vault | None = None,
    ) -> None:
        self.sites = tuple(sites)
        self.ledger = PrivacyLedger() if ledger is None else ledger
        self.releases = Releases() if releases is None else releases
        self.vault = Vault(None) if vault is None else vault
        self._prepared: dict[tuple[Embedding, bool], Prepared] = {}

    @cached_property
    def name(self) -> str:
        """The name under which this agent draws its random numbers and answers."""
        return self.sites[0].name if len(self.sites) == 1 else "pooled"

    def answer(self, request: Request) -> Answer:
        """Do a task, or say by a code why not."""
        try:
            return self._handle(request)
        except SitebridgeError as error:
            return self._fail(code_of(error), error)
        except Exception as error:  # whatever it is, its words may quote a patient's row, and must not travel
            log.exception("site %s failed", self.name)
            return self._fail("failed", error)

    def forget(self) -> None:
        """Drop what was read of cohort and tables; the next task reads them anew."""
        self._prepared.clear()

    def loaded(self) -> dict[str, dict[str, int]]:
        """Give the encounters of each split, for every embedding for which they are in memory."""
        return {
            embedding.name: {split: len(encounters) for split, encounters in prepared.splits.items()}
            for (embedding, _), prepared in self._prepared.items()
        }

    def _handle(self, request: Request) -> Answer:
        task = read_task(request)
        if isinstance(task, Greet):
            return self._greet(task)
        return self._mean(task) if task.strategy == LIKENESS else self._work(task, request)

    def _greet(self, task: Greet) -> Answer:
        """Say which embedding space and which words this site has; neither depends on a patient."""
        check_label(self.sites, task.model)
        facts = {
            "version": __version__,
            "fingerprint": fingerprint(self.sites[0], task.embedding).to_json(),
            "vocabulary": sorted({token.name for site in self.sites for token in site.vocabulary}),
        }
        if task.secure:
            self.vault.begin(task.run)
            facts["secure"] = introduce(self.vault, self.name, task.run).model_dump()
        return Answer("ok", self.name, facts=json.dumps(facts))

    def _work(self, task: Work, request: Request) -> Answer:
        strategy = ROLES.get(task.strategy)
        if strategy is None:
            raise WireError(f"strategy {task.strategy!r} is not known here")
        check_work(self.sites, task)  # the site's file is asked before any data is touched
        party = self._party(task, request)
        if party is not None and (done := party.done()) is not None:
            return done
        data = self._prepare(task.embedding, whole=task.privacy is not None)
        if strategy.ensemble or strategy.logistic:
            return self._baseline(task, strategy, data, request, self._protected(task, data))
        dimension = data.table.shape[1]
        # before anything of the task's size is made
        weights = unpack(request.arrays, EVERYTHING, dimension, task.model)
        if task.model.kernel > data.length:
            raise WireError(f"model.kernel is {task.model.kernel}; an encounter here has {data.length} tokens")
        model = ConceptCNN(data.table, task.model, task.training.dropout if task.training else 0.0)
        model.load_state_dict(weights)
        if strategy.tuned or strategy.recalibrated:
            self._check_enough(data, task.model)
        protection = self._protected(task, data)
        scored = Scored()
        if task.strategy == SOURCE and task.score:
            scored = protection.score(model, task, data.splits, self.name, self._min_cell, "came.")  # before it changes
        fitted: dict[str, float] = {}
        if strategy.candidates:
            fitted, weights = self._choose(model, task, strategy, data)
        elif strategy.tuned:
            self._tune(model, task, strategy, data, request.proximal_mu, protection)
        if strategy.recalibrated:
            fitted = self._recalibrate(model, task, strategy, data)
        if task.strategy != SOURCE:
            scored = protection.score(model, task, data.splits, self.name, self._min_cell)
            scored.figures |= fitted
        arrays = pack(snapshot(model), strategy.returned, dimension, task.model)
        began = pack(weights, strategy.returned, dimension, task.model)
        check_change(self.sites, began, arrays)
        if strategy.tuned:
            scored.figures[WEIGHT] = float(protection.patients or len(data.splits["train"]))
        answer = self._let_out(scored, arrays)
        if party is not None:
            return party.mask(update_of(answer, began, party.secure.equal), answer.withheld)
        return answer

    def _party(self, task: Work, request: Request) -> Party | None:
        """Give this site's part in a secure round, once it is checked who else takes part."""
        if task.secure is None:
            return None
        party = Party(self.vault, self.name, task, task.secure, request)
        party.check()
        return party

    def _protected(self, task: Work, data: Prepared) -> Protection:
        """Say how a task is kept from telling of a patient; what it costs is spent before any of it is computed."""
        protection = protection_of(self.sites, task, data.splits["train"])
        self.ledger.charge(protection.charges, populations(self.sites), task.run)
        return protection

    def _baseline(
        self, task: Work, strategy: TransferStrategy, data: Prepared, request: Request, protection: Protection
    ) -> Answer:
        """Score what is no single network."""
        model: Baseline
        if strategy.ensemble:
            model = ensemble_of(request.arrays, data.table, task.model)
        else:
            unpack(request.arrays, (), data.table.shape[1], task.model)
            self._check_enough(data, task.model)
            train, validation = data.splits["train"], self._chosen_by(data, task.model)
            model = fit_logistic(task.model, train, validation, len(data.table), self._min_cell)
        return self._let_out(protection.score(model, task, data.splits, self.name, self._min_cell), {})

    def _mean(self, task: Work) -> Answer:
        """Tell how like this site's patients are to others'."""
        check_work(self.sites, task)
        if len(self.sites) > 1:
            raise WireError("a mean is asked of one site, not of sites whose patients are pooled")
        return likeness.answer(self.sites[0], task, self._prepare(likeness.as_seen(task.embedding)), self.releases)

    def _let_out(self, scored: Scored, arrays: dict[str, Flat]) -> Answer:
        """Give the answer that the site's policy lets out."""
        figures, kept_back = let_out(self.sites, scored.figures)
        withheld = tuple(name for name in LEAVING if name in kept_back | scored.suppressed)
        return Answer("ok", self.name, figures, arrays=dict(arrays), withheld=withheld)

    def _tune(
        self,
        model: ConceptCNN,
        task: Work,
        strategy: TransferStrategy,
        data: Prepared,
        proximal_mu: float,
        protection: Protection,
    ) -> None:
        stage = replace(self._stage(task, task.strategy, data, proximal_mu), guard=protection.guard)
        if task.strategy == SOURCE and stage.training.rounds > 1:
            train_round(model, stage, task.round)
        else:
            came = model.copy()
            train_steps(model, stage, strategy.steps)
            if strategy.half_of:
                model.load_state_dict(half_way(came, model))
        self._check_finite(model, task)

    def _recalibrate(
        self, model: ConceptCNN, task: Work, strategy: TransferStrategy, data: Prepared
    ) -> dict[str, float]:
        if strategy.prior and task.prevalence is None:
            raise WireError(f"strategy {task.strategy!r} needs the prevalence at the sources")
        known = task.prevalence if strategy.prior else None
        return recalibrate(model, data.splits["train"], strategy.recalibrated, known)

    def _choose(
        self, model: ConceptCNN, task: Work, strategy: TransferStrategy, data: Prepared
    ) -> tuple[dict[str, float], State]:
        """Do what the chosen candidate does; say which it is and why, and from which weights it began."""
        untrained = self._untrained(task, data)
        stages = {name: self._stage(task, name, data, 0.0) for name in strategy.candidates}
        candidates = tuned(model, untrained, stages)
        for candidate in candidates.values():
            self._check_finite(candidate, task)
        verdict = choose(candidates, stages[FULL], task.home)
        chosen = strategy.candidates[verdict.chosen]
        began = snapshot(untrained if chosen == LOCAL else model)
        model.load_state_dict(candidates[chosen].state_dict())
        return figures_of(strategy.candidates, verdict), began

    def _untrained(self, task: Work, data: Prepared) -> ConceptCNN:
        """Give the model that this seed's training begins with, as the coordinator would send it."""
        if task.alone is None:
            raise WireError(f"strategy {task.strategy!r} needs a section for training alone")
        model = ConceptCNN(data.table, task.model, task.alone.dropout)
        model.load_state_dict(initial_weights(data.table.shape[1], task.model, derive(task.seed, "init")))
        return model

    def _stage(self, task: Work, name: str, data: Prepared, proximal_mu: float) -> Stage:
        """Say how a strategy trains."""
        training = task.alone if name == LOCAL and task.strategy != LOCAL else task.training
        if training is None:
            raise WireError(f"strategy {task.strategy!r} needs a training section")
        # A site that trains alone draws what it would draw as the one source: the two then give the same bits.
        strategy = ROLES[name]
        purpose = "train" if name in (SOURCE, LOCAL) else strategy.half_of or name
        return Stage(
            data.splits["train"],
            self._chosen_by(data, task.model),
            training,
            strategy.tuned,
            seed_of=lambda number: derive(task.seed, purpose, self.name, number),
            proximal_mu=training.pull if strategy.pulled else proximal_mu,
            basis=data.basis,
            min_cell=self._min_cell,
        )

    def _chosen_by(self, data: Prepared, shape: ModelShape) -> Encounters:
        """Give the validation encounters; none where they are too few to select by, as for the coordinator."""
        validation = data.splits["validation"]
        return validation if enough(validation, self._min_cell, shape) else validation.first(0)

    def _check_finite(self, model: ConceptCNN, task: Work) -> None:
        if not all(bool(value.isfinite().all()) for value in model.state_dict().values()):
            raise DivergedError(f"{self.name}: the weights are not finite after {task.strategy}, round {task.round}")

    def _check_enough(self, data: Prepared, shape: ModelShape) -> None:
        if not trainable(data.splits["train"], self._min_cell, shape):
            raise TooFewError(f"{self.name}: the train split has a class of fewer than {self._min_cell} encounters")

    def _prepare(self, embedding: Embedding, whole: bool = False) -> Prepared:
        torch.set_num_threads(1)  # two threads lose to one on small matrices; one gives the same bits everywhere
        if (embedding, whole) not in self._prepared:
            while len(self._prepared) >= _PREPARED:
                del self._prepared[next(iter(self._prepared))]
            parts = [prepare(site, embedding, whole) for site in self.sites]
            self._prepared[embedding, whole] = parts[0] if len(parts) == 1 else pool(parts)
        return self._prepared[embedding, whole]

    @property
    def _min_cell(self) -> int:
        return max(site.policy.min_cell for site in self.sites)

    def _fail(self, code: str, error: Exception) -> Answer:
        log.error("%s", error)
        return Answer(code, self.name)
