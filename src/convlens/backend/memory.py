"""Memory that stays with the process between the steps of a computation."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

# of mallopt(3), and what glibc's own thresholds grow to where large blocks are freed
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
USUAL = {TRIM_THRESHOLD: 64 * 2**20, MMAP_THRESHOLD: 32 * 2**20, MMAP_MAX: 65536}
KEEPING = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}
OWN_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """A context in which what is freed is not handed back to the system, and so is not fetched again page by page.

    It is handed back at the end. Does nothing where the C library is not glibc, or where the user has settings for it.
    """
    library = ctypes.CDLL(None) if os.name == "posix" else None
    if not hasattr(library, "mallopt") or not hasattr(library, "malloc_trim") or set(OWN_SETTINGS) & set(os.environ):
        yield
        return
    for name, size in KEEPING.items():
        library.mallopt(name, size)
    try:
        yield
    finally:
        for name, size in USUAL.items():
            library.mallopt(name, size)
        library.malloc_trim(0)
