/**
 * The page: a camera or photos in, labels out. What it shows comes from the model file alone.
 *
 * @typedef {{name: string, path?: string, labels: string[] | null, bytes: number, file?: File}} Model
 * @typedef {import("./classifier.js").Prediction} Prediction
 */

import { asPercent, element, hideAnswer, kindOf, showAnswer } from "./answer.js";
import { IS_SINGLE_FILE, loadAsset } from "./assets.js";
import { Camera, CameraError } from "./camera.js";
import { Classifier } from "./classifier.js";
import { FrameReader, readPhoto } from "./photo.js";
import { loadLiteRt } from "./runtime/index.js";
import { useWasmBinary } from "./runtime/wasm_loader.js";

const WASM_SCRIPT = "runtime/litert_wasm_compat_internal.js";
const PAUSE_MS = 60; // between frames, so that a phone stays cool

/** @type {Model[]} */
const models = JSON.parse(element("models").textContent);
/** @type {Classifier | undefined} */
let classifier;
/** @type {Photo[]} */
let photos = [];
const camera = new Camera(element("video"), () => {
  stopCamera();
  notice("The camera is gone; plug it in and start it again, or choose a photo.");
});

/** One after the other: a model is not exchanged while it works. @type {Promise<any>} */
let queue = Promise.resolve();

/** @template Result @param {() => Promise<Result>} work @returns {Promise<Result>} */
function inTurn(work) {
  const done = queue.then(work);
  queue = done.catch(() => undefined);
  return done;
}

/** @param {unknown} problem  an error, or a line of text; nothing removes the line */
function notice(problem = "") {
  const text = problem instanceof Error ? problem.message : String(problem);
  element("notice").textContent = text;
  element("notice").hidden = !text;
}

// ------------------------------------------------------------------ models

/** @param {Model} model */
async function useModel(model) {
  try {
    const loaded = await inTurn(async () => {
      const bytes = model.file
        ? new Uint8Array(await model.file.arrayBuffer())
        : await loadAsset(/** @type {string} */ (model.path));
      const next = await Classifier.load(bytes, model.labels);
      classifier?.close();
      return (classifier = next);
    });
    if (!models.includes(model)) models.push(model);
    listModels(model);
    describe(model, loaded);
    await inTurn(() => showSelftest(loaded));
  } catch (error) {
    notice(`${model.name}: ${/** @type {Error} */ (error).message}`);
    element("open").disabled = false;
    return;
  }
  enable();
  await classifyPhotos(photos);
}

/** @param {Model} chosen */
function listModels(chosen) {
  const options = models.map(
    (model) => new Option(model.name, model.name, false, model === chosen),
  );
  element("model").replaceChildren(...options);
  element("model-choice").hidden = models.length < 2;
}

/** @param {Model} model @param {Classifier} loaded */
function describe(model, loaded) {
  const [height, width] = loaded.size;
  const type = loaded.file.inputs[0].dtype === "uint8" ? "int8" : "float";
  const title = titleOf(loaded.labels);
  element("title").textContent = `${title}?`;
  document.title = `${title}: edgebee`;
  element("about").textContent =
    `${model.name}: ${(model.bytes / 1e6).toFixed(1)} MB, ${type}, ${width} × ${height} pixels` +
    (loaded.threshold ? `; unknown below ${asPercent(loaded.threshold)}` : "") +
    (loaded.assumesRange ? "; says not which values it takes: 0 to 255 is assumed" : "");
  element("stage").style.setProperty("--shape", `${width} / ${height}`);
}

/** @param {string[]} labels */
function titleOf(labels) {
  const classes = labels.filter((label) => label !== "neither");
  if (classes.length > 4) return `${classes.length} classes`;
  const last = classes.pop();
  return classes.length ? `${classes.join(", ")} or ${last}` : String(last);
}

/** @param {Classifier} loaded */
async function showSelftest(loaded) {
  const shown = element("selftest");
  const test = await loaded.selftest();
  shown.dataset.state = test ? (test.passed ? "passed" : "failed") : "none";
  if (!test) shown.textContent = "none: the file has no golden samples";
  else if (!test.passed)
    shown.textContent = `self-test failed: ${test.detail}; copy the file again`;
  else if (test.difference === 0) shown.textContent = "self-test passed, bit-identical";
  else shown.textContent = `self-test passed, max. difference ${test.difference.toFixed(3)}`;
}

