#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# For tour.sh, which sources it: PostgreSQL and Redis of Debian as ordinary processes, with
# their data below $RUN, on the loopback interface, on free ports, with passwords. As root
# they run as an unprivileged user.
SERVER_USER=
[ "$(id -u)" != 0 ] || SERVER_USER=postgres
PG_BIN=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)

as_server() {
  if [ -z "$SERVER_USER" ]; then
    "$@"
  else
    setpriv --reuid "$SERVER_USER" --regid "$SERVER_USER" --clear-groups -- "$@"
  fi
}

# own_folder NAME: a folder of the servers' user below $RUN; when that user cannot get
# there (a checkout below /root), it is in /var/tmp and $RUN/NAME points to it.
own_folder() {
  local folder=$RUN/$1 owner
  if [ ! -d "$folder" ]; then
    rm -f "$folder" # what it pointed to is gone
    mkdir "$folder"
    if [ -n "$SERVER_USER" ] && ! as_server test -x "$folder/."; then
      rmdir "$folder"
      ln -s "$(mktemp -d "/var/tmp/chargehost-$1-XXXXXX")" "$folder"
    fi
    [ -z "$SERVER_USER" ] || chown "$SERVER_USER:" "$folder/."
    chmod 700 "$folder/."
  fi
  owner=$(stat -Lc %U "$folder")
  [ "$owner" = "${SERVER_USER:-$(id -un)}" ] ||
    die "$folder belongs to $owner: go on as before, or begin anew with ./dev clean"
}

# secret FILE: made once.
secret() {
  [ -s "$1" ] || (umask 077 && head -c 24 /dev/urandom | base64 | tr '+/' '-_' >"$1")
  cat "$1"
}

start_postgres() {
  local folder data new=false
  own_folder postgres
  folder=$(readlink -f "$RUN/postgres")
  data=$folder/data
  PG_PORT=$(free_port 5432)
  PG_PASSWORD=$(secret "$RUN/postgres.password")
  if [ ! -s "$data/PG_VERSION" ]; then
    new=true
    rm -rf "$data"
    (umask 077 && echo "$PG_PASSWORD" >"$folder/first")
    [ -z "$SERVER_USER" ] || chown "$SERVER_USER:" "$folder/first"
    (cd "$folder" && as_server "$PG_BIN/initdb" -D "$data" -U chargehost \
      --pwfile="$folder/first" -A scram-sha-256 -E UTF8 --no-locale) \
      >"$RUN/initdb.log" 2>&1 || die "initdb failed: $(tail -n 3 "$RUN/initdb.log")"
    rm -f "$folder/first"
  fi
  (umask 077 && echo "127.0.0.1:*:*:chargehost:$PG_PASSWORD" >"$RUN/pgpass")
  cd "$folder"
  if [ -z "$SERVER_USER" ]; then
    start postgres "$PG_BIN/postgres" -D "$data" -p "$PG_PORT" -h 127.0.0.1 -k ''
  else
    start postgres setpriv --reuid "$SERVER_USER" --regid "$SERVER_USER" --clear-groups -- \
      "$PG_BIN/postgres" -D "$data" -p "$PG_PORT" -h 127.0.0.1 -k ''
  fi
  cd "$ROOT"
  signals[${pids[-1]}]=INT # does not wait for those who are still connected
  for _ in $(seq 600); do
    "$PG_BIN/pg_isready" -q -h 127.0.0.1 -p "$PG_PORT" && break
    alive "${pids[-1]}" || die "PostgreSQL did not start: $(tail -n 5 "$RUN/postgres.log")"
    sleep 0.1
  done
  if $new; then
    sql postgres 'CREATE DATABASE chargehost' &&
      sql postgres 'ALTER DATABASE chargehost SET search_path = chargehost, public' ||
      die "the database could not be made"
  fi
}

# sql DATABASE STATEMENT
sql() {
  PGPASSFILE=$RUN/pgpass psql -X -q -h 127.0.0.1 -p "$PG_PORT" -U chargehost -d "$1" -c "$2"
}

start_redis() {
  local folder
  own_folder redis
  folder=$(readlink -f "$RUN/redis")
  REDIS_PORT=$(free_port 6379)
  REDIS_PASSWORD=$(secret "$RUN/redis.password")
  (umask 077 && cat >"$folder/redis.conf" <<CONF
port $REDIS_PORT
bind 127.0.0.1
requirepass $REDIS_PASSWORD
dir "$folder"
appendonly yes
save ""
CONF
  )
  [ -z "$SERVER_USER" ] || chown "$SERVER_USER:" "$folder/redis.conf"
  # redis-check-rdb of redis-tools, run under the name of the server, is the server.
  local server
  # itself, not the link in the checkout, which its user may not be able to reach
  server=$(readlink -f "$(command -v redis-server || command -v redis-check-rdb)")
  cd "$folder"
  # shellcheck disable=SC2016  # for the inner shell
  local run=(bash -c 'exec -a redis-server "$@"' sh "$server" "$folder/redis.conf")
  if [ -z "$SERVER_USER" ]; then
    start redis "${run[@]}"
  else
    start redis setpriv --reuid "$SERVER_USER" --regid "$SERVER_USER" --clear-groups -- \
      "${run[@]}"
  fi
  cd "$ROOT"
  for _ in $(seq 100); do
    [ "$(redis PING 2>/dev/null)" = PONG ] && break
    alive "${pids[-1]}" || die "Redis did not start: $(tail -n 5 "$RUN/redis.log")"
    sleep 0.1
  done
}

redis() {
  REDISCLI_AUTH=$REDIS_PASSWORD redis-cli -h 127.0.0.1 -p "$REDIS_PORT" "$@"
}
