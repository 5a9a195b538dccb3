#!/bin/bash
# image.sh DIST WORK REPO: the image, unpacked as a runtime does it, installs the plugins into a node's tree and takes
# them out, with no more rights than its DaemonSet gives it; podman can load and run it.
set -eu
dist=$1 work=$2 repo=$3
. "$(dirname "$0")/tree.sh"
image=$(echo "$dist"/*-oci.tar)
mkdir /work/layout /work/rootfs
tar -C /work/layout -xf "$image"
cd /work/layout
blob() { echo "blobs/$(echo "$1" | tr : /)"; }
(cd blobs/sha256 && for it in *; do echo "$it  $it"; done | sha256sum -c --quiet)
manifest=$(blob "$(jq -r '.manifests[0].digest' index.json)")
config=$(blob "$(jq -r .config.digest "$manifest")")
layer=$(blob "$(jq -r '.layers[0].digest' "$manifest")")
ok "the layer is what the configuration says" [ "$(gzip -dc "$layer" | sha256sum | cut -d' ' -f1)" = "$(jq -r '.rootfs.diff_ids[0]' "$config" | cut -d: -f2)" ]
tar -C /work/rootfs -xzf "$layer"
ok "the image is a few MB" [ "$(stat -c %s "$image")" -lt 12000000 ]

# As the DaemonSet runs it: a read-only root, one directory of the node, one capability.
cd /work/rootfs
mkdir -p host/opt/cni/bin proc
mkdir -p /work/node
echo "Go's" > /work/node/bridge
mount --bind /work/node host/opt/cni/bin
mount -t proc proc proc
args() { sed -n 's/.*args: *\[\(.*\)\]/\1/p' "$repo/packaging/kubernetes/$1.yaml" | tr -d '",'; }
# And that to change the root, which a runtime has done by then.
in_pod() { setpriv --bounding-set=-all,+dac_override,+sys_chroot --inh-caps=-all,+dac_override,+sys_chroot chroot . /usr/bin/netloom "$@"; }
# run MANIFEST: until it has done its work, and then as kubelet ends it.
run() {
  (in_pod $(args "$1") > "/work/$1" 2>&1; echo "ended $?" >> "/work/$1") &
  until grep -qsE 'installed in|removed from|already|any more|ended' "/work/$1"; do sleep 0.05; done
  pkill -TERM --newest --exact netloom --parent $!
  wait $!
  cat "/work/$1"
}
told=$(run install)
echo "$told"
ok "the DaemonSet installs" grep -q 'ended 0' <<< "$told"
ok "the plugins are there" [ "$(CNI_COMMAND=VERSION /work/node/bridge < /dev/null | grep -c 1.1.0)" = 1 ]
told=$(run uninstall)
echo "$told"
ok "the other takes them out" grep -q 'ended 0' <<< "$told"
ok "what was there before is there again" [ "$(ls -A /work/node) $(cat /work/node/bridge)" = "bridge Go's" ]

# The daemon's DaemonSet, with what its first container is allowed.
told=$(in_pod $(args node) 2>&1) || true
echo "$told"
ok "the daemon's installs too" [ "$(CNI_COMMAND=VERSION /work/node/flannel < /dev/null | grep -c 1.1.0)" = 1 ]
images=$(sed -n 's/^ *image: //p' "$repo"/packaging/kubernetes/*.yaml | sort -u)
ok "all manifests run one image" [ "$images" = "netloom:$(in_pod --version | cut -d' ' -f2)" ]
program=$(sed -n 's/.*command: *\[\([^,]*\),.*/\1/p' "$repo/packaging/kubernetes/node.yaml")
if [ -e usr/bin/netloom-node ]; then
  ok "the daemon is where its DaemonSet executes it" chroot . "$program" --version
  ok "the command finds it" in_pod node --version
fi

if command -v podman > /dev/null; then
  export work=/work/podman
  mkdir "$work"
  . "$repo/crates/netloom/tests/podman/host.sh"
  id=$(pod pull -q "oci-archive:$image")
  ok "podman runs it" pod run --rm --network none "$id" --version
fi
