#!/usr/bin/env bash
# Fuzzes every target, or the named ones, one after the other on one core, and notes what came of it in fuzz/runs.tsv.
#   fuzz/run.sh 15                                every target for 15 seconds
#   fuzz/run.sh 120 wal shm                       these two for two minutes each
#   while nice fuzz/run.sh 120; do :; done        for hours: a failure ends it
#   fuzz/run.sh sum                               all runs noted so far, as a table
# Seeds and repaired checksums lead to what tracing compared values would find, at half of the speed.
# Debug assertions and checks for overflow are on. No sanitizer: only src/linux/sys.rs has unsafe code, and no target reaches it.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:?seconds for each target, or sum}" = sum ]; then
  awk -F'\t' '
    { executions[$1] += $2; seconds[$1] += $3; if ($4 > edges[$1]) edges[$1] = $4 }
    END {
      print "| target | executions | hours on one core (wall) | executions a second | edges |\n|---|---:|---:|---:|---:|"
      for (target in executions) {
        printf "| %s | %d | %.2f | %d | %d |\n", target, executions[target], seconds[target] / 3600, executions[target] / seconds[target], edges[target] | "sort"
        all += executions[target]; hours += seconds[target] / 3600
      }
      close("sort")
      printf "| all | %d | %.2f | | |\n", all, hours
    }' runs.tsv
  exit
fi
seconds=$1
shift
./seed.sh
[ $# -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)
[ $# -eq 0 ] || targets=("$@")
# Files that a target writes are in memory.
folder=$(mktemp -d -p /dev/shm walscope-fuzz.XXXXXX)
trap 'rm -rf "$folder"' EXIT

declare -A longest=([wal]=4400 [shm]=66000 [bundle]=160000 [database]=36000 [texts]=4096 [compare]=80 [differential]=8700)
for target in "${targets[@]}"; do
  log=$folder/log
  if ! TMPDIR=$folder cargo +nightly fuzz run --sanitizer none --no-trace-compares "$target" -- -max_total_time="$seconds" -print_final_stats=1 \
    -rss_limit_mb=2048 -timeout=25 -max_len="${longest[$target]:-65536}" >"$log" 2>&1; then
    tail -60 "$log"
    exit 1
  fi
  executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  took=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
  edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
  printf '%s\t%s\t%s\t%s\n' "$target" "$executions" "${took:-$seconds}" "${edges:-0}" >>runs.tsv
  printf 'fuzz %-13s %9s executions in %s s, %s edges\n' "$target" "$executions" "${took:-$seconds}" "${edges:-0}"
done
