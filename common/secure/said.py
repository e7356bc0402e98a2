"""What sites say in the steps of a secure round, as JSON among the facts of an answer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, TypeVar

from pydantic import AfterValidator, ValidationError

from common.errors import WireError
from common.secure.group import Sealed, Signature
from common.secure.shares import from_text, to_text
from common.tasks import Answer
from common.toml import Declared

Share = Annotated[str, AfterValidator(lambda text: to_text(from_text(text)))]


class Masked(Declared):
    """With a masked update: for every other member, sealed, its shares of what the masks are made of."""

    sealed: dict[str, Sealed]


class Agreed(Declared):
    """A signature over who is left."""

    signature: Signature


class Opened(Declared):
    """A site's shares: of each own mask of those who are left, and of each mask between one of them and one who is not.

    Attributes
    ----------
    own : dict of str to str
    pairs : dict of str to dict
        By who is left, then by who is not.
    """

    own: dict[str, Share]
    pairs: dict[str, dict[str, Share]]


Said = TypeVar("Said", Masked, Agreed, Opened)


def read(kind: type[Said], answer: Answer) -> Said:
    """Read what a site said.

    Raises
    ------
    WireError
        It is something else.
    """
    try:
        return kind.model_validate_json(answer.facts)
    except ValidationError:
        raise WireError(f"what it says is not what a secure round asks for ({kind.__name__.lower()})") from None


def check_masked(said: Masked, others: Collection[str]) -> None:
    """Check that there is something for every other site, and for nobody else."""
    if said.sealed.keys() != set(others):
        raise WireError("sealed shares are not for every other site")


def check_opened(said: Opened, left: Collection[str], gone: Collection[str]) -> None:
    """Check that there are just the shares that are asked for."""
    pairs = {site: set(shares) for site, shares in said.pairs.items()}
    if said.own.keys() != set(left) or pairs != {site: set(gone) for site in left}:
        raise WireError("shares are not of those that are asked for")
