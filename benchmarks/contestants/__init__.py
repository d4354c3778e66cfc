"""One module a contestant: `prepare(task)` gives `run`, whose calls are timed.

A run gives {"units": how much was done}, and under "seen" pictures or maps for the montage.
"""
