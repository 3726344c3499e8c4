import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { undefinedIfMissing } from "../core/absence.ts";
import { type Digest, isDigest } from "../core/digest.ts";
import { syncDirectory, writeFileDurably } from "../core/durable-file.ts";
import { parseOrUndefined } from "../core/parse-or-undefined.ts";
import type { Origin, StorePaths } from "./store-paths.ts";

/** A lease that outlives its process: that somebody counts on a model, and which digest they got. */
export interface LeaseRecord {
  /** 64 hex digits. */
  readonly id: string;
  readonly kind: "volume" | "prefetch";
  readonly origin: Origin;
  readonly manifest: Digest;
  /** As the caller wrote it. */
  readonly reference: string;
  readonly include?: string[] | undefined;
  readonly exclude?: string[] | undefined;
  readonly warm?: boolean | undefined;
  /** A prefetch pins the model when it is here. */
  readonly pin?: boolean | undefined;
  /** Where a volume is mounted. */
  readonly target?: string | undefined;
  /** The pod a volume is for. */
  readonly subject?:
    | {
        readonly namespace: string;
        readonly pod: string;
        readonly uid: string;
        readonly serviceAccount?: string | undefined;
      }
    | undefined;
  /** ISO 8601. */
  readonly since: string;
}

const text = v.string();

const schema: v.GenericSchema<unknown, LeaseRecord> = v.object({
  id: v.pipe(text, v.regex(/^[0-9a-f]{64}$/)),
  kind: v.picklist(["volume", "prefetch"]),
  origin: v.object({ name: text, host: text, repository: text }),
  manifest: v.custom<Digest>(isDigest),
  reference: text,
  include: v.optional(v.array(text)),
  exclude: v.optional(v.array(text)),
  warm: v.optional(v.boolean()),
  pin: v.optional(v.boolean()),
  target: v.optional(text),
  subject: v.optional(
    v.object({ namespace: text, pod: text, uid: text, serviceAccount: v.optional(text) }),
  ),
  since: text,
});

/** Writes or replaces a lease; survives power loss. */
export async function writeLeaseRecord(paths: StorePaths, lease: LeaseRecord): Promise<void> {
  await mkdir(paths.leases, { recursive: true });
  await writeFileDurably(pathOf(paths, lease.id), `${JSON.stringify(lease)}\n`);
}

/** Idempotent; survives power loss. */
export async function removeLeaseRecord(paths: StorePaths, id: string): Promise<void> {
  await rm(pathOf(paths, id), { force: true });
  await syncDirectory(paths.leases);
}

/** All leases. Files that are none are passed over. */
export async function readLeaseRecords(paths: StorePaths): Promise<LeaseRecord[]> {
  const names = (await readdir(paths.leases).catch(undefinedIfMissing)) ?? [];
  const leases: LeaseRecord[] = [];
  for (const name of names.filter((each) => /^[0-9a-f]{64}\.json$/.test(each))) {
    const content = await readFile(join(paths.leases, name), "utf8").catch(undefinedIfMissing);
    const parsed = v.safeParse(schema, parseOrUndefined(content));
    if (parsed.success && `${parsed.output.id}.json` === name) leases.push(parsed.output);
  }
  return leases;
}

function pathOf(paths: StorePaths, id: string): string {
  return join(paths.leases, `${id}.json`);
}
