/**
 * The one translation of the runner's preprocessing, `resize_image` in `edge/classify.py`: the short
 * side scaled, the centre cropped, turned upright. It does what Pillow 13 does, rounding
 * included, since a canvas scales differently: another picture, other scores.
 *
 * @typedef {object} DecodedImage  A decoded photo, before it is scaled.
 * @property {Uint8Array} data  `[height, width, 3]`, RGB, 0-255, as it is stored: perhaps lying on its side.
 * @property {number} width  columns of `data`
 * @property {number} height  rows of `data`
 * @property {number} [pictureWidth]  columns that are picture, perhaps broken; default: all
 * @property {number} [pictureHeight]  rows that are picture; default: all
 * @property {number} [orientation]  EXIF, 1-8; 1, the default, is upright
 *
 * @typedef {object} Weights  What each pixel of a line takes from the longer or shorter line before.
 * @property {Int32Array} first  where it begins to take
 * @property {Int32Array} count  from how many pixels
 * @property {Int32Array} weights  fixed point, `most` of them for each
 * @property {number} most
 */

const FIXED_POINT_BITS = 22;
const BICUBIC_SUPPORT = 2;
const REDUCING_GAP = 3;
const ON_ITS_SIDE = 5; // from this EXIF orientation on, rows are the upright picture's columns

/**
 * Scale, centre-crop and turn upright a decoded photo.
 * @param {DecodedImage} decoded
 * @param {[number, number]} size  height and width to reach
 * @returns {Uint8Array}  `[height, width, 3]`, RGB
 */
export function resizeImage(decoded, size) {
  const { pictureWidth = decoded.width, pictureHeight = decoded.height, orientation = 1 } = decoded;
  const [height, width] = orientation >= ON_ITS_SIDE ? [size[1], size[0]] : size;
  const cropWidth = Math.min(pictureWidth, (pictureHeight * width) / height);
  const cropHeight = Math.min(pictureHeight, (pictureWidth * height) / width);
  const left = (pictureWidth - cropWidth) / 2;
  const top = (pictureHeight - cropHeight) / 2;
  const box = [left, top, left + cropWidth, top + cropHeight];
  return turnUpright(resize(decoded, width, height, box), width, height, orientation);
}

/**
 * As Pillow's `Image.resize(…, BICUBIC, box, reducing_gap=3)`.
 * @param {DecodedImage} image
 * @param {number} width
 * @param {number} height
 * @param {number[]} box  left, top, right, bottom: what to take of it
 */
function resize(image, width, height, box) {
  const scaleX = (box[2] - box[0]) / width;
  const scaleY = (box[3] - box[1]) / height;
  const factorX = Math.trunc(scaleX / REDUCING_GAP) || 1;
  const factorY = Math.trunc(scaleY / REDUCING_GAP) || 1;
  if (factorX > 1 || factorY > 1) {
    const aroundX = (BICUBIC_SUPPORT - 0.5) * scaleX;
    const aroundY = (BICUBIC_SUPPORT - 0.5) * scaleY;
    const left = Math.max(0, Math.trunc(box[0] - aroundX));
    const top = Math.max(0, Math.trunc(box[1] - aroundY));
    const right = Math.min(image.width, Math.ceil(box[2] + aroundX));
    const bottom = Math.min(image.height, Math.ceil(box[3] + aroundY));
    image = reduce(image, factorX, factorY, [left, top, right, bottom]);
    box = [
      (box[0] - left) / factorX,
      (box[1] - top) / factorY,
      (box[2] - left) / factorX,
      (box[3] - top) / factorY,
    ];
  }
  return resample(image, width, height, box);
}

/**
 * Shrink by whole numbers: means of `factorX` by `factorY` pixels, as Pillow's `Image.reduce`.
 * At the right and at the bottom the rest makes a mean of its own.
 * @param {{data: Uint8Array | Uint8ClampedArray, width: number, height: number}} image
 * @param {number} factorX
 * @param {number} factorY
 * @param {number[]} [box]  left, top, right, bottom, whole numbers
 * @param {number} [channels]  values per pixel in `image`; of four the last is left out
 */
