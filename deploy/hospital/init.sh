#!/bin/sh
# Run once, as root and without a network: makes the site's folder and hands each half to its user.
set -eu
sitebridge site init /site "$@"
chown -R relay:sitebridge /site/relay
chown -R agent:sitebridge /site/agent /site/run
chmod 750 /site/run # the relay may go in, to the agent's socket, and make nothing there
# The rest belongs to whoever owns the folder; the agent reads the site file by its group.
owner=$(stat -c %u /site)
chown "$owner" /site/*.request.json
chown "$owner:sitebridge" /site/site.toml
chmod 640 /site/site.toml
