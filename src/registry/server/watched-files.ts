import { readFile, stat } from "node:fs/promises";
import { ModelError, systemCode } from "../../core/errors.ts";

/** The content of files that may change while the registry runs. */
export interface WatchedFiles<T> {
  /** What they say now. When they changed and are broken: what they said before. */
  current(): Promise<T>;
  /** Reads them again, changed or not. */
  reload(): Promise<void>;
}

export interface WatchedFilesOptions<T> {
  readonly paths: readonly string[];
  /** Makes something of the texts, in the order of the paths. Throws when they are broken. */
  readonly parse: (texts: readonly string[]) => T;
  /** Hears of files that changed and are broken, once for each change. Must not throw. */
  readonly onFault: (error: unknown) => void;
}

const maxFileBytes = 4_194_304;

/** Reads the files. Rejects with INVALID_ARGUMENT, or what `parse` throws, when they are broken now. */
export async function watchFiles<T>({
  paths,
  parse,
  onFault,
}: WatchedFilesOptions<T>): Promise<WatchedFiles<T>> {
  const read = async () => parse(await Promise.all(paths.map(readText)));
  let stamp = await stampOf(paths);
  let value = await read();
  let looking: Promise<void> | undefined;

  const look = async (always: boolean) => {
    const now = await stampOf(paths);
    if (now === stamp && !always) return;
    stamp = now;
    try {
      value = await read();
    } catch (error) {
      onFault(error);
    }
  };
  return {
    // Requests that come at once share one look.
    current: async () => {
      looking ??= look(false).finally(() => (looking = undefined));
      await looking;
      return value;
    },
    reload: () => look(true),
  };
}

/** Changes whenever one of the files does. */
async function stampOf(paths: readonly string[]): Promise<string> {
  const stamps = paths.map(async (path) => {
    const found = await stat(path).catch(() => undefined);
    return found === undefined ? "none" : `${found.ino} ${found.size} ${found.mtimeMs}`;
  });
  return (await Promise.all(stamps)).join("\n");
}

async function readText(path: string): Promise<string> {
  const refuse = (why: string, cause?: unknown) =>
    new ModelError("INVALID_ARGUMENT", `${path} cannot be read: ${why}`, { cause });
  try {
    const { size } = await stat(path);
    if (size > maxFileBytes) throw refuse(`it has more than ${maxFileBytes} bytes`);
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof ModelError) throw error;
    throw refuse(systemCode(error) ?? "unknown error", error);
  }
}
