/**
 * Where the page's large files come from: beside it, or, of the page in one file, out of itself.
 */

/** Whether the page is one file. */
export const IS_SINGLE_FILE = document.querySelector("[data-asset]") !== null;

/**
 * @param {string} path  seen from the page
 * @returns {Promise<Uint8Array>}
 */
export async function loadAsset(path) {
  const inside = document.querySelector(`[data-asset="${CSS.escape(path)}"]`);
  if (inside) return unzip(fromBase64(inside.textContent ?? ""));
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: HTTP status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {string} text */
function fromBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** @param {Uint8Array} packed */
async function unzip(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
