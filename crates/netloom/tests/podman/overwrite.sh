#!/bin/bash
# overwrite.sh NETLOOM WORK: what NETLOOM installs goes on working for podman while other names among the plugins are
# written over, as installers and tutorials do that. Each line it prints is one thing that was tried and what came of
# it; then what was left behind.
set -eu
netloom=$1 work=$2
. "$(dirname "$0")/host.sh"
D=$work/plugins
"$netloom" install --bin-dir "$D" > /dev/null
mount --bind "$D" /opt/cni/bin
mount --bind "$D" /usr/lib/cni
printf '#!/bin/sh\necho {}\n' > "$work/other"
chmod 755 "$work/other"
mkdir "$work/tar"
sums() { (cd "$D" && sha256sum -- *) > "$work/sums-$1"; }
sums before

pod network create --subnet 10.90.0.0/24 dual > /dev/null
start keeps --network dual -p 8080:80
# over WHAT NAME COMMAND: which names changed, and whether a new container and the one from before serve.
over() {
  (export D O="$work/other" T="$work/tar" N="$2" P="$D/$2"; sh -ec "$3")
  sums after
  start new --network dual -p 8081:80
  tried "$1" "[$(diff "$work/sums-before" "$work/sums-after" | sed -n 's/^> .* //p')] $(get 127.0.0.1:8081) $(get 127.0.0.1:8080)"
  pod rm --force --time 0 new > /dev/null
  mv "$work/sums-after" "$work/sums-before"
}
over "cp -f" flannel 'cp -f "$O" "$P"'
over "cat" dummy 'cat "$O" > "$P"'
over "download" vlan 'dd if="$O" of="$P" status=none'
over "install" macvlan 'install -m 755 "$O" "$P"'
over "tar" ipvlan 'cp "$O" "$T/$N"; tar -C "$T" -c "$N" | tar -C "$D" -x'
over "rename" tap 'cp "$O" "$D/next"; mv "$D/next" "$P"'

# A name that podman does use: what runs goes on, and install mends it.
# The child that a DEL leaves runs the program for a moment more, in which nobody may write to it.
until { cat "$work/other" > "$D/bridge"; } 2> /dev/null; do :; done
tried "with another bridge" "$(get 127.0.0.1:8080) $(start new --network dual -p 8081:80 2> /dev/null && echo starts || echo refused)"
pod rm --force --time 0 new > /dev/null 2>&1 || true
"$netloom" install --bin-dir "$D" --force bridge > /dev/null
start new --network dual -p 8081:80
tried "mended" "$(get 127.0.0.1:8081) $(get 127.0.0.1:8080)"

pod rm --force --time 0 new keeps > /dev/null
pod network rm dual > /dev/null
echo "--- left behind"
find /var/lib/cni -type f ! -name lock ! -name 'last_reserved_ip.*' ! -path '*/.netloom/*'
ip -o link show type veth | grep -v up0 || true
