"""``python -m ocrserve``."""

import sys

from ocrserve.cli import main

sys.exit(main())
