"""`python -m controller.cli`: the command without its installed script."""

import sys

from controller.cli import main

sys.exit(main())
