#!/usr/bin/env bash
# One coordinator and two hospitals on this machine, from nothing to the finished table; the images must be built.
#
#   ./demo.sh                                     with docker compose; state in ./state
#   COMPOSE=podman-compose ./demo.sh              with another
#   SITEBRIDGE_DEMO=/somewhere/else ./demo.sh
#   docker compose down                           ends it
set -euo pipefail
cd "$(dirname "$0")"
read -ra compose <<<"${COMPOSE:-docker compose}"
export SITEBRIDGE_DEMO=${SITEBRIDGE_DEMO:-./state}
if [[ -e $SITEBRIDGE_DEMO/coordinator ]]; then
  echo "$SITEBRIDGE_DEMO holds a demo already; remove it first" >&2
  exit 1
fi
once() { "${compose[@]}" --profile setup run --rm "$@"; }
coordinator() { "${compose[@]}" exec -T coordinator sitebridge coordinator "$@"; }

mkdir -p "$SITEBRIDGE_DEMO"/{coordinator,allegheny,salt-lake,data,inbox}
cp federation.toml "$SITEBRIDGE_DEMO/inbox/"
once data
once coordinator-init --address coordinator:8443
"${compose[@]}" up --detach coordinator
until "${compose[@]}" exec -T coordinator python /usr/local/lib/sitebridge/health.py; do sleep 1; done

for site in allegheny salt-lake; do
  once "$site-init" --name "$site"
  # the hospital fills in its site file; here it comes with the data, and only what a steward approved is done
  { sed 's#^file = "#file = "/data/#' "$SITEBRIDGE_DEMO/data/$site.toml" && echo 'approval = true'; } \
    >"$SITEBRIDGE_DEMO/$site/site.toml"
  # what would go by e-mail, and a fingerprint by telephone
  cp "$SITEBRIDGE_DEMO/$site/$site.request.json" "$SITEBRIDGE_DEMO/inbox/"
  coordinator register "$site" "/inbox/$site.request.json" --out "/coordinator/$site.welcome.json"
  cp "$SITEBRIDGE_DEMO/coordinator/$site.welcome.json" "$SITEBRIDGE_DEMO/inbox/"
  once "$site-relay" site join "/inbox/$site.welcome.json"
  once "$site-agent" site approve /inbox/federation.toml --by "the demo's data steward"
  "${compose[@]}" up --detach "$site-agent" "$site-relay"
done
for site in allegheny salt-lake; do
  until "${compose[@]}" exec -T "$site-relay" python /usr/local/lib/sitebridge/health.py relay; do sleep 1; done
done
coordinator sites
coordinator run /inbox/federation.toml
