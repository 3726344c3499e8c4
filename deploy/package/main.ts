/**
 * `npm run package`: Ballast as one executable and as an OCI image, in dist/package. Needs no
 * container engine.
 */
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ModelError } from "../../src/core/errors.ts";
import { readVersion } from "../../src/core/version.ts";
import { type Architecture, architectures, parseArchitecture } from "./architecture.ts";
import { makeExecutable } from "./executable.ts";
import { archiveImage, makeImage } from "./image.ts";
import { repository } from "./places.ts";
import { pushImage } from "./push-image.ts";

const usage = `npm run package -- [options]
  --only executable|image   make one of both
  --arch x64|arm64          for another machine than this
  --output DIR              default dist/package
  --push REF                also push the image, with docker's login or BALLAST_USERNAME and BALLAST_PASSWORD
  --plain-http              speak HTTP without TLS to that registry (the default for loopback hosts only)
  --ca-file FILE            trust the CA certificates in this PEM file too
`;

type Flags = ReturnType<typeof readFlags>;

try {
  const flags = readFlags();
  if (flags.help === true) process.stdout.write(usage);
  else await makePackages(flags);
} catch (error) {
  if (!(error instanceof ModelError)) throw error;
  process.stderr.write(`package: ${error.message}\n${error.hint ? `  ${error.hint}\n` : ""}`);
  process.exitCode = 1;
}

async function makePackages(flags: Flags): Promise<void> {
  if (process.platform !== "linux")
    throw new ModelError(
      "INVALID_ARGUMENT",
      `packages are made on Linux, not ${process.platform}`,
      {
        hint: "docker build -f deploy/Dockerfile makes the image anywhere",
      },
    );
  const architecture = parseArchitecture(flags.arch ?? process.arch);
  const output = resolve(flags.output ?? join(repository, "dist/package"));
  const version = readVersion();
  if (flags.only !== "image") await reportExecutable(output, architecture, version);
  if (flags.only !== "executable") await reportImage(output, architecture, version, flags);
}

async function reportExecutable(
  output: string,
  architecture: Architecture,
  version: string,
): Promise<void> {
  const path = join(output, `ballast-linux-${architecture}`);
  await makeExecutable(path, { architecture, version });
  await report(path);
}

async function reportImage(
  output: string,
  architecture: Architecture,
  version: string,
  flags: Flags,
): Promise<void> {
  const folder = join(output, `image-linux-${architectures[architecture].image}`);
  const image = await makeImage(folder, { architecture, version });
  await archiveImage(folder, image.tag, `${folder}.tar`);
  process.stdout.write(`oci:${folder}:${image.tag}  ${mega(image.size)}\n`);
  await report(`${folder}.tar`);
  if (flags.push === undefined) return;
  const ca = await Promise.all(flags["ca-file"].map((file) => readFile(file, "utf8")));
  const plainHttp = flags["plain-http"];
  const pushed = await pushImage(folder, image.tag, flags.push, {
    environment: process.env,
    ...(ca.length > 0 ? { ca } : {}),
    ...(plainHttp === undefined ? {} : { plainHttp }),
  });
  process.stdout.write(`${pushed}\n`);
}

async function report(path: string): Promise<void> {
  process.stdout.write(`${path}  ${mega((await stat(path)).size)}\n`);
}

function mega(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}

function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string" },
        arch: { type: "string" },
        output: { type: "string" },
        push: { type: "string" },
        "plain-http": { type: "boolean" },
        "ca-file": { type: "string", multiple: true, default: [] },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.only !== undefined && !/^(?:executable|image)$/.test(values.only))
      throw new Error(`--only ${values.only}: there is executable and image`);
    if (values.only === "executable" && values.push !== undefined)
      throw new Error("--push pushes the image, which --only executable leaves out");
    return values;
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ModelError("INVALID_ARGUMENT", why, { hint: "npm run package -- --help", cause });
  }
}
