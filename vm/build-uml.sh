#!/usr/bin/env bash
# build-uml.sh OUTPUT [WORK]
#
# Builds the kernel of the VM tier: Linux as a program (User-Mode Linux), from Debian's kernel
# source with the options of kernel.config beside this script. The file is static and runs on any
# x86-64 Linux. Progress goes to stdout, one line for each step; what went wrong to stderr.
#
# The source is of trixie-backports, whatever this machine's release: since Linux 6.16 the guest
# needs no ptrace, which halves the cost of its system calls. It is found through a private state
# of apt; nothing is installed and the machine's own lists of packages stay as they are.
#
# WORK is a folder for about 2 GB, by default a temporary one that is removed at the end.
# Needs apt-get gcc make flex bison bc xz and libc's headers and static library; no root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
output=$(realpath -m "${1:?usage: build-uml.sh OUTPUT [WORK]}")
if [ $# -gt 1 ]; then
  mkdir -p "$2"
  work=$(realpath "$2")
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi

step() { echo "$*"; }
die() { echo "build-uml: $*" >&2; exit 1; }

# The mirror from which this machine gets Debian itself, else the one for everybody.
mirror() {
  local all
  all=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | sed 's,/*$,,' | sort -u)
  all=$(grep -v -- '-security$' <<< "$all" || true)
  echo "${all%%$'\n'*}" | grep . || echo http://deb.debian.org/debian
}

private_apt() {
  local command=$1
  shift
  "$command" -qq \
    -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
    -o "Dir::State=$apt" -o "Dir::State::Lists=$apt/lists" -o "Dir::State::status=$apt/status" \
    -o "Dir::Cache=$apt" -o APT::Sandbox::User= -o APT::Default-Release=trixie-backports \
    -o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

# Leaves the package in $apt.
download() {
  local from suite package key=/usr/share/keyrings/debian-archive-keyring.gpg
  [ -r "$key" ] || die "no $key: install debian-archive-keyring"
  from=$(mirror)
  step "finding the kernel's source at $from"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  : > "$apt/status"
  for suite in trixie trixie-backports; do
    echo "deb [signed-by=$key arch=amd64] $from $suite main"
  done > "$apt/sources.list"
  private_apt apt-get update
  # linux-source depends on the package of whatever version is the newest.
  package=$(private_apt apt-cache depends --important linux-source |
    sed -n 's/^ *Depends: \(linux-source-[^ ]*\)$/\1/p' | head -n 1)
  [ -n "$package" ] || die "trixie-backports at $from has no linux-source"
  step "downloading $package (150 MB)"
  (cd "$apt" && private_apt apt-get download "$package")
}

# Leaves the source in $work/linux-source-*, without the bulk that is for other machines.
unpack() {
  local skip=()
  for pattern in 'drivers/gpu/*.[chS]' 'sound/*.[ch]' 'Documentation/*.rst' 'tools/testing/*' \
    'drivers/net/ethernet/*.[ch]' 'drivers/net/wireless/*.[ch]' 'arch/a[lr]*/*.[chS]' \
    'arch/[c-ln-t]*/*.[chS]' 'arch/m*/*.[chS]' '*.dts' '*.dtsi'; do
    skip+=("--exclude=*/$pattern")
  done
  step "unpacking the source"
  dpkg-deb --fsys-tarfile "$apt"/linux-source-*.deb |
    tar --extract --to-stdout --wildcards '*/linux-source-*.tar.xz' |
    xz --decompress | tar --extract --directory "$work" --wildcards "${skip[@]}"
  rm "$apt"/linux-source-*.deb
}

configure() {
  local option unknown=()
  step "configuring"
  make --silent ARCH=um defconfig
  ./scripts/kconfig/merge_config.sh -m .config "$here/kernel.config" > merge.log
  make --silent ARCH=um olddefconfig
  while read -r option; do
    grep --quiet --line-regexp "$option" .config || unknown+=("${option%=y}")
  done < <(grep '=y$' "$here/kernel.config")
  [ ${#unknown[@]} -eq 0 ] || step "this kernel does not have ${unknown[*]}"
}

# make's own output only if it fails: it is thousands of lines.
compile() {
  step "compiling with $(nproc) processes, 4 minutes on two processors"
  make ARCH=um -j"$(nproc)" linux 2>&1 | tee make.log |
    awk '/^  (CC|AS) / { if (++n % 500 == 0) { print n " files compiled"; fflush() } }' ||
    { grep --extended-regexp -B 3 -A 3 'error|Error' make.log | tail -n 60 >&2; die "make failed"; }
}

apt=$work/apt
download
unpack
cd "$work"/linux-source-*
configure
compile
mkdir -p "$(dirname "$output")"
# Whole or not at all, also when two of these run at the same time.
strip -o "$output.$$" linux
mv "$output.$$" "$output"
step "Linux $("$output" --version) is at $output"
