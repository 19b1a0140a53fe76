#!/usr/bin/env bash
# Fills fuzz/corpus from testdata.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p corpus/{wal,shm,bundle}
name() { echo "$1" | sed 's|^../testdata/||; s|/|-|g'; }
for kind in wal shm; do
  find ../testdata -type f -name "*-$kind" | while read -r file; do cp "$file" "corpus/$kind/$(name "$file")"; done
done
for file in ../testdata/bundles/*/*.walsnap; do cp "$file" "corpus/bundle/$(name "$file")"; done
