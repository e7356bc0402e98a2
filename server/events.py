"""What happens in a run, line by line in its folder, for whoever follows it from another process."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from common.tasks import Answer

EVENTS = "events.jsonl"


class Events:
    """The file events.jsonl of a run: one JSON object a line, appended.

    Kinds: ``begin`` (steps), ``greeted`` (site, version, embedding, fingerprint), ``space`` (embedding as
    tasks name it, fingerprint: all of it), ``step`` (text), ``score``
    (embedding, seed, strategy, sources, site, auroc), ``missing`` (text), ``far`` (text), ``end`` (ok, text).

    Parameters
    ----------
    folder : Path
        The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / EVENTS

    def write(self, kind: str, **said: object) -> None:
        """Append one event; it is on its way to the disk when this returns."""
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "kind": kind, **said}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def step(self, advance: Callable[[str], None]) -> Callable[[str], None]:
        """Give a function that notes one step done, here and with `advance`."""

        def noted(text: str) -> None:
            self.write("step", text=text)
            advance(text)

        return noted

    def score(self, keys: dict[str, object], answer: Answer) -> None:
        """Note how a model does at a site, where the site tells."""
        self.write("score", **keys, auroc=answer.figures.get("test.auroc"))
