#!/bin/bash
# run.sh PLUGINS WORK: containerd in a throw-away host runs a busybox container on a CNI network made by the plugins in
# PLUGINS. Prints what the container saw, then what was left behind.
set -eu
plugins=$1 work=$2
. "$(dirname "$0")/host.sh"

container one 'ip -o address show eth0; ip route; ping -c 1 10.88.0.1; ping -6 -c 1 fd00:88::1' || {
  tail -20 "$work/containerd.log"
  exit 1
}
left_behind
