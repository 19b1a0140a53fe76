#!/usr/bin/env bash
# Puts one fault after the other of faults.txt into a copy of the sources and expects the named test to fail. Prints a
# line a fault; ends with 1 if a test did not notice one. Arguments choose faults by their number: run.sh 3 7
set -euo pipefail
cd "$(dirname "$0")/../.."
faults=$PWD/tests/mutations/faults.txt
copy=$PWD/target/mutations
# Of its own: an interrupted run must not leave a program with a fault where others are.
export CARGO_TARGET_DIR=$copy/target CARGO_TERM_COLOR=never
mkdir -p "$copy"
git ls-files -z | xargs -0 cp --parents --update --preserve=timestamps -t "$copy"

number=0 missed=0
# Read at once: the list may be edited meanwhile.
while IFS=$'\t' read -r file before after test; do
  case $file in '' | '#'*) continue ;; esac
  number=$((number + 1))
  if [ "$#" -gt 0 ] && ! printf '%s\n' "$@" | grep -qx "$number"; then continue; fi
  cp "$file" "$copy/$file"
  # Exactly one place may fit, so that the list cannot drift away from the sources unseen.
  BEFORE=$before AFTER=$after perl -0pi -e '
    my $n = () = /\Q$ENV{BEFORE}\E/g;
    die "\"$ENV{BEFORE}\" stands $n times in it\n" if $n != 1;
    s/\Q$ENV{BEFORE}\E/$ENV{AFTER}/' "$copy/$file" || { echo "$number: $file: the fault does not fit"; exit 2; }
  touch "$copy/$file"
  log=$copy/log-$number
  # shellcheck disable=SC2086 # the test is several words
  if (cd "$copy" && timeout 900 cargo test --quiet $test) >"$log" 2>&1; then
    result="NOT CAUGHT by" missed=$((missed + 1))
  elif grep -q "^test result: FAILED" "$log"; then
    result="caught by"
  else
    echo "$number: $file: no test ran, see $log"
    exit 2
  fi
  echo "$number: $file: $before -> $after: $result $test"
  cp "$file" "$copy/$file"
  touch "$copy/$file"
done < <(cat "$faults")
echo "$missed not caught"
[ "$missed" = 0 ]
