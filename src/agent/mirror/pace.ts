import type { ServerResponse } from "node:http";

/**
 * Cuts a response whose reader took nothing of it for `mostMs`: it would hold its memory, and its
 * model, for as long as it likes. Ends when disposed.
 */
export function requirePace(response: ServerResponse, mostMs: number): Disposable {
  let before = -1;
  const timer = setInterval(() => {
    const sent = response.socket?.bytesWritten ?? 0;
    if (sent === before) response.destroy();
    before = sent;
  }, mostMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
