#!/bin/sh
conf=$(cat)
version=${conf#*\"cniVersion\"*:*\"}
version=${version%%\"*}
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME" >>/run/conform/calls
[ "$CNI_COMMAND" = ADD ] || exit 0
# The kernel refuses a route by a gateway that no network leads to.
routes='"routes": [{"dst": "10.77.0.0/16", "gw": "192.0.2.99"}]'
case $version in
1.*) printf '{"cniVersion": "%s", "ips": [{"address": "10.88.96.2/24", "gateway": "10.88.96.1"}], %s}\n' "$version" "$routes" ;;
*) printf '{"cniVersion": "%s", "ips": [{"version": "4", "address": "10.88.96.2/24", "gateway": "10.88.96.1"}], %s}\n' "$version" "$routes" ;;
esac
