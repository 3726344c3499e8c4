import * as v from "valibot";
import { type Digest, isDigest } from "../../core/digest.ts";

/**
 * How a caller proves to a registry that it may read: `dockerConfigJson` is the text of a Docker
 * `config.json`, as in a secret of type kubernetes.io/dockerconfigjson. Never kept with a lease.
 */
export type WireCredential =
  | { readonly username: string; readonly password: string }
  | { readonly token: string }
  | { readonly dockerConfigJson: string };

/** The pod that a volume is for. */
export interface Subject {
  readonly namespace: string;
  readonly pod: string;
  readonly uid: string;
  readonly serviceAccount?: string | undefined;
}

/** A model, or the files of it that globs choose. */
interface Wanted {
  readonly reference: string;
  readonly include?: string[] | undefined;
  readonly exclude?: string[] | undefined;
}

/** What `POST /v1/volumes` takes. */
export interface AcquireRequest extends Wanted {
  /** 64 lowercase hex digits: the sha256 of the target path. */
  readonly id: string;
  /** Read the files into the page cache, in load order, once they are here. */
  readonly warm?: boolean | undefined;
  /** Where it is to be mounted: for people, and for who looks for lost mounts. */
  readonly target: string;
  /** Absent only from an administrator. */
  readonly subject?: Subject | undefined;
  readonly credential?: WireCredential | undefined;
}

/** What `PUT /v1/volumes` takes: a volume that shows a model already. */
export interface MountedVolume extends Wanted {
  /** As in an `AcquireRequest`, like all else that is there too. */
  readonly id: string;
  /** Of the manifest that is shown. */
  readonly digest: Digest;
  readonly target: string;
  readonly subject?: Subject | undefined;
}

/** What `POST /v1/prefetches` takes. */
export interface PrefetchRequest extends Wanted {
  readonly pin?: boolean | undefined;
}

/** What `PUT /v1/pins` takes: a reference with tag or digest, or a manifest digest alone. */
export interface PinRequest {
  readonly model: string;
  readonly pinned: boolean;
}

/** What `POST /v1/removals` takes: as for a pin. */
export interface RemovalRequest {
  readonly model: string;
}

/** What `POST /v1/collections` takes; see `collectGarbage`. */
export interface CollectionRequest {
  readonly maxBytes?: number | undefined;
  readonly dryRun?: boolean | undefined;
}

/** What `PUT /v1/withdrawals` takes: manifest digests. */
export interface WithdrawalRequest {
  readonly digests: Digest[];
}

/** What a removal or a collection did. */
export interface FreedDocument {
  /** Names of models. */
  readonly removed: string[];
  /** Bytes. */
  readonly freed: number;
}

/** How far a model is. Counts are bytes of the chosen files. */
export interface ModelProgress {
  /** `repository@sha256:...` */
  readonly name: string;
  readonly state: "waiting" | "pulling" | "finishing";
  readonly totalBytes: number;
  /** Of these, what is here and verified, or arriving. */
  readonly hereBytes: number;
  readonly bytesPerSecond: number;
  /** At the present rate; null while nobody can say. */
  readonly secondsLeft: number | null;
}

/** A model, or the chosen files of one, ready to be mounted. */
export interface ReadyModel {
  readonly name: string;
  readonly digest: Digest;
  readonly treeId: string;
  readonly selection: string;
  /** The folder that holds the files, on the agent's host. */
  readonly tree: string;
  readonly bytes: number;
  readonly files: number;
  /** Bytes that had to come over the network since the first who waited. */
  readonly moved: number;
}

export interface ErrorDocument {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
}

/** Why a model is kept: a volume that shows it, or a prefetch that is under way. */
export interface LeaseDocument {
  readonly id: string;
  readonly kind: "volume" | "prefetch";
  /** As the caller wrote it. */
  readonly reference: string;
  readonly name: string;
  readonly digest: Digest;
  readonly target: string | null;
  readonly subject: Subject | null;
  /** ISO 8601. */
  readonly since: string;
}

/** Who mounts a model. */
interface MountDocument {
  readonly target: string;
  readonly namespace: string | null;
  readonly pod: string | null;
}

/** A model on this node. */
export interface ModelDocument {
  readonly name: string;
  readonly digest: Digest;
  readonly tags: string[];
  readonly state: "ready" | "partial" | "pulling" | "failed";
  /** Whether all its files are here, not a selection of them. */
  readonly whole: boolean;
  /** Whether it is about to be removed. */
  readonly leaving: boolean;
  readonly bytes: number;
  /** Bytes that would be freed by removing it. */
  readonly exclusiveBytes: number;
  readonly pinned: boolean;
  /** ISO 8601. */
  readonly lastUsed: string;
  readonly progress: ModelProgress | null;
  /** What ended its last pull, if that failed. */
  readonly error: ErrorDocument | null;
  readonly mounts: MountDocument[];
}

