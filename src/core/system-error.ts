import { ModelError, systemCode } from "./errors.ts";
import { describeFullDisk, mountPoint } from "./full-disk.ts";

/** The next step where files of this machine fail, by the system's code. */
const hints: Readonly<Record<string, string>> = {
  EACCES: "check who owns that path, or choose another place",
  EPERM: "check who owns that path, or choose another place",
  EROFS: "that filesystem is read-only: make it writable, or choose another place",
  ENAMETOOLONG: "choose a place with a shorter path",
  ENOTCONN: "the server of that mount is gone: mount it again, or choose another place",
  ESTALE: "the server of that mount has lost the file: mount it again, or choose another place",
  EIO: "the disk or the mount is failing: see the system's log; `ballast store verify` finds what is damaged in a store, and the next pull fetches it",
  EUCLEAN: "the filesystem is damaged: check it with its fsck",
};

/**
 * Turns a failure of the local filesystem into a ModelError: NO_SPACE when space, inodes or quota
 * are used up, with the numbers; STORE_IO for the rest. What is no system error is returned as it
 * is. `places` are the folders the work was about, for failures that name no path themselves.
 */
export function describeSystemError(error: unknown, places: readonly string[] = []): unknown {
  const code = systemCode(error);
  if (!(error instanceof Error) || code === undefined || error instanceof ModelError) return error;
  if (!/^E[A-Z0-9]+$/.test(code)) return error;
  const path = pathOf(error);
  if (isFull(code)) return noSpace(error, { code, places: placesOf(path, places) });
  const where = path === undefined && places.length > 0 ? ` at ${places.join(" or ")}` : "";
  return new ModelError(
    "STORE_IO",
    `a local file${where} could not be used: ${wordsOf(error, code)}`,
    { hint: hints[code], cause: error },
  );
}

/**
 * Runs work on the disk; a system error becomes NO_SPACE or STORE_IO that says what was being done,
 * at `place` where the system does not say. Other errors pass.
 */
export async function onDisk<T>(what: string, work: () => Promise<T>, place?: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = systemCode(error);
    const fromSystem = error instanceof Error && "syscall" in error;
    if (!fromSystem || code === undefined) throw error;
    const places = placesOf(pathOf(error), place === undefined ? [] : [place]);
    if (isFull(code)) throw noSpace(error, { code, places, what });
    throw new ModelError("STORE_IO", `${what}: ${code}`, { hint: hints[code], cause: error });
  }
}

/** Tells whether a failure means that space, inodes or quota are used up. */
export function isFullDisk(error: unknown): boolean {
  return isFull(systemCode(error) ?? "");
}

function isFull(code: string): boolean {
  return code === "ENOSPC" || code === "EDQUOT";
}

function noSpace(
  error: Error,
  context: { readonly code: string; readonly places: readonly string[]; readonly what?: string },
): ModelError {
  const { code, places, what } = context;
  const at = places[0] === undefined ? "" : ` at ${places[0]}`;
  const full =
    code === "EDQUOT"
      ? `the disk quota${at} is used up`
      : (describeFullDisk(places) ?? `the disk${at} is full`);
  const during = what === undefined ? ` (${wordsOf(error, code)})` : "";
  return new ModelError("NO_SPACE", `${what === undefined ? "" : `${what}: `}${full}${during}`, {
    hint: "free some there and run the same command again: it continues where it stopped",
    cause: error,
  });
}

/** The path that could not be written, where the system names one. */
function pathOf(error: Error): string | undefined {
  for (const name of ["dest", "path", "address"]) {
    const path: unknown = Reflect.get(error, name);
    if (typeof path === "string") return path;
  }
  return undefined;
}

/** Of `places` the one that holds `path`, by which the user knows it; else its filesystem. */
function placesOf(path: string | undefined, places: readonly string[]): readonly string[] {
  if (path === undefined) return places;
  const place = places.find((each) => path === each || path.startsWith(`${each}/`));
  return [place ?? mountPoint(path)];
}

/** Node has no words for numbers that libuv does not know. */
function wordsOf(error: Error, code: string): string {
  if (!/^unknown/i.test(error.message)) return error.message;
  const path = pathOf(error);
  return `${code}, ${String(Reflect.get(error, "syscall"))}${path === undefined ? "" : ` '${path}'`}`;
}
