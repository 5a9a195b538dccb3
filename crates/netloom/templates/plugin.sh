#!/bin/sh
# my-plugin: a CNI plugin in shell. It tells each call on stderr and hands on what the plugins before it made.
# Needs jq. docs: https://www.cni.dev/docs/spec
set -u

conf=$(cat)
command=${CNI_COMMAND:-}
version=1.1.0

# How a plugin fails: one JSON document on stdout, and an exit status that is not 0.
fail() {
    jq -n --arg version "$version" --argjson code "$1" --arg msg "$2" \
        '{cniVersion: $version, code: $code, msg: $msg}'
    exit 1
}

# A variable that the command cannot do without.
need() {
    eval "value=\${$1:-}"
    [ -n "$value" ] || fail 4 "$1 is missing"
}

key() {
    printf '%s' "$conf" | jq -r "$1 // empty"
}

# stderr is free for people. Most runtimes log it.
echo "my-plugin: $command ${CNI_CONTAINERID:-} ${CNI_IFNAME:-}" >&2

case $command in
VERSION)
    echo '{"cniVersion": "1.1.0", "supportedVersions": ["0.4.0", "1.0.0", "1.1.0"]}'
    exit 0
    ;;
ADD | CHECK) need CNI_CONTAINERID && need CNI_IFNAME && need CNI_NETNS ;;
DEL) need CNI_CONTAINERID && need CNI_IFNAME ;;
GC | STATUS) ;;
*) fail 4 "CNI_COMMAND is \"$command\", expected ADD, CHECK, DEL, GC, STATUS or VERSION" ;;
esac
case ${CNI_CONTAINERID:-} in
[!a-zA-Z0-9]* | *[!a-zA-Z0-9_.-]*) fail 4 "CNI_CONTAINERID is \"$CNI_CONTAINERID\", expected letters, digits, _ . and -" ;;
esac
case ${CNI_IFNAME:-} in
. | .. | */* | *:* | *[[:space:]]* | ????????????????*) fail 4 "CNI_IFNAME is \"$CNI_IFNAME\", expected up to 15 bytes without / : and blanks" ;;
esac

printf '%s' "$conf" | jq -es 'length == 1 and (.[0] | type) == "object"' >/dev/null 2>&1 ||
    fail 6 "the configuration on stdin is not one JSON object"
asked=$(key .cniVersion)
case $asked in
0.4.0 | 1.0.0 | 1.1.0) version=$asked ;;
*) fail 1 "cniVersion is \"$asked\", expected 0.4.0, 1.0.0 or 1.1.0" ;;
esac
case $(key .name) in
"" | [!a-zA-Z0-9]* | *[!a-zA-Z0-9_.-]*) fail 7 "name: expected letters, digits, _ . and -" ;;
esac

case $command in
ADD)
    # Here the plugin does its work. Whatever it makes it has to remove again if it fails later on.
    printf '%s' "$conf" | jq '.prevResult // {cniVersion: .cniVersion, interfaces: [], ips: []}' ||
        fail 5 "the result cannot be written"
    ;;
CHECK | DEL) ;; # Nothing on stdout. DEL succeeds for what is gone already, and may come more than once.
GC | STATUS)
    [ "$version" = 1.1.0 ] || fail 1 "$command is of cniVersion 1.1.0, not $version"
    ;;
esac
