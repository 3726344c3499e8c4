import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Architecture } from "./architecture.ts";
import { builtFolder } from "./built.ts";
import { extractPackages } from "./debian-packages.ts";
import { copiesBelow, copyOf, type ImageFile, textFile } from "./image-file.ts";
import { fetchKoffi, fetchNode } from "./node-release.ts";
import { repository } from "./places.ts";

const systemPackages = ["libc6", "libstdc++6", "libgcc-s1", "busybox-static"] as const;
/** What Node and koffi are linked with, and what looks up names of hosts. */
const libraries =
  /\/(?:ld-linux-[a-z0-9-]+\.so\.\d|lib(?:c|m|dl|pthread|rt|resolv|nss_dns|nss_files|gcc_s|stdc\+\+)\.so\.[\d.]+)$/;
/** What manifests and starters call; `busybox NAME` has more for people who look for a fault. */
const binPrograms = ["cat", "chmod", "chown", "ls", "mkdir", "sh", "sleep"];
const usrBinPrograms = ["[", "dirname", "env", "find", "head", "readlink", "test"];
const home = "opt/ballast";

/** The layers of the image, what changes most seldom first. `npm run build` must have run. */
export async function imageContent(architecture: Architecture): Promise<ImageFile[][]> {
  return [
    await systemFiles(architecture),
    await nodeFiles(architecture),
    await programFiles(architecture),
  ];
}

/** The C library, a shell, who is who; and folders that a container gets things mounted at. */
async function systemFiles(architecture: Architecture): Promise<ImageFile[]> {
  const root = await extractPackages(systemPackages, architecture);
  const wanted = await copiesBelow(root, "", (path) => libraries.test(`/${path}`));
  const libs = wanted.map((file) => ({ ...file, path: file.path.replace(/^usr\/lib/, "lib") }));
  const copyrights = await copiesBelow(join(root, "usr/share/doc"), "usr/share/doc", (path) =>
    /^[^/]+(?:\/copyright)?$/.test(path),
  );
  const busybox = (path: string): ImageFile => ({ path, kind: "link", target: "/bin/busybox" });
  const folders = ["dev", "etc", "proc", "run", "sys", "var/lib"];
  return [
    ...libs,
    ...copyrights,
    await copyOf(await findBusybox(root), "bin/busybox"),
    ...binPrograms.map((name) => busybox(`bin/${name}`)),
    ...usrBinPrograms.map((name) => busybox(`usr/bin/${name}`)),
    // Debian's busybox has none.
    executable(
      await copyOf(join(repository, "deploy/image/install-folders.sh"), "usr/bin/install"),
    ),
    ...folders.map((path): ImageFile => ({ path, kind: "folder" })),
    textFile(
      "etc/passwd",
      "root:x:0:0::/nonexistent:/bin/sh\nballast:x:64646:64646::/nonexistent:/bin/sh\n",
    ),
    textFile("etc/group", "root:x:0:\nballast:x:64646:\n"),
    textFile("etc/nsswitch.conf", "hosts: files dns\n"),
  ];
}

async function nodeFiles(architecture: Architecture): Promise<ImageFile[]> {
  const node = await fetchNode(architecture);
  return [
    await copyOf(node.program, "usr/local/bin/node"),
    await copyOf(node.licence, "usr/share/doc/node/LICENSE"),
  ];
}

/** What deploy/Dockerfile copies, and of koffi only what is loaded. */
async function programFiles(architecture: Architecture): Promise<ImageFile[]> {
  const here = (path: string) => join(repository, path);
  const at = (path: string) => `${home}/${path}`;
  const starters = ["ballast", "ballast-csi", "ask-socket"];
  const native = `@koromix/koffi-linux-${architecture}`;
  return [
    await copyOf(here("package.json"), at("package.json")),
    await copyOf(here("LICENSE"), at("LICENSE")),
    ...(await copiesBelow(here("bin"), at("bin"))),
    executable(await copyOf(here("deploy/image/ask-socket.mjs"), at("bin/ask-socket"))),
    ...(await copiesBelow(builtFolder(), at("dist"), (path) => !/^(?:package|types)\//.test(path))),
    ...(await copiesBelow(here("node_modules/koffi"), at("node_modules/koffi"), isLoaded)),
    await copyOf(await fetchKoffi(architecture), at(`node_modules/${native}/koffi.node`)),
    textFile(at(`node_modules/${native}/package.json`), '{"main":"koffi.node"}\n'),
    ...starters.map(
      (name): ImageFile => ({
        path: `usr/local/bin/${name}`,
        kind: "link",
        target: `/${home}/bin/${name}`,
      }),
    ),
  ];
}

/** The rest of koffi is its sources. */
function isLoaded(path: string): boolean {
  return /^(?:package\.json|LICENSE\.txt|index\.c?js|src\/koffi\/(?:src\/)?[a-z]+\.c?js)$/.test(
    path,
  );
}

function executable(file: ImageFile): ImageFile {
  return file.kind === "file" ? { ...file, executable: true } : file;
}

/** Debian has moved it from /bin to /usr/bin. */
async function findBusybox(root: string): Promise<string> {
  const folder = (await readdir(root)).includes("bin") ? "bin" : "usr/bin";
  return join(root, folder, "busybox");
}
