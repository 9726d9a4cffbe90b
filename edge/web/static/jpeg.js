/**
 * Decode a JPEG at a half, a quarter or an eighth of its size, as Pillow's decoder (libjpeg-turbo) does:
 * to the bit, which no picture that a browser decoded whole can be shrunk to. Large photos are read
 * so, and take less memory. Baseline and progressive JPEGs, grey or of usual colours; others are the
 * browser's.
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
 * @property {Int16Array | null} blocks  of a progressive JPEG, whose scans refine all of them
 * @property {number} blocksAcross
 * @property {Uint16Array} [dcCodes]
 * @property {Uint16Array} [acCodes]
 */

import { block, transform, widen } from "./jpeg_transform.js";

// prettier-ignore
const ZIGZAG = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
  46, 53, 60, 61, 54, 47, 55, 62, 63,
);

const MOST_PIXELS = 25_000_000; // after shrinking; as the runner's

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
    this.isProgressive = false;
    this.endOfBand = 0; // blocks to come that have nothing more in a progressive scan
  }

  /** @param {(stored: {width: number, height: number}) => number} chooseFactor */
  decode(chooseFactor) {
    for (;;) {
      if (this.view.getUint8(this.at) !== 0xff) return null;
      const marker = this.view.getUint8(this.at + 1);
      if (marker === 0xd9) return this.transformBlocks() ? this.asImage() : null;
      const start = this.at + 4;
      const end = this.at + 2 + this.view.getUint16(this.at + 2);
      if (marker === 0xdb) this.readQuantizations(start, end);
      else if (marker === 0xc4) this.readCodes(start, end);
      else if (marker === 0xdd) this.restartInterval = this.view.getUint16(start);
      else if (marker === 0xee && this.view.getUint8(start + 11) === 0)
        return null; // no YCbCr
      else if (marker >= 0xc0 && marker <= 0xc2) {
        this.isProgressive = marker === 0xc2;
        if (!this.readFrame(start, chooseFactor)) return null;
      } else if (marker > 0xc2 && marker < 0xd0)
        return null; // arithmetic codes and the like
      else if (marker === 0xda) {
        if (this.isProgressive) this.readProgressiveScan(start, end);
        else return this.readScan(start, end) ? this.asImage() : null;
        continue;
      }
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
    const held = this.width * this.height;
    if (held > MOST_PIXELS * (this.isProgressive ? 1 : this.factor ** 2)) return false;
    const count = this.view.getUint8(at + 5);
    if (this.factor === 1 || this.view.getUint8(at) !== 8 || (count !== 1 && count !== 3))
      return false;
    const raw = Array.from({ length: count }, (_, index) => {
      const [id, sampling, table] = this.bytes.subarray(at + 6 + 3 * index, at + 9 + 3 * index);
      return {
        id,
        across: count > 1 ? sampling >> 4 : 1,
        down: count > 1 ? sampling & 15 : 1,
        table,
      };
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
      const blocksAcross = this.unitsAcross * across;
      const count = blocksAcross * this.unitsDown * down * 64;
      const blocks = this.isProgressive ? new Int16Array(count) : null;
      const places = { id, across, down, side, plane, stride, isHalved, blocks, blocksAcross };
      this.components.push({ ...places, quantization, before: 0 });
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

  /**
   * A scan of a progressive JPEG: some frequencies of some planes, or one more bit of them.
   * @param {number} at @param {number} end
   */
  readProgressiveScan(at, end) {
    const count = this.view.getUint8(at);
    const chosen = Array.from({ length: count }, (_, index) => {
      const id = this.view.getUint8(at + 1 + 2 * index);
      const tables = this.view.getUint8(at + 2 + 2 * index);
      const component = this.components.find((one) => one.id === id);
      if (!component) throw new RangeError("no such plane");
      component.dcCodes = this.codes.get(tables >> 4);
      component.acCodes = this.codes.get(16 | (tables & 15));
      component.before = 0;
      return component;
    });
    const [first, last, bits] = this.bytes.subarray(end - 3, end);
    const band = { first, last, isFirst: bits >> 4 === 0, low: bits & 15 };
    this.at = end;
    this.bitCount = this.zeros = this.endOfBand = 0;
    const [one] = chosen;
    // The scan of a single plane leaves out the blocks that are wholly outside the picture.
    const across =
      count > 1 ? this.unitsAcross : Math.ceil((this.width * one.across) / (8 * this.across));
    const down = count > 1 ? this.unitsDown : Math.ceil((this.height * one.down) / (8 * this.down));
    for (let unit = 0; unit < across * down; unit++) {
      if (this.restartInterval && unit && unit % this.restartInterval === 0) this.restart();
      const [x, y] = [unit % across, Math.floor(unit / across)];
      if (count === 1) this.refineBlock(one, x, y, band);
      else {
        for (const component of chosen) {
          for (let i = 0; i < component.across * component.down; i++) {
            const right = x * component.across + (i % component.across);
            const below = y * component.down + Math.floor(i / component.across);
            this.refineBlock(component, right, below, band);
          }
        }
      }
    }
    this.bitCount = 0;
  }

  /**
   * @param {Component} component @param {number} x @param {number} y
   * @param {{first: number, last: number, isFirst: boolean, low: number}} band
   */
  refineBlock(component, x, y, { first, last, isFirst, low }) {
    const blocks = /** @type {Int16Array} */ (component.blocks);
    const start = (y * component.blocksAcross + x) * 64;
    if (first > 0) {
      if (!component.acCodes) throw new RangeError("no codes");
      const here = blocks.subarray(start, start + 64);
      if (isFirst) this.readBand(here, component.acCodes, first, last, low);
      else this.refineBand(here, component.acCodes, first, last, 1 << low);
    } else if (isFirst) {
      if (!component.dcCodes) throw new RangeError("no codes");
      component.before += this.readNumber(this.readSymbol(component.dcCodes));
      blocks[start] = component.before << low;
    } else if (this.readBits(1)) blocks[start] |= 1 << low;
  }

  /**
   * @param {Int16Array} here @param {Uint16Array} codes
   * @param {number} first @param {number} last @param {number} low
   */
  readBand(here, codes, first, last, low) {
    if (this.endOfBand > 0) {
      this.endOfBand--;
      return;
    }
    for (let index = first; index <= last; index++) {
      const symbol = this.readSymbol(codes);
      const [run, length] = [symbol >> 4, symbol & 15];
      if (length === 0 && run < 15) {
        this.endOfBand = (1 << run) - 1 + this.readBits(run);
        break;
      }
      index += run;
      const value = this.readNumber(length) * (1 << low);
      if (index < 64) here[ZIGZAG[index]] = value;
    }
  }

  /**
   * @param {Int16Array} here @param {Uint16Array} codes
   * @param {number} first @param {number} last @param {number} step
   */
  refineBand(here, codes, first, last, step) {
    let index = first;
    while (this.endOfBand === 0 && index <= last) {
      const symbol = this.readSymbol(codes);
      let run = symbol >> 4;
      let value = 0;
      if (symbol & 15) value = this.readBits(1) ? step : -step;
      else if (run < 15) {
        this.endOfBand = (1 << run) + this.readBits(run);
        break;
      }
      for (; index <= last; index++) {
        const place = ZIGZAG[index];
        if (here[place]) this.refine(here, place, step);
        else if (run-- === 0) break;
      }
      if (value && index <= last) here[ZIGZAG[index]] = value;
      index++;
    }
    if (this.endOfBand > 0) {
      for (; index <= last; index++) {
        if (here[ZIGZAG[index]]) this.refine(here, ZIGZAG[index], step);
      }
      this.endOfBand--;
    }
  }

  /** @param {Int16Array} here @param {number} place @param {number} step */
  refine(here, place, step) {
    if (this.readBits(1) && !(here[place] & step)) here[place] += here[place] < 0 ? -step : step;
  }

  /** Make pixels of what the scans of a progressive JPEG have brought. */
  transformBlocks() {
    for (const component of this.components) {
      const { blocks, blocksAcross, quantization, side, stride } = component;
      if (!blocks) return false;
      for (let start = 0; start < blocks.length; start += 64) {
        for (let index = 0; index < 64; index++) {
          block[ZIGZAG[index]] = blocks[start + ZIGZAG[index]] * quantization[index];
        }
        const number = start / 64;
        const [x, y] = [number % blocksAcross, Math.floor(number / blocksAcross)];
        transform(component, (y * stride + x) * side);
      }
    }
    return this.components.length > 0;
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
    const value = this.readBits(length);
    return value < 1 << (length - 1) ? value - (1 << length) + 1 : value;
  }

  /** @param {number} length */
  readBits(length) {
    this.fill();
    this.bitCount -= length;
    return (this.bits >>> this.bitCount) & ((1 << length) - 1);
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
    this.bitCount = this.zeros = this.endOfBand = 0;
    if ((this.view.getUint16(this.at) & 0xfff8) !== 0xffd0)
      throw new RangeError("no restart marker");
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
