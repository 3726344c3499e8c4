import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { undefinedIfMissing } from "../core/absence.ts";
import { type Digest, isDigest } from "../core/digest.ts";
import { writeFileDurably } from "../core/durable-file.ts";
import { ModelError } from "../core/errors.ts";
import { parseJson } from "../core/json.ts";
import { pathProblem } from "../core/model-path.ts";

/** One file that a pull put into an output folder, as it was left. */
export interface PulledFile {
  readonly path: string;
  /** File id, see docs/format.md. */
  readonly id: string;
  readonly size: number;
  readonly mtimeMs: number;
}

/** What a pull left in an output folder: what `verify` and the next pull start from. */
export interface PulledState {
  /** `repository@sha256:...` */
  readonly name: string;
  readonly repository: string;
  readonly tag?: string | undefined;
  readonly manifest: Digest;
  readonly index: Digest;
  readonly files: readonly PulledFile[];
}

const digest: v.GenericSchema<Digest> = v.custom<Digest>(isDigest);

/** The folder may come from anybody: a path that leads out of it is never followed. */
const modelPath: v.GenericSchema<string> = v.pipe(
  v.string(),
  v.check((path) => pathProblem(path) === undefined),
);

const pulledState: v.GenericSchema<unknown, PulledState> = v.object({
  name: v.string(),
  repository: v.string(),
  tag: v.optional(v.string()),
  manifest: digest,
  index: digest,
  files: v.array(
    v.object({ path: modelPath, id: v.string(), size: v.number(), mtimeMs: v.number() }),
  ),
});

/** Reads the state of an output folder's last complete pull; undefined when there was none. */
export async function readPulledState(stateFolder: string): Promise<PulledState | undefined> {
  const path = statePath(stateFolder);
  const bytes = await readFile(path).catch(undefinedIfMissing);
  if (bytes === undefined) return undefined;
  const raw = parseJson(bytes, { maxBytes: 536_870_912, what: path, code: "STORE_IO" });
  const parsed = v.safeParse(pulledState, raw);
  if (parsed.success) return parsed.output;
  throw new ModelError("STORE_IO", `${path} is damaged`, {
    hint: "remove that file: the files beside it are checked and kept by the next pull",
  });
}

/** Replaces the state; survives power loss. */
export async function writePulledState(stateFolder: string, state: PulledState): Promise<void> {
  await writeFileDurably(statePath(stateFolder), JSON.stringify(state));
}

function statePath(stateFolder: string): string {
  return join(stateFolder, "pulled.json");
}
