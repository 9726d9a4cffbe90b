"""A benchmark that is over soon, for the tests of the command."""

ROUNDS, PHOTOS = 2, 6
SHORT = ("--rounds", str(ROUNDS), "--photos", str(PHOTOS))
"""Options of `edgebee benchmark`."""
