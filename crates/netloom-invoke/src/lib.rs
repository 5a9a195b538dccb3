//! Find and execute one CNI plugin.
