#!/bin/bash
# crates.sh DIST WORK REPO: the crates as they would be published build a program outside of the workspace.
set -eu
work=$2 repo=$3
cd "$repo"
names=$(grep -L '^publish = false' crates/*/Cargo.toml | xargs sed -n 's/^name = "\(netloom[a-z-]*\)"$/\1/p')
# Every crate of the workspace is unpacked, and built of what it is packed with.
cargo package --quiet --workspace --allow-dirty
echo "ok cargo package verifies every crate of the workspace"
target=$(cargo metadata --format-version 1 --no-deps | jq -r .target_directory)
# The command is no library: it is packaged, and built by everything else.
libraries=$(for name in $names; do [ ! -e "crates/$name/src/lib.rs" ] || echo "$name"; done)
mkdir -p "$work/crates" "$work/outside/src"
cat > "$work/outside/Cargo.toml" <<T
[package]
name = "outside"
version = "0.0.0"
edition = "2024"
[workspace]
[dependencies]
$(for name in $libraries; do echo "$name = \"*\""; done)
[patch.crates-io]
T
for name in $names; do
  tar -C "$work/crates" -xzf "$(ls -t "$target/package/$name"-[0-9]*.crate | head -n 1)"
  folder=$(ls -d "$work/crates/$name"-[0-9]*)
  for file in README.md LICENSE; do
    [ -s "$folder/$file" ] || { echo "FAILED $name has no $file"; exit 1; }
  done
  echo "$name = { path = \"$folder\" }" >> "$work/outside/Cargo.toml"
done
cp crates/netloom-runtime/examples/runtime.rs "$work/outside/src/main.rs"
cp Cargo.lock "$work/outside/"
CARGO_TARGET_DIR="$target/outside" cargo build --quiet --manifest-path "$work/outside/Cargo.toml"
"$target/outside/debug/outside" 2> "$work/said" || true
grep -q 'usage: runtime NETWORK' "$work/said" || { echo "FAILED it does not run"; cat "$work/said"; exit 1; }
echo "ok a program outside the workspace builds with $(echo $libraries | wc -w) packaged crates"
