"""The audit log: one line for every message in and out of a site, chained by hash, and sealed with the agent's key."""

from client.audit.chain import HEAD, KEY, LOG
from client.audit.totals import Totals, totals
from client.audit.verify import verify

__all__ = ["HEAD", "KEY", "LOG", "Totals", "totals", "verify"]