export function reduce(image, factorX, factorY, box, channels = 3) {
  const [left, top, right, bottom] = box ?? [0, 0, image.width, image.height];
  const width = Math.ceil((right - left) / factorX);
  const height = Math.ceil((bottom - top) / factorY);
  const data = new Uint8Array(width * height * 3);
  const sums = new Float64Array(width * 3);
  for (let row = 0; row < height; row++) {
    const from = top + row * factorY;
    const to = Math.min(from + factorY, bottom);
    sums.fill(0);
    for (let y = from; y < to; y++) {
      let source = (y * image.width + left) * channels;
      for (let x = 0; x < width; x++) {
        const columns = Math.min(factorX, right - left - x * factorX);
        for (let i = 0; i < columns; i++, source += channels) {
          sums[3 * x] += image.data[source];
          sums[3 * x + 1] += image.data[source + 1];
          sums[3 * x + 2] += image.data[source + 2];
        }
      }
    }
    for (let x = 0; x < width; x++) {
      const count = Math.min(factorX, right - left - x * factorX) * (to - from);
      const multiplier = Math.floor(2 ** 24 / count);
      for (let channel = 0; channel < 3; channel++) {
        const sum = sums[3 * x + channel] + Math.floor(count / 2);
        data[(row * width + x) * 3 + channel] = Math.floor((sum * multiplier) / 2 ** 24);
      }
    }
  }
  return { data, width, height };
}

/**
 * What a canvas gives, without its transparency.
 * @param {ImageData} image
 */
export function asRgb({ data, width, height }) {
  const rgb = new Uint8Array(width * height * 3);
  for (let source = 0, target = 0; target < rgb.length; source += 4, target += 3) {
    rgb[target] = data[source];
    rgb[target + 1] = data[source + 1];
    rgb[target + 2] = data[source + 2];
  }
  return { data: rgb, width, height };
}

/**
 * Bicubic, antialiased: across, then down, with 8 bits in between; as Pillow 13, which begins with
 * what shrinks more, where older ones always begin across.
 * @param {{data: Uint8Array, width: number, height: number}} image
 * @param {number} width
 * @param {number} height
 * @param {number[]} box
 */
function resample(image, width, height, box) {
  const [left, top, right, bottom] = box.map(Math.fround);
  const rowsLost = image.height - height;
  const downFirst = rowsLost > 0 && rowsLost > 2 * (image.width - width);
  /** @param {{data: Uint8Array, width: number, height: number}} picture */
  const across = (picture) =>
    width === picture.width && left === 0 && right === width
      ? picture
      : resampleAcross(picture, makeWeights(picture.width, left, right, width));
  /** @param {{data: Uint8Array, width: number, height: number}} picture */
  const down = (picture) =>
    height === picture.height && top === 0 && bottom === height
      ? picture
      : resampleDown(picture, makeWeights(picture.height, top, bottom, height));
  return (downFirst ? across(down(image)) : down(across(image))).data;
}

/**
 * @param {{data: Uint8Array, width: number, height: number}} image
 * @param {Weights} weights
 */
function resampleAcross({ data, width, height }, weights) {
  const layout = { lines: height, size: weights.first.length, step: 3, line: width * 3 };
  return { data: applyWeights(data, weights, layout), width: layout.size, height };
}

/**
 * @param {{data: Uint8Array, width: number, height: number}} image
 * @param {Weights} weights
 */
function resampleDown({ data, width }, weights) {
  const layout = { lines: width, size: weights.first.length, step: width * 3, line: 3 };
  return { data: applyWeights(data, weights, layout), width, height: layout.size };
}

/**
 * Scale every line of a picture.
 * @param {Uint8Array} data  RGB
 * @param {Weights} weights
 * @param {{lines: number, size: number, step: number, line: number}} layout  how many lines, how long
 *   they become, and what lies between two pixels of a line and between two lines
 */
