import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { parseContentRange } from "./content-range.ts";
import { type Answer, contentLength, discard, header } from "./http/answer.ts";
import { refusal } from "./http/refusal.ts";
import type { Session } from "./session.ts";

/**
 * A blob's size in bytes, undefined when it is not there: HEAD, and where that says nothing (no
 * Content-Length, storage whose URL is signed for GET only) a GET of the first byte. One try.
 */
export async function readBlobSize(
  session: Session,
  digest: ContentDigest,
  { signal }: Abortable,
): Promise<number | undefined> {
  const what = `blob ${digest} of ${session.host}/${session.repository}`;
  const url = session.url(`blobs/${digest}`);
  const head = await session.call({
    method: "HEAD",
    url,
    headers: { "accept-encoding": "identity" },
    accept: [200, 403, 404, 405],
    what,
    signal,
  });
  await discard(head);
  if (head.status === 404) return undefined;
  if (head.status === 403 && head.url.origin === url.origin) throw await refusal(head, { what });
  const size = head.status === 200 ? contentLength(head) : undefined;
  if (size !== undefined) return size;
  const get = await session.call({
    method: "GET",
    url,
    headers: { "accept-encoding": "identity", range: "bytes=0-0" },
    accept: [200, 206, 404, 416],
    what,
    signal,
  });
  get.body.on("error", () => undefined).destroy(); // A server that ignores Range sends everything.
  return get.status === 404 ? undefined : statedSize(get, what);
}

function statedSize(answer: Answer, what: string): number {
  const size =
    answer.status === 200
      ? contentLength(answer)
      : parseContentRange(header(answer, "content-range"))?.size;
  if (size === undefined)
    throw new ModelError(
      "REGISTRY_PROTOCOL",
      `${what}: ${answer.url.host} does not say how large it is`,
    );
  return size;
}
