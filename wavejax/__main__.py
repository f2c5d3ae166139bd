"""`python -m wavejax`: the command line."""

import sys

from wavejax import allocator, interruption


def main() -> int:
    """Runs the command line of this process; from here on Ctrl-C ends it cleanly, also while it is being imported."""
    # First: a thread that runs already may have a heap of its own.
    allocator.keep_freed_memory(one_heap=sys.argv[1:2] == ["train"])
    interruption.install()
    from wavejax.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
