import { isRecord } from "../../core/chunk-index.ts";
import type { Digest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import { isTag } from "../../core/reference.ts";
import { type Descriptor, readAnnotations, readDescriptor } from "../descriptor.ts";
import { mediaTypes } from "../media-types.ts";

const refNameKey = "org.opencontainers.image.ref.name";
/** A hundred thousand manifests and more; a layout's index is read whole. */
const maxIndexBytes = 67_108_864;

/** One entry of index.json as it stands there; entries we cannot read are kept and not offered. */
interface Entry {
  readonly raw: Readonly<Record<string, unknown>>;
  readonly descriptor: Descriptor | undefined;
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

/** Writes index.json. */
export function serializeLayoutIndex(index: LayoutIndex): Buffer {
  const manifests = index.entries.map((entry) => entry.raw);
  return Buffer.from(JSON.stringify({ ...index.document, manifests }));
}

/**
 * The manifest a tag names: the last entry with exactly that ref.name; without one, the manifest
 * that all full references (`host/repository:tag`) with that tag agree on.
 */
export function findTag(index: LayoutIndex, tag: string): Descriptor | undefined {
  const exact = index.entries.findLast((entry) => entry.refName === tag && entry.descriptor);
  if (exact !== undefined) return exact.descriptor;
  const full = index.entries.filter((entry) => tagOfFullReference(entry) === tag);
  const digests = new Set(full.map((entry) => entry.descriptor?.digest));
  return digests.size === 1 ? full[0]?.descriptor : undefined;
}

/** The listed manifest with that digest. */
export function findDigest(index: LayoutIndex, digest: Digest): Descriptor | undefined {
  return index.entries.find((entry) => entry.descriptor?.digest === digest)?.descriptor;
}

/** Every tag that `findTag` resolves, once, in the order of index.json (newest last). */
export function listTags(index: LayoutIndex): string[] {
  const tags = new Set<string>();
  for (const entry of index.entries) {
    const tag = isTag(entry.refName ?? "") ? entry.refName : tagOfFullReference(entry);
    if (tag !== undefined && entry.descriptor !== undefined) tags.add(tag);
  }
  return [...tags].filter((tag) => findTag(index, tag) !== undefined);
}

/** Every listed manifest, once, in the order of index.json. */
export function listManifests(index: LayoutIndex): Descriptor[] {
  const found = new Map<Digest, Descriptor>();
  for (const { descriptor } of index.entries)
    if (descriptor !== undefined && !found.has(descriptor.digest))
      found.set(descriptor.digest, descriptor);
  return [...found.values()];
}

/** Lists a manifest without a tag, unless it is listed already. */
export function withManifest(index: LayoutIndex, manifest: Descriptor): LayoutIndex {
  if (findDigest(index, manifest.digest) !== undefined) return index;
  return { ...index, entries: [...index.entries, readEntry({ ...manifest })] };
}

/** Points a tag at a manifest; the manifest it pointed at stays listed, without it. */
export function withTag(index: LayoutIndex, tag: string, manifest: Descriptor): LayoutIndex {
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
export function withoutManifest(index: LayoutIndex, digest: Digest): LayoutIndex {
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
  const full = readDescriptor(raw);
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
