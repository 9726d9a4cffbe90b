"""From photos in folders to an answer on a Raspberry Pi."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("edgebee")
