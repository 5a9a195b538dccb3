#!/usr/bin/env bash
# build-apiserver.sh OUTPUT [WORK]
#
# Builds the server of the kube tier: kube-apiserver 1.20.2 from Debian's source package of bookworm,
# which has all that it needs (vendored) and is the newest whole Kubernetes that Debian has. No other
# place is asked. The file is one program that needs libc alone. Progress goes to stdout, one line for
# each step; what went wrong to stderr.
#
# The source is found through a private state of apt; nothing is installed and the machine's own lists
# of packages stay as they are. WORK is a folder for about 3 GB, by default a temporary one that is
# removed at the end. Needs apt-get dpkg-source go-1.19 and golang-github-modern-go-reflect2-dev; no root.
set -euo pipefail

output=$(realpath -m "${1:?usage: build-apiserver.sh OUTPUT [WORK]}")
if [ $# -gt 1 ]; then
  mkdir -p "$2"
  work=$(realpath "$2")
else
  work=$(mktemp -d)
  trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
fi
go=/usr/lib/go-1.19/bin/go
reflect2=/usr/share/gocode/src/github.com/modern-go/reflect2
key=/usr/share/keyrings/debian-archive-keyring.gpg
version=v1.20.2

step() { echo "$*"; }
die() { echo "build-apiserver: $*" >&2; exit 1; }
[ -x "$go" ] || die "no $go: install golang-1.19-go"
[ -d "$reflect2" ] || die "no $reflect2: install golang-github-modern-go-reflect2-dev"
[ -r "$key" ] || die "no $key: install debian-archive-keyring"

# The mirror from which this machine gets Debian itself, else the one for everybody.
mirror() {
  local all
  all=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | sed 's,/*$,,' | sort -u)
  all=$(grep -v -- '-security$' <<< "$all" || true)
  echo "${all%%$'\n'*}" | grep . || echo http://deb.debian.org/debian
}

private_apt() {
  apt-get -qq \
    -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o "Dir::State=$apt" -o "Dir::State::Lists=$apt/lists" -o "Dir::State::status=$apt/status" \
    -o "Dir::Cache=$apt" -o APT::Sandbox::User= -o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

# Leaves the unpacked source in $work/kubernetes-*.
download() {
  local from
  from=$(mirror)
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  : > "$apt/status"
  echo "deb-src [signed-by=$key] $from bookworm main" > "$apt/sources.list"
  step "downloading the source of kubernetes (34 MB) from $from"
  private_apt update
  (cd "$work" && private_apt --download-only source kubernetes)
  step "unpacking the source"
  (cd "$work" && dpkg-source --no-check --extract kubernetes_*.dsc kubernetes > unpack.log) || die "dpkg-source failed"
}

# Puts the tree where Go looked for it before there were modules; this tree refuses module mode.
place() {
  mkdir -p "$GOPATH/src/k8s.io"
  ln -sfn "$work/kubernetes" "$GOPATH/src/k8s.io/kubernetes"
  cd "$GOPATH/src/k8s.io/kubernetes"
  # reflect2 1.0.1 as vendored crashes with Go 1.18 and later, at the first PATCH.
  rm -rf vendor/github.com/modern-go/reflect2
  cp -r "$reflect2" vendor/github.com/modern-go/reflect2
}

# The one generated file that the source package lacks.
generate() {
  local packages
  step "generating OpenAPI definitions"
  packages=$(grep --recursive --files-with-matches --include='*.go' --exclude-dir=testdata '+k8s:openapi-gen=' \
    pkg vendor/k8s.io staging/src/k8s.io 2>/dev/null | xargs -n 1 dirname | sed 's,^staging/src/,vendor/,' | sort -u)
  $go build -o "$work/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
  "$work/openapi-gen" -O zz_generated.openapi --go-header-file /dev/null \
    -p k8s.io/kubernetes/pkg/generated/openapi -r "$work/violations" \
    -i "$(sed 's,^,k8s.io/kubernetes/,; s,^k8s.io/kubernetes/vendor/,,' <<< "$packages" | paste -s -d ,)" \
    > "$work/openapi.log" 2>&1 || { tail -n 20 "$work/openapi.log" >&2; die "openapi-gen failed"; }
}

compile() {
  local stamp=k8s.io/kubernetes/vendor/k8s.io/component-base/version
  step "compiling, 4 minutes on two processors"
  $go build -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=20" \
    -o "$work/kube-apiserver" ./cmd/kube-apiserver > "$work/build.log" 2>&1 ||
    { tail -n 40 "$work/build.log" >&2; die "go build failed"; }
}

apt=$work/apt
export GOPATH=$work/go GO111MODULE=off GOFLAGS= GOCACHE=$work/cache GOROOT=/usr/lib/go-1.19
export GOPROXY=off GOTOOLCHAIN=local CGO_ENABLED=0
download
place
generate
compile
mkdir -p "$(dirname "$output")"
# Whole or not at all, also when two of these run at the same time.
mv "$work/kube-apiserver" "$output.$$"
mv "$output.$$" "$output"
step "$("$output" --version) is at $output"
