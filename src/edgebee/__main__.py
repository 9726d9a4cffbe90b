"""`python -m edgebee`."""

from edgebee.cli import main

main()
