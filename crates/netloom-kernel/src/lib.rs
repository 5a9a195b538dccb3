//! Linux networking for netloom: namespaces, rtnetlink, nf_tables, iptables, sysctl. Knows nothing of CNI.
