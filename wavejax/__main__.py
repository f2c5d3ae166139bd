"""`python -m wavejax`: the command line."""

import sys

from wavejax import interruption


def main() -> int:
    """Runs the command line of this process; from here on Ctrl-C ends it cleanly, also while it is being imported."""
    interruption.install()
    from wavejax.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
