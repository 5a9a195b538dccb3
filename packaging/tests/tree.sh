# Sourced by the scripts beside it, with $dist (the packages), $work (an empty folder) and $repo: the rest of the script
# runs as root of a throw-away copy of this machine, in namespaces of its own. Nothing of it reaches the machine.
case ${STAGE:-} in
"")
  exec unshare --mount --net --pid --ipc --uts --fork env STAGE=mount bash "$0" "$dist" "$work" "$repo"
  ;;
mount)
  mount --make-rprivate /
  mount -t tmpfs -o size=3g tmpfs "$work"
  mkdir "$work/upper" "$work/scratch" "$work/root"
  mount -t overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/scratch" overlay "$work/root"
  root=$work/root
  mkdir -p "$root/netloom" "$root/dist" "$root/work"
  mount --bind "$repo" "$root/netloom"
  mount --bind "$dist" "$root/dist"
  mount --rbind /dev "$root/dev"
  mount --rbind /sys "$root/sys"
  mount -t proc proc "$root/proc"
  for dir in tmp run work; do mount -t tmpfs tmpfs "$root/$dir"; done
  # The new root is one of the mount table, as runc wants it.
  cd "$root"
  mkdir -p old
  pivot_root . old
  umount -l /old
  exec env STAGE=inside TMPDIR=/tmp bash "/netloom/packaging/tests/$(basename "$0")" /dist /work /netloom
  ;;
esac

# ok WHAT CONDITION...: tells what holds, or ends the script.
ok() {
  what=$1
  shift
  if "$@"; then echo "ok $what"; else echo "FAILED $what: $*"; exit 1; fi
}
