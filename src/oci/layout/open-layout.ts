import { readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { isRecord } from "../../core/chunk-index.ts";
import { syncDirectory } from "../../core/durable-file.ts";
import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import { makeFolder } from "../../core/make-folder.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";
import { OciLayout } from "./layout.ts";

const layoutVersion = "1.0.0";
/** What a folder may hold that is becoming a layout: an interrupted creation is taken up again. */
const ownNames = /^(?:blobs|uploads|index\.json(?:\.lock(?:\.break)*)?)$/;

export interface OpenLayoutOptions extends Abortable {
  /** Makes the folder and its parents a layout if they are not there. */
  readonly create?: boolean | undefined;
  /** What messages call it; default `oci:DIR`. */
  readonly name?: string | undefined;
}

/**
 * Opens an OCI image layout folder. Rejects with NOT_FOUND when it is none (without `create`),
 * OUTPUT_EXISTS when `create` meets a folder of other files, INVALID_MANIFEST when the layout's own
 * files are damaged, UNSUPPORTED_ARTIFACT when its version is not known.
 */
export async function openLayout(
  directory: string,
  options: OpenLayoutOptions = {},
): Promise<OciLayout> {
  const { signal, create, name = `oci:${directory}` } = options;
  signal?.throwIfAborted();
  const layout = new OciLayout(name, resolve(directory));
  const found = await hasMarker(layout.directory);
  if (!found && create !== true)
    throw new ModelError("NOT_FOUND", `${directory} is no OCI layout: it has no oci-layout file`, {
      hint: "check the path; a layout is a folder that a push to oci:DIR or another tool has made",
    });
  if (create === true)
    await onDisk(`use of ${directory}`, () => prepare(layout, found, options), layout.directory);
  await layout.indexFile.read();
  return layout;
}

async function hasMarker(directory: string): Promise<boolean> {
  const path = join(directory, "oci-layout");
  const bytes = await onDisk(`read of ${path}`, () => readFile(path).catch(undefinedIfMissing));
  if (bytes === undefined) return false;
  const marker = parseJson(bytes, { maxBytes: 65_536, what: path, code: "INVALID_MANIFEST" });
  const version = isRecord(marker) ? marker["imageLayoutVersion"] : undefined;
  if (typeof version !== "string")
    throw new ModelError("INVALID_MANIFEST", `${path}: has no imageLayoutVersion`);
  if (!version.startsWith("1."))
    throw new ModelError(
      "UNSUPPORTED_ARTIFACT",
      `${path}: layout version ${JSON.stringify(version.slice(0, 40))} is not known`,
    );
  return true;
}

async function prepare(layout: OciLayout, found: boolean, options: Abortable): Promise<void> {
  if (!found) await refuseOtherFiles(layout.directory);
  await makeFolder(layout.blobs.directory, 0o755);
  await layout.uploads.sweep();
  if (!found) await createLayout(layout, options);
}

/** The marker comes last, so that a folder with a marker has everything. */
async function createLayout(layout: OciLayout, options: Abortable): Promise<void> {
  const { directory, blobs, uploads, indexFile } = layout;
  await indexFile.create(options);
  const temporary = uploads.newPath();
  try {
    await using file = await uploads.open(temporary);
    await file.writeFile(JSON.stringify({ imageLayoutVersion: layoutVersion }));
    await file.sync();
    await rename(temporary, join(directory, "oci-layout"));
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  for (const folder of [dirname(blobs.directory), directory, dirname(directory)])
    await syncDirectory(folder);
}

async function refuseOtherFiles(directory: string): Promise<void> {
  const names = (await readdir(directory).catch(undefinedIfMissing)) ?? [];
  const other = names.find((name) => !ownNames.test(name) && name !== "oci-layout");
  if (other !== undefined)
    throw new ModelError(
      "OUTPUT_EXISTS",
      `${directory} holds other files, such as ${JSON.stringify(other)}: it is no OCI layout`,
      { hint: "name a new or empty folder" },
    );
}
