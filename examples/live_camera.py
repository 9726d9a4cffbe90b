"""Classify frames of a live camera, or of a film, and act on a change of the label.

python examples/live_camera.py        the first camera, until Ctrl-C
python examples/live_camera.py film.avi
"""

import logging
import sys

from edgebee.edge.classify import Classifier, find_model
from edgebee.edge.station.camera import read_frames

logging.basicConfig(format="%(message)s", level=logging.INFO)  # a camera that is lost, and back
source = sys.argv[1] if sys.argv[1:] else ""
classifier = Classifier(find_model(), threshold=0.8)

before = None
for frame in read_frames(source, every_s=0.5):  # a lost camera is waited for
    prediction = classifier(frame.pixels)
    if prediction.label != before:
        print(f"{frame.when}  {prediction.label} {prediction.score:.3f}", flush=True)
        before = prediction.label
