import { join } from "node:path";
import { type OutputChunk, type Plugin, rolldown } from "rolldown";
import { repository } from "./places.ts";

/** Modules that are different inside an executable, where no file lies beside the code. */
const replaced: Readonly<Record<string, string>> = {
  "src/core/version.ts": "version.ts",
  "src/core/worker-url.ts": "worker-url.ts",
};
const ownFolder = join(import.meta.dirname, "executable");

/** The threads that src starts by these names, and where their code is. */
const workers: Readonly<Record<string, string>> = {
  "bcrypt-worker": "src/registry/server/accounts/bcrypt-worker.ts",
  "chunk-worker": "src/pack/chunk-worker.ts",
  "disk-worker": "src/transfer/disk-worker.ts",
  "hash-worker": "src/pack/hash-worker.ts",
  "relay-worker": "src/transfer/relay-worker.ts",
  "ingest-worker": "src/oci/layout/ingest-worker.ts",
};

/** The code of an executable: one script, and one module for each kind of thread. */
export interface ExecutableCode {
  readonly main: string;
  /** Names as `workerUrl` gets them, to ES modules. */
  readonly workers: ReadonlyMap<string, string>;
}

/** Bundles the command line for a single executable application of Node. */
export async function bundleExecutable(): Promise<ExecutableCode> {
  const main = await bundle(join(ownFolder, "main.ts"), "cjs");
  const codes = new Map<string, string>();
  for (const [name, path] of Object.entries(workers))
    codes.set(name, await bundle(join(repository, path), "esm"));
  return { main, workers: codes };
}

async function bundle(input: string, format: "cjs" | "esm"): Promise<string> {
  await using build = await rolldown({ input, platform: "node", plugins: [replaceModules()] });
  const { output } = await build.generate({
    format,
    codeSplitting: false,
    // Nothing can be imported there, built-in modules included, but everything built in required.
    dynamicImportInCjs: false,
    minify: false,
  });
  const chunks = output.filter((file): file is OutputChunk => file.type === "chunk");
  const [code, ...others] = chunks;
  if (code === undefined || others.length > 0) throw new Error(`${input}: ${chunks.length} chunks`);
  return code.code;
}

function replaceModules(): Plugin {
  return {
    name: "replace-modules",
    resolveId: {
      order: "pre",
      async handler(source, importer) {
        if (source === "koffi") return join(ownFolder, "koffi.ts");
        const found = await this.resolve(source, importer, { skipSelf: true });
        const own = found && replaced[found.id.slice(repository.length + 1)];
        return own === undefined || own === null ? found : join(ownFolder, own);
      },
    },
  };
}
