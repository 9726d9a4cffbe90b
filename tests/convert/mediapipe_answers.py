"""Run by test_mediapipe.py with a Python that has MediaPipe: MODEL PIXELS.npy -> JSON.

MediaPipe reads labels and normalization from the file's metadata and gets pixels of the model's
own size, so that it has nothing to scale.
"""

import json
import sys

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

model, pixels = sys.argv[1:]
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
answers = []
with vision.ImageClassifier.create_from_options(options) as classifier:
    for crop in np.load(pixels):
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=crop)
        (head,) = classifier.classify(image).classifications
        answers.append({one.category_name: one.score for one in head.categories})
print(json.dumps(answers))
