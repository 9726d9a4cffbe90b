/**
 * Decode a JPEG at a half, a quarter or an eighth of its size, as Pillow's decoder (libjpeg-turbo) does:
 * to the bit, which no picture that a browser decoded whole can be shrunk to. Large photos are read
 * so, and take less memory. Baseline JPEGs, grey or of usual colours; others are the browser's.
 *
 * @typedef {object} Component  One plane of the picture.
 * @property {number} id
 * @property {number} across  sampling factor: blocks of a unit, side by side
 * @property {number} down  and below each other
 * @property {Int32Array} quantization  in zigzag order
 * @property {number} side  pixels that a block becomes, 1 to 8
 * @property {Uint8Array} plane
 * @property {number} stride
 * @property {number} before  the last block's mean
 * @property {boolean} isHalved  across, and not down
 * @property {Uint16Array} [dcCodes]
 * @property {Uint16Array} [acCodes]
 */

// prettier-ignore
const ZIGZAG = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
  46, 53, 60, 61, 54, 47, 55, 62, 63,
);

const MOST_PIXELS = 25_000_000; // after shrinking; as the runner's

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
 * @param {Uint8Array} bytes
 * @param {(stored: {width: number, height: number}) => number} chooseFactor  1, 2, 4 or 8
 * @returns {import("./preprocess.js").DecodedImage | null}  null: the browser has to read it
 */
export function decodeShrunk(bytes, chooseFactor) {
  try {
    return new Decoder(bytes).decode(chooseFactor);
  } catch (error) {
    if (error instanceof RangeError) return null; // cut short: the browser says so
    throw error;
  }
}

