#!/bin/sh
# my-plugin: a CNI plugin in shell. It tells each call on stderr and hands on what the plugins before it made.
# Needs jq. docs: https://www.cni.dev/docs/spec
set -u

conf=$(cat)

# How a plugin fails: one JSON document on stdout, and an exit status that is not 0.
fail() {
    version=$(printf '%s' "$conf" | jq -r '.cniVersion // "0.1.0"' 2>/dev/null) || version=0.1.0
    jq -n --arg version "$version" --argjson code "$1" --arg msg "$2" \
        '{cniVersion: $version, code: $code, msg: $msg}'
    exit 1
}

# stderr is free for people. Most runtimes log it.
echo "my-plugin: ${CNI_COMMAND:-} ${CNI_CONTAINERID:-} ${CNI_IFNAME:-}" >&2

case ${CNI_COMMAND:-} in
VERSION)
    echo '{"cniVersion": "1.1.0", "supportedVersions": ["0.4.0", "1.0.0", "1.1.0"]}'
    ;;
ADD)
    # Here the plugin does its work. Whatever it makes it has to remove again if it fails later on.
    printf '%s' "$conf" | jq -e '.prevResult // {cniVersion: .cniVersion, interfaces: [], ips: []}' ||
        fail 6 "the configuration on stdin is not JSON"
    ;;
CHECK | DEL | GC | STATUS)
    # Nothing on stdout. DEL succeeds for what is gone already, and may come more than once.
    ;;
*)
    fail 4 "CNI_COMMAND is \"${CNI_COMMAND:-}\", expected ADD, CHECK, DEL, GC, STATUS or VERSION"
    ;;
esac
