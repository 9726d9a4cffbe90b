/**
 * A loaded model: `Classifier` of `edge/classify.py` on LiteRT.js.
 *
 * @typedef {import("./model_file.js").ModelFile} ModelFile
 *
 * @typedef {object} Prediction
 * @property {string} label  a class, `neither` or `unknown`
 * @property {number} score  the best score, 0-1
 * @property {[string, number][]} scores  label and score, best first
 * @property {number} milliseconds  for running the model
 *
 * @typedef {object} SelfTest
 * @property {boolean} passed
 * @property {number} difference  the greatest, 0-1; 0 is bit-identical
 * @property {string} kernels  whose record is nearest
 * @property {string} detail  which sample differs most, and how
 */

import { ModelError, parseModelFile } from "./model_file.js";
import { decodePhoto } from "./photo.js";
import { enlarge } from "./preprocess.js";
import { Tensor, loadAndCompile } from "./runtime/index.js";

export const NEITHER = "neither";
export const UNKNOWN = "unknown";

/** One model, ready to classify. Make it with `Classifier.load`. */
export class Classifier {
  /**
   * @param {Uint8Array} bytes  a `.tflite` file
   * @param {string[] | null} [labels]  for a model that has none inside
   */
  static async load(bytes, labels = null) {
    const file = await parseModelFile(bytes);
    const names = labels ?? file.labels;
    if (!names) {
      throw new ModelError(
        "no label names are inside; make a page of it with edgebee web, and labels.txt beside it",
      );
    }
    checkKind(file, names);
    try {
      return new Classifier(file, names, await loadAndCompile(bytes, { accelerator: "wasm" }));
    } catch (error) {
      const reason = String(/** @type {any} */ (error)?.message ?? error).split("\n")[0];
      throw new ModelError(`LiteRT.js cannot run it (${reason}); convert it again`);
    }
  }

  /** @param {ModelFile} file @param {string[]} labels @param {any} compiled */
  constructor(file, labels, compiled) {
    this.file = file;
    this.labels = labels;
    this.compiled = compiled;
    const [, height, width] = file.inputs[0].shape;
    /** @type {[number, number]} height and width of the input */
    this.size = [height, width];
    /** @type {number} */
    this.threshold = file.manifest.scores?.threshold ?? 0;
    this.inputValues = makeInputValues(file);
    this.assumesRange = file.inputs[0].dtype === "float32" && !file.normalization;
    this.givesLogits = false;
  }

  /** Let the model go. */
  close() {
    this.compiled.delete();
  }

  /**
   * @param {Uint8Array} pixels  from `readPhoto`
   * @returns {Promise<Prediction>}
   */
  async classify(pixels) {
    const started = performance.now();
    const scores = this.asProbabilities(await this.invoke(pixels));
    const milliseconds = performance.now() - started;
    const order = rank(scores);
    return {
      label: chooseLabel(this.labels, scores, this.threshold),
      score: scores[order[0]],
      scores: order.map((index) => [this.labels[index], scores[index]]),
      milliseconds,
    };
  }

  /**
   * The model's own scores.
   * @param {Uint8Array} pixels  `[height, width, 3]`, RGB
   * @returns {Promise<Float32Array>}
   */
  async invoke(pixels) {
    const input = new Tensor(this.makeInput(pixels), this.file.inputs[0].shape);
    const outputs = await this.compiled.run([input]);
    const values = outputs[0].toTypedArray();
    input.delete();
    outputs.forEach((/** @type {any} */ output) => output.delete());
    const { scale, zeroPoint } = this.file.outputs[0];
    const scores = Float32Array.from(values, (value) =>
      scale ? Math.fround(value - zeroPoint) * scale : value,
    );
    if (!scores.every(Number.isFinite)) {
      throw new ModelError("its scores are NaN or infinite; convert it again");
    }
    return scores;
  }

  /** @param {Uint8Array} pixels */
  makeInput(pixels) {
    const values = this.inputValues;
    if (!values) return pixels;
    const input =
      values instanceof Float32Array
        ? new Float32Array(pixels.length)
        : new Uint8Array(pixels.length);
    for (let i = 0; i < pixels.length; i++) input[i] = values[pixels[i] * 3 + (i % 3)];
    return input;
  }

  /**
   * One probability per label, also of models that give logits or one sigmoid score.
   * @param {Float32Array} scores
   */
  asProbabilities(scores) {
    if (scores.length < this.labels.length) return Float32Array.of(1 - scores[0], scores[0]);
    this.givesLogits ||= Math.min(...scores) < -0.01 || Math.max(...scores) > 1.01;
    if (!this.givesLogits) return scores;
    const best = Math.max(...scores);
    const powers = scores.map((score) => Math.exp(score - best));
    const sum = powers.reduce((total, power) => total + power, 0);
    return powers.map((power) => power / sum);
  }

