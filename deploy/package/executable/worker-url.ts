import { getAsset } from "node:sea";

/** In place of src/core/worker-url.ts: the code of a thread is inside the executable. */
export function workerUrl(name: string): URL {
  // Stack traces name the worker, not all of its code.
  const code = `${getAsset(`${name}.js`, "utf8")}\n//# sourceURL=${name}.js\n`;
  return new URL(`data:text/javascript;base64,${Buffer.from(code).toString("base64")}`);
}