function enable() {
  for (const id of ["camera", "choose", "open"]) element(id).disabled = false;
  element("prompt-text").textContent = "Start the camera, or choose or drop photos.";
}

// ------------------------------------------------------------------ photos

/** A photo that was chosen, and what came of it. */
class Photo {
  /** @param {File} file */
  constructor(file) {
    this.file = file;
    this.address = URL.createObjectURL(file);
    /** @type {Prediction | undefined} */
    this.prediction = undefined;
    this.error = "";
    this.readMs = 0;
    this.item = document.createElement("li");
    this.button = document.createElement("button");
    this.button.type = "button";
    this.picture = document.createElement("img");
    this.picture.loading = "lazy"; // there may be hundreds
    this.picture.src = this.address;
    this.picture.alt = file.name;
    this.caption = document.createElement("span");
    this.caption.textContent = "…";
    this.button.append(this.picture, this.caption);
    this.button.addEventListener("click", () => showPhoto(this));
    this.item.append(this.button);
  }

  async classify() {
    this.prediction = undefined;
    this.error = "";
    try {
      const started = performance.now();
      const current = /** @type {Classifier} */ (classifier);
      const pixels = await readPhoto(this.file, current.size);
      this.readMs = performance.now() - started;
      this.prediction = await current.classify(pixels);
    } catch (error) {
      this.error = `${this.file.name}: ${/** @type {Error} */ (error).message}`;
    }
    const { label, score } = this.prediction ?? { label: "unreadable", score: 0 };
    this.caption.textContent = this.prediction ? `${label} ${asPercent(score)}` : label;
    this.button.dataset.kind = this.prediction ? kindOf(label) : "error";
    this.button.title = `${this.file.name}: ${this.caption.textContent}`;
  }
}

/** @param {File[]} files */
async function addPhotos(files) {
  if (!files.length) return;
  stopCamera();
  notice();
  const added = files.map((file) => new Photo(file));
  photos.push(...added);
  element("thumbnails").append(...added.map((photo) => photo.item));
  element("photos").hidden = photos.length < 2;
  await classifyPhotos(added);
}

/** @param {Photo[]} chosen */
async function classifyPhotos(chosen) {
  for (const [index, photo] of chosen.entries()) {
    await inTurn(() => photo.classify());
    if (index === 0 && !camera.isOn) showPhoto(photo);
    summarize();
  }
}

/** @param {Photo} photo */
function showPhoto(photo) {
  stopCamera();
  for (const one of photos) one.button.setAttribute("aria-current", String(one === photo));
  element("photo").src = photo.address;
  element("photo").alt = photo.file.name;
  setStage(photo.error ? "none" : "photo");
  notice(photo.error);
  if (photo.prediction && classifier) {
    const { milliseconds } = photo.prediction;
    const timing = `read in ${photo.readMs.toFixed(0)} ms, classified in ${milliseconds.toFixed(0)} ms`;
    showAnswer(photo.prediction, classifier.labels, timing);
  } else hideAnswer();
}

function summarize() {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const { prediction, error } of photos) {
    const label = prediction?.label ?? (error ? "unreadable" : "");
    if (label) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const listed = [...counts].map(([label, count]) => `${count} ${label}`);
  element("summary").textContent = `${photos.length} photos: ${listed.join(", ")}`;
}

/** @param {"none" | "photo" | "camera"} kind */
function setStage(kind) {
  element("stage").dataset.kind = kind;
  element("video").hidden = kind !== "camera";
  element("photo").hidden = kind !== "photo";
  element("prompt").hidden = kind !== "none";
  if (kind === "none") hideAnswer();
}

// ------------------------------------------------------------------ camera

async function startCamera() {
  notice();
  try {
    await camera.start();
  } catch (error) {
    setStage("none");
    if (!(error instanceof CameraError)) throw error;
    notice(error);
    return;
  }
  setStage("camera");
  element("camera").textContent = "Stop camera";
  element("switch").hidden = !(await camera.hasOthers());
  await classifyFrames();
}

function stopCamera() {
  if (!camera.isOn) return;
  camera.stop();
  setStage("none");
  element("camera").textContent = "Start camera";
  element("switch").hidden = true;
}

