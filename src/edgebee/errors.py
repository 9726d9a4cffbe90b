"""What can go wrong on the workstation, and what to do about it.

    EdgebeeError            an expected failure: one line, exit status 1
    ├── DataError           a data set that cannot be used as it is
    ├── DownloadError       something could not be fetched, or was not what it should be
    ├── WeightsError        backbone weights that do not fit or cannot be had
    ├── TrainingError       a training that cannot be done or carried on
    ├── ConversionError     a Keras model that does not become the asked-for TFLite file
    ├── BenchmarkError      models and photos that cannot be measured together
    └── OutputError         a result that could not be written

The runner in `edge/` knows nothing of these: it has its own tree, `EdgeError`. The command
line turns both into one line on standard error.
"""

from __future__ import annotations

__all__ = [
    "BenchmarkError",
    "ConversionError",
    "DataError",
    "DownloadError",
    "EdgebeeError",
    "OutputError",
    "TrainingError",
    "WeightsError",
]


class EdgebeeError(Exception):
    """An expected failure; its message names the file and the remedy."""


class DataError(EdgebeeError):
    """A data set that cannot be used as it is."""


class DownloadError(EdgebeeError):
    """Something could not be fetched, or was not what it should be."""


class WeightsError(EdgebeeError):
    """Backbone weights that do not fit the model or cannot be had."""


class TrainingError(EdgebeeError):
    """A training that cannot be done or carried on."""


class ConversionError(EdgebeeError):
    """A Keras model that does not become the asked-for TFLite file."""


class BenchmarkError(EdgebeeError):
    """Models and photos that cannot be measured together."""


class OutputError(EdgebeeError):
    """A result that could not be written."""
