"""`python3 -m widget`."""

import sys

from widget.cli import main

sys.exit(main())