  /**
   * Run the golden samples inside the file, and compare with the recorded scores.
   * @returns {Promise<SelfTest | null>}  null: it has none
   */
  async selftest() {
    const { golden } = this.file.manifest;
    if (!golden) return null;
    /** @type {Map<string, {difference: number, detail: string}>} */
    const worst = new Map();
    for (const sample of golden.samples) {
      const content = this.file.files.get(sample.file);
      if (!content) throw new ModelError(`${sample.file} is missing in it; copy it again`);
      const picture = await decodePhoto(new Blob([content], { type: "image/png" }), this.size);
      const scores = await this.invoke(enlarge(picture, this.size));
      for (const [kernels, expected] of Object.entries(sample.scores)) {
        const found = compareScores(sample.file, this.labels, scores, expected);
        if (found.difference >= (worst.get(kernels)?.difference ?? 0)) worst.set(kernels, found);
      }
    }
    const [kernels, { difference, detail }] = [...worst].reduce((best, one) =>
      one[1].difference < best[1].difference ? one : best,
    );
    return { passed: difference <= golden.tolerance, difference, kernels, detail };
  }
}

/**
 * @param {string} name @param {string[]} labels
 * @param {Float32Array} scores @param {number[]} expected
 */
function compareScores(name, labels, scores, expected) {
  const differences = expected.map((score, index) => Math.abs(scores[index] - Math.fround(score)));
  const difference = Math.max(...differences);
  const index = differences.indexOf(difference);
  const [here, recorded] = [scores[index], expected[index]].map((score) => score.toFixed(3));
  return { difference, detail: `${name}: ${labels[index]} ${here} here, ${recorded} recorded` };
}

/**
 * Indices of the scores, best first; ties keep their order.
 * @param {Float32Array} scores
 */
function rank(scores) {
  return [...scores.keys()].sort((a, b) => scores[b] - scores[a]);
}

/**
 * A class, `neither` or `unknown`: `choose_label` of the runner.
 * @param {string[]} labels
 * @param {Float32Array} scores
 * @param {number} threshold
 */
export function chooseLabel(labels, scores, threshold) {
  const best = rank(scores)[0];
  if (labels[best] === NEITHER) return NEITHER;
  const knowsNeither = labels[labels.length - 1] === NEITHER;
  const classesHave = knowsNeither ? 1 - scores[scores.length - 1] : 1;
  return scores[best] >= threshold * classesHave ? labels[best] : UNKNOWN;
}

/**
 * Refuse what does not take one photo and give one score per label.
 * @param {ModelFile} file @param {string[]} labels
 */
function checkKind({ inputs, outputs }, labels) {
  const { shape, dtype } = inputs[0];
  const scores = outputs[0].shape;
  const count = scores.reduce((product, side) => product * side, 1);
  const enough = count === labels.length || (labels.length === 2 && count === 1);
  let problem = "";
  if (inputs.length > 1) problem = `it takes ${inputs.length} inputs, not one photo`;
  else if (shape.length !== 4 || shape[0] !== 1 || shape[3] !== 3 || shape[1] < 1 || shape[2] < 1)
    problem = `it takes [${shape.join(", ")}], not one RGB photo, [1, H, W, 3]`;
  else if (dtype !== "uint8" && dtype !== "float32")
    problem = `it takes ${dtype}; LiteRT.js takes uint8 and float32`;
  else if (outputs[0].dtype !== "uint8" && outputs[0].dtype !== "float32")
    problem = `it gives ${outputs[0].dtype}; LiteRT.js gives uint8 and float32`;
  else if (scores[0] !== 1 || !enough)
    problem = `it gives [${scores.join(", ")}] scores for ${labels.length} label names`;
  if (problem) {
    throw new ModelError(
      `another kind of model: ${problem}; choose a photo classifier of edgebee convert`,
    );
  }
}

/**
 * What the input gets for the values 0-255 of each channel, `[256, 3]`; null: the pixels as they are.
 * @param {ModelFile} file
 */
function makeInputValues({ inputs, normalization }) {
  const { dtype, scale, zeroPoint } = inputs[0];
  if (!normalization && dtype === "uint8") return null;
  const { mean, deviation } = normalization ?? { mean: [0], deviation: [1] };
  if (dtype === "uint8" && !scale) return null;
  const values = new Float32Array(256 * 3);
  for (let i = 0; i < values.length; i++) {
    const channel = i % 3;
    const centred = Math.fround(Math.floor(i / 3) - (mean[channel] ?? mean[0]));
    values[i] = centred / (deviation[channel] ?? deviation[0]);
  }
  if (dtype === "float32") return values;
  return Uint8ClampedArray.from(values, (value) => value / scale + zeroPoint);
}
