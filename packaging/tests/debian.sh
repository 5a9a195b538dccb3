#!/bin/bash
# debian.sh DIST WORK REPO: Debian's packages are installed, upgraded under a running container, removed and replaced by
# Go's plugins again; podman and containerd work after each without any change of theirs.
set -eu
dist=$1 work=$2 repo=$3
if [ -z "${STAGE:-}" ] && ! ls "$dist"/go/*.deb > /dev/null 2>&1; then
  # There is no way out of the throw-away copy.
  mkdir -p "$dist/go"
  (cd "$dist/go" && apt-get download -qq containernetworking-plugins 2> /dev/null)
fi
. "$(dirname "$0")/tree.sh"
export DEBIAN_FRONTEND=noninteractive
debs=("$dist"/netloom_*.deb "$dist"/netloom-plugins_*.deb)
daemon=$(ls "$dist"/netloom-node_*.deb 2> /dev/null || true)
put() { "$@" > /work/said 2>&1 || { cat /work/said; echo "FAILED $*"; exit 1; }; }
owner() { dpkg -S "$1" 2>&1 | cut -d: -f1; }

put dpkg -i "${debs[@]}"
ok "the plugins are netloom's" [ "$(owner /usr/lib/cni/bridge)" = netloom-plugins ]
ok "Go's package is gone" [ ! "$(dpkg-query -W -f '${db:Status-Status}' containernetworking-plugins 2> /dev/null)" = installed ]
ok "every file is as it was packed" [ -z "$(dpkg --verify netloom netloom-plugins)" ]
unit=/usr/lib/systemd/system/cni-dhcp.service
ok "the daemon's unit is netloom's" grep -q /usr/lib/cni/dhcp "$unit"
ok "other programs find them by default" [ "$(readlink /opt/cni/bin/bridge)" = /usr/lib/cni/bridge ]
ok "the command works" [ -n "$(netloom version)" ]

if [ -n "$daemon" ]; then
  put dpkg -i "$daemon"
  ok "the command finds the daemon" [ -n "$(netloom node --version)" ]
  ok "the daemon's files are as they were packed" [ -z "$(dpkg --verify netloom-node)" ]
  unit=/usr/lib/systemd/system/netloom-node.service
  program=$(sed -n 's/^ExecStart=\([^ ]*\) .*/\1/p' "$unit")
  ok "its unit names its program" [ -x "$program" ]
  ok "its unit names its settings" [ -f "$(sed -n 's/^EnvironmentFile=//p' "$unit")" ]
  echo 'NETLOOM_NODE_ARGS=--etcd http://127.0.0.1:2379' > /etc/default/netloom-node
  dpkg-deb -R "$daemon" /work/node
  sed -i 's/^Version: .*/&.1/' /work/node/DEBIAN/control
  dpkg-deb -Znone -b /work/node /work/node.deb > /dev/null
  put dpkg -i /work/node.deb
  ok "an upgrade keeps the administrator's settings" grep -q '^NETLOOM_NODE_ARGS=--etcd' /etc/default/netloom-node
  put dpkg --purge netloom-node
  ok "nothing is left of it" [ ! -e "$program" -a ! -e "$unit" -a ! -e /etc/default/netloom-node ]
fi
unit=/usr/lib/systemd/system/cni-dhcp.service

# podman, by its own default directories.
export work=/work/podman
mkdir /work/podman
. "$repo/crates/netloom/tests/podman/host.sh"
sed -i /cni_plugin_dirs/d "$work/containers.conf"
pod network create --subnet 10.90.0.0/24 dual > /dev/null
start keeps --network dual -p 8080:80
ok "podman publishes a port" [ "$(get 127.0.0.1:8080)" = keeps ]

# A connection into the container, over an upgrade: a line goes in and comes back.
pod exec --detach keeps sh -c 'nc -l -p 7 -e cat' > /dev/null
address=$(pod exec keeps ip -4 -o address show eth0 | sed 's/.*inet \([0-9.]*\).*/\1/')
until { exec 7<> "/dev/tcp/$address/7"; } 2> /dev/null; do sleep 0.1; done
echo before >&7
read -r -t 20 line <&7
ok "a connection is there" [ "$line" = before ]
mkdir /work/next
for deb in "${debs[@]}"; do
  name=$(basename "$deb")
  dpkg-deb -R "$deb" "/work/next/$name.d"
  sed -i 's/^Version: .*/&.1/' "/work/next/$name.d/DEBIAN/control"
  dpkg-deb -Znone -b "/work/next/$name.d" "/work/next/$name" > /dev/null
done
put dpkg -i /work/next/*.deb
ok "it is upgraded" [ "$(dpkg-query -W -f '${Version}' netloom-plugins)" = "$(dpkg-deb -f "${debs[1]}" Version).1" ]
echo after >&7
read -r -t 20 line <&7
ok "the connection lives" [ "$line" = after ]
exec 7>&-
start new --network dual -p 8081:80
ok "new containers start" [ "$(get 127.0.0.1:8081)" = new ]
pod rm --force --time 0 new > /dev/null

# A stranger's plugin where the package would put a link stays.
rm /opt/cni/bin/tuning
echo 'somebody else' > /opt/cni/bin/tuning
# podman wants one of the two; this is about what removal leaves.
put dpkg -r --force-depends netloom-plugins
ok "its plugins are gone" [ ! -e /usr/lib/cni/bridge ]
ok "its links are gone, and nobody else's file" [ "$(ls /opt/cni/bin)" = tuning ]
ok "its unit is gone" [ ! -e "$unit" ]
ok "the command is there still" [ -n "$(netloom --version)" ]
rm /opt/cni/bin/tuning

# Back to Go's plugins, with a container of netloom's that runs.
put dpkg -i "${debs[1]}"
# apt removes what conflicts; dpkg alone would refuse.
put apt-get install -qq --yes --no-install-recommends "$dist"/go/containernetworking-plugins_*.deb
ok "the plugins are Go's" [ "$(owner /usr/lib/cni/bridge)" = containernetworking-plugins ]
ok "netloom's package is gone" [ ! "$(dpkg-query -W -f '${db:Status-Status}' netloom-plugins 2> /dev/null)" = installed ]
ok "Go's files are as they were packed" [ -z "$(dpkg --verify containernetworking-plugins)" ]
ok "no link leads nowhere" [ -z "$(find /opt/cni/bin -xtype l 2> /dev/null)" ]
ok "podman deletes with Go's plugins what netloom's added" pod rm --force --time 0 keeps
start go --network dual -p 8082:80
ok "podman works with Go's plugins" [ "$(get 127.0.0.1:8082)" = go ]
pod rm --force --time 0 go > /dev/null
put dpkg -i "${debs[1]}"
ok "and netloom's come again" [ "$(owner /usr/lib/cni/bridge)" = netloom-plugins ]
pod rm --all --force --time 0 > /dev/null
pod network rm dual > /dev/null

# containerd, with plugins where it looks by default.
work=/work/containerd plugins=/opt/cni/bin
mkdir "$work"
. "$repo/crates/netloom/tests/containerd/host.sh"
ok "containerd attaches to a network" container one 'ping -c 1 10.88.0.1'
