"""Fills a template: one HTML file that needs nothing else."""

from __future__ import annotations

from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from common import __version__


def render(template: str, refresh: int = 0, **parts: Any) -> str:
    """Give the page.

    Parameters
    ----------
    template : str
        A file of ``templates``.
    refresh : int
        Seconds after which a browser takes the page again; 0 for never.
    **parts
        What the template shows; text is escaped, `Markup` is not.
    """
    environment = Environment(
        loader=PackageLoader("server.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = resources.files("server.report") / "templates" / "report.css"
    css = Markup(style.read_text(encoding="utf-8"))
    return environment.get_template(template).render(style=css, made_by=__version__, refresh=refresh, **parts)
