import { readFileSync } from "node:fs";
import { systemCode } from "./errors.ts";

/**
 * Names the running boot of this kernel, or undefined where the system does not tell: then nothing
 * that was in the page cache of an earlier process may be trusted unread.
 */
export function bootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}
