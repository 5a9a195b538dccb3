#!/bin/bash
# rpm.sh DIST WORK REPO: the RPM packages are installed into an empty tree with an empty database, upgraded and removed.
set -eu
dist=$1 work=$2 repo=$3
. "$(dirname "$0")/tree.sh"
root=/work/tree
# No more than the packages' scripts use.
mkdir -p "$root/bin" "$root/dev" "$root/etc/default" "$root/opt/cni/bin"
names=(netloom netloom-plugins)
ls "$dist"/netloom-node-*.rpm > /dev/null 2>&1 && names+=(netloom-node)
: > "$root/dev/null"
cp /bin/busybox "$root/bin/busybox"
for name in sh ln mkdir rm rmdir readlink; do ln -s busybox "$root/bin/$name"; done
echo 'somebody else' > "$root/opt/cni/bin/tuning"
(cd "$root" && find . | sort) > /work/before
rpm_() { rpm --root "$root" "$@"; }
rpm_ --initdb
# An empty database knows of no shell, which is all that they need.
rpm_ -i --nodeps "$dist"/netloom-*.rpm
ok "they are installed" [ "$(rpm_ -qa | wc -l)" = "${#names[@]}" ]
ok "every file is as it was packed" rpm_ -V --nodeps "${names[@]}"
ok "the plugins stand in for Go's" [ "$(rpm_ -q --whatprovides containernetworking-plugins | cut -d- -f1-2)" = netloom-plugins ]
ok "the plugins answer" [ "$(CNI_COMMAND=VERSION chroot "$root" /usr/libexec/cni/bridge < /dev/null | grep -c 1.1.0)" = 1 ]
ok "the command works" chroot "$root" /usr/bin/netloom --version
for name in "${names[@]:2}"; do
  ok "$name works" chroot "$root" "/usr/bin/$name" --version
done
ok "other programs find them by default" [ "$(readlink "$root/opt/cni/bin/bridge")" = /usr/libexec/cni/bridge ]
ok "a stranger's plugin stays" [ "$(cat "$root/opt/cni/bin/tuning")" = "somebody else" ]
rpm_ -U --nodeps --force "$dist"/netloom-*.rpm
ok "an upgrade keeps the links" [ "$(readlink "$root/opt/cni/bin/bridge")" = /usr/libexec/cni/bridge ]
rpm_ -e "${names[@]}"
(cd "$root" && find . \( -path ./var -o -path ./root \) -prune -o -print | grep -vE '^\./(usr|var)$|^\./usr/(bin|lib|libexec|share)' | sort) > /work/after
ok "nothing is left" diff /work/before /work/after
ok "no file of theirs is left" [ -z "$(find "$root/usr" -type f)" ]
