import { randomBytes } from "node:crypto";
import { chmod, mkdir, rename, rm, stat } from "node:fs/promises";
import type { Server } from "node:http";
import { dirname } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { withShortPath } from "../../core/short-path.ts";

/**
 * Has a server listen at a unix socket; whoever listened there before is replaced without a gap. It
 * is bound under a name of its own and renamed, since a server that closes removes the name it was
 * bound to, even when that is another's by then. Disposing removes the name if it is still its own and
 * closes the server, with `drainMs` for what it is answering.
 */
export async function listenUnix(
  server: Server,
  path: string,
  { drainMs }: { readonly drainMs: number },
): Promise<AsyncDisposable> {
  await mkdir(dirname(path), { recursive: true, mode: 0o750 });
  const own = `${path}.${randomBytes(4).toString("hex")}`;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  await withShortPath(own, async (short) => {
    server.listen(short, resolve);
    await promise;
  });
  // Who may enter the folder may connect.
  await chmod(own, 0o660);
  const { ino } = await stat(own);
  await rename(own, path);
  return {
    [Symbol.asyncDispose]: async () => {
      const there = await stat(path).catch(undefinedIfMissing);
      if (there?.ino === ino) await rm(path, { force: true });
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed.promise;
      clearTimeout(timer);
    },
  };
}
