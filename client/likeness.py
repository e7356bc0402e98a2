"""A site's mean embedding: what it is of, the noise that is added to it, and when it is told.

Letters: N encounters, L tokens, V rows of a table, M numbers of a mean, P patients.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
import torch

from client.preparation import Prepared
from client.refusals import TooFewError
from client.releases import Release, Releases, now
from client.site_file import Site
from client.training import Encounters
from common.concepts import NONE
from common.errors import PolicyError, WireError
from common.figures import WEIGHT
from common.gaussian import mu_of
from common.likeness import FURTHEST, MEAN, NOISE, NUMBERS, Likeness, projection
from common.metrics import Floats
from common.tasks import Answer, Embedding, Work

_CHUNK = 8192  # encounters looked at together


def as_seen(embedding: Embedding) -> Embedding:
    """Give an embedding as means are taken of it, however the federation trains: what is present, centred."""
    return embedding.model_copy(update={"absence": NONE, "unknown": "mask", "normalisation": "centred"})


def allowed(site: Site, task: Work) -> Likeness:
    """Give what a site's policy allows all means to cost.

    Raises
    ------
    PolicyError
        It allows none.
    WireError
        The task does not say how much noise.
    """
    if site.policy.likeness is None:
        raise PolicyError(f"{site.path}: the policy has no [policy.likeness], so that no mean of embeddings leaves")
    if task.likeness is None:
        raise WireError("a mean is asked for without saying how much it may cost")
    return site.policy.likeness


def answer(site: Site, task: Work, data: Prepared, releases: Releases) -> Answer:
    """Tell a site's mean embedding, with noise that is drawn once.

    Raises
    ------
    PolicyError
        See `allowed` and `Releases.told`.
    TooFewError
        Fewer training patients than ``min_cell``.
    """
    limit, asked = allowed(site, task), task.likeness or Likeness()
    train, mu = data.splits["train"], mu_of(asked.epsilon, asked.delta)

    def make() -> Release:
        each = of_patients(train, data)
        if len(each) < site.policy.min_cell:
            raise TooFewError(f"{site.path}: {len(each)} training patients, fewer than min_cell")
        noise = FURTHEST / len(each) / mu
        told = noised(each.mean(axis=0), noise)
        return Release(
            at=now(),
            run=task.run,
            embedding=task.embedding.name,
            data=_digest(data),
            encounters=len(train),
            mu=mu,
            noise=noise,
            mean=told.tolist(),
        )

    release = releases.told(_digest(data), limit, mu, make)
    figures = {WEIGHT: float(release.encounters), NOISE: release.noise}
    return Answer("ok", site.name, figures, arrays={MEAN: np.array(release.mean, dtype=np.float32)})


def of_patients(encounters: Encounters, data: Prepared) -> Floats:
    """Give each patient's mean, float64 (P, M), none longer than 1.

    Exchanging a patient's encounters for others moves the mean of P patients by at most `FURTHEST` / P.
    """
    rows = torch.from_numpy(data.table.double().numpy() @ projection(data.table.shape[1]))  # (V, M), row 0 zeros
    sums = torch.cat([rows[tokens.int()].sum(dim=1) for tokens in torch.split(encounters.tokens, _CHUNK)])
    each = sums / sums.norm(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    if encounters.patients is None:
        return np.asarray(each.numpy())
    whose, counts = torch.unique(encounters.patients, return_inverse=True, return_counts=True)[1:]
    own = torch.zeros(len(counts), NUMBERS, dtype=torch.float64).index_add_(0, whose, each)
    return np.asarray((own / counts[:, None]).numpy())


def noised(mean: Floats, noise: float) -> Floats:
    """Add Gaussian noise from the operating system's generator, which nobody can seed; rounded as it travels."""
    draw = secrets.SystemRandom()
    drawn = np.array([draw.gauss(0.0, noise) for _ in range(len(mean))])
    return np.asarray((mean + drawn).astype(np.float32), dtype=np.float64)


def _digest(data: Prepared) -> str:
    """Give the SHA-256 of the training encounters, and of the vectors of their tokens."""
    train = data.splits["train"]
    digest = hashlib.sha256(data.table.numpy().tobytes())
    for part in (train.tokens, train.patients):
        digest.update(b"" if part is None else np.ascontiguousarray(part.numpy()).data)
    return digest.hexdigest()
