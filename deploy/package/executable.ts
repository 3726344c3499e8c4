import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Architecture, parseArchitecture } from "./architecture.ts";
import { builtFolder } from "./built.ts";
import { bundleExecutable } from "./bundle.ts";
import { fetchKoffi, fetchNode, type NodeRelease } from "./node-release.ts";
import { repository } from "./places.ts";
import { runProgram } from "./run-program.ts";

/** What bin/ballast gives Node for files. */
const flags = ["--disable-warning=ExperimentalWarning", "--max-semi-space-size=4"];
/** Where Node looks for what was put into it (doc/api/single-executable-applications.md). */
const section = "NODE_SEA_BLOB";
const fuse = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

/**
 * Makes `path`: the command line and the Node.js it runs on, in one executable (a single executable
 * application of Node). It needs nothing but glibc and libstdc++. `npm run build` must have run.
 */
export async function makeExecutable(
  path: string,
  options: { readonly architecture: Architecture; readonly version: string },
): Promise<void> {
  const { architecture, version } = options;
  await mkdir(dirname(path), { recursive: true });
  const scratch = await mkdtemp(`${path}.partial-`);
  const inside = (name: string) => join(scratch, name);
  try {
    const node = await fetchNode(architecture);
    const koffi = await fetchKoffi(architecture);
    const { main, workers } = await bundleExecutable();
    const texts = new Map([
      ...[...workers].map(([name, code]) => [`${name}.js`, code] as const),
      ["version", version],
      ["LICENSES.txt", await collectLicences(node)],
    ]);
    await writeFile(inside("main.js"), main);
    for (const [name, text] of texts) await writeFile(inside(name), text);
    const assets = Object.fromEntries([...texts.keys()].map((name) => [name, inside(name)]));
    await makeBlob(inside("blob"), architecture, {
      main: inside("main.js"),
      assets: { ...assets, "koffi.node": koffi },
    });
    await copyFile(node.program, inside("program"));
    await inject(inside("program"), inside("blob"));
    await chmod(inside("program"), 0o755);
    await rename(inside("program"), path);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The licences of all that is inside. */
async function collectLicences(node: NodeRelease): Promise<string> {
  const texts = [
    ["Ballast", join(repository, "LICENSE")],
    ["koffi", join(repository, "node_modules/koffi/LICENSE.txt")],
    ["Packages of the bundle", join(builtFolder(), "LICENSES.txt")],
    [`Node.js ${node.version}`, node.licence],
  ] as const;
  const parts = texts.map(async ([name, file]) => {
    const text = await readFile(file, "utf8");
    return `${name}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(parts)).join("\n\n");
}

/** Node of the same version writes it; what it compiled ahead is only for its own architecture. */
async function makeBlob(
  output: string,
  architecture: Architecture,
  content: { readonly main: string; readonly assets: Readonly<Record<string, string>> },
): Promise<void> {
  const own = parseArchitecture(process.arch);
  const { program } = await fetchNode(own);
  const configuration = {
    ...content,
    output,
    disableExperimentalSEAWarning: true,
    useCodeCache: own === architecture,
    execArgv: flags,
  };
  const file = `${output}.json`;
  await writeFile(file, JSON.stringify(configuration));
  // With other flags than it will run with, Node would not take what is compiled here.
  await runProgram([program, ...flags, "--experimental-sea-config", file]);
}

async function inject(program: string, blob: string): Promise<void> {
  const postject = fileURLToPath(import.meta.resolve("postject/dist/cli.js"));
  const args = [basename(program), section, basename(blob), "--sentinel-fuse", fuse];
  await runProgram([process.execPath, postject, ...args], { cwd: dirname(program) });
}
