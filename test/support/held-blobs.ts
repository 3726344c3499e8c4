import type { Exchange, RecordingProxy } from "./recording-proxy.ts";

/** Requests for blobs that wait behind a proxy. */
export interface HeldBlobs {
  /** Resolves when the first that is held back has come. */
  readonly asked: Promise<void>;
  /** Lets all through, from now on. */
  readonly release: () => void;
}

/** Whether a request is for bytes of a model. */
function isBlobGet({ method, url }: Pick<Exchange, "method" | "url">): boolean {
  return method === "GET" && url.includes("/blobs/");
}

/** Lets so many requests for blobs through, and holds the others back until released. */
export function holdBlobs(proxy: RecordingProxy, after = 0): HeldBlobs {
  const asked = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  let count = 0;
  proxy.beforePass = async (exchange) => {
    if (!isBlobGet(exchange)) return;
    count += 1;
    if (count <= after) return;
    asked.resolve();
    await held.promise;
  };
  return { asked: asked.promise, release: () => held.resolve() };
}

/** Bytes of blobs that came through a proxy. */
export function blobBytes({ exchanges }: RecordingProxy): number {
  return exchanges.filter(isBlobGet).reduce((sum, { responseBytes }) => sum + responseBytes, 0);
}
