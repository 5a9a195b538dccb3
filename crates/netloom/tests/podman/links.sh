#!/bin/bash
# links.sh NETLOOM WORK: containers of podman, found over its real socket, are linked to each other and to the host,
# and a file's topology has one of them as a node. Each line it prints is one thing that was tried and what came of it.
set -eu
netloom=$1 work=$2
. "$(dirname "$0")/host.sh"

start one --network none
start two --network none
mkdir -p /run/podman
pod system service --time 0 unix:///run/podman/podman.sock > "$work/service" 2>&1 &
service=$!
for _ in $(seq 100); do [ -S /run/podman/podman.sock ] && break; sleep 0.05; done

"$netloom" link add podman:one/in1,192.168.2.100/24 podman:two/in2,192.168.2.101/24 > /dev/null
tried "from one to two" "$(pod exec one wget -q -O - http://192.168.2.101/)"
# By Docker's language, and by the id.
id=$(pod inspect --format '{{.Id}}' one)
DOCKER_HOST=unix:///run/podman/podman.sock "$netloom" link add "docker:$id/up0,10.7.0.2/24" host/one0,10.7.0.1/24 > /dev/null
tried "from the host" "$(get 10.7.0.2)"
tried "listed" "$("$netloom" link ls | busybox awk 'NR > 1 { n++ } END { print n }')"
tried "a container that is none" "$("$netloom" link add podman:three/in1 podman:two/in3 2>&1 || true)"
"$netloom" link del podman:one/in1 host/one0 > /dev/null
cat > "$work/lab.yaml" <<T
name: lab
nodes: { one: { attach: "podman:one" }, r1: {} }
links: [{ endpoints: ["r1:eth1:10.0.0.1/24", "one:eth1:10.0.0.2/24"] }]
T
"$netloom" topo apply "$work/lab.yaml" > /dev/null
tried "a node of a topology" "$(ip netns exec lab-r1 bash -c 'get 10.0.0.2')"
pod restart --time 0 one > /dev/null
"$netloom" topo apply "$work/lab.yaml" > /dev/null
for _ in $(seq 100); do
  [ "$(ip netns exec lab-r1 bash -c 'get 10.0.0.2')" = one ] && break
  sleep 0.05
done
tried "after its restart" "$(ip netns exec lab-r1 bash -c 'get 10.0.0.2')"
"$netloom" topo destroy "$work/lab.yaml" > /dev/null
pod stop --time 0 two > /dev/null
tried "one that does not run" "$("$netloom" link add podman:two/in1 host/x 2>&1 || true)"
kill "$service"
wait "$service" 2> /dev/null || true
pod rm --all --force --time 0 > /dev/null

echo "--- left behind"
find /run/netloom 2> /dev/null || true
ip -o link | grep -v -e ' lo:' -e ' up0@' || true
ls /run/netns | grep -v -e '^outside$' || true
