"""What runs on the Pi: `classify.py`, one file, and the model that ships."""

import importlib.util

from edgebee.edge.classify import FORMATS, Classifier, EdgebeeError, Prediction

__all__ = ["Classifier", "EdgebeeError", "Prediction"]

if importlib.util.find_spec("pillow_heif"):  # HEIC photos, where the plug-in is installed
    importlib.import_module("pillow_heif").register_heif_opener()
    FORMATS.append("HEIF")
