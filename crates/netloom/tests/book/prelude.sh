# What blocks may call in their setup="…": what is there already where a reader begins.
exec 2>&1 </dev/null
set -o pipefail

# Something outside that the host reaches, and that knows of no container: 203.0.113.1 in the namespace `outside`.
outside() {
    ip netns add outside
    ip link add up0 type veth peer name eth0 netns outside
    ip addr add 203.0.113.2/24 dev up0
    ip link set up0 up
    ip -n outside addr add 203.0.113.1/24 dev eth0
    ip -n outside link set eth0 up
}

# Two links that lead to a switch.
trunk() {
    ip link add switch type bridge
    ip link set switch up
    for number in 1 2; do
        ip link add eth$number type veth peer name port$number
        ip link set port$number up
    done
    ip link set port1 master switch
}

# A link, eth1, that leads to a network with a DHCP server.
office() {
    ip netns add office
    ip link add eth1 type veth peer name eth0 netns office
    ip link set eth1 up
    ip -n office addr add 192.0.2.1/24 dev eth0
    ip -n office link set eth0 up
    ip netns exec office dnsmasq --port=0 --interface=eth0 --bind-interfaces --conf-file=/dev/null --user=root \
        --dhcp-range=192.0.2.100,192.0.2.199,1h --dhcp-option=3,192.0.2.1 \
        --dhcp-leasefile=/run/lab/leases --pid-file=/run/lab/dnsmasq.pid
}

# The Go plugins where the runtime looks for plugins.
go_plugins() {
    mkdir -p /opt/cni/bin
    cp /usr/lib/cni/bridge /usr/lib/cni/host-local /usr/lib/cni/loopback /usr/lib/cni/portmap /opt/cni/bin/
}

# No plugins but netloom's own.
no_plugins() {
    [ ! -d /usr/lib/cni ] || mount -t tmpfs tmpfs /usr/lib/cni
}

# Waits until the kernel has removed the links of a namespace that is gone.
gone() {
    while ip link show master "$1" | grep -q veth; do sleep 0.05; done
}

# As if these files had been written before the last boot.
date_back() {
    python3 - "$@" <<'END'
import os, sys
name = "user.netloom.boot"
now = open("/proc/sys/kernel/random/boot_id", "rb").read().strip()
for file in sys.argv[1:]:
    mark = os.getxattr(file, name)
    assert now in mark, (file, mark)
    os.setxattr(file, name, mark.replace(now, b"an-earlier-boot"))
END
}
