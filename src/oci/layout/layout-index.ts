import { isRecord } from "../../core/chunk-index.ts";
import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import { isTag } from "../../core/reference.ts";
import { type ContentDescriptor, readAnnotations, readContentDescriptor } from "../descriptor.ts";
import { mediaTypes } from "../media-types.ts";

const refNameKey = "org.opencontainers.image.ref.name";
/** A hundred thousand manifests and more; a layout's index is read whole. */
const maxIndexBytes = 67_108_864;

/** One entry of index.json as it stands there; entries we cannot read are kept and not offered. */
interface Entry {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly descriptor: ContentDescriptor | undefined;
  readonly refName: string | undefined;
}

/** The index.json of a layout (image-spec 1.1, image-layout.md); fields we do not know are kept. */
export interface LayoutIndex {
  readonly document: Readonly<Record<string, unknown>>;
  readonly entries: readonly Entry[];
}

/** The index of a layout that holds nothing. */
export const emptyLayoutIndex: LayoutIndex = {
  document: { schemaVersion: 2, mediaType: mediaTypes.imageIndex, manifests: [] },
  entries: [],
};

/** Parses index.json; throws INVALID_MANIFEST naming `what`. */
export function parseLayoutIndex(bytes: Uint8Array, what: string): LayoutIndex {
  const limits = { maxBytes: maxIndexBytes, what, code: "INVALID_MANIFEST" } as const;
  const document = parseJson(bytes, limits);
  const refuse = (why: string) => new ModelError("INVALID_MANIFEST", `${what}: ${why}`);
  if (!isRecord(document)) throw refuse("is not an object");
  const manifests = document["manifests"] ?? [];
  if (!Array.isArray(manifests)) throw refuse("manifests is not a list");
  const entries = manifests.map((raw: unknown, at) => {
    if (!isRecord(raw)) throw refuse(`entry ${at} of manifests is not an object`);
    return readEntry(raw);
  });
  return { document, entries };
}

/** Writes index.json; throws REGISTRY_LIMIT when it would be larger than one that can be read. */
export function serializeLayoutIndex(index: LayoutIndex): Buffer {
  const manifests = index.entries.map((entry) => entry.raw);
  const bytes = Buffer.from(JSON.stringify({ ...index.document, manifests }));
  if (bytes.byteLength > maxIndexBytes)
    throw new ModelError(
      "REGISTRY_LIMIT",
      `an index.json of ${manifests.length} manifests is larger than ${maxIndexBytes} bytes`,
      { hint: "delete manifests that nobody needs, or use another repository" },
    );
  return bytes;
}

/** What an index says, by name: made once for each index, as an index never changes. */
interface LookUp {
  /** Every tag that names one manifest, in the order of index.json (newest last). */
  readonly tags: ReadonlyMap<string, ContentDescriptor>;
  /** Every listed manifest, once, in the order of index.json. */
  readonly manifests: ReadonlyMap<ContentDigest, ContentDescriptor>;
}

const lookUps = new WeakMap<LayoutIndex, LookUp>();

/**
 * The manifest a tag names: the last entry with exactly that ref.name; without one, the manifest
 * that all full references (`host/repository:tag`) with that tag agree on.
 */
export function findTag(index: LayoutIndex, tag: string): ContentDescriptor | undefined {
  return lookUp(index).tags.get(tag);
}

/** The listed manifest with that digest. */
export function findDigest(
  index: LayoutIndex,
  digest: ContentDigest,
): ContentDescriptor | undefined {
  return lookUp(index).manifests.get(digest);
}

/** Every tag that `findTag` resolves, once, in the order of index.json (newest last). */
export function listTags(index: LayoutIndex): string[] {
  return [...lookUp(index).tags.keys()];
}

/** Every listed manifest, once, in the order of index.json. */
export function listManifests(index: LayoutIndex): ContentDescriptor[] {
  return [...lookUp(index).manifests.values()];
}

function lookUp(index: LayoutIndex): LookUp {
  const known = lookUps.get(index);
  if (known !== undefined) return known;
  const made = makeLookUp(index);
  lookUps.set(index, made);
  return made;
}