/** When eviction begins and how far it goes, in bytes; null where no limit is set. */
export interface WatermarkDocument {
  readonly highBytes: number | null;
  readonly lowBytes: number | null;
  readonly lowFreeBytes: number | null;
  readonly highFreeBytes: number | null;
}

/** What `GET /v1/status` answers. */
export interface StatusDocument {
  readonly version: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly store: {
    readonly root: string;
    /** Bytes of all files. */
    readonly bytes: number;
    readonly freeBytes: number;
    /** Of the filesystem. */
    readonly totalBytes: number;
    readonly watermarks: WatermarkDocument;
  };
  readonly models: ModelDocument[];
}

/** Checks a document of type `T` that came over the socket. */
export type Schema<T> = v.GenericSchema<unknown, T>;

const text = v.pipe(v.string(), v.maxLength(4096));
const count = v.pipe(v.number(), v.minValue(0));
const digest = v.custom<Digest>(isDigest, "no digest");
const leaseId = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "no 64 hex digits"));
const globs = v.pipe(v.array(v.pipe(text, v.minLength(1))), v.maxLength(256));
const wanted = { reference: text, include: v.optional(globs), exclude: v.optional(globs) };

export const credentialSchema: Schema<WireCredential> = v.union([
  v.strictObject({ username: text, password: text }),
  v.strictObject({ token: v.pipe(v.string(), v.maxLength(65_536)) }),
  v.strictObject({ dockerConfigJson: v.pipe(v.string(), v.maxLength(1_048_576)) }),
]);

export const subjectSchema: Schema<Subject> = v.strictObject({
  namespace: text,
  pod: text,
  uid: text,
  serviceAccount: v.optional(text),
});

export const acquireSchema: Schema<AcquireRequest> = v.strictObject({
  id: leaseId,
  ...wanted,
  warm: v.optional(v.boolean()),
  target: text,
  subject: v.optional(subjectSchema),
  credential: v.optional(credentialSchema),
});

export const mountedSchema: Schema<MountedVolume> = v.strictObject({
  id: leaseId,
  ...wanted,
  digest,
  target: text,
  subject: v.optional(subjectSchema),
});

export const prefetchSchema: Schema<PrefetchRequest> = v.strictObject({
  ...wanted,
  pin: v.optional(v.boolean()),
});

export const pinSchema: Schema<PinRequest> = v.strictObject({ model: text, pinned: v.boolean() });

export const removalSchema: Schema<RemovalRequest> = v.strictObject({ model: text });

export const collectionSchema: Schema<CollectionRequest> = v.strictObject({
  maxBytes: v.optional(count),
  dryRun: v.optional(v.boolean()),
});

export const withdrawalSchema: Schema<WithdrawalRequest> = v.strictObject({
  digests: v.pipe(v.array(digest), v.maxLength(10_000)),
});

export const freedSchema: Schema<FreedDocument> = v.object({
  removed: v.array(text),
  freed: count,
});

export const progressSchema: Schema<ModelProgress> = v.object({
  name: text,
  state: v.picklist(["waiting", "pulling", "finishing"]),
  totalBytes: count,
  hereBytes: count,
  bytesPerSecond: count,
  secondsLeft: v.nullable(count),
});

export const readySchema: Schema<ReadyModel> = v.object({
  name: text,
  digest,
  treeId: text,
  selection: text,
  tree: text,
  bytes: count,
  files: count,
  moved: count,
});

export const errorSchema: Schema<ErrorDocument> = v.object({
  code: v.string(),
  message: v.string(),
  hint: v.nullable(v.string()),
});

export const leaseSchema: Schema<LeaseDocument> = v.object({
  id: leaseId,
  kind: v.picklist(["volume", "prefetch"]),
  reference: text,
  name: text,
  digest,
  target: v.nullable(text),
  subject: v.nullable(subjectSchema),
  since: text,
});

const modelSchema: Schema<ModelDocument> = v.object({
  name: text,
  digest,
  tags: v.array(text),
  state: v.picklist(["ready", "partial", "pulling", "failed"]),
  whole: v.boolean(),
  leaving: v.boolean(),
  bytes: count,
  exclusiveBytes: count,
  pinned: v.boolean(),
  lastUsed: text,
  progress: v.nullable(progressSchema),
  error: v.nullable(errorSchema),
  mounts: v.array(v.object({ target: text, namespace: v.nullable(text), pod: v.nullable(text) })),
});

export const statusSchema: Schema<StatusDocument> = v.object({
  version: text,
  startedAt: text,
  store: v.object({
    root: text,
    bytes: count,
    freeBytes: count,
    totalBytes: count,
    watermarks: v.object({
      highBytes: v.nullable(count),
      lowBytes: v.nullable(count),
      lowFreeBytes: v.nullable(count),
      highFreeBytes: v.nullable(count),
    }),
  }),
  models: v.array(modelSchema),
});
