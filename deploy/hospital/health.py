"""Health check of a site's container: the relay is connected, the agent listens; of one half where it is named."""

import os
import sys
from pathlib import Path

from client.home.layout import Home
from client.home.up import is_ready

home = Home(Path(os.environ["SITEBRIDGE_SITE"]))
halves = ("relay", "agent") if len(sys.argv) == 1 else tuple(sys.argv[1:])
sys.exit(0 if all(is_ready(home, half) for half in halves) else 1)
