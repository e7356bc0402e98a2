#!/bin/sh
# Run once, as root and without a network: makes the coordinator's folder and hands it to the user who works there.
set -eu
sitebridge coordinator init /coordinator "$@"
chown -R coordinator:sitebridge /coordinator
