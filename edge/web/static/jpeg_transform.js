/**
 * From the coefficients of a JPEG's block to its pixels, 64 or fewer, in the integers of libjpeg.
 *
 * @typedef {import("./jpeg.js").Component} Component
 */

/**
 * The inverse cosine transform of 8 numbers into 8, 4 or 2, in integers of 13 bits after the point
 * (Loeffler, Ligtenberg and Moschytz, 1989, with the rounding of the Independent JPEG Group): one row
 * for each number that comes out of the first half; those of the second have the odd columns negated.
 */
// prettier-ignore
const TRANSFORMS = {
  8: [
    [8192, 11363, 10703, 9633, 8192, 6437, 4433, 2260],
    [8192, 9633, 4433, -2259, -8192, -11362, -10704, -6436],
    [8192, 6437, -4433, -11362, -8192, 2261, 10704, 9633],
    [8192, 2260, -10703, -6436, 8192, 9633, -4433, -11363],
  ],
  4: [
    [16384, 20995, 15137, 7373, 0, -4926, -6270, -4176],
    [16384, 8697, -15137, -17799, 0, 11893, 6270, -1730],
  ],
  2: [[32768, 29692, 0, -10426, 0, 6967, 0, -5906]],
};

/**
 * Make a plane twice as wide: between two pixels, a quarter is the farther one's.
 * @param {Component} component
 * @param {number} width  pixels of a row that are picture
 */
export function widen(component, width) {
  const { plane, stride, side } = component;
  const wide = new Uint8Array(2 * plane.length);
  for (let start = 0; start < plane.length; start += stride) {
    for (let x = 0; x < width; x++) {
      const here = plane[start + x];
      const smooth = side > 1 && width > 2; // else the pixel is doubled
      const left = smooth && x > 0 ? plane[start + x - 1] : here;
      const right = smooth && x < width - 1 ? plane[start + x + 1] : here;
      wide[2 * (start + x)] = (3 * here + left + 1) >> 2;
      wide[2 * (start + x) + 1] = (3 * here + right + 2) >> 2;
    }
  }
  component.plane = wide;
  component.stride = 2 * stride;
}

export const block = new Int32Array(64); // rows of frequencies: down, across
const between = new Int32Array(64);
const line = new Int32Array(8);

/**
 * Make pixels of `block`.
 * @param {Component} component
 * @param {number} target  in its plane
 */
export function transform({ side, plane, stride }, target) {
  if (side === 1) {
    plane[target] = clamp(((block[0] + 4) >> 3) + 128);
    return;
  }
  const rows = TRANSFORMS[/** @type {2 | 4 | 8} */ (side)];
  const extra = { 8: 0, 4: 1, 2: 2 }[side] ?? 0;
  for (let x = 0; x < 8; x++) halves(block, x, 8, rows, 11 + extra, between, x, 8);
  for (let y = 0; y < side; y++) {
    halves(between, 8 * y, 1, rows, 18 + extra, line, 0, 1);
    for (let x = 0; x < side; x++) plane[target + y * stride + x] = clamp(line[x] + 128);
  }
}

/** @param {number} value */
const clamp = (value) => (value < 0 ? 0 : value > 255 ? 255 : value);

/**
 * Transform eight numbers: both halves of the result at once.
 * @param {Int32Array} from @param {number} start @param {number} step
 * @param {number[][]} rows
 * @param {number} shift  bits behind the point to round away
 * @param {Int32Array} to @param {number} target @param {number} stride
 */
function halves(from, start, step, rows, shift, to, target, stride) {
  const last = 2 * rows.length - 1;
  const half = 1 << (shift - 1);
  for (let k = 0; k < rows.length; k++) {
    const row = rows[k];
    let even = half;
    let odd = 0;
    for (let i = 0; i < 8; i += 2) {
      even += row[i] * from[start + i * step];
      odd += row[i + 1] * from[start + (i + 1) * step];
    }
    to[target + k * stride] = (even + odd) >> shift;
    to[target + (last - k) * stride] = (even - odd) >> shift;
  }
}
