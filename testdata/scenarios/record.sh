#!/usr/bin/env bash
# Records the evidence of every scenario, as root: the snapshots of both sides, and what they showed together (live.json).
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet
# The path of the executable stands among the mounts of a side.
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
cp "${CARGO_TARGET_DIR:-target}/debug/walscope" "$folder"
find testdata/scenarios -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
"$folder/walscope" lab --all --require-all --runtime namespaces --rows 5 --keep testdata/scenarios
chmod -R u+rwX,go+rX testdata/scenarios
