"""One module a contestant; each has `prepare(task) -> run`, and `run() -> {"units": how much was done}` is timed."""
