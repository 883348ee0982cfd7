#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What ./dev run does after the build: a message bus of its own, the daemon on SQLite and
# memory, simulated chargers over TCP, a first charge through REST; then it goes on until
# Ctrl-C. All data is below .run/ and found again at the next start.
# With --production: PostgreSQL and Redis, two instances behind the same ports, data below
# .run/production/. With --once it ends after the first charge.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
ROOT=$PWD
RUN=$ROOT/.run
BUILD=$ROOT/build/run
DAEMON=$BUILD/host/chargehostd
CTL=$BUILD/host/ctl/chargehostctl
SIM=$BUILD/host/sim/chargehost-sim
GATEWAYS=6
SCALE=60 # a minute of the devices is a second
ONCE=false
PRODUCTION=false
for word in "$@"; do
  case $word in
  --once) ONCE=true ;;
  --production) PRODUCTION=true ;;
  *)
    echo "dev run: unknown option '$word'" >&2
    exit 2
    ;;
  esac
done
INSTANCES=1
! $PRODUCTION || INSTANCES=2
! $PRODUCTION || RUN=$ROOT/.run/production
SHOWN=${RUN#"$ROOT/"}

pids=()
declare -A signals=()
exec 8>&1
finish() {
  trap '' INT TERM HUP
  trap - EXIT
  set +e   # a terminal that was closed takes no words
  exec >&8 # Ctrl-C may come while output goes elsewhere
  echo
  echo "Stopping …"
  local i
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill -"${signals[${pids[i]}]:-TERM}" "${pids[i]}" 2>/dev/null || true
    tail --pid="${pids[i]}" -f /dev/null 2>/dev/null || true
  done
  echo "Stopped. The data is kept in $SHOWN/"
  exit "${1:-0}"
}
die() {
  echo "dev run: $*" >&2
  [ ! -s "$RUN/daemon.log" ] || tail -n 15 "$RUN/daemon.log" >&2
  finish 1
}
trap 'finish 0' INT TERM HUP
trap 'finish 1' EXIT

# start NAME COMMAND…: a child in a session of its own, so that Ctrl-C reaches only us.
start() {
  local name=$1
  shift
  setsid "$@" </dev/null >"$RUN/$name.log" 2>&1 8>&- 9>&- &
  pids+=($!)
}
alive() { kill -0 "$1" 2>/dev/null; }
free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}
# Python, which would end with a long complaint when Ctrl-C reaches it as well as us.
quiet_python() { (trap '' INT && exec python3 "$@"); }
# fields NAME…: members of the data in $RUN/answer, or of the answer; by | in $RUN/fields.
fields() {
  quiet_python -c '
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    answer = json.load(file)
data = answer.get("data", answer)
values = [data.get(name) if isinstance(data, dict) else None for name in sys.argv[2:]]
print("|".join("" if value is None else str(value) for value in values))' \
    "$RUN/answer" "$@" >"$RUN/fields"
}

mkdir -p "$RUN/sim" "$RUN/state"
chmod 700 "$RUN/sim" "$RUN/state"
chmod 700 "$RUN"
if $PRODUCTION && [ "$(id -u)" = 0 ]; then
  chmod 711 "$RUN" "$ROOT/.run" # the servers' user gets to its own folders
fi

