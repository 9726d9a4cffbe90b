"""Read what is inside a .tflite file, without running it.

python examples/read_a_model.py artifacts/model_int8.tflite

Labels are in every file with TFLite metadata; the manifest is in those that edgebee made.
"""

import sys

from edgebee.edge.tflite.model_file import read_model_file

model = read_model_file(sys.argv[1])
for tensor in model.inputs:
    print(f"input: {tensor.dtype} {list(tensor.shape)}, scale {tensor.scale}")
print(f"labels: {', '.join(model.labels)}")
print(f"size: {model.size_bytes / 1e6:.2f} MB, {model.parameters:,} parameters")
print(f"operators: {', '.join(operator.name for operator in model.operators)}")

manifest = model.manifest
if manifest and manifest.scores:
    print(f"unknown: where the best class has less than {manifest.scores.threshold}")
if manifest and manifest.verification:
    checked = manifest.verification
    print(
        f"verified: {checked.correct} of {checked.total} validation photos correct, "
        f"Keras {checked.keras_correct}; largest score difference {checked.largest_difference:.3f}"
    )
