import { createHmac, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { undefinedIfMissing } from "../../core/absence.ts";
import { type Digest, isDigest } from "../../core/digest.ts";
import { replaceFile, writeFileDurably } from "../../core/durable-file.ts";
import { parseOrUndefined } from "../../core/parse-or-undefined.ts";
import type { WireCredential } from "../api/documents.ts";

/** Who asked a registry, and of what. */
export interface Asker {
  /** Empty for the node's administrator. */
  readonly namespace: string;
  /** `host/repository`. */
  readonly repository: string;
  readonly credential: WireCredential | undefined;
}

/** A yes. */
export interface Verdict {
  readonly digest: Digest;
  /** Milliseconds since the epoch. */
  readonly askedAt: number;
}

/**
 * What registries said, kept on disk: a yes counts again after a restart, and when nobody answers.
 * `version` is a digest, or a tag, whose digest is part of the answer.
 */
export interface Verdicts {
  /** The last yes to this very asker, however old. */
  find(asker: Asker, version: string): Promise<Verdict | undefined>;
  /** Keeps a yes; one that is lost only costs a request. */
  keep(asker: Asker, version: string, verdict: Verdict): Promise<void>;
  /** After a no whatever the asker was told of this repository counts no more. Idempotent. */
  drop(asker: Asker): Promise<void>;
}

const schema = v.object({ digest: v.custom<Digest>(isDigest), askedAt: v.number() });

/** Opens the verdicts in a folder, making it where there is none; what is older than that goes. */
export async function openVerdicts(folder: string, maxAgeMs: number): Promise<Verdicts> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await sweep(folder, maxAgeMs);
  const key = await readKey(join(folder, "key"));
  // Names tell that two askers are the same, and nothing about their credentials.
  const seal = (...parts: readonly unknown[]) =>
    createHmac("sha256", key).update(JSON.stringify(parts)).digest("hex");
  const folderOf = ({ namespace, repository, credential }: Asker) =>
    join(folder, seal(namespace, repository, credential ?? null));
  const pathOf = (asker: Asker, version: string) => join(folderOf(asker), `${seal(version)}.json`);
  return {
    find: async (asker, version) => {
      const text = await readFile(pathOf(asker, version), "utf8").catch(undefinedIfMissing);
      const read = v.safeParse(schema, parseOrUndefined(text));
      return read.success ? read.output : undefined;
    },
    keep: async (asker, version, verdict) => {
      const { namespace, repository } = asker;
      await mkdir(folderOf(asker), { recursive: true });
      const kept = { namespace, repository, version, ...verdict };
      await replaceFile(pathOf(asker, version), `${JSON.stringify(kept)}\n`);
    },
    drop: (asker) => rm(folderOf(asker), { recursive: true, force: true }),
  };
}

/** Folders change when a yes in them is renewed, so an old one holds old ones only. */
async function sweep(folder: string, maxAgeMs: number): Promise<void> {
  const oldest = Date.now() - maxAgeMs;
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && (await stat(path)).mtimeMs < oldest)
      await rm(path, { recursive: true, force: true });
  }
}

async function readKey(path: string): Promise<Buffer> {
  const known = await readFile(path).catch(undefinedIfMissing);
  if (known?.byteLength === 32) return known;
  const key = randomBytes(32);
  await writeFileDurably(path, key);
  return key;
}
