import { join } from "node:path";
import { mountNew } from "./disk-mounts.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";
import type { Mounted } from "./store-folders.ts";

/** A mount whose files another process serves. */
export interface FuseMount extends Mounted {
  readonly server: ProgramProcess | undefined;
}

/** Mounts an empty folder through FUSE, as a program would that calls itself `type` (`fuse.sshfs`). */
export async function mountFuse(type: string, source: string): Promise<FuseMount> {
  const program = join(import.meta.dirname, "child-fuse.ts");
  let server: ProgramProcess | undefined;
  const mounted = await mountNew(async (path) => {
    const command = [process.execPath, program, type, source, path] as const;
    const started = await startProgram(command, { ready: /^mounted$/m, timeoutMs: 30_000 });
    server = started.process;
  });
  return {
    path: mounted.path,
    server,
    [Symbol.asyncDispose]: async () => {
      await mounted[Symbol.asyncDispose]();
      await server?.kill();
    },
  };
}
