"""``python -m mobilens``."""

import sys

from mobilens.cli import main

sys.exit(main())
