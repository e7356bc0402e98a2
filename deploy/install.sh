#!/bin/sh
# The steps of the Containerfile. What lies in deploy/offline goes before the network; deploy/README.md says more.
set -eu
if [ -f /offline/ca.pem ]; then # the authority of a proxy that opens TLS
  export PIP_CERT=/offline/ca.pem
fi
if [ -d /offline/wheels ]; then
  export PIP_NO_INDEX=1 PIP_FIND_LINKS=/offline/wheels
elif [ -d /offline/extra ]; then # a wheel that the index does not have
  export PIP_FIND_LINKS="${PIP_FIND_LINKS:-} /offline/extra"
fi
into="/build/tools/bin/pip --python /opt/sitebridge/bin/python"
case "$1" in
tools)
  python3 -m venv tools
  tools/bin/pip install --quiet --require-hashes --only-binary :all: --requirement build.lock
  ;;
dependencies)
  python3 -m venv --without-pip /opt/sitebridge
  $into install --quiet --require-hashes --only-binary :all: --requirement requirements.lock
  rm /opt/sitebridge/bin/uv* # what runs installs nothing
  ;;
package)
  tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheel ./source
  $into install --quiet --no-deps --no-index wheel/*.whl
  $into check
  $into install --quiet --no-deps --no-index --ignore-installed --root /package wheel/*.whl # the same, as one layer
  ;;
esac
