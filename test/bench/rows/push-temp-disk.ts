import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Row } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import { type Command, measureProcess } from "../measure/measured-process.ts";
import { removeFolder } from "../remove-folder.ts";
import type { Fact } from "../results.ts";
import { startBenchRegistry } from "../servers/distribution.ts";
import { makeHome, repositories, runUntimed } from "./peers.ts";
import { type PushScene, tag } from "./push-scene.ts";

const controlBytes = 8_388_608;

/**
 * What a push writes to disks, temporary files that it removes again included: home, temporary and
 * current folder lie on a disk and the kernel counts what the process writes there.
 */
export const pushTempDisk: Row<PushScene> = {
  id: "push-temp-disk",
  title: "what a push writes to disk",
  measure: async ({ model }, bench) => {
    const { disk, fast } = bench.workspace;
    const [folder, registry] = [join(disk, "temp-disk"), join(fast, "registry")];
    await using cleanups = new AsyncDisposableStack();
    for (const each of [folder, registry]) cleanups.defer(() => removeFolder(each));
    await mkdir(registry, { recursive: true });
    const home = await makeHome(folder);
    const measure = async (command: Command) =>
      (await measureProcess(command, registry, bench.signal)).diskBytes;
    const counted = await measure(controlCommand(home));
    const accessLog = join(registry, "access.log");
    const server = cleanups.use(
      await startBenchRegistry({ root: join(registry, "root"), accessLog }),
    );
    const client = ballastClient(bench.ballast);
    const push = (repository: string) =>
      client.push({
        server,
        name: `${repository}:${tag}`,
        source: model.folder,
        layout: "",
        tag,
        home,
      });
    // The first command on a machine compiles Ballast and keeps that; the others write nothing.
    await runUntimed(bench, await push("bench/first"));
    const written = await measure(await push(repositories.ours));
    const left = (await readdir(home, { recursive: true })).filter((path) => path !== "tmp");
    return {
      entries: [],
      facts: [
        bytes("disk-bytes", "written to disk", written),
        { id: "files-left", label: "files left", value: left.length, unit: "count" },
        bytes(
          "control-bytes",
          "the same count for a program that writes and removes 8 MiB",
          counted,
        ),
      ],
      ...(counted < controlBytes
        ? { skipped: `the kernel does not count what is written to ${disk}` }
        : {}),
    };
  },
};

/** Writes a temporary file and removes it. */
function controlCommand(home: string): Command {
  const script = `dd if=/dev/zero of=file bs=${controlBytes} count=1 && rm file`;
  return {
    program: "sh",
    args: ["-c", script],
    env: { PATH: process.env["PATH"] ?? "" },
    cwd: home,
  };
}

function bytes(id: string, label: string, value: number): Fact {
  return { id, label, value, unit: "bytes" };
}
