#!/bin/bash
# Brings the fleet of docker-compose.yml up, runs a program and a table through it, kills a container, and takes it down.
#
#   make compose-test        needs docker and docker-compose (or `docker compose`); makes the image first
#
# MEGALITH_IMAGE names a ready image; COMPOSE how to call compose.
set -euo pipefail
cd "$(dirname "$0")/../.."
ctl=${1:?usage: compose_test.sh MEGALITHCTL}
compose=${COMPOSE:-$(command -v docker-compose || echo docker compose)}
export COMPOSE_PROJECT_NAME=megalith-test-$$
work=$(mktemp -d)

# Ports that are free now.
read -r trace cache compile execute table < <(python3 - <<'END'
import socket
sockets = [socket.socket() for _ in range(5)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
END
)
export MEGALITH_TRACE_PORT=$trace MEGALITH_CACHE_PORT=$cache MEGALITH_COMPILE_PORT=$compile
export MEGALITH_EXECUTE_PORT=$execute MEGALITH_TABLE_PORT=$table

finish() {
  status=$?
  if [ $status != 0 ]; then $compose logs --tail=20 || true; fi
  $compose down --volumes --timeout 20 > /dev/null 2>&1 || true
  rm -rf "$work"
  exit $status
}
trap finish EXIT

fail() { echo "compose-test: $*" >&2; exit 1; }
say() { echo "compose-test: $*"; }

# Runs its arguments until they succeed, for at most a minute.
eventually() {
  for _ in $(seq 60); do
    if "$@" > "$work/out" 2>&1; then return 0; fi
    sleep 1
  done
  cat "$work/out" >&2
  fail "for a minute: $*"
}

program_answers() {
  "$ctl" run "$work/f.jaxpr" --arg 'f32[3]:[1,2,3]' --quiet --address="127.0.0.1:$execute" 2> "$work/err" | tee "$work/program" |
    grep -q '6\.' || { cat "$work/err" "$work/program" >&2; return 1; }
}
row_is() {
  "$ctl" table get user 7:1 --address="127.0.0.1:$table" | grep -q "values *$1"
}

say "starting"
$compose up -d > "$work/up" 2>&1 || { cat "$work/up"; fail "up"; }
for port in "$trace" "$cache" "$compile" "$execute" "$table"; do
  eventually "$ctl" services --address="127.0.0.1:$port"
done

say "a program"
cat > "$work/f.jaxpr" <<'END'
{ lambda ; a:f32[3]. let b:f32[3] = mul a 2.0:f32[] in (b,) }
END
eventually program_answers

say "a table"
"$ctl" table create user --segment=4,optimizer=adagrad --address="127.0.0.1:$table"
"$ctl" table put user 7:1=1,2,3,4 --address="127.0.0.1:$table"
row_is "1 2 3 4" || fail "the row is not what was put"

say "killing the parameter server"
id=$($compose ps -q parameter-server)
restarts() { docker inspect -f '{{.RestartCount}}' "$id"; }
before=$(restarts)
# Not `docker kill`, after which docker does not start it again. The first process is docker's init.
docker exec --user 0 "$id" /bin/sh -c 'kill -9 -1' || true
restarted() { [ "$(restarts)" -gt "$before" ]; }
eventually restarted
eventually row_is "1 2 3 4"

say "stopping gently"
begin=$SECONDS
$compose stop --timeout 20 > /dev/null 2>&1
for service in trace cache compile execute parameter-server; do
  code=$(docker inspect -f '{{.State.ExitCode}}' "$($compose ps -q $service)")
  [ "$code" = 0 ] || fail "$service ended with $code"
done
say "drained in $((SECONDS - begin)) s; all is well"
