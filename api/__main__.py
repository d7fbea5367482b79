"""`python -m nuspill`, the same as the command `nuspill`."""

from nuspill.scripts.cli import main

main()
