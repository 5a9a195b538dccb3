#!/bin/bash
# docker_run.sh PLUGINS NETLOOM WORK: containers that podman runs and netloom attaches to networks, in a throw-away
# host. Started by podman.rs in new mount, network, pid, ipc and uts namespaces. Each line it prints is one thing that
# was tried and what came of it; then what was left behind.
set -eu
plugins=$1 netloom=$2 work=$3
. "$(dirname "$0")/host.sh"
mount -t tmpfs tmpfs /var/lib/netloom 2> /dev/null || { mkdir -p /var/lib/netloom; mount -t tmpfs tmpfs /var/lib/netloom; }
export CNI_PATH="$plugins"
# netloom finds the podman that keeps everything below $work.
mkdir "$work/bin"
cat > "$work/bin/podman" <<T
#!/bin/sh
exec $(command -v podman) --root $work/root --runroot $work/runroot --tmpdir $work/libpod --storage-driver vfs "\$@"
T
chmod +x "$work/bin/podman"
export PATH="$work/bin:$PATH"
cat > /etc/cni/net.d/10-mynet.conflist <<'T'
{"cniVersion": "1.0.0", "name": "mynet", "plugins": [
  {"type": "bridge", "bridge": "mybr0", "isGateway": true,
   "ipam": {"type": "host-local", "subnet": "10.22.0.0/16", "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}]}
T
left() { ls /run/netns /run/netloom/pods; ip -o link show type veth; find /var/lib/cni -name '10.22.*'; }

tried "the script's command" "$("$netloom" docker-run --rm box sh -c 'ip -o -4 addr' 2>&1)"
code=0; "$netloom" docker-run --rm box sh -c 'exit 7' || code=$?
tried "its status" "$code"
before=$(left)
id=$("$netloom" docker-run -d --rm --net mynet -p 8080:80 box sh -c 'echo page > /www/index.html; httpd -f -p 80 -h /www')
for _ in $(seq 100); do [ "$(get 203.0.113.2:8080)" = page ] && break; sleep 0.05; done
tried "a published port" "$(get 203.0.113.2:8080)"
pid=$("$netloom" inspect "$id" | perl -ne 'print $1 if /"pid": (\d+)/')
shim=$(perl -ne 'print $1 if /\) \S (\d+)/' "/proc/$pid/stat")
kill -9 "$shim"
# Its parent here collects nobody.
while grep -qs '^State:.[^ZX]' "/proc/$shim/status"; do sleep 0.01; done
tried "a killed shim" "$("$netloom" ps 2>&1)"
tried "containers after it" "[$(podman ps -q)]"
"$netloom" rm "$id" > /dev/null 2>&1 || true
tried "left of it" "[$(diff <(echo "$before") <(left))]"
tried "an image of podman's" "$("$netloom" run --rm --net mynet docker://box ip -o -4 addr 2>&1)"
# As an OCI runtime makes the pod.
by_runc() { "$netloom" run --rm --runtime runc --net mynet "$@"; }
show='ip -o -4 addr; cat /etc/hosts; cat /proc/self/status'
tried "by runc" "$(by_runc --hostname me --memory 64M --pids 50 docker://box sh -c "$show" 2>&1)"
code=0; by_runc docker://box sh -c 'exit 7' || code=$?
tried "its status by runc" "$code"
before=$(left)
id=$(by_runc -d docker://box sleep 1000)
pid=$("$netloom" inspect "$id" | perl -ne 'print $1 if /"pid": (\d+)/')
shim=$(perl -ne 'print $1 if /\) \S (\d+)/' "/proc/$pid/stat")
kill -9 "$shim"
while grep -qs '^State:.[^ZX]' "/proc/$shim/status"; do sleep 0.01; done
"$netloom" ps > /dev/null 2>&1
tried "left by runc" "[$(diff <(echo "$before") <(left)) $(pgrep -fx 'sleep 1000' || true)]"
podman rm -f -a > /dev/null
echo "--- left behind"
ls /run/netns | grep -v outside || true
ip -o link show type veth | grep -v up0 || true
