import { chown, lstat, mkdir, readFile, readlink, realpath, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { undefinedIfMissing } from "../../../core/absence.ts";
import { isRecord } from "../../../core/chunk-index.ts";
import { writeFileDurably } from "../../../core/durable-file.ts";
import { isModelError, ModelError, systemCode } from "../../../core/errors.ts";
import { withFileLock } from "../../../core/file-lock.ts";
import type { Abortable } from "../../../core/progress.ts";
import { credentialKey } from "../endpoint.ts";
import { parseAuthFile } from "./auth-file.ts";
import { findAsDocker, isKeyOfHost } from "./auth-keys.ts";

/** A password login to keep. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/** Content of a Docker `config.json`, as it is edited: all that is not `auths` stays as it is. */
type Document = Readonly<Record<string, unknown>>;

/**
 * Puts a login into the `auths` of a Docker `config.json`, in place of every spelling of its host;
 * without a login the entry is empty, as Docker has it beside a credential program. The file is
 * replaced as a whole, readable by its owner only; a link to it is followed, as Docker does. Callers
 * take turns. Rejects with INVALID_ARGUMENT for a file that cannot be read or is malformed, STORE_IO
 * for one that cannot be written.
 */
export async function writeLogin(
  path: string,
  { host, login }: { readonly host: string; readonly login: Login | undefined },
  options: Abortable = {},
): Promise<void> {
  await edit(path, options, (document) => {
    const rest = otherHosts(document, host);
    return { ...document, auths: { ...rest, [credentialKey(host)]: entryOf(login) } };
  });
}

/** Takes every spelling of a host out of the `auths`; false when there was none. Rejects likewise. */
export async function removeLogin(
  path: string,
  host: string,
  options: Abortable = {},
): Promise<boolean> {
  if ((await readDocument(path)) === undefined) return false;
  let removed = false;
  await edit(path, options, (document) => {
    const auths = document["auths"];
    const rest = otherHosts(document, host);
    removed = isRecord(auths) && Object.keys(rest).length < Object.keys(auths).length;
    return removed ? { ...document, auths: rest } : undefined;
  });
  return removed;
}

/** The credential program that a Docker `config.json` names for a host. Rejects likewise. */
export async function credentialProgramFor(
  path: string,
  host: string,
): Promise<string | undefined> {
  const found = await readDocument(path);
  if (found === undefined) return undefined;
  const reading = { what: describe(path), origin: `from ${path}`, find: findAsDocker };
  const file = parseAuthFile(found.bytes, reading);
  return file.program(host) ?? file.defaultProgram;
}

function entryOf(login: Login | undefined): object {
  if (login === undefined) return {};
  return { auth: Buffer.from(`${login.username}:${login.password}`).toString("base64") };
}

function otherHosts(document: Document, host: string): Record<string, unknown> {
  const { auths } = document;
  if (!isRecord(auths)) return {};
  return Object.fromEntries(Object.entries(auths).filter(([key]) => !isKeyOfHost(key, host)));
}

async function edit(
  named: string,
  options: Abortable,
  change: (document: Document) => Document | undefined,
): Promise<void> {
  try {
    const path = await followLinks(named);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await withFileLock(`${path}.lock`, () => editAlone(path, change), options);
  } catch (error) {
    const code = isModelError(error) ? undefined : systemCode(error);
    if (code === undefined) throw error;
    throw new ModelError("STORE_IO", `${describe(named)}: cannot be written (${code})`, {
      hint: "logins are kept in docker's config.json: DOCKER_CONFIG names another folder",
      cause: error,
    });
  }
}

async function editAlone(
  path: string,
  change: (document: Document) => Document | undefined,
): Promise<void> {
  const found = await readDocument(path);
  const changed = change(found?.document ?? {});
  if (changed === undefined) return;
  const before = await stat(path).catch(undefinedIfMissing);
  const text = JSON.stringify(changed, undefined, indentOf(found?.bytes));
  await writeFileDurably(path, `${text}\n`, 0o600);
  const isOthers = before !== undefined && before.uid !== process.getuid?.();
  if (isOthers) await chown(path, before.uid, before.gid).catch(() => undefined);
}

async function readDocument(
  path: string,
): Promise<{ readonly bytes: Buffer; readonly document: Document } | undefined> {
  let bytes: Buffer | undefined;
  try {
    bytes = await readFile(path).catch(undefinedIfMissing);
  } catch (error) {
    const why = `cannot be read (${systemCode(error) ?? "unknown error"})`;
    throw new ModelError("INVALID_ARGUMENT", `${describe(path)}: ${why}`, { cause: error });
  }
  if (bytes === undefined || bytes.toString("utf8").trim() === "") return undefined;
  // Refuses what is malformed before anything of it is written again.
  parseAuthFile(bytes, { what: describe(path), origin: `from ${path}`, find: findAsDocker });
  return { bytes, document: JSON.parse(bytes.toString("utf8")) as Document };
}

/** Where a file is to be written whose name is a link, also one that leads to nothing yet. */
async function followLinks(path: string): Promise<string> {
  const found = await realpath(path).catch(undefinedIfMissing);
  if (found !== undefined) return found;
  const link = await lstat(path).catch(undefinedIfMissing);
  return link?.isSymbolicLink() === true
    ? resolve(dirname(path), await readlink(path))
    : resolve(path);
}

/** As the file has it; a tab, as Docker writes it, where there is none. */
function indentOf(bytes: Buffer | undefined): string {
  return /^([ \t]+)"/m.exec(bytes?.toString("utf8") ?? "")?.[1]?.slice(0, 8) ?? "\t";
}

function describe(path: string): string {
  return `credentials file ${path}`;
}