function makeLookUp({ entries }: LayoutIndex): LookUp {
  const manifests = new Map<ContentDigest, ContentDescriptor>();
  const names = new Set<string>();
  const exact = new Map<string, ContentDescriptor>();
  const full = new Map<string, ContentDescriptor | undefined>();
  for (const entry of entries) {
    const { descriptor, refName = "" } = entry;
    if (descriptor === undefined) continue;
    if (!manifests.has(descriptor.digest)) manifests.set(descriptor.digest, descriptor);
    if (isTag(refName)) {
      names.add(refName);
      exact.set(refName, descriptor);
    }
    const tag = tagOfFullReference(entry);
    if (tag === undefined) continue;
    const agreed = !full.has(tag) || full.get(tag)?.digest === descriptor.digest;
    names.add(tag);
    full.set(tag, agreed ? descriptor : undefined);
  }
  const tags = new Map<string, ContentDescriptor>();
  for (const name of names) {
    const descriptor = exact.get(name) ?? full.get(name);
    if (descriptor !== undefined) tags.set(name, descriptor);
  }
  return { tags, manifests };
}

/** Lists a manifest without a tag, unless it is listed already. */
export function withManifest(index: LayoutIndex, manifest: ContentDescriptor): LayoutIndex {
  if (findDigest(index, manifest.digest) !== undefined) return index;
  return { ...index, entries: [...index.entries, readEntry({ ...manifest })] };
}

/** Points a tag at a manifest; the manifest it pointed at stays listed, without it. */
export function withTag(index: LayoutIndex, tag: string, manifest: ContentDescriptor): LayoutIndex {
  const holders = index.entries.filter((entry) => entry.refName === tag);
  if (holders.length === 1 && holders[0]?.descriptor?.digest === manifest.digest) return index;
  const rest = withoutNames(index, holders);
  const listed = rest.entries.find(
    (entry) => entry.descriptor?.digest === manifest.digest && entry.refName === undefined,
  );
  const raw = listed?.raw ?? { ...manifest };
  const annotations = { ...readAnnotations(raw["annotations"]), [refNameKey]: tag };
  const others = rest.entries.filter((entry) => entry !== listed);
  return { ...rest, entries: [...others, readEntry({ ...raw, annotations })] };
}

/** Takes a tag away; its manifest stays listed. The same index when nothing had the tag. */
export function withoutTag(index: LayoutIndex, tag: string): LayoutIndex {
  const holders = index.entries.filter(
    (entry) => entry.refName === tag || tagOfFullReference(entry) === tag,
  );
  return holders.length === 0 ? index : withoutNames(index, holders);
}

/** Takes a manifest away, with every tag it has. The same index when it was not listed. */
export function withoutManifest(index: LayoutIndex, digest: ContentDigest): LayoutIndex {
  if (findDigest(index, digest) === undefined) return index;
  const entries = index.entries.filter((entry) => entry.descriptor?.digest !== digest);
  return { ...index, entries };
}

/** Each entry stays without its name, unless its manifest is listed by another entry anyway. */
function withoutNames(index: LayoutIndex, holders: readonly Entry[]): LayoutIndex {
  const entries = index.entries.filter((entry) => !holders.includes(entry));
  for (const holder of holders) {
    const digest = holder.descriptor?.digest;
    if (digest === undefined || !entries.some((entry) => entry.descriptor?.digest === digest))
      entries.push(withoutRefName(holder));
  }
  return { ...index, entries };
}

function readEntry(raw: Readonly<Record<string, unknown>>): Entry {
  const full = readContentDescriptor(raw);
  const refName = full?.annotations?.[refNameKey] ?? rawRefName(raw);
  if (full === undefined) return { raw, descriptor: undefined, refName };
  const { mediaType, digest, size, artifactType } = full;
  const descriptor = { mediaType, digest, size, ...(artifactType ? { artifactType } : {}) };
  return { raw, descriptor, refName };
}

function rawRefName(raw: Readonly<Record<string, unknown>>): string | undefined {
  const annotations = raw["annotations"];
  const name = isRecord(annotations) ? annotations[refNameKey] : undefined;
  return typeof name === "string" ? name : undefined;
}

function withoutRefName(entry: Entry): Entry {
  const { annotations, ...raw } = entry.raw;
  const rest = Object.entries(isRecord(annotations) ? annotations : {}).filter(
    ([key]) => key !== refNameKey,
  );
  return readEntry(rest.length === 0 ? raw : { ...raw, annotations: Object.fromEntries(rest) });
}

function tagOfFullReference({ descriptor, refName }: Entry): string | undefined {
  if (descriptor === undefined || refName === undefined || isTag(refName)) return undefined;
  const tag = /:([^:/@]+)$/.exec(refName)?.[1] ?? "";
  return isTag(tag) ? tag : undefined;
}
