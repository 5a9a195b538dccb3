#!/bin/bash
# Sourced by the scripts beside it, with $plugins and $work set, in new mount, network, pid, ipc and uts namespaces:
# a throw-away host with containerd and an image of busybox.
mount --make-rprivate /
mkdir -p /opt/cni/bin /etc/cni /var/lib/cni "$work/cgroup" "$work/rootfs"
for dir in /run /var/lib/cni /etc/cni; do mount -t tmpfs tmpfs "$dir"; done
mkdir -p /run/netns /run/lock /etc/cni/net.d
# sysfs shows the network namespace it was mounted in; the cgroup tree stays as it was.
mount --rbind /sys/fs/cgroup "$work/cgroup"
umount -l /sys
mount -t sysfs sysfs /sys
mount --rbind "$work/cgroup" /sys/fs/cgroup
mount --bind "$plugins" /opt/cni/bin
ip link set lo up

cat > /etc/cni/net.d/10-mynet.conflist <<'J'
{"cniVersion": "1.0.0", "name": "mynet", "plugins": [{
  "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
  "ipMasqBackend": "nftables", "promiscMode": true,
  "ipam": {"type": "host-local",
    "ranges": [[{"subnet": "10.88.0.0/16"}], [{"subnet": "fd00:88::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}}]}
J
cat > "$work/config.toml" <<T
version = 2
root = "$work/root"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
T

# An image without a registry: one layer with busybox and its applets.
mkdir -p "$work"/rootfs/{bin,etc,proc,sys,dev,tmp} "$work/image"
cp /bin/busybox "$work/rootfs/bin/busybox"
for applet in sh ip ping sleep; do ln -sf busybox "$work/rootfs/bin/$applet"; done
echo 'root:x:0:0::/:/bin/sh' > "$work/rootfs/etc/passwd"
tar -C "$work/rootfs" -cf "$work/image/layer.tar" .
layer=$(sha256sum < "$work/image/layer.tar" | cut -d' ' -f1)
cat > "$work/image/config.json" <<J
{"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}}
J
echo '[{"Config": "config.json", "RepoTags": ["docker.io/library/box:latest"], "Layers": ["layer.tar"]}]' \
  > "$work/image/manifest.json"
tar -C "$work/image" -cf "$work/image.tar" manifest.json config.json layer.tar

containerd -c "$work/config.toml" > "$work/containerd.log" 2>&1 &
for _ in $(seq 200); do ctr version > /dev/null 2>&1 && break; sleep 0.05; done
ctr image import "$work/image.tar" > /dev/null

# container NAME COMMAND: runs it on the network, and waits for it.
container() {
  timeout 250 ctr run --snapshotter native --rm --cni docker.io/library/box:latest "$1" /bin/sh -c "$2"
}

left_behind() {
  echo "--- left behind"
  find /var/lib/cni/networks/mynet /var/lib/cni/results -type f ! -name lock ! -name 'last_reserved_ip.*'
  ip -o link show type veth
  nft list ruleset | grep -cE '10\.88\.0\.[0-9]+ (comment|:)|fd00:88::[0-9a-f]+ (comment|:)' || true
}
