"""The bundle that Flower carries to sites: a manifest that names both apps, and no code."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import tomli_w

from common import __version__
from common.files import write_atomically

_FILES = ("pyproject.toml", "README.md", "LICENSE")
_README = """\
# Sitebridge

A manifest without code. Both apps are installed where they run: `server.app` at the coordinator, `client.app` at sites.
"""
_LICENSE = "Apache-2.0; the text comes with the package sitebridge.\n"


def write_bundle(folder: Path) -> None:
    """Write the bundle of this version; nothing in it is ever downloaded or installed."""
    manifest = {
        "project": {
            "name": "sitebridge",
            "version": __version__,
            "description": "A manifest without code.",
            "license": "Apache-2.0",
            "license-files": ["LICENSE"],
            "dependencies": [f"flwr=={metadata.version('flwr')}"],
        },
        "tool": {
            "flwr": {
                "app": {
                    "publisher": "sitebridge",
                    "fab-include": list(_FILES),
                    "components": {"serverapp": "server.app:app", "clientapp": "client.app:app"},
                    "config": {"federation": "", "out": ""},
                }
            }
        },
    }
    for name, content in zip(_FILES, (tomli_w.dumps(manifest), _README, _LICENSE), strict=True):
        write_atomically(folder / name, content)
