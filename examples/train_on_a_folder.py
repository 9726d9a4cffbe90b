"""Train on a folder of photos, convert the model, and classify a photo with it.

python examples/train_on_a_folder.py my_photos artifacts

The folder has one folder for each class, whose name is the label. Needs edgebee[train].
"""

import logging
import sys

import edgebee

logging.basicConfig(format="%(message)s", level=logging.INFO)  # edgebee's remarks, too
photos, output = sys.argv[1:]

dataset = edgebee.load_dataset(photos, val_fraction=0.2, seed=0)
for problem in edgebee.check_dataset(dataset):
    print(problem)

training = edgebee.train_classifier(dataset, edgebee.Recipe(epochs=10, fine_tune_epochs=5))
print(training)

(int8,) = edgebee.convert_model(training.save(output), dataset, formats=["int8"])
print(int8)

with edgebee.Classifier(int8.path) as classifier:
    photo = dataset.validation.paths[0]
    print(f"{photo}: {classifier(photo).label}")
