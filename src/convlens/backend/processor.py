"""What the processor can do."""

from functools import cache
from pathlib import Path


@cache
def has_bfloat16() -> bool:
    """Whether this computer's CPU multiplies bfloat16 numbers by itself, as far as the system tells (Linux does)."""
    try:
        words = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore").split()
    except OSError:
        return False
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(words)
