import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ModelError, systemCode } from "../../core/errors.ts";
import { lockHolder, tryFileLock } from "../../core/file-lock.ts";
import { processFate } from "../../core/process-identity.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";

/** Longer than a lock lives whose holder ran in another container and cannot be asked. */
const unknownHolderMs = 35_000;
const pauseMs = 250;

/**
 * Makes this process the only server of a registry's folder, until it is disposed. The lock of a
 * dead process counts for nothing; that of one in another container or on another host does for 30
 * seconds, which are waited for. Rejects with STORE_LOCKED that names the holder. A folder that is
 * read-only needs no lock: undefined.
 */
export async function lockRoot(
  root: string,
  { signal }: Abortable = {},
): Promise<AsyncDisposable | undefined> {
  // No repository's name begins with a dot.
  const path = join(root, ".lock");
  const deadline = performance.now() + unknownHolderMs;
  for (;;) {
    signal?.throwIfAborted();
    const lock = await onDisk(`lock of ${root}`, () => tryFileLock(path).catch(unlessReadOnly));
    if (lock === "read-only") return undefined;
    if (lock !== undefined) return lock;
    const holder = await lockHolder(path);
    if (holder === undefined) continue;
    if (processFate(holder) === "alive" || performance.now() > deadline)
      throw rootInUse(root, holder);
    await delay(pauseMs, undefined, { signal });
  }
}

function unlessReadOnly(error: unknown): "read-only" {
  if (systemCode(error) !== "EROFS") throw error;
  return "read-only";
}

function rootInUse(root: string, holder: string): ModelError {
  const [host, , , pid] = holder.split(".");
  const who =
    processFate(holder) === "alive"
      ? `process ${pid} of this host`
      : `process ${pid} in another container or on another host (${host})`;
  return new ModelError("STORE_LOCKED", `${root} is served by ${who}`, {
    hint: "stop that registry first, or give this one a folder of its own",
  });
}
