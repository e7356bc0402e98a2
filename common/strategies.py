"""Transfer strategies, as data: what a target tunes, and what it sends back.

Gao et al., "Transfer Learning with Clinical Concept Embeddings from Large Language Models", arXiv 2409.13893.
A further strategy is one more line of `STRATEGIES`.
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
    tuned : tuple of str
        Parts of the model (`CNN`, `LINEAR`) that the target trains; the rest stays as it came.
    returned : tuple of str
        Parts that travel back to the coordinator; scores travel back always.
    meaning : str
        One line for people.
    from_sources : bool
        Whether the model that arrives was learnt at the sources, or is untrained.
    """

    tuned: tuple[str, ...]
    returned: tuple[str, ...]
    meaning: str
    from_sources: bool = True


SOURCE = "source"  # a round of training at a source
LOCAL = "local"  # a site that trains alone

STRATEGIES: dict[str, TransferStrategy] = {
    LOCAL: TransferStrategy(EVERYTHING, (), "no transfer: the site trains alone", from_sources=False),
    "direct": TransferStrategy((), (), "the sources' model as it is"),
    "linear": TransferStrategy((LINEAR,), (LINEAR,), "the linear head tuned at the target"),
    "full": TransferStrategy(EVERYTHING, EVERYTHING, "CNN and linear head tuned at the target"),
}

# What a task may ask of a site: to be a source, or a target under a strategy.
ROLES = {SOURCE: TransferStrategy(EVERYTHING, EVERYTHING, "a round of training at a source"), **STRATEGIES}

POOLED = "pooled"  # all encounters in one place: a ceiling that only a simulation can show
