#!/usr/bin/env bash
# Records the bundles of this folder: `walscope lab` in real Docker containers, one folder a scenario.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet
for scenario in shared copied file-mount; do
  rm -rf "testdata/bundles/$scenario"
  mkdir -p "testdata/bundles/$scenario"
  # Refuted scenarios end with 1: that is their answer.
  ./target/debug/walscope lab --runtime docker --scenario "$scenario" --rows 5 --keep "testdata/bundles/$scenario" || [ $? -eq 1 ]
done
