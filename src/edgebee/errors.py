"""What can go wrong, and what to do about it: one tree.

    EdgebeeError            an expected failure: one line, exit status 1
    ├── PhotoError          a photo that cannot be read
    ├── ModelError          a model that cannot be used
    ├── RuntimeMissingError no TFLite runtime works here
    ├── DataError           a data set that cannot be used as it is
    ├── DownloadError       something could not be fetched, or was not what it should be
    ├── WeightsError        backbone weights that do not fit or cannot be had
    ├── TrainingError       a training that cannot be done or carried on
    ├── ConversionError     a Keras model that does not become the asked-for TFLite file
    │   └── FormatsRefusedError  some formats were refused; the others were written
    ├── BenchmarkError      models and photos that cannot be measured together
    ├── ClusterError        a cluster that cannot be reached, or does not do the work
    ├── RemoteError         a device that cannot be reached, or where something fails
    └── OutputError         a result that could not be written

The root and the runner's own errors are defined in `edge/classify.py`, which stands alone on a
Pi; the others are defined here. The command line turns each into one line on standard error.
"""

from __future__ import annotations

from edgebee.edge.classify import EdgebeeError, ModelError, PhotoError, RuntimeMissingError

__all__ = [
    "BenchmarkError",
    "ClusterError",
    "ConversionError",
    "DataError",
    "DownloadError",
    "EdgebeeError",
    "ModelError",
    "OutputError",
    "PhotoError",
    "RemoteError",
    "RuntimeMissingError",
    "TrainingError",
    "WeightsError",
]


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


class ClusterError(EdgebeeError):
    """A cluster that cannot be reached, or does not do the work."""


class RemoteError(EdgebeeError):
    """A device that cannot be reached, or where something fails."""


class OutputError(EdgebeeError):
    """A result that could not be written."""
