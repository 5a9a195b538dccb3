//! Every CNI reference plugin in one multi-call binary.
