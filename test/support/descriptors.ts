import { readdirSync, readlinkSync } from "node:fs";

/** What this process's open descriptors of files and folders lead to, sorted; sockets and what is read for a moment in /proc left out. */
export function openDescriptors(pid: number | "self" = "self"): string[] {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).flatMap((name) => {
    try {
      return readlinkSync(`${folder}/${name}`);
    } catch {
      // The descriptor with which the folder was read.
      return [];
    }
  });
  return targets
    .filter((target) => target.startsWith("/") && !/^\/(?:dev|proc)\//.test(target))
    .sort();
}
