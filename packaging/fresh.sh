#!/usr/bin/env bash
# What a newcomer types, typed in a Debian 12 that has nothing yet. debootstrap makes it once, in ~/.cache/netloom; each run
# changes a copy, which is thrown away. The copy has namespaces of its own, but for the network, which apt-get and cargo use.
#
#   packaging/fresh.sh tutorials           the book from its first page to the end of the third tutorial
#   packaging/fresh.sh tutorials DIST      the same, with the package for Debian in the folder DIST in place of a build
#   packaging/fresh.sh packages DIST       the scripts of packaging/tests that install, upgrade and remove what DIST holds
#   packaging/fresh.sh test [ARGUMENT...]  the README's `cargo xtask test [ARGUMENT...]`, in a clone of this one
#   packaging/fresh.sh shell               a shell
#
# Needs root and debootstrap; the tutorials need jq and cargo too. The toolchain is this machine's: the copy sees
# ~/.rustup and ~/.cargo, and changes copies of them. $FRESH names a folder that keeps the copy for the next run.
# With $FRESH_CACHE the copy has what tests build once and keep in ~/.cache/netloom: the kernel of the VM tier, mdBook.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# A build of the clone and the three pages must not take longer.
MINUTES=20
PAGES=(where_the_tutorials_begin_works a_network_by_hand_works the_shell_logger_works the_bridge_network_works)

# What the packages' tests use. podman brings Go's plugins along.
RUNTIMES="ansible-core busybox-static containerd iproute2 iptables jq nftables podman procps rpm runc"

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/netloom

say() { echo "fresh: $*"; }
fail() { echo "fresh: $*" >&2; exit 1; }

# The tree that debootstrap made, with no more than the smallest Debian has.
debian() {
  local tree=$CACHE/debian-12
  if [ ! -d "$tree" ]; then
    command -v debootstrap > /dev/null || fail "needs debootstrap (apt-get install debootstrap)"
    mkdir -p "$CACHE"
    rm -rf "$tree.part"
    debootstrap --variant=minbase bookworm "$tree.part" http://deb.debian.org/debian > "$tree.log" 2>&1 ||
      fail "debootstrap failed: $(tail -n 3 "$tree.log")"
    mv "$tree.part" "$tree"
  fi
  echo "$tree"
}

# The program that compares the pages' blocks with what they print.
book() {
  (cd "$repo" && cargo test --quiet --package netloom --test book --no-run --message-format json) |
    jq -r 'select(.target.name? == "book" and .executable) | .executable'
}

outside() {
  [ "$(id -u)" = 0 ] || fail "needs root"
  export FRESH_TREE FRESH_WORK FRESH_BOOK= FRESH_DIST=
  FRESH_TREE=$(debian)
  case $1 in
  tutorials) FRESH_BOOK=$(book) ;;&
  packages) [ -n "${2:-}" ] || fail "which folder has the packages?" ;;&
  tutorials | packages) [ -z "${2:-}" ] || FRESH_DIST=$(realpath "$2") ;;
  esac
  if [ -n "${FRESH:-}" ]; then
    mkdir -p "$FRESH"
    FRESH_WORK=$(realpath "$FRESH")
  else
    FRESH_WORK=$(mktemp -d -p /var/tmp netloom-fresh.XXXXXX)
    trap 'rm -rf "$FRESH_WORK"' EXIT
  fi
  unshare --mount --pid --ipc --uts --fork --kill-child env FRESH_STAGE=mount bash "${BASH_SOURCE[0]}" "$@"
}

# layer LOWER NAME TARGET: TARGET shows the folder LOWER; what changes is in the folder NAME of this run.
layer() {
  mkdir -p "$FRESH_WORK/$2.upper" "$FRESH_WORK/$2.work" "$3"
  mount -t overlay -o "lowerdir=$1,upperdir=$FRESH_WORK/$2.upper,workdir=$FRESH_WORK/$2.work" overlay "$3"
}

# shown FOLDER: it is to be seen under its own name, and not to be changed.
shown() {
  mkdir -p "$root$1"
  mount --bind -o ro "$1" "$root$1"
}

