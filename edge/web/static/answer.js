/**
 * How an answer looks: the label over the picture, and the scores as bars.
 *
 * @typedef {import("./classifier.js").Prediction} Prediction
 */

import { NEITHER, UNKNOWN } from "./classifier.js";

const MOST_BARS = 8;

/** @param {string} id @returns {any} */
export const element = (id) => document.getElementById(id);

/** @param {number} score */
export const asPercent = (score) => `${(100 * score).toFixed(1)} %`;

/** @param {string} label */
export const kindOf = (label) => (label === NEITHER || label === UNKNOWN ? label : "class");

/**
 * @param {Prediction} prediction
 * @param {string[]} labels  in the order of the model
 * @param {string} timing
 */
export function showAnswer(prediction, labels, timing) {
  element("verdict").hidden = element("answer").hidden = false;
  element("verdict").dataset.kind = kindOf(prediction.label);
  element("verdict-label").textContent = prediction.label;
  element("verdict-score").textContent = asPercent(prediction.score);
  element("timing").textContent = timing;
  showBars(prediction.scores, labels);
}

export function hideAnswer() {
  element("verdict").hidden = element("answer").hidden = true;
}

/**
 * Bars in the order of the labels, so that they stay in their places while a camera runs; of many
 * labels the best ones.
 * @param {[string, number][]} scores  best first
 * @param {string[]} labels
 */
function showBars(scores, labels) {
  const [[best]] = scores;
  const shown = scores.slice(0, MOST_BARS);
  if (labels.length <= MOST_BARS) {
    shown.sort((a, b) => labels.indexOf(a[0]) - labels.indexOf(b[0]));
  }
  const list = element("bars");
  while (list.children.length > shown.length) list.lastChild.remove();
  while (list.children.length < shown.length) list.append(makeBar());
  shown.forEach(([label, score], index) => {
    const row = list.children[index];
    row.dataset.kind = kindOf(label);
    row.classList.toggle("best", label === best);
    row.children[0].textContent = label;
    row.children[1].textContent = asPercent(score);
    row.children[2].firstChild.style.width = asPercent(score).replace(" ", "");
  });
}

function makeBar() {
  const row = document.createElement("li");
  for (const name of ["name", "score", "track"]) {
    const part = document.createElement("span");
    part.className = name;
    row.append(part);
  }
  const bar = document.createElement("div");
  bar.className = "bar";
  row.children[2].append(bar);
  return row;
}
