#!/bin/sh
conf=$(cat)
version=${conf#*\"cniVersion\"*:*\"}
version=${version%%\"*}
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>/run/conform/calls
case $CNI_COMMAND in
ADD)
    case $version in
    1.*) printf '{"cniVersion": "%s", "ips": [{"address": "10.88.98.2/24", "gateway": "10.88.98.1"}]}\n' "$version" ;;
    0.1.0 | 0.2.0) printf '{"cniVersion": "%s", "ip4": {"ip": "10.88.98.2/24", "gateway": "10.88.98.1"}}\n' "$version" ;;
    *) printf '{"cniVersion": "%s", "ips": [{"version": "4", "address": "10.88.98.2/24", "gateway": "10.88.98.1"}]}\n' "$version" ;;
    esac
    ;;
DEL)
    printf '{"cniVersion": "%s", "code": 124, "msg": "the kit cannot free it"}\n' "$version"
    exit 1
    ;;
esac
