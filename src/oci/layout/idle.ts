/**
 * Calls `forget` when nobody called what this returns for `idleMs` (default a minute), so that a
 * server of many repositories keeps in memory only those in use. It keeps no process alive.
 */
export function whenIdle(forget: () => void, idleMs = 60_000): () => void {
  let timer: NodeJS.Timeout | undefined;
  return () => {
    timer ??= setTimeout(forget, idleMs).unref();
    timer.refresh();
  };
}
