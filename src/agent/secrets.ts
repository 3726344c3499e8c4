import { readFile } from "node:fs/promises";
import * as v from "valibot";
import { undefinedIfMissing } from "../core/absence.ts";
import { writeFileDurably } from "../core/durable-file.ts";
import { createMutex } from "../core/mutex.ts";
import { parseOrUndefined } from "../core/parse-or-undefined.ts";
import { credentialSchema, type WireCredential } from "./api/documents.ts";

/** Credentials of leases, so that a restarted agent goes on with their pulls. */
export interface Secrets {
  get(leaseId: string): WireCredential | undefined;
  /** Undefined forgets. Idempotent. */
  set(leaseId: string, credential: WireCredential | undefined): Promise<void>;
  /** Forgets those of all other leases. */
  keepOnly(leaseIds: ReadonlySet<string>): Promise<void>;
}

const schema = v.record(v.string(), credentialSchema);

/**
 * Opens the secrets in a file of mode 0600. It belongs on a tmpfs: what a lease's pod may read ends
 * with the node's life at the latest.
 */
export async function openSecrets(path: string): Promise<Secrets> {
  const text = await readFile(path, "utf8").catch(undefinedIfMissing);
  const read = v.safeParse(schema, parseOrUndefined(text));
  const secrets = new Map(Object.entries(read.success ? read.output : {}));
  const writing = createMutex();
  const save = () =>
    writing.hold(async () => {
      await writeFileDurably(path, `${JSON.stringify(Object.fromEntries(secrets))}\n`, 0o600);
    });
  return {
    get: (leaseId) => secrets.get(leaseId),
    set: async (leaseId, credential) => {
      const before = secrets.get(leaseId);
      if (JSON.stringify(before) === JSON.stringify(credential)) return;
      if (credential === undefined) secrets.delete(leaseId);
      else secrets.set(leaseId, credential);
      await save();
    },
    keepOnly: async (leaseIds) => {
      const others = [...secrets.keys()].filter((each) => !leaseIds.has(each));
      for (const each of others) secrets.delete(each);
      if (others.length > 0) await save();
    },
  };
}
