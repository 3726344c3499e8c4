import { isRecord } from "../../../core/chunk-index.ts";
import { ModelError } from "../../../core/errors.ts";
import { parseJson } from "../../../core/json.ts";
import { mediaTypes } from "../../../oci/media-types.ts";

/** An entry as it stands there, with all that its writer put into it. */
export type IndexEntry = Readonly<Record<string, unknown>>;

/** An image index that lists referrers. What is not understood of it is kept. */
export interface ReferrersIndex {
  /** By digest. */
  readonly entries: ReadonlyMap<string, IndexEntry>;
  /** The fields beside the entries. */
  readonly rest: IndexEntry;
}

export const emptyReferrersIndex: ReferrersIndex = {
  entries: new Map(),
  rest: { schemaVersion: 2, mediaType: mediaTypes.imageIndex },
};

/** Reads an index of referrers; throws `code` for bytes that are none. */
export function parseReferrersIndex(
  bytes: Uint8Array,
  options: {
    readonly maxBytes: number;
    readonly what: string;
    readonly code: "REGISTRY_PROTOCOL" | "INVALID_MANIFEST";
  },
): ReferrersIndex {
  const root = parseJson(bytes, options);
  const { manifests, ...rest } = isRecord(root) ? root : {};
  const listed = manifests === null ? [] : manifests; // An empty list, as Go may write it.
  const isIndex = (rest["mediaType"] ?? mediaTypes.imageIndex) === mediaTypes.imageIndex;
  if (!Array.isArray(listed) || !isIndex)
    throw new ModelError(options.code, `${options.what}: the answer is no image index`);
  const entries = listed.filter(isRecord).map((entry) => [String(entry["digest"]), entry] as const);
  return { entries: new Map(entries), rest };
}

/** Writes an index. */
export function serializeReferrersIndex({ entries, rest }: ReferrersIndex): Buffer {
  return Buffer.from(JSON.stringify({ ...rest, manifests: [...entries.values()] }));
}
