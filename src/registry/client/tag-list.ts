import { isRecord } from "../../core/chunk-index.ts";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import type { Abortable } from "../../core/progress.ts";
import { discard, header, readBody } from "./http/answer.ts";
import { retrying } from "./http/retry.ts";
import type { Session } from "./session.ts";

const maxPageBytes = 8_388_608;
const maxPages = 1000;

/**
 * All tags of the repository, page by page (distribution-spec 1.1, "Listing Tags"); none when it
 * does not exist. Rejects with REGISTRY_PROTOCOL on pages that repeat, lead elsewhere or never end.
 */
export async function listTags(session: Session, { signal }: Abortable = {}): Promise<string[]> {
  const what = `tags of ${session.host}/${session.repository}`;
  const refuse = (why: string) =>
    new ModelError("REGISTRY_PROTOCOL", `${what}: ${session.origin.host} ${why}`);
  const tags = new Set<string>();
  const seen = new Set<string>();
  let next: URL | undefined = session.url("tags/list");
  while (next !== undefined) {
    const url: URL = next;
    if (seen.has(url.href)) throw refuse("sends the same page again and again");
    if (seen.size === maxPages) throw refuse(`has more than ${maxPages} pages of them`);
    if (url.origin !== session.origin.origin) throw refuse(`continues them at ${url.host}`);
    seen.add(url.href);
    const page = await retrying(session.retry, signal, () => readPage(session, url, what, signal));
    for (const tag of page.tags) tags.add(tag);
    next = page.next;
  }
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

/** The target of `rel="next"` in a Link header (RFC 8288). */
export function nextPage(link: string | undefined, base: URL): URL | undefined {
  for (const [, target = "", parameters = ""] of (link ?? "").matchAll(/<([^<>]*)>([^<]*)/g))
    if (/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(parameters))
      return URL.canParse(target, base.href) ? new URL(target, base) : undefined;
  return undefined;
}
