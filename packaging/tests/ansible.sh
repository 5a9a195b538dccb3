#!/bin/bash
# ansible.sh DIST WORK REPO: the role and the two playbooks, on this machine's throw-away copy.
set -eu
dist=$1 work=$2 repo=$3
. "$(dirname "$0")/tree.sh"
export work=/work/podman ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_LOCAL_TEMP=/tmp/ansible ANSIBLE_REMOTE_TEMP=/tmp/remote LC_ALL=C.UTF-8
mkdir "$work"
. "$repo/crates/netloom/tests/podman/host.sh"
rm -rf /opt/cni/bin
mkdir -p /opt/cni/bin
echo "Go's" > /opt/cni/bin/bridge
cd "$repo/packaging/ansible"
archive=$(echo "$dist"/*.tar.gz)
play() { ansible-playbook -i inventory.ini "$@" > /work/said 2>&1 || { tail -n 40 /work/said; return 1; }; }
changed() { grep -o 'changed=[0-9]*' /work/said | tail -n 1; }
cat > /work/10-mynet.conflist <<'J'
{"cniVersion": "1.0.0", "name": "mynet", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"}},
  {"type": "hello"}]}
J
vars=(-e "netloom_archive=$archive" -e netloom_force=true -e '{"netloom_confs": ["/work/10-mynet.conflist"]}')
ok "the role installs" play site.yml "${vars[@]}"
ok "the plugins answer" [ "$(CNI_COMMAND=VERSION /opt/cni/bin/bridge < /dev/null | grep -c 1.1.0)" = 1 ]
ok "it runs again" play site.yml "${vars[@]}"
ok "and changes nothing" [ "$(changed)" = changed=0 ]

mkdir -p /work/hello/conf
cat > /work/hello/hello <<'S'
#!/bin/sh
# The shell logger: it says on stderr what it is asked, and hands the result on.
echo "hello: $CNI_COMMAND" >&2
case $CNI_COMMAND in
ADD) jq .prevResult ;;
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}' ;;
esac
S
chmod 755 /work/hello/hello
ok "a plugin is synced and built" play sync-and-build.yml -e project=/work/hello -e plugin=hello -e build=true -e program=hello
ok "it has its name among the plugins" cmp -s /work/hello/hello /opt/cni/bin/hello

cat > /usr/local/bin/engine <<S
#!/bin/bash
export CONTAINERS_CONF=$CONTAINERS_CONF
exec podman --root "$work/root" --runroot "$work/runroot" --tmpdir "$work/libpod" --storage-driver vfs "\$@"
S
chmod 755 /usr/local/bin/engine
ok "a container runs on the network" play docker-run.yml -e engine=engine -e image=localhost/box -e "command='sleep 1000'"
ok "its plugins' words are shown" grep -q 'hello: ADD' /work/said
ok "its address is shown" grep -q 'inet 10.22.0.' /work/said
ok "nothing is left of it" [ -z "$(pod ps -aq)$(ip -o link show type veth | grep -v up0)" ]

ok "the role takes all out" play site.yml "${vars[@]}" -e netloom_state=absent
ok "what was there before is there again" [ "$(cat /opt/cni/bin/bridge)" = "Go's" ]
ok "the command is gone" [ ! -e /usr/local/bin/netloom ]