function applyWeights(data, { first, count, weights, most }, { lines, size, step, line }) {
  const across = step === 3; // then lines are rows, else columns
  const scaled = new Uint8ClampedArray(lines * size * 3);
  for (let i = 0; i < lines; i++) {
    for (let x = 0; x < size; x++) {
      let source = i * line + first[x] * step;
      let red = 1 << (FIXED_POINT_BITS - 1); // one half, for rounding
      let green = red;
      let blue = red;
      const end = x * most + count[x];
      for (let k = x * most; k < end; k++, source += step) {
        const weight = weights[k];
        red += data[source] * weight;
        green += data[source + 1] * weight;
        blue += data[source + 2] * weight;
      }
      const target = (across ? i * size + x : x * lines + i) * 3;
      scaled[target] = red >> FIXED_POINT_BITS;
      scaled[target + 1] = green >> FIXED_POINT_BITS;
      scaled[target + 2] = blue >> FIXED_POINT_BITS;
    }
  }
  return new Uint8Array(scaled.buffer);
}

/**
 * @param {number} length  pixels of the line
 * @param {number} from  the part of it to take, 32-bit floats
 * @param {number} to
 * @param {number} size  pixels to make of that part
 * @returns {Weights}
 */
function makeWeights(length, from, to, size) {
  const scale = Math.fround(to - from) / size;
  const filterScale = Math.max(scale, 1);
  const support = BICUBIC_SUPPORT * filterScale;
  const most = Math.ceil(support) * 2 + 1;
  const made = {
    first: new Int32Array(size),
    count: new Int32Array(size),
    weights: new Int32Array(size * most),
    most,
  };
  for (let x = 0; x < size; x++) {
    const centre = from + (x + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const count = Math.min(length, Math.trunc(centre + support + 0.5)) - first;
    const weights = Array.from({ length: count }, (_, i) =>
      bicubic((i + first - centre + 0.5) * (1 / filterScale)),
    );
    const sum = weights.reduce((total, weight) => total + weight, 0);
    made.first[x] = first;
    made.count[x] = count;
    weights.forEach((weight, i) => {
      const fixed = (sum === 0 ? weight : weight / sum) * (1 << FIXED_POINT_BITS);
      made.weights[x * most + i] = Math.trunc(fixed + (weight < 0 ? -0.5 : 0.5));
    });
  }
  return made;
}

/** @param {number} x */
function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/**
 * @param {Uint8Array} data  `[height, width, 3]`, as it is stored
 * @param {number} width
 * @param {number} height
 * @param {number} orientation  EXIF (CIPA DC-008), 1-8
 * @returns {Uint8Array}  upright; `[width, height, 3]` from orientation 5 on
 */
function turnUpright(data, width, height, orientation) {
  if (orientation < 2 || orientation > 8) return data;
  const onItsSide = orientation >= ON_ITS_SIDE;
  const [columns, rows] = onItsSide ? [height, width] : [width, height];
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  const upright = new Uint8Array(data.length);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const [across, down] = onItsSide ? [y, x] : [x, y];
      const storedX = fromRight ? width - 1 - across : across;
      const storedY = fromBottom ? height - 1 - down : down;
      const source = (storedY * width + storedX) * 3;
      upright.set(data.subarray(source, source + 3), (y * columns + x) * 3);
    }
  }
  return upright;
}

/**
 * A small picture enlarged by repeating its pixels: how golden samples are kept.
 * @param {{data: Uint8Array, width: number, height: number}} image  RGB
 * @param {[number, number]} size  height and width to reach
 */
export function enlarge({ data, width, height }, size) {
  const enlarged = new Uint8Array(size[0] * size[1] * 3);
  for (let y = 0, target = 0; y < size[0]; y++) {
    const row = Math.floor((y * height) / size[0]) * width;
    for (let x = 0; x < size[1]; x++, target += 3) {
      const source = (row + Math.floor((x * width) / size[1])) * 3;
      enlarged.set(data.subarray(source, source + 3), target);
    }
  }
  return enlarged;
}
