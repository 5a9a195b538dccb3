#!/bin/bash
# run.sh PLUGINS WORK: podman with its CNI backend, in a throw-away host, on networks made by the
# plugins in PLUGINS. Started by podman.rs in new mount, network, pid, ipc and uts namespaces. Each
# line it prints is one thing that was tried and what came of it; then what was left behind.
set -eu
plugins=$1 work=$2
. "$(dirname "$0")/host.sh"
mount --bind "$plugins" /opt/cni/bin
mount --bind "$plugins" /usr/lib/cni

pod network create --ipv6 --subnet 10.90.0.0/24 --subnet fd00:90::/64 dual > /dev/null
pod network create --subnet 10.91.0.0/24 second > /dev/null
nft list ruleset > "$work/rules-before"
for save in iptables-save ip6tables-save; do $save 2> /dev/null | grep '^-A' || true; done | sort > "$work/ipt-before"

start web --network dual --ip 10.90.0.77 --mac-address 02:00:00:00:77:01 -p 8080:80 -p 5353:53/udp
tried "static address" "$(pod exec web ip -o -4 address show eth0)"
tried "static mac" "$(pod exec web cat /sys/class/net/eth0/address)"
tried "both families" "$(pod exec web ip -o -6 address show dev eth0 scope global)"
tried "from outside" "$(far bash -c 'get 203.0.113.2:8080')"
tried "from outside by IPv6" "$(far bash -c 'get [2001:db8::2]:8080')"
tried "by the host's address" "$(get 203.0.113.2:8080)"
tried "by 127.0.0.1" "$(get 127.0.0.1:8080)"
tried "udp from outside" "$(far bash -c 'ask 203.0.113.2 5353')"
tried "from itself" "$(pod exec web wget -q -O - http://203.0.113.2:8080/)"
start peer --network dual --network second -p 127.0.0.1:8081:80
tried "two networks" "$(pod exec peer ip -o -4 address show scope global | busybox awk '{print $2, $4}')"
tried "from another container" "$(pod exec peer wget -q -O - http://203.0.113.2:8080/)"
tried "bound to 127.0.0.1" "$(get 127.0.0.1:8081)"
tried "bound to 127.0.0.1, from outside" "$(far bash -c 'get 203.0.113.2:8081')"
tried "to the outside" "$(far busybox nc -l -p 9000 -w 5 -e echo out & sleep 0.2; pod exec peer sh -c 'echo | nc -w 2 203.0.113.1 9000')"

iptables -F CNI-FORWARD 2> /dev/null || true
pod network reload --all > /dev/null
tried "after reload" "$(far bash -c 'get 203.0.113.2:8080')"
pod network disconnect second peer
pod network connect second peer
tried "after connect" "$(pod exec peer ip -o -4 address show scope global | busybox awk '{print $2}')"
tried "way out after connect" "$(pod exec peer ip -4 route show default | busybox awk '{print $3}')"
pod restart --time 0 web > /dev/null
for _ in $(seq 100); do [ "$(get 127.0.0.1:8080)" = web ] && break; sleep 0.05; done
tried "after restart" "$(far bash -c 'get 203.0.113.2:8080')"

pod rm --force --time 0 web peer > /dev/null
pod network rm dual second > /dev/null
echo "--- left behind"
find /var/lib/cni -type f ! -name lock ! -name 'last_reserved_ip.*' ! -path '*/.netloom/*'
ip -o link show type veth | grep -v up0 || true
for save in iptables-save ip6tables-save; do $save 2> /dev/null | grep '^-A' || true; done | sort > "$work/ipt-after"
grep -E '10\.(89|90|91)\.|fd00:90|808[01]|5353' "$work/ipt-after" || true
nft list ruleset | grep -E '10\.(90|91)\.0\.[0-9]+ |fd00:90::[0-9a-f]+ |808[01]|5353' || true
