#!/bin/bash
# overwrite.sh NETLOOM WORK: what NETLOOM installs goes on working for containerd while other names among the plugins are
# written over, as installers and tutorials do that. Each line it prints is one thing that was tried, which names changed,
# and whether a new container and the one from before reach their gateway; then what was left behind.
set -eu
netloom=$1 work=$2 plugins=$2/plugins
"$netloom" install --bin-dir "$plugins" > /dev/null
. "$(dirname "$0")/host.sh"
printf '#!/bin/sh\necho {}\n' > "$work/other"
chmod 755 "$work/other"
mkdir "$work/tar"
sums() { (cd "$plugins" && sha256sum -- *) > "$work/sums-$1"; }
sums before

container keeps 'echo runs; sleep 1000' > "$work/keeps" &
keeps=$!
until grep -q runs "$work/keeps"; do
  kill -0 $keeps || { tail -20 "$work/containerd.log"; exit 1; }
done
# All of it is read: ctr must come to its end.
answer() {
  cat > "$work/answer"
  grep -q '1 packets received' "$work/answer" && echo "$1" && return
  echo "$1 is cut off"
  cat "$work/answer" >&2
}
old() { ctr tasks exec --exec-id "e$RANDOM" keeps ping -c 1 10.88.0.1 | answer keeps; }
new() { container new 'ping -c 1 10.88.0.1; ping -6 -c 1 fd00:88::1' 2>&1 | answer new; }

# over WHAT NAME COMMAND
over() {
  (export D="$plugins" O="$work/other" T="$work/tar" N="$2" P="$plugins/$2"; sh -ec "$3")
  sums after
  echo "$1: [$(diff "$work/sums-before" "$work/sums-after" | sed -n 's/^> .* //p')] $(new) $(old)"
  mv "$work/sums-after" "$work/sums-before"
}
over "cp -f" flannel 'cp -f "$O" "$P"'
over "cat" dummy 'cat "$O" > "$P"'
over "download" vlan 'dd if="$O" of="$P" status=none'
over "install" macvlan 'install -m 755 "$O" "$P"'
over "tar" ipvlan 'cp "$O" "$T/$N"; tar -C "$T" -c "$N" | tar -C "$D" -x'
over "rename" tap 'cp "$O" "$D/next"; mv "$D/next" "$P"'
# A name that is in use.
cat "$work/other" > "$plugins/bridge"
echo "with another bridge: $(new) $(old)"
"$netloom" install --bin-dir "$plugins" --force bridge > /dev/null
echo "mended: $(new) $(old)"

ctr tasks kill --signal KILL keeps
wait $keeps || true
left_behind
