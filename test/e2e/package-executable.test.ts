import { once } from "node:events";
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  stat,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseArchitecture } from "../../deploy/package/architecture.ts";
import { makeExecutable } from "../../deploy/package/executable.ts";
import { socketPath } from "../../src/agent/api/routes.ts";
import { createAgentClient } from "../../src/agent/client/client.ts";
import { readVersion } from "../../src/core/version.ts";
import { type AgentProcess, startAgentProcess } from "../support/agent-process.ts";
import { type CommandResult, runBallast, startBallast } from "../support/ballast-command.ts";
import { mountNew, mountsMissing, run } from "../support/disk-mounts.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { flipBit, openWorkplace, readTree, type Workplace } from "../support/workplace.ts";

const withoutPrograms = { PATH: "/nonexistent" };

describe("the executable, alone in a folder and with no program on PATH", () => {
  let folder: TemporaryFolder;
  let place: Workplace;
  let program: string;
  let source: string;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    place = await openWorkplace();
    const made = join(folder.path, "made");
    const architecture = parseArchitecture(process.arch);
    await makeExecutable(made, { architecture, version: readVersion() });
    await mkdir(join(folder.path, "alone"));
    program = join(folder.path, "alone/ballast");
    await copyFile(made, program);
    await chmod(folder.path, 0o755);
    source = await place.writeModel();
  });
  afterAll(async () => {
    await place[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  const ballast = (...args: string[]): Promise<CommandResult> =>
    runBallast(args, { home: folder.path, program, env: withoutPrograms });

  async function succeed(...args: string[]): Promise<string> {
    const { code, out, err } = await ballast(...args);
    expect(err).not.toMatch(/Warning|deprecated/i);
    expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
    return out;
  }

  /** Ends with the test's own folder. */
  const emptyFolder = () => mkdtemp(join(folder.path, "empty-"));

  /** The least of some runs, in milliseconds: others use this machine too. */
  async function startTime(...args: string[]): Promise<number> {
    const times: number[] = [];
    for (let turn = 0; turn < 5; turn++) {
      const started = performance.now();
      await succeed(...args);
      times.push(performance.now() - started);
    }
    return Math.min(...times);
  }

  test("knows its own version, whatever package.json lies beside it", async () => {
    await writeFile(join(folder.path, "alone/package.json"), '{"version":"9.9.9"}');
    expect(await succeed("--version")).toBe(`ballast ${readVersion()}\n`);
    expect(await succeed("push", "--help")).toContain("Usage: ballast push");
  });

  test("carries the licences of Node and of all packages in it", async () => {
    const text = await succeed("--licenses");
    for (const part of ["Apache License", "Node.js is licensed", "commander", "undici", "koffi"])
      expect(text).toContain(part);
  });

  test("starts in well under a second", async () => {
    const [version, help] = [await startTime("--version"), await startTime("--help")];
    const { size } = await stat(program);
    const mega = (size / 1e6).toFixed(1);
    console.log(`${mega} MB; --version ${version.toFixed(0)} ms, --help ${help.toFixed(0)} ms`);
    expect(help).toBeLessThan(1000);
  });

  test("serves a registry, and pushes, inspects, verifies, compares and pulls with it", async () => {
    const root = join(folder.path, "registry");
    const args = ["registry", "serve", "--root", root, "--listen", "127.0.0.1:0"];
    const served = startBallast(args, { home: folder.path, program, env: withoutPrograms });
    try {
      const [first]: unknown[] = served.child.stdout ? await once(served.child.stdout, "data") : [];
      const host = /127\.0\.0\.1:\d+/.exec(String(first))?.[0] ?? "";
      const reference = `${host}/team/model:v1`;
      expect(await succeed("push", source, reference)).toMatch(/@sha256:[0-9a-f]{64}\n$/);
      expect(await succeed("inspect", reference)).toContain("model.safetensors");
      expect(await succeed("diff", reference, reference)).not.toBe("");
      await succeed("verify", reference);
      const out = join(folder.path, "out");
      await succeed("pull", reference, "-o", out);
      expect(await readTree(out)).toEqual(await readTree(source));
      await succeed("verify", out);
      const store = join(folder.path, "store");
      const tree = (await succeed("pull", reference, "--store", store)).trim();
      expect(await readTree(tree)).toEqual(await readTree(source));
      expect(await succeed("store", "ls", "--store", store)).toContain("team/model");
    } finally {
      served.child.kill("SIGTERM");
      await served.result;
    }
  });

  test("names what is wrong, with a next step, as a library and a thread of it say it", async () => {
    const absent = await ballast("pull", place.ref("team/absent:v1"), "-o", join(folder.path, "x"));
    expect(absent.code).not.toBe(0);
    expect(absent.err).toMatch(/NOT_FOUND: .*team\/absent/);
    const { digest } = await place.push(source, "team/broken:v1");
    const manifest = await readFile(place.blob("team/broken", digest), "utf8");
    const [layer] = JSON.parse(manifest).layers.slice(-1);
    await flipBit(place.blob("team/broken", layer.digest), 1000);
    const broken = await ballast("pull", place.ref("team/broken:v1"), "-o", join(folder.path, "y"));
    expect(broken.err).toMatch(/DIGEST_MISMATCH: /);
    expect(broken.err.length).toBeLessThan(3000);
  });

  test("runs with the memory flags of bin/ballast", async () => {
    const limit = (...flags: string[]) => {
      const script = "process.stdout.write(String(v8.getHeapStatistics().heap_size_limit))";
      return Number(run(process.execPath, ...flags, "-e", script));
    };
    const reports = join(folder.path, "reports");
    await mkdir(reports);
    const report = `--report-on-signal --report-directory=${reports} --report-filename=one.json`;
    const env = { ...withoutPrograms, NODE_OPTIONS: report };
    const args = ["registry", "serve", "--root", join(folder.path, "r2")];
    const served = startBallast([...args, "--listen", "127.0.0.1:0"], {
      home: folder.path,
      program,
      env,
    });
    try {
      if (served.child.stdout) await once(served.child.stdout, "data");
      served.child.kill("SIGUSR2");
      const written = () => readFile(join(reports, "one.json"), "utf8").then(JSON.parse);
      const heapLimit = async () => (await written()).javascriptHeap.memoryLimit;
      await expect.poll(heapLimit, { timeout: 20_000 }).toBe(limit("--max-semi-space-size=4"));
      expect(limit()).not.toBe(limit("--max-semi-space-size=4"));
    } finally {
      served.child.kill("SIGTERM");
      await served.result;
    }
  });

  test.skipIf(process.geteuid?.() !== 0)(
    "runs an agent, with one arena for all threads, and asks it",
    async () => {
      await place.push(source, "team/model:v1");
      await using agent = await startAgentProcess(await emptyFolder(), [], program);
      const environment = await readFile(`/proc/${agent.process.pid}/environ`, "utf8");
      expect(environment.split("\0")).toContain("MALLOC_ARENA_MAX=1");
      const tree = await succeed(
        "prefetch",
        "--wait",
        place.ref("team/model:v1"),
        "--run",
        agent.run,
      );
      expect(await readTree(tree.trim())).toEqual(await readTree(source));
      expect(await succeed("status", "--run", agent.run)).toContain("team/model");
      const admin = createAgentClient(socketPath(agent.run, "admin"));
      expect((await admin.status()).models).toHaveLength(1);
    },
  );

  describe.skipIf(mountsMissing())("mounting", () => {
    let agent: AgentProcess;

    beforeAll(async () => {
      await place.push(source, "team/mounted:v1");
      agent = await startAgentProcess(await emptyFolder(), [], program);
    });
    afterAll(() => agent[Symbol.asyncDispose]());

    const mounting = (temporary: string, ...args: string[]) =>
      runBallast([...args, "--run", agent.run], {
        home: folder.path,
        program,
        env: { ...withoutPrograms, TMPDIR: temporary },
      });

    test("works, and leaves no file behind", async () => {
      const temporary = await emptyFolder();
      const at = join(folder.path, "mounted");
      const mounted = await mounting(temporary, "mount", place.ref("team/mounted:v1"), at);
      expect(mounted).toMatchObject({ code: 0 });
      expect(await readTree(at)).toEqual(await readTree(source));
      expect(await mounting(temporary, "unmount", at)).toMatchObject({ code: 0 });
      expect(await readdir(temporary)).toEqual([]);
    });

    test("says what to do where nothing in the folder for temporary files may be executed", async () => {
      await using temporary = await mountNew(
        (path) => void run("mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", path),
      );
      const at = join(folder.path, "not-mounted");
      const { code, err } = await mounting(
        temporary.path,
        "mount",
        place.ref("team/mounted:v1"),
        at,
      );
      expect(code).not.toBe(0);
      expect(err).toMatch(/MOUNT_FAILED: the part that mounts cannot be loaded.*\n.*TMPDIR/);
      expect(await readdir(temporary.path)).toEqual([]);
    });
  });
});
