import { ModelError } from "./errors.ts";

/** Longest path in a model, in UTF-8 bytes; Linux's PATH_MAX leaves room for the folder it lands in. */
export const maxPathBytes = 3072;
const maxSegmentBytes = 255;
const maxDepth = 64;

/** Why `path` cannot name a file of a model, or undefined when it can. */
export function pathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (!path.isWellFormed()) return "is not valid Unicode";
  if (path.includes("\0")) return "has a NUL byte";
  if (path.startsWith("/")) return "is absolute";
  // Before it is normalized: for a run of combining marks that takes time that grows with its square.
  if (Buffer.byteLength(path) > maxPathBytes) return `is longer than ${maxPathBytes} bytes`;
  if (path !== path.normalize("NFC")) return "is not in Unicode NFC form";
  const segments = path.split("/");
  if (segments.length > maxDepth) return `is deeper than ${maxDepth} folders`;
  for (const segment of segments) {
    if (segment === "") return "has an empty segment";
    if (segment === "." || segment === "..") return `has a "${segment}" segment`;
    if (Buffer.byteLength(segment) > maxSegmentBytes)
      return `has a name longer than ${maxSegmentBytes} bytes`;
  }
  return undefined;
}

/**
 * Checks the paths of one model together: each valid, none twice, none both a file and a folder.
 * Throws INVALID_PATH naming the first bad one and `where` it stands.
 */
export function checkModelPaths(paths: readonly string[], where: string): void {
  const files = new Set<string>();
  for (const path of paths) {
    const problem = pathProblem(path);
    if (problem !== undefined) throw badPath(path, problem, where);
    if (files.has(path)) throw badPath(path, "is there twice", where);
    files.add(path);
  }
  for (const path of paths) {
    for (let cut = path.lastIndexOf("/"); cut > 0; cut = path.lastIndexOf("/", cut - 1)) {
      const folder = path.slice(0, cut);
      if (files.has(folder)) throw badPath(folder, "is both a file and a folder", where);
    }
  }
}

/** Groups of paths that differ only in case: they cannot live together on macOS or Windows. */
export function caseCollisions(paths: readonly string[]): string[][] {
  const groups = Map.groupBy(paths, (path) => path.toLowerCase());
  return [...groups.values()].filter((group) => group.length > 1);
}

/** Orders paths by their UTF-8 bytes, the same on every machine and locale. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function badPath(path: string, problem: string, where: string): ModelError {
  return new ModelError("INVALID_PATH", `path ${quotePath(path)} in ${where} ${problem}`);
}

/** A path for a message: quoted, control characters escaped, long ones cut. */
export function quotePath(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}...` : path);
}
