import { readlink, realpath, stat } from "node:fs/promises";
import { sep } from "node:path";
import { ModelError, systemCode } from "../core/errors.ts";
import { quotePath } from "../core/model-path.ts";
import { unreadable } from "./source-errors.ts";

/** Where links of a source may lead. */
export interface LinkRules {
  /** Real paths of folders: the source, and the Hugging Face cache repository it lies in. */
  readonly roots: readonly string[];
  /** Follow links that lead anywhere else, too. */
  readonly followLinks: boolean;
}

/** What a link leads to. */
export interface LinkTarget {
  readonly kind: "file" | "folder" | "other";
  /** Real path. */
  readonly location: string;
}

/** Follows the link at `location`. Rejects with SOURCE_UNREADABLE, naming both, when it dangles. */
export async function followLink(location: string): Promise<LinkTarget> {
  try {
    const target = await realpath(location);
    const stats = await stat(target);
    const kind = stats.isFile() ? "file" : stats.isDirectory() ? "folder" : "other";
    return { kind, location: target };
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw unreadable(location, error);
    const target = await readlink(location).catch(() => "?");
    throw new ModelError(
      "SOURCE_UNREADABLE",
      `source link ${quotePath(location)} points to ${quotePath(target)}, which does not exist`,
      { cause: error, hint: "restore the file, remove the link, or --exclude it" },
    );
  }
}

/** Throws SOURCE_UNSUPPORTED when the rules do not let a link lead there. */
export function checkLink(link: string, { location }: LinkTarget, rules: LinkRules): void {
  if (rules.followLinks || rules.roots.some((root) => isInside(root, location))) return;
  throw new ModelError(
    "SOURCE_UNSUPPORTED",
    `source link ${quotePath(link)} leads out of the source, to ${quotePath(location)}`,
    { hint: "pack what it points to with --follow-links, or --exclude it" },
  );
}

function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : `${folder}${sep}`);
}
