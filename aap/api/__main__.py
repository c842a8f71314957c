"""`python -I -m aap.api`, as the unit starts it."""

from aap.api.main import main

main()
