import { isRecord } from "../../core/chunk-index.ts";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import type { Abortable } from "../../core/progress.ts";
import { discard, header, readBody } from "./http/answer.ts";
import { maxPageBytes, nextPage, readPages } from "./pages.ts";
import type { Session } from "./session.ts";

/**
 * All tags of the repository, page by page (distribution-spec 1.1, "Listing Tags"); none when it
 * does not exist. Rejects like `readPages`.
 */
export async function listTags(session: Session, { signal }: Abortable = {}): Promise<string[]> {
  const what = `tags of ${session.host}/${session.repository}`;
  const tags = new Set<string>();
  const read = async (url: URL) => {
    const page = await readPage(session, url, what, signal);
    for (const tag of page.tags) tags.add(tag);
    return page.next;
  };
  await readPages(session, session.url("tags/list"), { what, read, signal });
  return [...tags];
}

async function readPage(
  session: Session,
  url: URL,
  what: string,
  signal: AbortSignal | undefined,
): Promise<{ tags: string[]; next: URL | undefined }> {
  const answer = await session.call({ method: "GET", url, accept: [200, 404], what, signal });
  if (answer.status === 404) {
    await discard(answer);
    return { tags: [], next: undefined };
  }
  const bytes = await readBody(answer, maxPageBytes, { what, signal });
  if (bytes === undefined)
    throw new ModelError(
      "REGISTRY_PROTOCOL",
      `${what}: a page is larger than ${maxPageBytes} bytes`,
    );
  const root = parseJson(bytes, { maxBytes: maxPageBytes, what, code: "REGISTRY_PROTOCOL" });
  const listed = isRecord(root) ? (root["tags"] ?? []) : undefined;
  if (!Array.isArray(listed))
    throw new ModelError("REGISTRY_PROTOCOL", `${what}: the answer is no list of tags`);
  const tags = listed.filter((tag): tag is string => typeof tag === "string");
  return { tags, next: nextPage(header(answer, "link"), url) };
}
