#!/usr/bin/env bash
# run-in-uml.sh --linux FILE [OPTION...] [--] COMMAND [ARGUMENT...]
#
# Runs a command as root of a throw-away guest under the kernel that build-uml.sh builds. The guest
# is an ordinary process of this machine: it needs neither root nor /dev/kvm. Its root directory is
# this machine's, with an overlay of memory above it, so what the command writes goes nowhere; stdout,
# stderr and the exit status are the command's. It has no network but its own lo.
#
#   --linux FILE        the kernel ($UML_LINUX)
#   --timeout SECONDS   end the guest then (300)
#   --mem MIB           the guest's memory, the overlay included (2048); taken only as it is used
#   --out DIR           a folder in which the command writes through to this machine
#   --env NAME[=VALUE]  a variable for the command, else it has only HOME, PATH, TERM and IN_VM=uml
#   --verbose           the guest's kernel messages to stderr
#
# Exit status: the command's; 124 after the time limit; 125 if there was no guest.
#
# Never take times in a guest: it has one processor, and system calls cost twice as much.
set -euo pipefail

die() { echo "run-in-uml: $*" >&2; exit 125; }
trap 'echo "run-in-uml: line $LINENO failed" >&2; exit 125' ERR

linux=${UML_LINUX:-} limit=300 memory=2048 out='' verbose='' variables=()
while [ $# -gt 0 ]; do
  case $1 in
    --linux | --timeout | --mem | --out | --env)
      [ $# -gt 1 ] || die "$1 needs a value"
      case $1 in
        --linux) linux=$2 ;;
        --timeout) limit=$2 ;;
        --mem) memory=$2 ;;
        --out) out=$(realpath "$2") ;;
        --env) variables+=("$2") ;;
      esac
      shift 2
      ;;
    --verbose) verbose=1; shift ;;
    --) shift; break ;;
    -*) die "unknown option $1" ;;
    *) break ;;
  esac
done
[ $# -gt 0 ] || die "no command"
[ -x "$linux" ] || die "no kernel at '$linux': --linux or \$UML_LINUX must name it"

# The guest's memory is a file that the kernel maps with execution, so a place mounted noexec or
# too small will not do.
place_for_memory() {
  local place probe free
  for place in ${UML_TMPDIR:+"$UML_TMPDIR"} /dev/shm "${TMPDIR:-/tmp}" /var/tmp; do
    free=$(df --output=avail --block-size=1M "$place" 2>/dev/null | tail -n 1) || continue
    [ "$free" -ge "$memory" ] || continue
    probe=$(mktemp "$place/uml-probe.XXXXXX" 2>/dev/null) || continue
    { echo '#!/bin/sh' > "$probe"; chmod +x "$probe"; }
    if "$probe" 2>/dev/null; then rm -f "$probe"; echo "$place"; return; fi
    rm -f "$probe"
  done
  die "no place for $memory MiB of memory: /dev/shm, /tmp and /var/tmp are too full or noexec"
}

quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }

# Everything that host and guest tell each other is in this folder.
share=$(mktemp -d) guest=''
cleanup() {
  [ -z "$guest" ] || kill "$guest" 2>/dev/null || true
  rm -rf "$share"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The names of variables need not be such that a shell can export them.
write_command() {
  local variable word
  echo "cd $(quoted "$PWD") || exit 125"
  printf 'exec env -i'
  for variable in "HOME=${HOME:-/root}" "PATH=$PATH" TERM=dumb IN_VM=uml \
    ${variables[@]+"${variables[@]}"}; do
    case $variable in
      *=*) ;;
      *) variable=$variable=${!variable-} ;;
    esac
    printf ' %s' "$(quoted "$variable")"
  done
  for word in "$@"; do
    printf ' %s' "$(quoted "$word")"
  done
  echo
}