# ---- a message bus, for chargehostctl and busctl ---------------------------------------------
BUS=unix:path=$(quiet_python -c 'import sys, urllib.parse
print(urllib.parse.quote(sys.argv[1]).replace("~", "%7E"))' "$RUN/bus")
[ ${#RUN} -lt 90 ] || BUS=unix:abstract=chargehost-$$
exec 9>"$RUN/lock"
if ! flock -n 9; then
  trap - EXIT
  echo "dev run: it runs already in this folder; Ctrl-C in its terminal ends it" >&2
  exit 1
fi
rm -f "$RUN/bus"
cat >"$RUN/bus.conf" <<XML
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type><listen>$BUS</listen><auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
XML
start bus dbus-daemon "--config-file=$RUN/bus.conf" --nofork --print-address
for _ in $(seq 100); do
  grep -q ^unix: "$RUN/bus.log" && break
  alive "${pids[-1]}" || break
  sleep 0.05
done
grep -q ^unix: "$RUN/bus.log" || die "no message bus: $(tail -n 1 "$RUN/bus.log")"
export CHARGEHOST_BUS=$BUS

# ---- the daemon --------------------------------------------------------------------------------
PLUGINS="\"$BUILD/plugins/store-sqlite\", \"$BUILD/plugins/kv-memory\""
BACKENDS=
if $PRODUCTION; then
  # shellcheck source=build-aux/servers.sh
  . build-aux/servers.sh
  start_postgres
  start_redis
  PLUGINS="\"$BUILD/plugins/store-pgsql\", \"$BUILD/plugins/kv-redis\""
  BACKENDS="profile: production
database:
  dsn: \"host=127.0.0.1 port=$PG_PORT dbname=chargehost user=chargehost passfile='$RUN/pgpass'\"
redis:
  url: \"redis://:$REDIS_PASSWORD@127.0.0.1:$REDIS_PORT\""
  echo "PostgreSQL on port $PG_PORT, Redis on port $REDIS_PORT; both on this machine only."
fi
DEVICE_PORT=$(free_port 7000)
HTTP_PORT=$(free_port 8080)
rm -f "$RUN/chargehost.yaml"
(umask 077 && cat >"$RUN/chargehost.yaml" <<YAML
# Made by ./dev run at each start.
app:
  state_dir: "$RUN/state"
server:
  id: dev-1
tcp:
  listeners: ["127.0.0.1:$DEVICE_PORT"]
http:
  addr: "127.0.0.1:$HTTP_PORT"
dbus:
  bus: "$BUS"
plugins:
  path: [$PLUGINS, "$BUILD/plugins/proto-bkv"]
  development: true
shutdown:
  lb_grace: 0s
logging:
  format: human
$BACKENDS
YAML
)
export CHARGEHOST_TEST_SCANNER=$BUILD/host/chargehost-plugin-scan
if $PRODUCTION; then # with this profile tables do not change by themselves
  setsid -w "$CTL" store migrate --config "$RUN/chargehost.yaml" >"$RUN/daemon.log" 2>&1 ||
    die "the tables could not be made"
fi
# Before the start, so that every instance knows it at once.
if [ ! -s "$RUN/api-key" ]; then
  (umask 077 && setsid -w "$DAEMON" --config "$RUN/chargehost.yaml" --create-key dev \
    --scopes read,control,admin >"$RUN/api-key" 2>"$RUN/daemon.log") ||
    { rm -f "$RUN/api-key" && die "no API key"; }
fi
: >"$RUN/daemon.log"
if $PRODUCTION; then
  start daemon "$DAEMON" --config "$RUN/chargehost.yaml" --workers $INSTANCES
else
  start daemon "$DAEMON" --config "$RUN/chargehost.yaml"
fi
daemon=${pids[-1]}
for _ in $(seq 400); do
  [ "$(grep -c 'ready after' "$RUN/daemon.log" || true)" -ge $INSTANCES ] &&
    "$CTL" status >/dev/null 2>&1 && break
  alive "$daemon" || die "chargehostd did not start"
  sleep 0.05
done
URL=http://127.0.0.1:$HTTP_PORT
KEY=$(cat "$RUN/api-key")
api() { curl -sS -m 15 -H "X-API-Key: $KEY" "$@"; }

# ---- simulated chargers ---------------------------------------------------------------------------
start sim "$SIM" --server "127.0.0.1:$DEVICE_PORT" --gateways "$GATEWAYS" \
  --first-id 82241218000001 --sockets 0 --plug 1 --time-scale "$SCALE" --state "$RUN/sim"
echo
echo "chargehostd listens; $GATEWAYS simulated BKV chargers connect (one of their minutes"
echo "is a second) …"
for _ in $(seq 600); do
  online=$("$CTL" devices list --online --json 2>/dev/null | grep -c '"device_phy_id"' || true)
  [ "${online:-0}" -lt "$GATEWAYS" ] || break
  alive "$daemon" || die "chargehostd ended"
  sleep 0.1
done
"$CTL" devices list
echo

# ---- a first charge, through REST --------------------------------------------------------------------
# An earlier run may have left ports charging: the first that is idle.
for _ in $(seq 60); do
  "$CTL" devices list --json >"$RUN/answer"
  quiet_python -c '
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    devices = json.load(file)
for device in sorted(devices, key=lambda device: device["device_phy_id"]):
    for port in device["ports"] if device["is_online"] else []:
        if port["status"] == 1:
            sys.exit(print(device["device_phy_id"], port["port_no"]))' \
    "$RUN/answer" >"$RUN/fields"
  read -r DEVICE PORT <"$RUN/fields" && break
  alive "$daemon" || die "chargehostd ended"
  sleep 1
done
[ -n "${PORT:-}" ] || die "no port became idle"
BODY="{\"port_no\":$PORT,\"charge_mode\":1,\"amount\":500,\"duration_minutes\":20,\"wait_ms\":5000}"
echo "\$ curl -X POST $URL/devices/$DEVICE/start_charge -H 'X-API-Key: …' -d '$BODY'"
api -X POST -H 'Content-Type: application/json' -d "$BODY" \
  "$URL/devices/$DEVICE/start_charge" >"$RUN/answer"
cat "$RUN/answer"
echo
fields order_no
read -r order <"$RUN/fields"
[ -n "$order" ] || die "the charge did not start"
echo
printf '%-10s %-10s %10s %12s %10s\n' time state power energy amount
state=
for _ in $(seq 60); do
  api "$URL/orders/$order" >"$RUN/answer"
  fields status power_w energy_wh amount_cent
  IFS='|' read -r state power energy amount <"$RUN/fields"
  printf '%(%T)T   %-10s %8s W %9s Wh %5s cent\n' -1 "$state" "$power" "$energy" "$amount"
  case $state in completed | stopped | failed) break ;; esac
  alive "$daemon" || die "chargehostd ended"
  sleep 1
done
echo
echo "Settled:"
quiet_python -m json.tool "$RUN/answer"
case $state in completed | stopped) ;; *) die "the charge ended as '$state'" ;; esac
cat <<TEXT

