//! The CNI runtime library: load network configurations, run them, cache attachments.
