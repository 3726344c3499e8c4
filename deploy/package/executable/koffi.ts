import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getRawAsset } from "node:sea";
import { ModelError } from "../../../src/core/errors.ts";

/**
 * In place of the package koffi: loads its native part, which the dynamic linker wants as a file. It
 * is one in a new folder that only this user may enter, and only while it is loaded.
 */
const koffi: typeof import("koffi").default = loadNative();
export default koffi;

function loadNative(): typeof koffi {
  const folder = mkdtempSync(join(tmpdir(), "ballast-native-"));
  try {
    const path = join(folder, "koffi.node");
    writeFileSync(path, new Uint8Array(getRawAsset("koffi.node")), { mode: 0o600, flag: "wx" });
    const loaded: { exports: unknown } = { exports: {} };
    process.dlopen(loaded, path);
    return loaded.exports as typeof koffi;
  } catch (cause) {
    throw new ModelError("MOUNT_FAILED", `the part that mounts cannot be loaded from ${folder}`, {
      hint: "a folder for temporary files that is mounted noexec keeps it from that: set TMPDIR to another",
      cause,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
