import { extname } from "node:path";

/**
 * The URL of the worker file `name` (no extension) beside the module whose `import.meta.url` is
 * given: `.ts` when run from source, `.js` after the build, which rewrites import specifiers only.
 */
export function workerUrl(name: string, moduleUrl: string): URL {
  return new URL(`./${name}${extname(new URL(moduleUrl).pathname)}`, moduleUrl);
}
