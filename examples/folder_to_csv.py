"""Classify every photo of a folder into a CSV file, on all CPUs.

python examples/folder_to_csv.py my_photos results.csv
"""

import csv
import sys
from pathlib import Path

from edgebee.edge.classify import Classifier, PhotoError, find_images, find_model

folder, results = sys.argv[1:]
classifier = Classifier(find_model())

with Path(results).open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["photo", "label", *classifier.labels, "error"])
    for photo, result in classifier.classify_many(find_images([folder])):
        if isinstance(result, PhotoError):  # one unreadable photo ends nothing
            writer.writerow([photo, "", *([""] * len(classifier.labels)), result])
            continue
        scores = [f"{result.scores[label]:.4f}" for label in classifier.labels]
        writer.writerow([photo, result.label, *scores, ""])
print(f"wrote {results}")
