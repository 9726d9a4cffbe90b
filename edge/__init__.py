"""What runs on the Pi: `classify.py`, one file, and the model that ships."""

from edgebee.edge.classify import Answer, Classifier, EdgeError

__all__ = ["Answer", "Classifier", "EdgeError"]
