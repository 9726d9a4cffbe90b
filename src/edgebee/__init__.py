"""From photos in folders to an answer on a Raspberry Pi."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """`__version__`, looked up when it is asked for: that takes longer than the rest."""
    if name == "__version__":
        from importlib.metadata import version

        return version("edgebee")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
