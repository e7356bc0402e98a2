"""Health check of the coordinator's container: the port that sites dial answers, and so does the server behind it."""

import os
import sys
from pathlib import Path

from server.coordinator.folder import find_folder
from server.coordinator.settings import read_settings
from server.coordinator.up import answers

folder = find_folder(Path(os.environ["SITEBRIDGE_COORDINATOR"]))
sys.exit(0 if answers(folder, read_settings(folder.settings)) else 1)
