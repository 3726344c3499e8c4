import type { ContentDigest } from "../../../core/digest.ts";
import { ModelError } from "../../../core/errors.ts";
import type { Abortable } from "../../../core/progress.ts";
import { type ContentDescriptor, readContentDescriptor } from "../../../oci/descriptor.ts";
import type { ReferrerReader } from "../../../oci/repository.ts";
import { type Answer, discard, header, readBody } from "../http/answer.ts";
import { maxPageBytes, nextPage, readPages } from "../pages.ts";
import type { Session } from "../session.ts";
import { type IndexEntry, parseReferrersIndex } from "./referrers-index.ts";
import type { ReferrersTags } from "./referrers-tags.ts";

type ListOptions = Abortable & { readonly artifactType?: string | undefined };

/** What registries answer that do not know the API; the tag schema then tells what is true. */
const unknownApi = [400, 404, 405, 406, 501];
const maxReferrers = 100_000;
/** All pages of one list together (64 MiB). */
const maxListBytes = 67_108_864;

/** Lists referrers by the API (distribution-spec 1.1, "Listing Referrers"), or by their tag. */
export function createReferrerReader(session: Session, tags: ReferrersTags): ReferrerReader {
  return {
    async listReferrers(subject, options = {}) {
      const listed = await listByApi(session, subject, options);
      if (listed !== undefined) return listed;
      const { entries } = await tags.read(subject, options);
      return [...keepType(entries.values(), options.artifactType)];
    },
  };
}

/** Undefined where the registry has no such API. */
async function listByApi(
  session: Session,
  subject: ContentDigest,
  { artifactType, signal }: ListOptions,
): Promise<ContentDescriptor[] | undefined> {
  const what = `referrers of ${subject} in ${session.host}/${session.repository}`;
  const first = session.url(`referrers/${subject}`);
  if (artifactType !== undefined) first.searchParams.set("artifactType", artifactType);
  const found = new Map<ContentDigest, ContentDescriptor>();
  let isKnown = true;
  let bytes = 0;
  const read = async (url: URL) => {
    const page = await readPage(session, url, what, signal);
    if (page === undefined) {
      // One that has pages has the API, and what comes after the first is not to be left out.
      if (url !== first) throw new ModelError("REGISTRY_PROTOCOL", `${what}: a page is missing`);
      isKnown = false;
      return undefined;
    }
    bytes += page.bytes;
    const { isFiltered, entries } = page;
    for (const referrer of keepType(entries.values(), isFiltered ? undefined : artifactType))
      found.set(referrer.digest, referrer);
    if (found.size > maxReferrers || bytes > maxListBytes)
      throw new ModelError(
        "REGISTRY_PROTOCOL",
        `${what}: ${session.origin.host} lists more than anybody would read`,
      );
    return page.next;
  };
  await readPages(session, first, { what, read, signal });
  return isKnown ? [...found.values()] : undefined;
}

interface Page {
  readonly entries: ReadonlyMap<string, IndexEntry>;
  /** Whether the registry left out other types by itself. */
  readonly isFiltered: boolean;
  readonly bytes: number;
  readonly next: URL | undefined;
}

async function readPage(
  session: Session,
  url: URL,
  what: string,
  signal: AbortSignal | undefined,
): Promise<Page | undefined> {
  const answer = await session.call({
    method: "GET",
    url,
    accept: [200, ...unknownApi],
    what,
    signal,
  });
  if (answer.status !== 200 || !isJson(answer)) {
    await discard(answer);
    return undefined;
  }
  const bytes = await readBody(answer, maxPageBytes, { what, signal });
  if (bytes === undefined)
    throw new ModelError(
      "REGISTRY_PROTOCOL",
      `${what}: a page is larger than ${maxPageBytes} bytes`,
    );
  const limits = { maxBytes: maxPageBytes, what, code: "REGISTRY_PROTOCOL" } as const;
  const { entries } = parseReferrersIndex(bytes, limits);
  const filters = (header(answer, "oci-filters-applied") ?? "").split(",");
  return {
    entries,
    isFiltered: filters.some((filter) => filter.trim() === "artifactType"),
    bytes: bytes.byteLength,
    next: nextPage(header(answer, "link"), url),
  };
}

/** Some answer what they do not know with a page to log in at, or with a page of their own. */
function isJson(answer: Answer): boolean {
  const type = header(answer, "content-type")?.split(";")[0]?.trim().toLowerCase() ?? "";
  return type === "" || /^application\/(?:.+\+)?json$/.test(type);
}

/** Readable entries, of one type where one is asked for. */
function* keepType(
  entries: Iterable<IndexEntry>,
  artifactType: string | undefined,
): Generator<ContentDescriptor> {
  for (const entry of entries) {
    const referrer = readContentDescriptor(entry);
    const isWanted = artifactType === undefined || referrer?.artifactType === artifactType;
    if (referrer !== undefined && isWanted) yield referrer;
  }
}
