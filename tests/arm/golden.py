"""Give a model golden samples, if it carries none: `python golden.py MODEL OUT`.

The scores are this machine's, so that `--selftest` elsewhere compares with this machine.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from edgebee.edge import classify

SIDE_PX = 64
SAMPLES = 3
TOLERANCE = 0.1  # kernels may round the last bit of a layer differently; labels must not change


def main(model: Path, out: Path) -> None:
    """Copy the model, with samples: coarse random colours, lossless at any size."""
    out.write_bytes(model.read_bytes())
    manifest = classify.read_manifest(model)
    if manifest.get("golden"):
        return
    interpreter = classify.make_interpreter(model, 1)
    height, width = (int(side) for side in interpreter.get_input_details()[0]["shape"][1:3])
    random = np.random.default_rng(0)
    samples = []
    with zipfile.ZipFile(out, "a") as archive:
        for number in range(SAMPLES):
            coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
            pixels = np.asarray(image)
            rows, columns = (np.arange(side) * SIDE_PX // side for side in (height, width))
            scores = classify.invoke(interpreter, pixels[rows][:, columns]).tolist()
            png = io.BytesIO()
            image.save(png, "PNG")
            archive.writestr(f"golden/{number}.png", png.getvalue())
            samples.append({"file": f"golden/{number}.png", "scores": {"xnnpack": scores}})
        manifest["golden"] = {"tolerance": TOLERANCE, "samples": samples}
        archive.writestr("edgebee.json", json.dumps({"format_version": 1, **manifest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
