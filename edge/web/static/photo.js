/**
 * Reading photos with the browser's decoders, as `decode_image` in `edge/classify.py` does with
 * Pillow's: the pixels as they are stored, and what turns them upright.
 *
 * @typedef {import("./preprocess.js").DecodedImage} DecodedImage
 */

import { decodeShrunk } from "./jpeg.js";
import { asRgb, reduce, resizeImage } from "./preprocess.js";

const STRIP_PIXELS = 2_000_000; // phones refuse large canvases
const EXIF_ORIENTATION = 0x0112;

/** A photo that cannot be read; its message says why and what to do. */
export class PhotoError extends Error {}

/**
 * Read a photo the one way edgebee does.
 * @param {Blob} file
 * @param {[number, number]} size  height and width to reach
 * @returns {Promise<Uint8Array>}  `[height, width, 3]`, RGB, 0-255
 */
export async function readPhoto(file, size) {
  return resizeImage(await decodePhoto(file, size), size);
}

/**
 * @param {Blob} file
 * @param {[number, number]} size
 * @returns {Promise<DecodedImage>}
 */
export async function decodePhoto(file, size) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff;
  // The browser would turn the picture upright before it is scaled, Pillow turns it afterwards.
  const orientation = isJpeg ? takeOrientation(bytes) : 1;
  const shrunk = isJpeg ? decodeShrunk(bytes, (stored) => draftFactor(stored, size)) : null;
  if (shrunk) return { ...shrunk, orientation };
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }), {
      colorSpaceConversion: "none",
    });
  } catch {
    const known = isJpeg || isPng(bytes);
    throw new PhotoError(
      known
        ? "damaged or cut short; copy it again"
        : "this browser cannot read it; save it as JPEG or PNG",
    );
  }
  try {
    return { ...decodeBitmap(bitmap, isJpeg ? draftFactor(bitmap, size) : 1), orientation };
  } finally {
    bitmap.close();
  }
}

/** @param {Uint8Array} bytes */
function isPng(bytes) {
  return [0x89, 0x50, 0x4e, 0x47].every((byte, place) => bytes[place] === byte);
}

/**
 * How much Pillow shrinks a JPEG while it decodes it (`Image.draft`).
 * @param {{width: number, height: number}} stored
 * @param {[number, number]} size
 */
function draftFactor({ width, height }, size) {
  const side = Math.max(...size);
  const possible = Math.min(Math.floor(width / side), Math.floor(height / side));
  return [8, 4, 2].find((factor) => possible >= factor) ?? 1;
}

/**
 * The pixels of a bitmap, transparency on white, shrunk by a whole number: what comes nearest to a
 * JPEG decoder that shrinks, for those that `jpeg.js` does not read.
 * @param {ImageBitmap} bitmap
 * @param {number} factor
 * @returns {DecodedImage}
 */
function decodeBitmap(bitmap, factor) {
  const width = Math.ceil(bitmap.width / factor);
  const height = Math.ceil(bitmap.height / factor);
  const data = new Uint8Array(width * height * 3);
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / bitmap.width / factor)) * factor;
  const context = makeContext(bitmap.width, Math.min(rows, bitmap.height));
  for (let top = 0; top < bitmap.height; top += rows) {
    const strip = readStrip(context, bitmap, top, Math.min(rows, bitmap.height - top));
    const part = factor === 1 ? asRgb(strip) : reduce(strip, factor, factor, undefined, 4);
    data.set(part.data, (top / factor) * width * 3);
  }
  return {
    data,
    width,
    height,
    pictureWidth: bitmap.width / factor,
    pictureHeight: bitmap.height / factor,
  };
}

/** @param {number} width @param {number} height */
function makeContext(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  // Without willReadFrequently a graphics card may draw it, each in its own way.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new PhotoError("this device has no memory for it; choose a smaller photo");
  context.fillStyle = "white";
  return context;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {ImageBitmap} bitmap
 * @param {number} top
 * @param {number} rows
 */
function readStrip(context, bitmap, top, rows) {
  const width = bitmap.width;
  context.fillRect(0, 0, width, rows);
  context.drawImage(bitmap, 0, top, width, rows, 0, 0, width, rows);
  return context.getImageData(0, 0, width, rows);
}

/** Reads the frames of a camera; the part of them that counts, no more. */
export class FrameReader {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
    this.context = makeContext(1, 1);
  }

  /**
   * The frame that is shown now, as `readPhoto` would read it.
   * @param {[number, number]} size
   */
  read(size) {
    const { videoWidth: width, videoHeight: height } = this.video;
    const { canvas } = this.context;
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    this.context.drawImage(this.video, 0, 0);
    const frame = this.context.getImageData(0, 0, width, height);
    return resizeImage(asRgb(frame), size);
  }
}

/**
 * Read the EXIF orientation of a JPEG, and set it to upright in the bytes.
 * @param {Uint8Array} bytes  changed in place
 * @returns {number}  1-8; 1 where there is none, or it cannot be read
 */
export function takeOrientation(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    for (let at = 2; view.getUint8(at) === 0xff; at += 2 + view.getUint16(at + 2)) {
      const isExif = view.getUint8(at + 1) === 0xe1 && view.getUint32(at + 4) === 0x45786966;
      if (isExif) return takeTiffOrientation(view, at + 10); // behind "Exif\0\0"
      if (view.getUint8(at + 1) === 0xda) break; // the picture begins
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // it leads out of the file
  }
  return 1;
}

/** @param {DataView} view @param {number} start  where the TIFF header is */
function takeTiffOrientation(view, start) {
  const little = view.getUint16(start) === 0x4949;
  const directory = start + view.getUint32(start + 4, little);
  const count = view.getUint16(directory, little);
  for (let entry = directory + 2; entry < directory + 2 + 12 * count; entry += 12) {
    if (view.getUint16(entry, little) !== EXIF_ORIENTATION) continue;
    const orientation = view.getUint16(entry + 8, little);
    view.setUint16(entry + 8, 1, little);
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
  }
  return 1;
}
