//! The framework for writing CNI plugins.