# Process 1 of the guest. Its root is the host's, read-only: build a writable one and go there.
write_first_stage() {
  echo '#!/bin/sh'
  echo "share=$(quoted "$share") out=$(quoted "$out")"
  cat <<'STAGE'
PATH=/usr/sbin:/usr/bin:/sbin:/bin
fail() { echo "run-in-uml: $*" > /dev/console; exit 1; }
mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root || fail "no tmpfs"
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/root || fail "no overlay"
cd /mnt/root || fail "no root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup sys/fs/cgroup
mount -t devtmpfs dev dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p run/guest/share run/netns run/lock dev/pts dev/shm dev/net
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
[ -e dev/net/tun ] || mknod dev/net/tun c 10 200
ln -sf /proc/self/fd dev/fd
ln -sf fd/0 dev/stdin
ln -sf fd/1 dev/stdout
ln -sf fd/2 dev/stderr
mount -t hostfs -o "$share" share run/guest/share || fail "no share"
if [ -n "$out" ]; then
  mkdir -p "./$out" && mount -t hostfs -o "$out" out "./$out" || fail "no $out"
fi
mount --move . /
exec chroot . /bin/sh /run/guest/share/second
STAGE
}

# Runs the command between two raw consoles, which are this script's stdout and stderr.
write_second_stage() {
  cat <<'STAGE'
cd /run/guest || exit 1
ip link set lo up
hostname guest
# No tunnel links that nobody made in every new namespace.
echo 2 > /proc/sys/net/core/fb_tunnels_only_for_init_net
mkfifo stdout stderr
exec 8> /dev/tty1 9> /dev/tty2
stty raw -echo <&8
stty raw -echo <&9
cat < stdout >&8 8>&- 9>&- & first=$!
cat < stderr >&9 8>&- 9>&- & second=$!
/bin/sh share/command < /dev/null > stdout 2> stderr 8>&- 9>&-
status=$?
# What the command left running may hold the pipes for ever.
(sleep 3; kill $first $second) 2> /dev/null &
wait $first $second 2> /dev/null
# Setting a console waits until it has been written out.
stty raw <&8
stty raw <&9
echo $status > share/status
sync share/status
# "b" would start again without end.
echo o > /proc/sysrq-trigger
sleep 5
STAGE
}

memory_place=$(place_for_memory)
write_command "$@" > "$share/command"
write_first_stage > "$share/first"
write_second_stage > "$share/second"
chmod +x "$share/first"
mkdir "$share/uml"
mkfifo "$share/stdout" "$share/stderr"
cat < "$share/stdout" & copy_out=$!
cat < "$share/stderr" >&2 & copy_err=$!

# Devices that some drivers make by themselves would be in the way of tests that count links.
HOME=$share TMPDIR=$memory_place timeout --kill-after=5 "$limit" \
  "$linux" "mem=${memory}M" seccomp=auto "uml_dir=$share/uml" umid=guest \
  rootfstype=hostfs rootflags=/ ro "init=$share/first" \
  fb_tunnels=none dummy.numdummies=0 ifb.numifbs=0 bonding.max_bonds=0 \
  con=null ssl=null con0=null,fd:5 con1=null,fd:3 con2=null,fd:4 \
  < /dev/null 3> "$share/stdout" 4> "$share/stderr" 5> "$share/console" > "$share/early" 2>&1 &
guest=$!
ended=0
wait "$guest" || ended=$?
guest=''
wait "$copy_out" "$copy_err" || true

[ -z "$verbose" ] || cat "$share/early" "$share/console" >&2
if [ -s "$share/status" ]; then
  exit "$(cat "$share/status")"
fi
if [ "$ended" -eq 124 ] || [ "$ended" -eq 137 ]; then
  echo "run-in-uml: not done after $limit s" >&2
  exit 124
fi
echo "run-in-uml: the guest ended ($ended) without a status; its last messages:" >&2
tail -q -n 40 "$share/early" "$share/console" >&2
exit 125
