"""Memory that is freed stays with the process, if nobody says otherwise."""

import os
import subprocess
import sys

import pytest

from wavejax.allocator import VARIABLES

COUNT = """
import resource, sys
from wavejax.allocator import keep_freed_memory, keeps_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else False
assert keeps_freed_memory() == kept
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(2**27)  # 128 MiB; numpy would ask for huge pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(kept, faults())
"""


def counted(what: str, **environment: str) -> list[str]:
    """(whether it keeps, page faults of 128 MiB that were allocated and freed before), from a process of its own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
    done = subprocess.run(
        [sys.executable, "-c", COUNT, what], env={**plain, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_what_was_freed_is_not_asked_of_the_system_again():
    kept, faults = counted("keep")
    assert kept == "True"
    assert int(faults) < 100
    assert int(counted("leave")[1]) > 1000


HUGE = """
from wavejax.allocator import keep_freed_memory
keep_freed_memory(one_heap=False)
large = bytearray(2**27)
heap = False
for line in open("/proc/self/smaps"):
    if "-" in line.split()[0]:
        heap = line.rstrip().endswith("[heap]")
    if heap and line.startswith("VmFlags"):
        print("hg" in line.split(), end=" ")
"""


@pytest.mark.skipif(not os.path.exists("/sys/kernel/mm/transparent_hugepage"), reason="Linux with huge pages")
def test_the_heap_asks_for_huge_pages():
    plain = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
    done = subprocess.run([sys.executable, "-c", HUGE], env=plain, capture_output=True, text=True, check=True)
    assert "True" in done.stdout.split()


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_environment_says_of_malloc_comes_first(name):
    value = {"MALLOC_ARENA_MAX": "4", "GLIBC_TUNABLES": "glibc.malloc.arena_max=4"}[name]
    assert counted("keep", **{name: value})[0] == "False"


COMMAND = """
import sys
from wavejax import allocator, interruption
def begin():  # a thread that watches for Ctrl-C
    sys.exit(0 if allocator.keeps_freed_memory() else 3)
interruption.install = begin
sys.argv = ["wavejax", "voices"]
from {module} import main
main()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
@pytest.mark.parametrize("module", ["wavejax.__main__", "wavejax.cli.main"])
def test_the_command_line_keeps_it_from_before_its_first_thread(module):
    plain = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLES)}
    code = COMMAND.format(module=module)
    assert subprocess.run([sys.executable, "-c", code], env=plain, check=False).returncode == 0
