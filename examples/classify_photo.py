"""Classify one photo from Python.

python examples/classify_photo.py photo.jpg
"""

import sys

from edgebee.edge.classify import Classifier, find_model

with Classifier(find_model()) as classifier:
    prediction = classifier(sys.argv[1])
    print(f"{prediction.label}: {prediction.score:.3f}")
    for label, score in prediction.scores.items():
        print(f"  {label:20} {score:.3f}")
