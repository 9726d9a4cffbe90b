/**
 * What LiteRT.js wants of its package `@litertjs/wasm-utils`: start the WebAssembly module. Its own
 * loader takes addresses only; this one also takes what a page in one file has in itself.
 */

/** @type {Uint8Array | undefined} */
let wasmBinary;

/**
 * Take the WebAssembly from memory instead of from beside the page.
 * @param {Uint8Array} bytes
 */
export function useWasmBinary(bytes) {
  wasmBinary = bytes;
}

/**
 * @template Library
 * @param {new (module: any) => Library} makeLibrary
 * @param {string} script  address of what Emscripten made; the page in one file has it already
 * @returns {Promise<Library>}
 */
export async function createWasmLib(makeLibrary, script) {
  const scope = /** @type {any} */ (self);
  if (!scope.ModuleFactory) await runScript(script);
  const folder = script.slice(0, script.lastIndexOf("/") + 1);
  const module = await scope.ModuleFactory({
    wasmBinary,
    locateFile: (/** @type {string} */ name) => folder + name,
    printErr: (/** @type {string} */ line) => {
      if (!line.startsWith("INFO:")) console.warn(line);
    },
  });
  return new makeLibrary(module);
}

/** @param {string} address @returns {Promise<void>} */
function runScript(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => resolve();
    script.onerror = () => reject(new Error(`${address} is missing`));
    document.head.append(script);
  });
}
