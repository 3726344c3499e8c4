import { getAsset } from "node:sea";

/** In place of src/core/version.ts: there is no package.json beside an executable. */
export function readVersion(): string {
  return getAsset("version", "utf8");
}
