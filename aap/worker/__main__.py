"""`python -m aap.worker`: what the units aap-worker@ and aap-sweep@ run."""

import sys

from aap.worker.main import main

sys.exit(main(sys.argv[1:]))
