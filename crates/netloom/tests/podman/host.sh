# Sourced by the scripts beside it, with $work set: a throw-away host with an uplink to the outside, and podman with
# its CNI backend, which finds plugins in /opt/cni/bin.
set -eu

mount --make-rprivate /
mkdir -p /opt/cni/bin /usr/lib/cni /etc/cni /var/lib/cni "$work/cgroup" "$work/rootfs" "$work/tmp"
for dir in /run /var/lib/cni /etc/cni; do mount -t tmpfs tmpfs "$dir"; done
mkdir -p /run/netns /run/lock /etc/cni/net.d
# sysfs shows the network namespace it was mounted in; the cgroup tree stays as it was.
mount --rbind /sys/fs/cgroup "$work/cgroup"
umount -l /sys
mount -t sysfs sysfs /sys
mount --rbind "$work/cgroup" /sys/fs/cgroup

# The world outside, behind an uplink with addresses of both families.
ip link set lo up
ip netns add outside
ip link add up0 type veth peer name out0 netns outside
ip address add 203.0.113.2/24 dev up0
ip -6 address add 2001:db8::2/64 dev up0 nodad
ip link set up0 up
ip -n outside address add 203.0.113.1/24 dev out0
ip -n outside -6 address add 2001:db8::1/64 dev out0 nodad
ip -n outside link set out0 up
ip -n outside link set lo up
ip route add default via 203.0.113.1
ip -6 route add default via 2001:db8::1

cat > "$work/containers.conf" <<T
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
default_subnet = "10.89.0.0/24"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
T
export CONTAINERS_CONF="$work/containers.conf" TMPDIR="$work/tmp"
unset XDG_RUNTIME_DIR
pod() { podman --root "$work/root" --runroot "$work/runroot" --tmpdir "$work/libpod" --storage-driver vfs "$@"; }

mkdir -p "$work"/rootfs/{bin,etc,proc,sys,dev,tmp,www}
cp /bin/busybox "$work/rootfs/bin/busybox"
for applet in sh ip ping httpd wget nc cat sleep echo; do ln -sf busybox "$work/rootfs/bin/$applet"; done
echo 'root:x:0:0::/:/bin/sh' > "$work/rootfs/etc/passwd"
tar -C "$work/rootfs" -cf "$work/image.tar" .
pod import "$work/image.tar" box > /dev/null 2>&1

# start NAME OPTION...: a container that serves its name at port 80, and at UDP port 53 (by the host's perl, as
# busybox has no server for UDP).
udp='use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalPort => 53, Proto => "udp") or die;
  while ($s->recv(my $asked, 99)) { $s->send("$ARGV[0]\n") }'
start() {
  name=$1
  shift
  pod run --detach --name "$name" --log-driver none -v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro "$@" \
    localhost/box sh -c 'echo $0 > /www/index.html; httpd -p 80 -h /www; exec /usr/bin/perl -e "$1" $0' \
    "$name" "$udp" > /dev/null
  for _ in $(seq 100); do
    pod exec "$name" wget -q -O /dev/null http://127.0.0.1/ 2> /dev/null && return
    sleep 0.05
  done
  echo "$name does not serve" >&2
  return 1
}
get() { timeout 5 busybox wget -q -O - "http://$1/" 2> /dev/null || echo nothing; }
ask() { exec 3<> "/dev/udp/$1/$2" && echo >&3 && timeout 2 head -n 1 <&3 || echo nothing; }
far() { ip netns exec outside "$@"; }
tried() { echo "$1: $(printf '%s' "$2" | tr '\n' ' ')"; }
export -f get ask
