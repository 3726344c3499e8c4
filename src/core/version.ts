import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The version in the package.json that this file belongs to, in a checkout and in `dist`. */
export function readVersion(): string {
  const text = readFileSync(join(packageRoot(import.meta.dirname), "package.json"), "utf8");
  return /"version":\s*"([^"]+)"/.exec(text)?.[1] ?? "unknown";
}

function packageRoot(folder: string): string {
  const above = dirname(folder);
  return existsSync(join(folder, "package.json")) || above === folder ? folder : packageRoot(above);
}
