import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { type Subject, subjectSchema } from "../../src/agent/api/documents.ts";
import { undefinedIfMissing } from "../../src/core/absence.ts";
import { syncDirectory, writeFileDurably } from "../../src/core/durable-file.ts";
import { makeFolder } from "../../src/core/make-folder.ts";
import { parseOrUndefined } from "../../src/core/parse-or-undefined.ts";

/** A volume that is published, or was about to be when the plugin ended. */
export interface PublishedState {
  readonly phase: "published";
  readonly target: string;
  readonly volumeId: string;
  readonly subject: Subject | null;
  /** Of the call's arguments; never of a secret. */
  readonly fingerprint: string;
  readonly reference: string;
  readonly include?: string[] | undefined;
  readonly exclude?: string[] | undefined;
  /** `repository@sha256:...`. */
  readonly name: string;
  /** The folder that is shown, and its device and inode. */
  readonly tree: string;
  readonly identity: string;
  readonly bytes: number;
  readonly files: number;
}

/** Nothing is mounted; the agent has not acknowledged yet that the lease ended. */
interface ReleasingState {
  readonly phase: "releasing";
  readonly target: string;
}

export type VolumeState = PublishedState | ReleasingState;

const stateSchema: v.GenericSchema<unknown, VolumeState> = v.variant("phase", [
  v.object({
    phase: v.literal("published"),
    target: v.string(),
    volumeId: v.string(),
    subject: v.nullable(subjectSchema),
    fingerprint: v.string(),
    reference: v.string(),
    include: v.optional(v.array(v.string())),
    exclude: v.optional(v.array(v.string())),
    name: v.string(),
    tree: v.string(),
    identity: v.string(),
    bytes: v.number(),
    files: v.number(),
  }),
  v.object({ phase: v.literal("releasing"), target: v.string() }),
]);

/** What the plugin knows of its volumes, by lease id, on disk before anything is mounted. */
export interface VolumeStates {
  /** A state that cannot be understood counts as missing: mount and lease tell what is to be done. */
  read(leaseId: string): Promise<VolumeState | undefined>;
  /** Resolves when it would survive a power loss. */
  write(leaseId: string, state: VolumeState): Promise<void>;
  /** Idempotent. */
  remove(leaseId: string): Promise<void>;
  list(): Promise<VolumeState[]>;
}

const temporaryName = /^[0-9a-f]{64}\.json\.tmp-/;
const fileName = /^([0-9a-f]{64})\.json$/;

/** Opens the folder, which is made when it is missing. Rejects with STORE_IO where that cannot be. */
export async function openVolumeStates(folder: string): Promise<VolumeStates> {
  await makeFolder(folder, 0o700);
  // What a killed process did not rename any more.
  for (const name of await readdir(folder))
    if (temporaryName.test(name)) await rm(join(folder, name), { force: true });
  const pathOf = (leaseId: string) => join(folder, `${leaseId}.json`);
  const read = async (leaseId: string) => {
    const text = await readFile(pathOf(leaseId), "utf8").catch(undefinedIfMissing);
    const parsed = v.safeParse(stateSchema, parseOrUndefined(text));
    return parsed.success ? parsed.output : undefined;
  };
  return {
    read,
    write: (leaseId, state) => writeFileDurably(pathOf(leaseId), JSON.stringify(state)),
    remove: async (leaseId) => {
      await rm(pathOf(leaseId), { force: true });
      await syncDirectory(folder);
    },
    list: async () => {
      const ids = (await readdir(folder)).flatMap((name) => fileName.exec(name)?.[1] ?? []);
      const states = await Promise.all(ids.map(read));
      return states.filter((state) => state !== undefined);
    },
  };
}
