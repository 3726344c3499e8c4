import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readlink, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Architecture, architectures } from "./architecture.ts";
import { downloadsFolder } from "./places.ts";
import { runProgram } from "./run-program.ts";

const hint =
  "the image takes its C library from Debian packages: run this on Debian or Ubuntu, or build deploy/Dockerfile";

/** How apt-get is called: its flags, and by whom for a new list of packages. */
interface Apt {
  readonly flags: readonly string[];
  readonly update: readonly string[];
}

/** Downloads packages of this machine's Debian into `folder`; asks for new package lists only when it must. */
export async function downloadPackages(
  packages: readonly string[],
  folder: string,
  apt: Apt = machineApt(),
): Promise<void> {
  const call = (words: readonly string[], ...args: readonly string[]) => {
    const [program = "apt-get", ...rest] = words;
    return runProgram([program, ...rest, ...apt.flags, ...args], { cwd: folder, hint });
  };
  try {
    await call(["apt-get"], "download", ...packages);
  } catch {
    // A fresh image has no package lists, and old ones name files that the mirror has dropped.
    await call(apt.update, "update");
    await call(["apt-get"], "download", ...packages);
  }
}

function machineApt(): Apt {
  const asRoot = process.getuid?.() === 0;
  return {
    flags: asRoot ? ["-o", "APT::Sandbox::User=root"] : [],
    update: asRoot ? ["apt-get"] : ["sudo", "-n", "apt-get"],
  };
}

/** Of another architecture than the machine's, with lists of its own: the machine's stay as they are. */
async function foreignApt(architecture: string): Promise<Apt> {
  const own = join(downloadsFolder, `apt-${architecture}`);
  const [lists, cache, state] = [join(own, "lists"), join(own, "cache"), join(own, "status")];
  for (const folder of [lists, join(cache, "archives")])
    await mkdir(join(folder, "partial"), { recursive: true });
  await writeFile(state, "");
  const settings = [
    "APT::Sandbox::User=",
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::State::lists=${lists}`,
    `Dir::State::status=${state}`,
    `Dir::Cache=${cache}`,
  ];
  return { flags: settings.flatMap((setting) => ["-o", setting]), update: ["apt-get"] };
}

/** The folder with the files of some packages and their licences, extracted side by side, not installed. */
export async function extractPackages(
  packages: readonly string[],
  architecture: Architecture,
): Promise<string> {
  const { debian } = architectures[architecture];
  const folder = join(downloadsFolder, `debian-${debian}-${packages.join("-")}`);
  if (existsSync(folder)) return folder;
  await mkdir(downloadsFolder, { recursive: true });
  const scratch = await mkdtemp(`${folder}.partial-`);
  try {
    const root = join(scratch, "root");
    await mkdir(root);
    const apt = architecture === process.arch ? machineApt() : await foreignApt(debian);
    await extractInto(root, packages, apt);
    const elsewhere = await licencesElsewhere(join(root, "usr/share/doc"));
    if (elsewhere.length > 0) await extractInto(root, elsewhere, apt);
    await rename(root, folder);
    return folder;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function extractInto(root: string, packages: readonly string[], apt: Apt): Promise<void> {
  const archives = await mkdtemp(`${root}-archives-`);
  await downloadPackages(packages, archives, apt);
  for (const archive of await readdir(archives))
    await runProgram(["dpkg-deb", "-x", join(archives, archive), root], { hint });
}

/** Packages of one source may have their documents in one of them: a link tells its name. */
async function licencesElsewhere(documents: string): Promise<string[]> {
  const entries = await readdir(documents, { withFileTypes: true });
  const links = entries.filter((entry) => entry.isSymbolicLink());
  const targets = links.map(({ name }) => readlink(join(documents, name)));
  return [...new Set(await Promise.all(targets))].filter(
    (target) => !existsSync(join(documents, target)),
  );
}