async function classifyFrames() {
  const { stream } = camera;
  const reader = new FrameReader(camera.video);
  let before = performance.now();
  while (camera.stream === stream) {
    await camera.nextFrame();
    if (camera.stream !== stream) return;
    try {
      await inTurn(() => classifyFrame(reader, before));
    } catch (error) {
      stopCamera();
      notice(error);
      return;
    }
    before = performance.now();
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** @param {FrameReader} reader @param {number} before  when the last frame was done */
async function classifyFrame(reader, before) {
  if (!classifier || !camera.isOn) return;
  const prediction = await classifier.classify(reader.read(classifier.size));
  if (!camera.isOn) return;
  const rate = 1000 / (performance.now() - before + PAUSE_MS);
  const timing = `classified in ${prediction.milliseconds.toFixed(0)} ms, ${rate.toFixed(0)} frames a second`;
  showAnswer(prediction, classifier.labels, timing);
}

// ------------------------------------------------------------------ wiring

/** @param {Iterable<File>} files */
async function take(files) {
  const given = [...files];
  const model = given.find((file) => file.name.endsWith(".tflite"));
  if (model) await openModel(model);
  await addPhotos(given.filter((file) => !file.name.endsWith(".tflite")));
}

/** @param {File} file */
function openModel(file) {
  notice();
  const name = file.name.replace(/\.tflite$/, "");
  return useModel({ name, labels: null, bytes: file.size, file });
}

function connect() {
  element("camera").addEventListener("click", () => (camera.isOn ? stopCamera() : startCamera()));
  element("switch").addEventListener("click", async () => {
    await camera.exchange().catch(notice);
    await classifyFrames();
  });
  for (const [button, input] of [
    ["choose", "files"],
    ["open", "model-file"],
  ]) {
    element(button).addEventListener("click", () => element(input).click());
    element(input).addEventListener("change", async () => {
      const files = [...element(input).files];
      element(input).value = ""; // the same file may be chosen again
      await take(files);
    });
  }
  element("model").addEventListener("change", () => {
    notice();
    const chosen = models.find((model) => model.name === element("model").value);
    if (chosen) useModel(chosen);
  });
  const stage = element("stage");
  for (const name of ["dragover", "dragleave", "drop"]) {
    document.addEventListener(name, (event) => {
      event.preventDefault(); // else the browser would leave the page for the file
      stage.classList.toggle("dropping", name === "dragover");
    });
  }
  document.addEventListener("drop", (event) => {
    if (classifier) take(event.dataTransfer?.files ?? []);
  });
}

async function keepOffline() {
  const shown = element("network");
  if (IS_SINGLE_FILE) {
    shown.textContent = "None needed: all of it is in this file. Photos stay on this device.";
  } else if ("serviceWorker" in navigator) {
    if (navigator.serviceWorker.controller) {
      // This page was kept; a newer one, perhaps with a newer model, has just replaced it.
      navigator.serviceWorker.addEventListener("controllerchange", () => {
        if (photos.length || camera.isOn)
          notice("A newer version of this page is here; load it again.");
        else location.reload();
      });
    }
    await navigator.serviceWorker.register("service_worker.js");
    await navigator.serviceWorker.ready;
    shown.textContent =
      "No longer needed: the page is kept in this browser. Photos stay on this device.";
  }
}

async function start() {
  connect();
  if (typeof WebAssembly !== "object") {
    throw new Error(
      "This browser has no WebAssembly; allow it, or open the page in a current Chrome, Edge, Firefox or Safari.",
    );
  }
  if (IS_SINGLE_FILE) useWasmBinary(await loadAsset(WASM_SCRIPT.replace(/js$/, "wasm")));
  try {
    await loadLiteRt(WASM_SCRIPT);
  } catch (error) {
    const reason = String(/** @type {any} */ (error)?.message ?? error).split("\n")[0];
    throw new Error(
      `LiteRT.js does not start (${reason}); update the browser (Chrome or Edge 111, Firefox 113, Safari 16.4), or build the page again.`,
    );
  }
  await useModel(models[0]);
}

start().catch((error) => {
  element("prompt-text").textContent = "No model is running.";
  element("selftest").textContent = "not run";
  notice(error);
});
keepOffline().catch(() => undefined); // the page works without it, as long as there is a network
