#!/bin/sh
conf=$(cat)
version=${conf#*\"cniVersion\"*:*\"}
version=${version%%\"*}
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>/run/conform/calls
dir=/run/conform/ipam
mkdir -p "$dir"
address() {
    case $version in
    0.1.0 | 0.2.0)
        printf '{"cniVersion": "%s", "ip4": {"ip": "%s/24", "gateway": "10.88.99.1", "routes": [{"dst": "0.0.0.0/0"}]}}\n' "$version" "$1"
        ;;
    0.*)
        printf '{"cniVersion": "%s", "ips": [{"version": "4", "address": "%s/24", "gateway": "10.88.99.1"}], "routes": [{"dst": "0.0.0.0/0"}]}\n' "$version" "$1"
        ;;
    *)
        printf '{"cniVersion": "%s", "ips": [{"address": "%s/24", "gateway": "10.88.99.1"}], "routes": [{"dst": "0.0.0.0/0"}]}\n' "$version" "$1"
        ;;
    esac
}
case $CNI_COMMAND in
ADD)
    n=2
    # With -C the shell makes a file only where there is none: nobody else can have the number.
    until (set -C; echo "$CNI_CONTAINERID $CNI_IFNAME" >"$dir/$n") 2>/dev/null; do
        n=$((n + 1))
        [ "$n" -lt 255 ] || exit 1
    done
    address "10.88.99.$n"
    ;;
DEL)
    for file in "$dir"/*; do
        [ -f "$file" ] || continue
        read -r owner <"$file" || continue
        [ "$owner" != "$CNI_CONTAINERID $CNI_IFNAME" ] || rm -f "$file"
    done
    ;;
VERSION)
    echo '{"cniVersion": "1.1.0", "supportedVersions": ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]}'
    ;;
STATUS)
    if [ -e /run/conform/not-ready ]; then
        printf '{"cniVersion": "%s", "code": 50, "msg": "the pool of the kit is not ready"}\n' "$version"
        exit 1
    fi
    ;;
esac
exit 0
