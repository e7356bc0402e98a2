#!/bin/sh
# A step of the Containerfile: Debian's nginx, from deploy/offline where that has it.
set -eu
if [ -d /offline/debs ]; then
  (cd /offline/debs && sha256sum --quiet --check SHA256SUMS && dpkg --install ./*.deb)
else
  apt-get update --quiet
  apt-get install --quiet --yes --no-install-recommends nginx
fi
rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/log/nginx
