import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { retrying } from "./http/retry.ts";
import type { Session } from "./session.ts";

/** No page of a list is larger (8 MiB). */
export const maxPageBytes = 8_388_608;
const maxPages = 1000;

export interface PagesOptions extends Abortable {
  /** The list, for messages. */
  readonly what: string;
  /** Asks for one page, once; resolves to where the next one is. */
  readonly read: (url: URL) => Promise<URL | undefined>;
}

/**
 * Reads a list page by page from `first` on. Rejects with REGISTRY_PROTOCOL on pages that repeat, lead
 * elsewhere or never end.
 */
export async function readPages(
  session: Session,
  first: URL,
  { what, read, signal }: PagesOptions,
): Promise<void> {
  const refuse = (why: string) =>
    new ModelError("REGISTRY_PROTOCOL", `${what}: ${session.origin.host} ${why}`);
  const seen = new Set<string>();
  let next: URL | undefined = first;
  while (next !== undefined) {
    const url: URL = next;
    if (seen.has(url.href)) throw refuse("sends the same page again and again");
    if (seen.size === maxPages) throw refuse(`has more than ${maxPages} pages of them`);
    if (url.origin !== session.origin.origin) throw refuse(`continues them at ${url.host}`);
    seen.add(url.href);
    next = await retrying(session.retry, signal, () => read(url));
  }
}

/** The target of `rel="next"` in a Link header (RFC 8288). */
export function nextPage(link: string | undefined, base: URL): URL | undefined {
  for (const [, target = "", parameters = ""] of (link ?? "").matchAll(/<([^<>]*)>([^<]*)/g))
    if (/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(parameters))
      return URL.canParse(target, base.href) ? new URL(target, base) : undefined;
  return undefined;
}
