import { closeSync, openSync, readFile } from "node:fs";
import { promisify } from "node:util";
import { type MountNamespace, ownNamespace } from "./mount-namespace.ts";

/** One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)). */
export interface MountEntry {
  readonly id: number;
  readonly parentId: number;
  /** The folder of its filesystem that is shown; ends in `//deleted` when that was removed. */
  readonly root: string;
  readonly mountPoint: string;
  /** Of this mount: `ro`, `nosuid`, ... */
  readonly options: readonly string[];
  readonly filesystem: string;
  readonly source: string;
  /** Of the whole filesystem. */
  readonly superOptions: readonly string[];
}

const maxReads = 5;

/** The mounts of a namespace that its root shows, in the order the kernel lists them. */
export async function readMountTable(
  namespace: MountNamespace = ownNamespace,
): Promise<MountEntry[]> {
  let text = await read(namespace);
  // The kernel gives it in pieces, and a mount that goes in between may hide another.
  for (let again = await read(namespace), reads = 2; again !== text && reads < maxReads; reads++) {
    text = again;
    again = await read(namespace);
  }
  return parseMountTable(text);
}

/** Reads mountinfo lines; what is no such line is left out. */
export function parseMountTable(text: string): MountEntry[] {
  return text.split("\n").flatMap((line) => parseLine(line) ?? []);
}

async function read(namespace: MountNamespace): Promise<string> {
  // It goes on telling of the namespace that it was opened in.
  const fd = namespace.within(() => openSync("/proc/thread-self/mountinfo", "r"));
  try {
    return await promisify(readFile)(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

function parseLine(line: string): MountEntry | undefined {
  const fields = line.split(" ");
  // Optional fields, none or many, end with a dash.
  const dash = fields.indexOf("-", 6);
  const [id, parentId, , root, mountPoint, options] = fields;
  const [filesystem, source, superOptions] = dash < 0 ? [] : fields.slice(dash + 1);
  if (root === undefined || mountPoint === undefined || options === undefined) return undefined;
  if (filesystem === undefined || source === undefined) return undefined;
  return {
    id: Number(id),
    parentId: Number(parentId),
    root: unescapePath(root),
    mountPoint: unescapePath(mountPoint),
    options: options.split(","),
    filesystem: unescapePath(filesystem),
    source: unescapePath(source),
    superOptions: superOptions?.split(",") ?? [],
  };
}

/** Space, tab, newline, backslash and `#` are written as three octal digits of each byte. */
function unescapePath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
