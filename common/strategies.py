"""Transfer strategies, as data: what a target tunes, and what it sends back.

Gao et al., "Transfer Learning with Clinical Concept Embeddings from Large Language Models", arXiv 2409.13893, has
local, direct, linear and full. A further strategy is one more line of `STRATEGIES`.
"""

from __future__ import annotations

from dataclasses import dataclass

CNN = "cnn"
LINEAR = "linear"
EVERYTHING = (CNN, LINEAR)


@dataclass(frozen=True)
class TransferStrategy:
    """What happens to a model that arrives at a target.

    Attributes
    ----------
    steps : tuple of tuple of str
        Parts of the model (`CNN`, `LINEAR`) that the target trains, one training after the other; the rest stays as it
        came.
    returned : tuple of str
        Parts that travel back to the coordinator; scores travel back always.
    meaning : str
        One line for people.
    from_sources : bool
        Whether the model that arrives was learnt at the sources, or is untrained.
    recalibrated : int
        What of `common.recalibration` is fitted and travels back: 1 the intercept, 2 the slope as well.
    pulled : bool
        Whether training is pulled towards the model that came, by ``tuning.pull``.
    half_of : str
        A strategy whose result is averaged, weight by weight, with the model that came.
    prior : bool
        Whether the intercept is not fitted, but follows from the prevalence there and here.
    personal : bool
        Whether each source keeps a linear head of its own, and only the CNN is learnt together.
    ensemble : bool
        Whether the model of every source that trains alone arrives, and the mean of their probabilities is scored.
    logistic : bool
        Whether the site fits a logistic regression instead of the network, and nothing arrives.
    candidates : tuple of str
        Strategies, lightest first, of which the target chooses one by its own encounters (`client.choice`).
    """

    steps: tuple[tuple[str, ...], ...]
    returned: tuple[str, ...]
    meaning: str
    from_sources: bool = True
    recalibrated: int = 0
    prior: bool = False
    pulled: bool = False
    half_of: str = ""
    personal: bool = False
    ensemble: bool = False
    logistic: bool = False
    candidates: tuple[str, ...] = ()

    @property
    def tuned(self) -> tuple[str, ...]:
        """Parts that some step trains."""
        return tuple(part for part in EVERYTHING if any(part in step for step in self.steps))

    @property
    def kept(self) -> tuple[str, ...]:
        """Parts that the coordinator has of the target's model in the end."""
        if self.personal:
            return EVERYTHING  # its CNN is in no other file
        return (LINEAR,) if self.recalibrated else self.returned


SOURCE = "source"  # a round of training at a source
LOCAL = "local"  # a site that trains alone
LOGISTIC, ENSEMBLE, FEDPER = "logistic", "ensemble", "fedper"
FULL, HALF_WAY, HALF_LINEAR = "full", "half-way", "half-linear"
# of "auto", lightest first; what only recalibrates ranks as "direct"
CANDIDATES = ("direct", HALF_LINEAR, "linear", HALF_WAY, FULL, LOCAL)

STRATEGIES: dict[str, TransferStrategy] = {
    LOCAL: TransferStrategy((EVERYTHING,), (), "no transfer: the site trains alone", from_sources=False),
    "direct": TransferStrategy((), (), "the sources' model as it is"),
    "prior": TransferStrategy(
        (), (), "every logit shifted as the prevalence differs from the sources'", recalibrated=1, prior=True
    ),
    "intercept": TransferStrategy((), (), "one number, fitted at the target, added to every logit", recalibrated=1),
    "recalibrate": TransferStrategy((), (), "intercept and slope of the logit fitted at the target", recalibrated=2),
    HALF_LINEAR: TransferStrategy(
        ((LINEAR,),),
        (LINEAR,),
        "half way between the sources' linear head and what `linear` makes of it",
        half_of="linear",
    ),
    "linear": TransferStrategy(((LINEAR,),), (LINEAR,), "the linear head tuned at the target"),
    "layer-wise": TransferStrategy(
        ((LINEAR,), EVERYTHING), EVERYTHING, "the linear head tuned at the target, then CNN and head"
    ),
    "l2-sp": TransferStrategy(
        (EVERYTHING,), EVERYTHING, "CNN and linear head tuned at the target, pulled towards the sources'", pulled=True
    ),
    HALF_WAY: TransferStrategy(
        (EVERYTHING,), EVERYTHING, "half way between the sources' model and what `full` makes of it", half_of=FULL
    ),
    FULL: TransferStrategy((EVERYTHING,), EVERYTHING, "CNN and linear head tuned at the target"),
    "auto": TransferStrategy(
        (EVERYTHING,),
        EVERYTHING,
        f"one of {', '.join(CANDIDATES)}, as the target's own encounters say",
        candidates=CANDIDATES,
    ),
    # baselines
    FEDPER: TransferStrategy(
        ((LINEAR,),),
        (LINEAR,),
        "a new linear head tuned at the target, on a CNN that sources learnt with heads of their own",
        personal=True,
    ),
    ENSEMBLE: TransferStrategy((), (), "the mean probability of models that each source trained alone", ensemble=True),
    LOGISTIC: TransferStrategy(
        (), (), "no transfer: logistic regression on the site's own findings", from_sources=False, logistic=True
    ),
}

# What a task may ask of a site: to be a source, or a target under a strategy.
ROLES = {SOURCE: TransferStrategy((EVERYTHING,), EVERYTHING, "a round of training at a source"), **STRATEGIES}

POOLED = "pooled"  # all encounters in one place: a ceiling that only a simulation can show
