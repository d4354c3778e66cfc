"""Memory that is kept between the steps of a computation, counted in pages that the system had to hand out."""

import os
import subprocess
import sys

import pytest

MEASURED = """
import resource
from convlens.backend.memory import freed_memory_kept

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        b"x" * (48 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = faults()
with freed_memory_kept():
    faults()
    inside = faults()
print(outside, inside, faults())
"""


def measured(**settings: str) -> list[int]:
    environment = {**os.environ, **settings}
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return [int(word) for word in done.stdout.split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_memory_is_kept_inside_and_handed_back_outside() -> None:
    outside, inside, after = measured()
    if outside < 1000:
        pytest.skip("another allocator keeps it anyway")
    assert inside < 100
    assert after > outside / 2


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_the_users_own_settings_are_left_alone() -> None:
    outside, inside, _ = measured(MALLOC_MMAP_THRESHOLD_="1000000", MALLOC_TRIM_THRESHOLD_="100000")
    assert inside == pytest.approx(outside, rel=0.2)
