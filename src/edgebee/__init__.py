"""From photos in folders to the right answer on a Raspberry Pi.

    import edgebee

    dataset = edgebee.load_dataset("my_photos", val_fraction=0.2, seed=0)
    problems = edgebee.check_dataset(dataset)
    training = edgebee.train_classifier(dataset, edgebee.Recipe(epochs=10))
    training.save("artifacts")
    models = edgebee.convert_model("artifacts/model.keras", dataset, formats=["int8"])
    results = edgebee.benchmark("artifacts", dataset)
    bees = edgebee.Classifier("artifacts/model_int8.tflite")
    print(bees("photo.jpg").label)

Everything is loaded when it is first used: `import edgebee` loads neither NumPy nor TensorFlow.
Expected failures are `EdgebeeError`s, remarks go to `logging.getLogger("edgebee")`, and what
takes long accepts `progress`, a function of one `Progress`.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # as in typing, which would be loaded for nothing
if TYPE_CHECKING:
    from typing import Any

    from edgebee.benchmarks.measure.measurement import benchmark as benchmark
    from edgebee.benchmarks.measure.results import Results as Results
    from edgebee.convert.conversion import ConvertedModel as ConvertedModel
    from edgebee.convert.conversion import FormatsRefusedError as FormatsRefusedError
    from edgebee.convert.conversion import convert_model as convert_model
    from edgebee.edge.archive.archive import Archive as Archive
    from edgebee.edge.archive.archive import classify_archive as classify_archive
    from edgebee.edge.classify import Classifier as Classifier
    from edgebee.edge.classify import Prediction as Prediction
    from edgebee.edge.classify import read_photo as read_photo
    from edgebee.errors import BenchmarkError as BenchmarkError
    from edgebee.errors import ConversionError as ConversionError
    from edgebee.errors import DataError as DataError
    from edgebee.errors import DownloadError as DownloadError
    from edgebee.errors import EdgebeeError as EdgebeeError
    from edgebee.errors import ModelError as ModelError
    from edgebee.errors import OutputError as OutputError
    from edgebee.errors import PhotoError as PhotoError
    from edgebee.errors import RuntimeMissingError as RuntimeMissingError
    from edgebee.errors import TrainingError as TrainingError
    from edgebee.errors import WeightsError as WeightsError
    from edgebee.photos.checks import Problem as Problem
    from edgebee.photos.checks import check_dataset as check_dataset
    from edgebee.photos.dataset import Dataset as Dataset
    from edgebee.photos.dataset import load_dataset as load_dataset
    from edgebee.progress import Progress as Progress
    from edgebee.train.recipe import Recipe as Recipe
    from edgebee.train.training import Training as Training
    from edgebee.train.training import train_classifier as train_classifier

    __version__: str

_HOME_OF = {
    "Archive": "edge.archive.archive",
    "BenchmarkError": "errors",
    "Classifier": "edge.classify",
    "ConversionError": "errors",
    "ConvertedModel": "convert.conversion",
    "DataError": "errors",
    "Dataset": "photos.dataset",
    "DownloadError": "errors",
    "EdgebeeError": "errors",
    "FormatsRefusedError": "convert.conversion",
    "ModelError": "errors",
    "OutputError": "errors",
    "PhotoError": "errors",
    "Prediction": "edge.classify",
    "Problem": "photos.checks",
    "Progress": "progress",
    "Recipe": "train.recipe",
    "Results": "benchmarks.measure.results",
    "RuntimeMissingError": "errors",
    "Training": "train.training",
    "TrainingError": "errors",
    "WeightsError": "errors",
    "benchmark": "benchmarks.measure.measurement",
    "check_dataset": "photos.checks",
    "classify_archive": "edge.archive.archive",
    "convert_model": "convert.conversion",
    "load_dataset": "photos.dataset",
    "read_photo": "edge.classify",
    "train_classifier": "train.training",
}
"""Public name -> the module below `edgebee` that defines it."""

__all__ = sorted([*_HOME_OF, "__version__"])  # noqa: PLE0605 - a sorted list is a list


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        return version("edgebee")
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"edgebee.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
