#!/usr/bin/env bash
# Fills fuzz/corpus from testdata.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p corpus/{wal,shm,bundle,database,texts,compare,differential}
name() { echo "$1" | sed 's|^../testdata/||; s|/|-|g'; }

for kind in wal shm; do
  find ../testdata -type f -name "*-$kind" | while read -r file; do cp "$file" "corpus/$kind/$(name "$file")"; done
done
# Recovery is judged at WALs of pages of 512 bytes.
find ../testdata/cases -type f -name "*-wal" | while read -r file; do cp "$file" "corpus/differential/$(name "$file")"; done
for file in ../testdata/bundles/*/*.walsnap; do cp "$file" "corpus/bundle/$(name "$file")"; done

# A database with its siblings: two lengths of 16 bits, then the three files.
lengths() { for n in "$@"; do printf "\\x$(printf %02x $((n % 256)))\\x$(printf %02x $((n / 256)))"; done; }
for folder in ../testdata/cases/*; do
  files=("$folder/t.db" "$folder/t.db-wal" "$folder/t.db-shm")
  for n in 0 1 2; do [ -f "${files[$n]}" ] || files[n]=/dev/null; done
  { lengths "$(wc -c <"${files[0]}")" "$(wc -c <"${files[1]}")"; cat "${files[@]}"; } >"corpus/database/$(basename "$folder")"
done

# Databases with tables, alone.
for file in ../testdata/big-endian/*.db; do
  size=$(wc -c <"$file")
  [ "$size" -gt 35000 ] || { lengths "$size" 0; cat "$file"; } >"corpus/database/$(basename "$file")"
done

# The texts of the bundles, and some of other forms, behind a byte that says which parser.
text() { { printf "\\x0$1"; cat; } >"corpus/texts/$2"; }
for bundle in ../testdata/bundles/*/*.walsnap; do
  for member in $(tar tf "$bundle"); do
    case $member in
      proc/*mountinfo) which=0 ;;
      proc/locks) which=1 ;;
      proc/*maps) which=2 ;;
      proc/*cgroup) which=3 ;;
      *) continue ;;
    esac
    tar xOf "$bundle" "$member" | text $which "$(name "$bundle")-$(basename "$member")"
  done
done
id=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
printf '36 35 98:0 /a\\040b /mnt\\011x rw,noatime master:1 - fuse.bindfs /dev/root rw\n' | text 0 mountinfo
printf '1: -> POSIX  ADVISORY  WRITE 4712 fe:00:1234 127 EOF\n2: FLOCK  ADVISORY  READ -1 <none>:0 0 128\n' | text 1 locks
printf '7f2c4a000000-7f2c4a008000 rw-s 00008000 fe:1a 1234       /my data/t.db-shm (deleted)\n' | text 2 maps
printf '0::/kubepods.slice/cri-containerd-%s.scope\n4:memory:/docker/%s\n' $id $id | text 3 cgroup
printf 'pos:\t0\nflags:\t02100002\nmnt_id:\t27\nlock:\t1: OFDLCK ADVISORY  READ -1 fe:00:1234 123 123\n' | text 4 fdinfo

# Which pair, then changes of six bytes: two sides as they were recorded, and live.
for n in 0 1 2; do
  for bits in 00 40 80 c0; do
    printf "\\x$(printf %02x $((0x$bits + n)))" >"corpus/compare/$n-$bits"
    printf "\\x$(printf %02x $((0x$bits + n)))\\x08\\x02\\x10\\x01\\x00\\x00\\x05\\x00\\x09\\x00\\x07\\x00" >"corpus/compare/$n-$bits-changed"
  done
done
