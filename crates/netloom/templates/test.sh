#!/bin/sh
# Calls the plugin as a runtime does, without a network and without being root. The first argument is the
# plugin's file.
set -eu
cd "$(dirname "$0")"
plugin=${1:-@FILE@}

# Stands for every plugin that this one calls.
others=$(mktemp -d)
trap 'rm -rf "$others"' EXIT
printf '#!/bin/sh\ncat >/dev/null\n' >"$others/other"
chmod +x "$others/other"

call() {
    printf '%s' "$2" | env -i PATH="$PATH" CNI_COMMAND="$1" CNI_CONTAINERID=test CNI_IFNAME=eth0 \
        CNI_NETNS=/run/netns/none CNI_PATH="$others" "$plugin" 2>/dev/null
}
fail() {
    echo "not ok - $1" >&2
    exit 1
}

conf='@CONF@'
case $(call VERSION '{"cniVersion": "1.1.0"}') in
*supportedVersions*) ;;
*) fail "VERSION tells the versions" ;;
esac
for again in once twice; do
    [ -z "$(call DEL "$conf")" ] || fail "DEL prints nothing, $again"
done
if answer=$(call ADD '{"cniVersion": "9.9.9", "name": "n", "type": "my-plugin"'); then
    fail "ADD refuses what is not JSON"
fi
case $answer in
*'"code"'*) ;;
*) fail "a failure is told as a document with a code" ;;
esac
echo "ok"
