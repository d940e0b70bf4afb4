#!/bin/bash
# Starts real ZooKeeper servers, one standalone and an ensemble of three, and runs zookeeper_real_test against them.
# usage: run.sh TEST_BINARY. Needs Java and ZooKeeper's jars: Debian's package zookeeper, or others by ZOOKEEPER_CLASSPATH.
set -euo pipefail
test_binary=$1
jars=/usr/share/java
classpath=${ZOOKEEPER_CLASSPATH:-$jars/zookeeper.jar:$jars/slf4j-simple.jar}
command -v java >/dev/null || { echo "zookeeper-test: needs java: install default-jre-headless" >&2; exit 1; }
for jar in ${classpath//:/ }; do
  [ -e "${jar%/\*}" ] || { echo "zookeeper-test: $jar is missing: install zookeeper and libslf4j-java, or set" \
    "ZOOKEEPER_CLASSPATH" >&2; exit 1; }
done

work=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill -CONT "$pid" 2>/dev/null || true; kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

# Ten free ports: of the standalone server, then client, peer and election ports of the three.
mapfile -t ports < <(python3 -c '
import socket
held = [socket.socket() for _ in range(10)]
for s in held: s.bind(("127.0.0.1", 0))
for s in held: print(s.getsockname()[1])')

start() {  # NAME CLIENT_PORT MORE_LINES
  mkdir -p "$work/$1"
  printf '%s\n' tickTime=500 initLimit=20 syncLimit=10 "dataDir=$work/$1" "clientPort=$2" clientPortAddress=127.0.0.1 \
    admin.enableServer=false 4lw.commands.whitelist=ruok,stat,srvr,mntr,conf maxClientCnxns=0 minSessionTimeout=1000 \
    maxSessionTimeout=60000 "$3" > "$work/$1.cfg"
  setsid java -Xmx192m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dzookeeper.jmx.log4j.disable=true -cp "$classpath" \
    org.apache.zookeeper.server.quorum.QuorumPeerMain "$work/$1.cfg" > "$work/$1.log" 2>&1 &
  pids+=($!)
}

ready() {  # CLIENT_PORT
  for _ in $(seq 600); do
    if { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; then
      printf srvr >&3
      if grep -q '^Mode:' <&3; then exec 3>&-; return 0; fi
      exec 3>&-
    fi
    sleep 0.1
  done
  echo "zookeeper-test: the server at port $1 does not answer" >&2
  cat "$work"/*.log >&2
  return 1
}

start single "${ports[0]}" ""
members=""
for n in 1 2 3; do members+="server.$n=127.0.0.1:${ports[$((n + 3))]}:${ports[$((n + 6))]}"$'\n'; done
for n in 1 2 3; do
  mkdir -p "$work/member$n"
  echo "$n" > "$work/member$n/myid"
  start "member$n" "${ports[$n]}" "$members"
done
for port in "${ports[@]:0:4}"; do ready "$port"; done

ZK_STANDALONE="127.0.0.1:${ports[0]}" \
ZK_ENSEMBLE="127.0.0.1:${ports[1]},127.0.0.1:${ports[2]},127.0.0.1:${ports[3]}" \
ZK_ENSEMBLE_PIDS="${pids[1]},${pids[2]},${pids[3]}" \
  "$test_binary"
