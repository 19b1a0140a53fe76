#!/usr/bin/env bash
# Records the evidence of every scenario, as root: the snapshots of both sides, and what they showed together (live.json).
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet
find testdata/scenarios -mindepth 1 -maxdepth 1 -type d -exec rm -r {} +
./target/debug/walscope lab --all --require-all --runtime namespaces --rows 5 --keep testdata/scenarios
chmod -R u+rwX,go+rX testdata/scenarios
