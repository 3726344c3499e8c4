import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin, RolldownOptions } from "rolldown";

/**
 * Bundles the program, the library and the threads they start: one file instead of two hundred, and
 * no packages to look up, makes the start a third shorter (`npm run bench -- --only startup,pull-present`).
 */
const options: RolldownOptions = {
  input: {
    cli: "src/cli/main.ts",
    csi: "csi/main.ts",
    index: "src/index.ts",
    // Each is started as a file beside the code that starts it (src/core/worker-url.ts).
    "bcrypt-worker": "src/registry/server/accounts/bcrypt-worker.ts",
    "chunk-worker": "src/pack/chunk-worker.ts",
    "disk-worker": "src/transfer/disk-worker.ts",
    "hash-worker": "src/pack/hash-worker.ts",
    "relay-worker": "src/transfer/relay-worker.ts",
    "ingest-worker": "src/oci/layout/ingest-worker.ts",
  },
  platform: "node",
  // A native module, which stays a file of its own.
  external: ["koffi"],
  plugins: [keepLicences()],
  output: { dir: "dist", format: "esm", cleanDir: true },
};

export default options;

/** Writes the licences of all packages whose code is in the bundle, as they ask for. */
function keepLicences(): Plugin {
  return {
    name: "keep-licences",
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap((file) =>
        file.type === "chunk" ? file.moduleIds : [],
      );
      const packages = new Set(modules.flatMap((id) => packageFolder(id) ?? []));
      const source = [...packages].sort().map(describeLicence).join("\n\n");
      this.emitFile({ type: "asset", fileName: "LICENSES.txt", source });
    },
  };
}

function packageFolder(id: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id)?.[0];
}

function describeLicence(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((each) => /^(?:un)?licen[cs]e(?:[.-].*)?$/i.test(each));
  if (file === undefined) throw new Error(`${name} has no licence file`);
  const text = readFileSync(join(folder, file), "utf8").trim();
  return `${name} ${version} (${license})\n\n${text}`;
}