It goes on running. Look further from another terminal, in this folder:

  REST     $URL/health
           curl -H "X-API-Key: \$(cat $SHOWN/api-key)" $URL/api/v1/devices
  metrics  $URL/metrics
  API key  $KEY
  command  export CHARGEHOST_BUS=$BUS
  line     build/run/host/ctl/chargehostctl devices list
           build/run/host/ctl/chargehostctl charge start $DEVICE --port 1 --minutes 30
           build/run/host/ctl/chargehostctl monitor 'order.*'
  D-Bus    busctl --address=$BUS introspect org.chargehost.Host1 /org/chargehost
  devices  127.0.0.1:$DEVICE_PORT (TCP)
  logs     $SHOWN/daemon.log  $SHOWN/sim.log
TEXT
if $PRODUCTION; then
  cat <<TEXT
  SQL      PGPASSFILE=$SHOWN/pgpass psql -h 127.0.0.1 -p $PG_PORT -U chargehost chargehost
  Redis    REDISCLI_AUTH=\$(cat $SHOWN/redis.password) redis-cli -p $REDIS_PORT
  rolling  kill -USR2 $daemon    restarts one instance after the other
TEXT
fi
cat <<TEXT

Ctrl-C stops everything; the data in $SHOWN/ is kept.
TEXT
"$ONCE" && finish 0

# ---- until Ctrl-C: now and then another charge ----------------------------------------------------------
echo
"$CTL" monitor 'order.changed' &
pids+=($!)
while alive "$daemon"; do
  device=$((82241218000001 + RANDOM % GATEWAYS))
  api -X POST -H 'Content-Type: application/json' \
    -d "{\"port_no\":$((RANDOM % 2)),\"charge_mode\":1,\"amount\":300,\"duration_minutes\":$((5 + RANDOM % 25))}" \
    "$URL/devices/$device/start_charge" >/dev/null 2>&1 || true
  sleep 5 &
  wait $! || true
done
die "chargehostd ended"
