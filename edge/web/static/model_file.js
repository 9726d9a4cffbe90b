/**
 * What a `.tflite` file says about itself: its input and output, normalization, labels, golden
 * samples. A translation of what `edge/classify.py` reads; nothing in the file is trusted.
 *
 * @typedef {object} Tensor
 * @property {number[]} shape
 * @property {string} dtype
 * @property {number} scale  value = scale * (stored - zeroPoint); 0 for what is not quantized
 * @property {number} zeroPoint
 *
 * @typedef {object} ModelFile
 * @property {Uint8Array} bytes
 * @property {Tensor[]} inputs
 * @property {Tensor[]} outputs
 * @property {{mean: number[], deviation: number[]} | null} normalization  as its metadata says
 * @property {string[] | null} labels
 * @property {Record<string, any>} manifest  `edgebee.json`; empty of a model made elsewhere
 * @property {Map<string, Uint8Array>} files  what is packed into it
 */

const DTYPES = {
  0: "float32",
  1: "float16",
  2: "int32",
  3: "uint8",
  4: "int64",
  7: "int16",
  9: "int8",
};
const MOST_MEMBER_BYTES = 1_000_000;

/** A model that cannot be used; its message says why and what to do. */
export class ModelError extends Error {}

/**
 * @param {Uint8Array} bytes
 * @returns {Promise<ModelFile>}
 */
export async function parseModelFile(bytes) {
  if (new TextDecoder().decode(bytes.subarray(4, 8)) !== "TFL3") {
    throw new ModelError("not a TFLite model; choose a .tflite file");
  }
  try {
    const files = await unpack(bytes);
    const root = Table.root(bytes);
    const graph = root.tables(2)[0]; // fields by number, as in schema.fbs
    const tensors = graph.tables(0);
    const text = files.get("edgebee.json");
    return {
      bytes,
      inputs: graph.numbers(1).map((index) => readTensor(tensors[index])),
      outputs: graph.numbers(2).map((index) => readTensor(tensors[index])),
      normalization: readNormalization(root),
      labels: readLabels(files),
      manifest: text ? JSON.parse(new TextDecoder().decode(text)) : {},
      files,
    };
  } catch (error) {
    if (error instanceof ModelError) throw error;
    throw new ModelError(`damaged (${/** @type {Error} */ (error).message}); copy it again`);
  }
}

/** @param {Table} table @returns {Tensor} */
function readTensor(table) {
  const quantization = table.table(4);
  const type = table.byte(1);
  return {
    shape: table.numbers(0),
    dtype: DTYPES[/** @type {keyof typeof DTYPES} */ (type)] ?? `type ${type}`,
    scale: quantization?.floats(2)[0] ?? 0,
    zeroPoint: quantization?.longs(3)[0] ?? 0,
  };
}

/** @param {Table} root */
function readNormalization(root) {
  for (const entry of root.tables(6)) {
    if (entry.text(0) !== "TFLITE_METADATA") continue;
    const buffer = root.tables(4)[entry.uint(1)];
    const metadata = Table.root(buffer.bytes(0));
    const tensor = metadata.tables(3)[0]?.tables(2)[0]; // of the first graph, the first input
    for (const unit of tensor?.tables(4) ?? []) {
      if (unit.byte(0) !== 1) continue; // NormalizationOptions
      const options = unit.table(1);
      const mean = options?.floats(0) ?? [];
      const deviation = options?.floats(1) ?? [];
      if (mean.length && deviation.length && !deviation.includes(0)) return { mean, deviation };
    }
    return null;
  }
  return null;
}

/** @param {Map<string, Uint8Array>} files */
function readLabels(files) {
  const lists = [...files.keys()].filter((name) => name.endsWith(".txt"));
  const name = files.has("labels.txt") ? "labels.txt" : lists.length === 1 ? lists[0] : undefined;
  if (name === undefined) return null;
  const lines = new TextDecoder().decode(files.get(name)).split(/\r\n|\r|\n/);
  return lines.map((line) => line.trim()).filter(Boolean);
}

/** A table of a flatbuffer, with its fields by number; an absent vector is empty. */
class Table {
  /** @param {DataView} view @param {number} position */
  constructor(view, position) {
    this.view = view;
    this.position = position;
  }

