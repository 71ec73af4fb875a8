#!/bin/sh
# A smoke run for a pipeline: an installed nompd-sync (or the one given) reads
# the example upstream, decides, and writes nothing but its plan.
#
#	sh examples/ci.sh [PROGRAM]

set -eu

program=${1:-nompd-sync}
# A file URL: a blank in it is written as %20.
url=file://$(cd "$(dirname "$0")/upstream" && pwd | sed 's/ /%20/g')
folder=$(mktemp -d "${TMPDIR:-/tmp}/nompd-ci.XXXXXX")
trap 'rm -rf "$folder"' EXIT

"$program" init --store "sqlite:$folder/nompd.db"
"$program" --dry-run --plan="$folder/plan" --store "sqlite:$folder/nompd.db" \
    --upstream "$url"
[ "$(grep -c '"act":"add"' "$folder/plan")" -eq 59 ]
