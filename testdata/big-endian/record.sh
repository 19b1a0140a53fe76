#!/usr/bin/env bash
# Records files of a real SQLite on a big-endian machine (Debian's sqlite3 for s390x under qemu-user), and the wal-index
# that a little-endian SQLite builds for the very same database and WAL. Needs root for apt, and `qemu-user`.
#   testdata/big-endian/record.sh [FOLDER]      writes big.db, big.db-wal, big.db-shm, recovered-big.db-shm, recovered-little.db-shm
set -euo pipefail
to=$(realpath "${1:-$(dirname "$0")}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

dpkg --add-architecture s390x
apt-get update -qq
for package in sqlite3 libsqlite3-0 libc6 libreadline8 libtinfo6 zlib1g libgcc-s1; do
  apt-get download -qq "$package:s390x" 2>/dev/null
done
dpkg --remove-architecture s390x
for package in *.deb; do dpkg -x "$package" root; done
export QEMU_LD_PREFIX="$work/root"
big() { qemu-s390x "$work/root/usr/bin/sqlite3" "$@"; }

# A live capture: two rows are in the database, two more wait in the WAL, a rollback left spilled frames behind them.
# `.shell` copies in a process of its own: closing a descriptor inside sqlite3 would drop its locks.
big big.db >/dev/null <<'SQL'
PRAGMA page_size=512;
PRAGMA journal_mode=WAL;
PRAGMA wal_autocheckpoint=0;
CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB);
INSERT INTO t VALUES(1, zeroblob(700));
INSERT INTO t VALUES(2, zeroblob(1300));
PRAGMA wal_checkpoint(PASSIVE);
PRAGMA journal_mode=WAL;
INSERT INTO t VALUES(3, zeroblob(3000));
INSERT INTO t VALUES(4, 'the last commit');
PRAGMA cache_size=2;
PRAGMA cache_spill=1;
BEGIN;
WITH RECURSIVE n(i) AS (VALUES(10) UNION ALL SELECT i+1 FROM n WHERE i<20) INSERT INTO t SELECT i, zeroblob(900) FROM n;
ROLLBACK;
.shell cp big.db kept.db; cp big.db-wal kept.db-wal; cp big.db-shm kept.db-shm
SQL
for suffix in "" -wal -shm; do install -m 0644 "kept.db$suffix" "$to/big.db$suffix"; done

# The wal-index that either machine builds by recovery from the same two files.
for order in big little; do
  mkdir "$order"
  cp kept.db "$order/r.db"
  cp kept.db-wal "$order/r.db-wal"
  tool=sqlite3
  [ "$order" = big ] && tool=big
  $tool "$order/r.db" >/dev/null <<SQL
SELECT count(*) FROM t;
.shell cp $order/r.db-shm $order/kept-shm
SQL
  install -m 0644 "$order/kept-shm" "$to/recovered-$order.db-shm"
done