  /** @param {Uint8Array} bytes */
  static root(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return new Table(view, view.getUint32(0, true));
  }

  /** Where a field is; 0 if it is absent. @param {number} number */
  field(number) {
    const vtable = this.position - this.view.getInt32(this.position, true);
    const slot = 4 + 2 * number;
    if (slot >= this.view.getUint16(vtable, true)) return 0;
    const offset = this.view.getUint16(vtable + slot, true);
    return offset ? this.position + offset : 0;
  }

  /** @param {number} number */
  uint(number) {
    const field = this.field(number);
    return field ? this.view.getUint32(field, true) : 0;
  }

  /** @param {number} number */
  byte(number) {
    const field = this.field(number);
    return field ? this.view.getUint8(field) : 0;
  }

  /**
   * The places of a vector's elements.
   * @param {number} number
   * @param {number} bytes  of an element
   */
  places(number, bytes) {
    const field = this.field(number);
    if (!field) return [];
    const start = field + this.view.getUint32(field, true);
    const count = this.view.getUint32(start, true);
    if (start + 4 + count * bytes > this.view.byteLength) {
      throw new RangeError("a vector leads out of the file");
    }
    return Array.from({ length: count }, (_, index) => start + 4 + index * bytes);
  }

  /** @param {number} number */
  numbers(number) {
    return this.places(number, 4).map((place) => this.view.getInt32(place, true));
  }

  /** @param {number} number */
  floats(number) {
    return this.places(number, 4).map((place) => this.view.getFloat32(place, true));
  }

  /** @param {number} number */
  longs(number) {
    return this.places(number, 8).map((place) => Number(this.view.getBigInt64(place, true)));
  }

  /** @param {number} number */
  tables(number) {
    const places = this.places(number, 4);
    return places.map((place) => new Table(this.view, place + this.view.getUint32(place, true)));
  }

  /** @param {number} number */
  table(number) {
    const field = this.field(number);
    return field ? new Table(this.view, field + this.view.getUint32(field, true)) : null;
  }

  /** @param {number} number */
  bytes(number) {
    const field = this.field(number);
    if (!field) return new Uint8Array();
    const start = field + this.view.getUint32(field, true);
    const count = this.view.getUint32(start, true);
    return new Uint8Array(this.view.buffer, this.view.byteOffset + start + 4, count);
  }

  /** @param {number} number */
  text(number) {
    return new TextDecoder().decode(this.bytes(number));
  }
}

/**
 * The files in the zip behind a model; none is large.
 * @param {Uint8Array} bytes
 * @returns {Promise<Map<string, Uint8Array>>}
 */
async function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  const end = findZipEnd(view);
  if (end < 0) return files;
  const directoryBytes = view.getUint32(end + 12, true);
  // Offsets count from where the zip begins, which is not where the file does.
  const shift = end - directoryBytes - view.getUint32(end + 16, true);
  let entry = end - directoryBytes;
  for (let number = Math.min(view.getUint16(end + 10, true), 100); number > 0; number--) {
    if (view.getUint32(entry, true) !== 0x02014b50)
      throw new RangeError("its zip has no directory");
    const nameBytes = view.getUint16(entry + 28, true);
    const name = new TextDecoder().decode(bytes.subarray(entry + 46, entry + 46 + nameBytes));
    const packedBytes = view.getUint32(entry + 20, true);
    const header = shift + view.getUint32(entry + 42, true);
    if (view.getUint32(entry + 24, true) <= MOST_MEMBER_BYTES) {
      const start =
        header + 30 + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
      const packed = bytes.subarray(start, start + packedBytes);
      files.set(name, view.getUint16(entry + 10, true) === 8 ? await inflate(packed) : packed);
    }
    entry += 46 + nameBytes + view.getUint16(entry + 30, true) + view.getUint16(entry + 32, true);
  }
  return files;
}

/** @param {DataView} view */
function findZipEnd(view) {
  const longestComment = 65535;
  for (let at = view.byteLength - 22; at >= 0 && at > view.byteLength - 22 - longestComment; at--) {
    if (view.getUint32(at, true) === 0x06054b50) return at;
  }
  return -1;
}

/** @param {Uint8Array} packed */
async function inflate(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
