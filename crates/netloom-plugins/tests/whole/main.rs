//! Bridge and host-local together, and every plugin of the registry alike, as a runtime or a
//! person at the shell meets them: faults, crowds, nonsense, limits, tutorials.

mod fault;
