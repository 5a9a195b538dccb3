#!/bin/bash
# handover.sh PLUGINS GO NETLOOM WORK: a node with podman goes from Go's plugins in GO to those in PLUGINS and back,
# while containers run. libcni, which podman uses, and the command NETLOOM share the cache of attachments. Each line
# it prints is one thing that was tried and what came of it; then what was left behind.
set -eu
plugins=$1 go=$2 netloom=$3 work=$4
. "$(dirname "$0")/host.sh"
side() { umount /opt/cni/bin 2> /dev/null || true; mount --bind "$1" /opt/cni/bin; }
go_copy="$work/go" # a bind mount of $plugins may not cover what it stands for
mkdir "$go_copy" && cp "$go"/* "$go_copy"
netns() { pod inspect --format '{{.NetworkSettings.SandboxKey}}' "$1"; }
id() { pod inspect --format '{{.Id}}' "$1"; }
on() { verb=$1 name=$2; shift 2; "$netloom" "$verb" dual "$(netns "$name")" --container-id "$(id "$name")" "$@" 2>&1; }
says() { "$@" && echo "(ok)" || echo "(failed)"; }
cached() { "$netloom" --json list | grep -c "$(id "$1")" || true; }

side "$go_copy"
pod network create --ipv6 --subnet 10.90.0.0/24 --subnet fd00:90::/64 dual > /dev/null
start keeps --network dual -p 8080:80
start goes --network dual -p 8081:80
start dies --network dual -p 8082:80

side "$plugins"
tried "libcni's attachments are listed" "[$("$netloom" list | grep -c ' 10\.90\.0\.[0-9]*/24 .* /run/netns/')]"
tried "libcni's attachment is checked" "$(says on check goes)"
before=$(iptables-save | grep -c "$(id goes)" || true)
tried "libcni's attachment has rules" "[$before]"
# Its ports are in the cached capability arguments: nothing is said of them here.
tried "libcni's attachment is deleted" "$(says on del goes)"
tried "its rules are gone" "[$(iptables-save | grep -c "$(id goes)" || true)]"
tried "its cache is gone" "[$(cached goes)]"
tried "the other keeps its port" "$(far bash -c 'get 203.0.113.2:8080')"
# A container whose namespace was lost without DEL.
lost=$(id dies)
umount -l "$(netns dies)" 2> /dev/null || true
rm -f "$(netns dies)"
pod kill dies > /dev/null
tried "libcni's dead attachment is collected" "$(says "$netloom" gc dual --yes 2>&1)"
tried "nothing is left of the dead" "[$(iptables-save | grep -c "$lost" || true) $("$netloom" --json list | grep -c "$lost" || true)]"
tried "the living keeps its port" "$(far bash -c 'get 203.0.113.2:8080')"
tried "libcni's attachment is still whole" "$(says on check keeps)"

# What netloom caches in place of what podman did, libcni deletes.
start back --network dual -p 8083:80
on del back > /dev/null
ports='{"portMappings": [{"hostPort": 8083, "containerPort": 80, "protocol": "tcp"}]}'
CAP_ARGS=$ports on add back > /dev/null
tried "netloom's attachment is listed" "[$(cached back)]"
tried "netloom's attachment serves" "$(far bash -c 'get 203.0.113.2:8083')"
side "$go_copy"
back=$(id back)
pod rm --force --time 0 back > /dev/null
tried "libcni deletes what netloom cached" "[$(iptables-save | grep "$back" | grep -vc '^-A CNI-FW-' || true) $("$netloom" --json list | grep -c "$back" || true)]"
tried "the first keeps its port" "$(far bash -c 'get 203.0.113.2:8080')"

# What Go's firewall leaves of a pod of netloom's is for GC, which plugins have from version 1.1.0 on.
side "$plugins"
mkdir "$work/net.d"
sed 's/"cniVersion": "[0-9.]*"/"cniVersion": "1.1.0"/' /etc/cni/net.d/dual.conflist > "$work/net.d/dual.conflist"
tried "what Go's DEL left is collected" "$(NETCONFPATH="$work/net.d" says "$netloom" gc dual --yes 2>&1)"
side "$go_copy"
pod rm --force --time 0 keeps goes dies > /dev/null 2>&1 || true
pod network rm dual > /dev/null
echo "--- left behind"
find /var/lib/cni -type f ! -name lock ! -name dual.lock ! -name 'last_reserved_ip.*' ! -path '*/.netloom/*'
ip -o link show type veth | grep -v up0 || true
for save in iptables-save ip6tables-save; do
  $save 2> /dev/null | grep '^-A' | grep -E '10\.90\.0\.[0-9]+/32|fd00:90::[0-9a-f]+/128|808[0-9]' || true
done
