import { join } from "node:path";
import type { Architecture } from "./architecture.ts";
import { fetchPackage, installedVersion } from "./npm-package.ts";

/** A Node.js for Linux with glibc, as its project builds it. */
export interface NodeRelease {
  readonly version: string;
  /** Path of the executable. */
  readonly program: string;
  /** Path of the text of its licences. */
  readonly licence: string;
}

/** Fetches the Node.js that this checkout runs with, for an architecture. */
export async function fetchNode(architecture: Architecture): Promise<NodeRelease> {
  const version = await installedVersion("node");
  const folder = await fetchPackage(`node-linux-${architecture}`, version);
  return { version, program: join(folder, "bin/node"), licence: join(folder, "LICENSE") };
}

/** The path of koffi's native part for an architecture, in the version that is installed. */
export async function fetchKoffi(architecture: Architecture): Promise<string> {
  const version = await installedVersion("koffi");
  const folder = await fetchPackage(`@koromix/koffi-linux-${architecture}`, version);
  return join(folder, `linux_${architecture}`, "koffi.node");
}
