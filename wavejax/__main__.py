"""`python -m wavejax`: the command line."""

import sys

from wavejax.cli.main import main

sys.exit(main())
