import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { undefinedIfMissing } from "../src/core/absence.ts";
import { digestHex, digestOf } from "../src/core/digest.ts";
import { writeFileDurably } from "../src/core/durable-file.ts";
import { createKeyedMutex } from "../src/core/keyed-mutex.ts";
import { makeFolder } from "../src/core/make-folder.ts";
import { parseOrUndefined } from "../src/core/parse-or-undefined.ts";

/** What a volume was created with. */
interface CreatedVolume {
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly requiredBytes: number;
  readonly limitBytes: number;
}

const createdSchema: v.GenericSchema<unknown, CreatedVolume> = v.object({
  name: v.string(),
  parameters: v.record(v.string(), v.string()),
  requiredBytes: v.number(),
  limitBytes: v.number(),
});

/**
 * The volumes that CreateVolume made, by id. A volume is nothing but its parameters; they are kept so
 * that the same name with other ones can be refused, as CSI asks.
 */
export interface CreatedVolumes {
  /** Keeps a volume and resolves to its id; undefined when the name is taken by a different one. */
  create(volume: CreatedVolume): Promise<string | undefined>;
  find(id: string): Promise<CreatedVolume | undefined>;
  /** Idempotent. */
  remove(id: string): Promise<void>;
}

const idPattern = /^ballast-[0-9a-f]{40}$/;

/** Opens the folder, which is made when it is missing. */
export async function openCreatedVolumes(folder: string): Promise<CreatedVolumes> {
  await makeFolder(folder, 0o700);
  const changes = createKeyedMutex();
  const pathOf = (id: string) => join(folder, `${id}.json`);
  const find = async (id: string) => {
    if (!idPattern.test(id)) return undefined;
    const text = await readFile(pathOf(id), "utf8").catch(undefinedIfMissing);
    const parsed = v.safeParse(createdSchema, parseOrUndefined(text));
    return parsed.success ? parsed.output : undefined;
  };
  return {
    create: (volume) => {
      const id = `ballast-${digestHex(digestOf(volume.name)).slice(0, 40)}`;
      const text = JSON.stringify(volume);
      return changes.hold(id, async () => {
        const there = await find(id);
        if (there !== undefined) return JSON.stringify(there) === text ? id : undefined;
        await writeFileDurably(pathOf(id), text);
        return id;
      });
    },
    find,
    remove: async (id) => {
      if (idPattern.test(id)) await rm(pathOf(id), { force: true });
    },
  };
}