mounts() {
  mount --make-rprivate /
  root=$FRESH_WORK/root
  layer "$FRESH_TREE" tree "$root"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount -t proc proc "$root/proc"
  for folder in run tmp; do mount -t tmpfs tmpfs "$root/$folder"; done
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # Where the way out is a proxy with a certificate of its own.
  [ -z "${SSL_CERT_FILE:-}" ] || cp -L "$SSL_CERT_FILE" "$root/etc/proxy.pem"
  shown "$repo"
  if [ -n "$FRESH_BOOK" ]; then
    [[ $FRESH_BOOK == "$repo"/* ]] || shown "$(dirname "$(dirname "$FRESH_BOOK")")"
  fi
  if [ -n "$FRESH_DIST" ]; then
    [[ $FRESH_DIST == "$repo"/* ]] || shown "$FRESH_DIST"
  else
    for folder in .cargo .rustup; do layer "$HOME/$folder" "$folder" "$root/root/$folder"; done
    [ -z "${FRESH_CACHE:-}" ] || layer "$CACHE" cache "$root/root/.cache/netloom"
  fi
  cd "$root"
  mkdir -p old
  pivot_root . old
  umount -l /old
  cd /root
  local trust=()
  for name in SSL_CERT_FILE CURL_CA_BUNDLE CARGO_HTTP_CAINFO GIT_SSL_CAINFO; do
    [ ! -e /etc/proxy.pem ] || trust+=("$name=/etc/proxy.pem")
  done
  exec env -i HOME=/root LC_ALL=C.UTF-8 TERM="${TERM:-dumb}" "${trust[@]}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    FRESH_STAGE=inside FRESH_BOOK="$FRESH_BOOK" FRESH_DIST="$FRESH_DIST" bash "$repo/packaging/fresh.sh" "$@"
}

# quietly COMMAND...: what it says is shown if it fails.
quietly() {
  "$@" > /tmp/said 2>&1 < /dev/null || { tail -n 40 /tmp/said; fail "failed: $*"; }
}

# step WHAT COMMAND...: runs it, and tells how long it took.
step() {
  local what=$1 begin=$SECONDS
  shift
  say "$what"
  "$@"
  say "  $((SECONDS - begin)) s"
}

# What this clone is where the book and the README say GitHub's.
own_clone() {
  git config --global --add safe.directory '*'
  git config --global "url.$repo.insteadOf" https://github.com/netloom/netloom
}

# block WORDS: the block of the tutorials' first page whose fence has these words.
block() {
  awk -v fence="\`\`\`sh not-run=\"$1" 'index($0, fence) == 1 { on = 1; next } /^```/ { on = 0 } on' \
    "$repo/docs/tutorials/begin.md"
}

# The block, without the line that fetches rustup: what it fetches is here.
build_as_told() {
  own_clone
  block downloads | grep -v sh.rustup.rs > /tmp/build.sh
  grep -q '^git clone' /tmp/build.sh || fail "docs/tutorials/begin.md has no block that builds"
  quietly bash -e /tmp/build.sh
}

tutorials() {
  block installs > /tmp/packages.sh
  grep -q '^apt-get' /tmp/packages.sh || fail "docs/tutorials/begin.md has no block that installs packages"
  export DEBIAN_FRONTEND=noninteractive
  step "the packages that the page names" quietly bash -e /tmp/packages.sh
  if [ -n "$FRESH_DIST" ]; then
    step "netloom, from $FRESH_DIST" quietly apt-get install --yes "$FRESH_DIST"/netloom_*.deb
  else
    step "netloom, built as the page tells" build_as_told
  fi
  cd "$repo/crates/netloom"
  export NETLOOM_PRODUCT NETLOOM_SKIPS=/tmp/skips
  NETLOOM_PRODUCT=$(dirname "$(command -v netloom)")
  : > "$NETLOOM_SKIPS"
  step "the pages, with $(netloom --version) of $NETLOOM_PRODUCT" \
    "$FRESH_BOOK" --exact --test-threads=1 "${PAGES[@]}"
  [ ! -s "$NETLOOM_SKIPS" ] || fail "left out: $(cat "$NETLOOM_SKIPS")"
  [ "$SECONDS" -lt $((MINUTES * 60)) ] || fail "$SECONDS seconds are more than $MINUTES minutes"
  say "ok all of it, in $SECONDS seconds"
}

# Each script works in a copy of this copy, without a way out.
packages() {
  export DEBIAN_FRONTEND=noninteractive
  step "runtimes, rpm and Ansible" quietly bash -c "apt-get update && apt-get install --yes --no-install-recommends $RUNTIMES"
  # The scripts put what they fetch beside the packages.
  cp -r "$FRESH_DIST" /var/tmp/dist
  for script in debian rpm image ansible; do
    rm -rf /var/tmp/work
    mkdir /var/tmp/work
    step "packaging/tests/$script.sh" bash "$repo/packaging/tests/$script.sh" /var/tmp/dist /var/tmp/work "$repo"
  done
  say "ok all of it, in $SECONDS seconds"
}

readme_test() {
  export DEBIAN_FRONTEND=noninteractive
  if [ ! -d ~/netloom ]; then
    step "git and gcc" quietly bash -c 'apt-get update && apt-get install --yes git gcc'
    own_clone
    step "a clone" quietly git clone https://github.com/netloom/netloom ~/netloom
  fi
  . ~/.cargo/env
  cd ~/netloom
  step "cargo xtask test $*" cargo xtask test "$@"
}

case ${FRESH_STAGE:-outside} in
mount) mounts "$@" ;;
inside)
  case $1 in
  tutorials) tutorials ;;
  packages) packages ;;
  test) shift; readme_test "$@" ;;
  shell) exec bash ;;
  esac
  ;;
outside)
  case ${1:-} in
  tutorials | packages | test | shell) outside "$@" ;;
  *) sed -n '2,/^set/{s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;;
  esac
  ;;
esac
