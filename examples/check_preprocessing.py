"""Check that your own preprocessing feeds a model what edgebee feeds it.

    python examples/check_preprocessing.py photo.jpg

A model is as good as measured only on photos that are read as in training. Replace
`my_preprocessing` by what your app does (Java, Swift and JavaScript can write its pixels to a
file), and look at the two numbers.
"""

import sys

import numpy as np
from PIL import Image, ImageOps

from edgebee.edge.classify import Classifier, find_model, invoke, read_photo


def my_preprocessing(path, size):
    """A common way: upright, the centre square, scaled. Returns `uint8 [H, W, 3]`, RGB."""
    height, width = size
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    fitted = ImageOps.fit(upright, (width, height), Image.Resampling.BICUBIC)
    return np.asarray(fitted)


photo = sys.argv[1]
classifier = Classifier(find_model())
reference = read_photo(photo, classifier.size)
mine = my_preprocessing(photo, classifier.size)

pixel_difference = np.abs(mine.astype(int) - reference.astype(int)).mean()
scores = [invoke(classifier.interpreter, pixels) for pixels in (reference, mine)]
score_difference = float(np.abs(scores[0] - scores[1]).max())
print(f"mean difference of the pixels: {pixel_difference:.2f} of 255")
print(f"max. difference of the scores: {score_difference:.3f}")
sys.exit(0 if score_difference < 0.1 else 1)
