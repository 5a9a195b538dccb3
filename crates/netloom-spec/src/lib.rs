//! The CNI specification as types: versions, configuration, results, errors, names. No I/O.