class Decoder {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    /** @type {Map<number, Int32Array>} */
    this.quantizations = new Map();
    /** @type {Map<number, Uint16Array>} by class (16: AC) and number */
    this.codes = new Map();
    /** @type {Component[]} */
    this.components = [];
    this.width = this.height = this.restartInterval = 0;
    this.factor = this.across = this.down = this.unitsAcross = this.unitsDown = 1;
    this.at = 2;
    this.bits = this.bitCount = this.zeros = 0;
  }

  /** @param {(stored: {width: number, height: number}) => number} chooseFactor */
  decode(chooseFactor) {
    for (;;) {
      if (this.view.getUint8(this.at) !== 0xff) return null;
      const marker = this.view.getUint8(this.at + 1);
      const start = this.at + 4;
      const end = this.at + 2 + this.view.getUint16(this.at + 2);
      if (marker === 0xdb) this.readQuantizations(start, end);
      else if (marker === 0xc4) this.readCodes(start, end);
      else if (marker === 0xdd) this.restartInterval = this.view.getUint16(start);
      else if (marker === 0xee && this.view.getUint8(start + 11) === 0) return null; // no YCbCr
      else if (marker === 0xc0 || marker === 0xc1) {
        if (!this.readFrame(start, chooseFactor)) return null;
      } else if (marker > 0xc1 && marker < 0xd0) return null; // progressive and the like
      else if (marker === 0xda) return this.readScan(start, end) ? this.asImage() : null;
      this.at = end;
    }
  }

  /** @param {number} at @param {number} end */
  readQuantizations(at, end) {
    while (at < end) {
      const kind = this.view.getUint8(at++);
      const bytes = kind >> 4 ? 2 : 1;
      const table = Int32Array.from({ length: 64 }, (_, index) =>
        bytes === 2 ? this.view.getUint16(at + 2 * index) : this.view.getUint8(at + index),
      );
      this.quantizations.set(kind & 15, table);
      at += 64 * bytes;
    }
  }

  /**
   * Huffman tables: for each 16 bits, the length and the symbol of the code they begin with.
   * @param {number} at @param {number} end
   */
  readCodes(at, end) {
    while (at < end) {
      const codes = new Uint16Array(65536);
      let symbols = at + 17;
      let code = 0;
      for (let length = 1; length <= 16; length++) {
        for (let left = this.view.getUint8(at + length); left > 0; left--) {
          const width = 1 << (16 - length);
          codes.fill((length << 8) | this.view.getUint8(symbols++), code, code + width);
          code += width;
        }
      }
      this.codes.set(this.view.getUint8(at), codes);
      at = symbols;
    }
  }

  /** @param {number} at @param {(stored: {width: number, height: number}) => number} chooseFactor */
  readFrame(at, chooseFactor) {
    this.height = this.view.getUint16(at + 1);
    this.width = this.view.getUint16(at + 3);
    this.factor = chooseFactor(this);
    if (this.width * this.height > MOST_PIXELS * this.factor ** 2) return false;
    const count = this.view.getUint8(at + 5);
    if (this.factor === 1 || this.view.getUint8(at) !== 8 || (count !== 1 && count !== 3)) return false;
    const raw = Array.from({ length: count }, (_, index) => {
      const [id, sampling, table] = this.bytes.subarray(at + 6 + 3 * index, at + 9 + 3 * index);
      return { id, across: count > 1 ? sampling >> 4 : 1, down: count > 1 ? sampling & 15 : 1, table };
    });
    this.across = Math.max(...raw.map((one) => one.across));
    this.down = Math.max(...raw.map((one) => one.down));
    this.unitsAcross = Math.ceil(this.width / (8 * this.across));
    this.unitsDown = Math.ceil(this.height / (8 * this.down));
    for (const { id, across, down, table } of raw) {
      const [finerX, finerY] = [this.across / across, this.down / down]; // the others' samples
      // A plane halved in both directions is shrunk less; one halved across is widened afterwards.
      const side = (8 / this.factor) * (finerX === finerY ? finerX : 1);
      const isHalved = finerX === 2 && finerY === 1;
      const fits = [1, 2, 4, 8].includes(side) && (finerX === finerY || isHalved);
      const quantization = this.quantizations.get(table);
      if (!quantization || !fits || id === 82) return false; // 82: an "R", of RGB
      const stride = this.unitsAcross * across * side;
      const plane = new Uint8Array(stride * this.unitsDown * down * side);
      const component = { id, across, down, quantization, side, plane, stride, before: 0, isHalved };
      this.components.push(component);
    }
    return true;
  }

  /** @param {number} at @param {number} end */
  readScan(at, end) {
    if (this.view.getUint8(at) !== this.components.length) return false; // one scan for each plane
    this.components.forEach((component, index) => {
      const tables = this.view.getUint8(at + 2 + 2 * index);
      component.dcCodes = this.codes.get(tables >> 4);
      component.acCodes = this.codes.get(16 | (tables & 15));
    });
    if (this.components.some((one) => !one.dcCodes || !one.acCodes)) return false;
    this.at = end;
    const units = this.unitsAcross * this.unitsDown;
    for (let unit = 0; unit < units; unit++) {
      if (this.restartInterval && unit && unit % this.restartInterval === 0) this.restart();
      for (const component of this.components) this.readUnit(component, unit);
    }
    return true;
  }

  /** @param {Component} component @param {number} unit */
  readUnit(component, unit) {
    const { across, down, side, stride } = component;
    const left = (unit % this.unitsAcross) * across;
    const top = Math.floor(unit / this.unitsAcross) * down;
    for (let y = 0; y < down; y++) {
      for (let x = 0; x < across; x++) {
        this.readBlock(component);
        transform(component, ((top + y) * stride + left + x) * side);
      }
    }
  }

  /** The block's coefficients, dequantized, into `block`. @param {Component} component */
  readBlock(component) {
    const { quantization, dcCodes, acCodes } = component;
    block.fill(0);
    component.before += this.readNumber(this.readSymbol(/** @type {Uint16Array} */ (dcCodes)));
    block[0] = component.before * quantization[0];
    for (let index = 1; index < 64; index++) {
      const symbol = this.readSymbol(/** @type {Uint16Array} */ (acCodes));
      const length = symbol & 15;
      if (length === 0 && symbol !== 0xf0) break;
      index += symbol >> 4;
      const value = this.readNumber(length);
      if (index < 64) block[ZIGZAG[index]] = value * quantization[index];
    }
  }

  /** @param {Uint16Array} codes */
  readSymbol(codes) {
    this.fill();
    const found = codes[(this.bits >>> (this.bitCount - 16)) & 0xffff];
    if (found === 0) throw new RangeError("no such code");
    this.bitCount -= found >> 8;
    return found & 0xff;
  }

  /** @param {number} length  bits; below half of what they hold the number is negative */
  readNumber(length) {
    if (length === 0) return 0;
    this.fill();
    this.bitCount -= length;
    const value = (this.bits >>> this.bitCount) & ((1 << length) - 1);
    return value < 1 << (length - 1) ? value - (1 << length) + 1 : value;
  }

  /** Have 16 bits at hand; behind the picture's end there are zeros, a few. */
  fill() {
    while (this.bitCount < 16) {
      let byte = this.view.getUint8(this.at); // a RangeError behind the file's end
      if (byte !== 0xff) this.at++;
      else if (this.view.getUint8(this.at + 1) === 0) this.at += 2;
      else {
        if (++this.zeros > 8) throw new RangeError("its end is missing");
        byte = 0;
      }
      this.bits = (this.bits << 8) | byte;
      this.bitCount += 8;
    }
  }

  restart() {
    this.bitCount = this.zeros = 0;
    if ((this.view.getUint16(this.at) & 0xfff8) !== 0xffd0) throw new RangeError("no restart marker");
    this.at += 2;
    for (const component of this.components) component.before = 0;
  }

  /** The planes as RGB. */
  asImage() {
    if (this.view.getUint16(this.at) !== 0xffd9) throw new RangeError("its end is missing");
    const width = Math.ceil(this.width / this.factor);
    const height = Math.ceil(this.height / this.factor);
    for (const component of this.components) {
      if (component.isHalved) widen(component, Math.ceil((width * component.across) / this.across));
    }
    const data = new Uint8ClampedArray(width * height * 3);
    const [{ plane, stride }, blue, red] = this.components;
    for (let y = 0, target = 0; y < height; y++) {
      for (let source = y * stride; source < y * stride + width; source++, target += 3) {
        const cb = blue ? blue.plane[source] - 128 : 0;
        const cr = red ? red.plane[source] - 128 : 0;
        data[target] = plane[source] + ((91881 * cr + 32768) >> 16);
        data[target + 1] = plane[source] + ((-22554 * cb - 46802 * cr + 32768) >> 16);
        data[target + 2] = plane[source] + ((116130 * cb + 32768) >> 16);
      }
    }
    return {
      data: new Uint8Array(data.buffer),
      width,
      height,
      pictureWidth: this.width / this.factor,
      pictureHeight: this.height / this.factor,
    };
  }
}

/**
 * Make a plane twice as wide: between two pixels, a quarter is the farther one's.
 * @param {Component} component
 * @param {number} width  pixels of a row that are picture
 */
function widen(component, width) {
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

const block = new Int32Array(64); // rows of frequencies: down, across
const between = new Int32Array(64);

/**
 * Make pixels of `block`.
 * @param {Component} component
 * @param {number} target  in its plane
 */
function transform({ side, plane, stride }, target) {
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

const line = new Int32Array(8);

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
