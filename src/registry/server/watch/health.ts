import { readlink, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCode } from "../../../core/errors.ts";
import { ownProcess } from "../../../core/process-identity.ts";
import type { DiskWatermark } from "../bounds/disk-watermark.ts";
import { answerJson, type Exchange } from "../exchange.ts";

/** Tells those who watch the registry how it is. */
export interface Health {
  /** From now on it is to be sent no requests. */
  stop(): void;
  /**
   * Answers `/healthz` (it runs), `/readyz/read` (it may be read) and `/readyz` (it may be written to
   * as well): 200, or 503 with why not. Resolves to false for any other path.
   */
  answer(asked: Pick<Exchange, "response"> & { readonly path: string }): Promise<boolean>;
}

export function createHealth(root: string, watermark: DiskWatermark): Health {
  let stopping = false;
  let trying: ReturnType<typeof writeFault> | undefined;
  const forReading = async () => [
    ...(stopping ? ["the registry is stopping"] : []),
    ...((await isOthers(root)) ? ["another process serves its folder"] : []),
  ];
  const forWriting = async () => {
    const shortage = await watermark.shortage().catch(() => "the disk cannot be asked");
    // Nobody needs a login to ask: however many do, the disk is tried once at a time.
    trying ??= writeFault(root).finally(() => (trying = undefined));
    const fault = await trying;
    return [await forReading(), shortage ?? [], fault ?? []].flat();
  };
  const checks: Readonly<Record<string, () => Promise<string[]>>> = {
    "/healthz": () => Promise.resolve([]),
    "/readyz/read": forReading,
    "/readyz": forWriting,
  };
  return {
    stop: () => void (stopping = true),
    answer: async ({ response, path }) => {
      const check = Object.hasOwn(checks, path) ? checks[path] : undefined;
      if (check === undefined) return false;
      const faults = await check();
      response.statusCode = faults.length === 0 ? 200 : 503;
      answerJson({ response }, { ok: faults.length === 0, faults });
      return true;
    },
  };
}

/** Where the folder has a lock, it is ours. */
async function isOthers(root: string): Promise<boolean> {
  const holder = await readlink(join(root, ".lock")).catch(() => undefined);
  return holder !== undefined && holder !== ownProcess();
}

/** Tries it: rights and mounts can be read, a failing disk cannot. */
async function writeFault(root: string): Promise<string | undefined> {
  const path = join(root, `.ready.${ownProcess()}`);
  try {
    await writeFile(path, "");
    await rm(path, { force: true });
    return undefined;
  } catch (error) {
    return `the folder cannot be written to: ${systemCode(error) ?? "unknown error"}`;
  }
}
