//! Throw-away hosts and pods, snapshots of kernel and disk state, fault injection (development only).
