import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type ConnectionOptions,
  diff,
  inspect,
  type ProgressListener,
  pull,
  push,
  verify,
  verifyStore,
} from "../../src/index.ts";
import { runLibraryProcess } from "../support/library-process.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { startFaultRegistry } from "../support/registry-faults.ts";
import {
  countProgress,
  openWorkplace,
  readTree,
  seededBytes,
  type Workplace,
} from "../support/workplace.ts";

let place: Workplace;
let source: string;
let reference: string;

beforeEach(async () => {
  place = await openWorkplace();
  source = await place.writeModel();
  reference = place.ref("team/model:v1");
});
afterEach(async () => place[Symbol.asyncDispose]());

describe("the library", () => {
  test("pushes, pulls, inspects, compares and checks without native modules and programs", async () => {
    const calls = JSON.stringify({
      source,
      reference,
      store: place.inside("store"),
      output: place.inside("out"),
    });
    const script = `
      const { source, reference, store, output } = ${calls};
      await ballast.push({ source, reference });
      await ballast.inspect({ reference });
      await ballast.diff({ from: reference, to: reference });
      const { path } = await ballast.pull({ reference, store });
      await ballast.pull({ reference, output });
      const { problems } = await ballast.verify({ target: output });
      process.report.excludeNetwork = true;
      const natives = process.report.getReport().sharedObjects.filter((name) => name.endsWith(".node"));
      process.stdout.write(JSON.stringify({ path, problems, natives }));`;
    const refuse = "process.dlopen = () => { throw new Error('a native module') }";
    const flags = ["--import", `data:text/javascript,${encodeURIComponent(refuse)}`];
    const printed = await runLibraryProcess(script, { flags, env: { PATH: "" } });
    const { path, problems, natives } = JSON.parse(printed) as Record<string, string>;
    expect({ problems, natives }).toEqual({ problems: [], natives: [] });
    expect(await readTree(path ?? "")).toEqual(await readTree(source));
    expect(await readTree(place.inside("out"))).toEqual(await readTree(source));
  });

  test("exports what its document says, and nothing else", async () => {
    const exported = Object.keys(await import("../../src/index.ts")).sort();
    expect(exported).toEqual([
      "ModelError",
      "checkRegistry",
      "collectGarbage",
      "copy",
      "diff",
      "inspect",
      "isModelError",
      "listModels",
      "listTags",
      "login",
      "logout",
      "pinModel",
      "pull",
      "push",
      "removeFromRepository",
      "removeModel",
      "tag",
      "verify",
      "verifyStore",
    ]);
  });

  test("lets the process end when it is done", async () => {
    const calls = JSON.stringify({ source, reference });
    await runLibraryProcess(`await ballast.push(${calls}); process.stdout.write("done");`);
    expect((await inspect({ reference })).files).toHaveLength(3);
  });

  test("has an example that runs", async () => {
    const example = join(import.meta.dirname, "../../examples/library/push-and-pull.ts");
    const args = [example, source, reference, place.inside("out")];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    expect(stdout).toMatch(/^pushed .*@sha256:[0-9a-f]{64}\npulled 3 files to /);
    expect(await readTree(place.inside("out"))).toEqual(await readTree(source));
    const failing = promisify(execFile)(process.execPath, [example, source, "no-host/x", "y"]);
    await expect(failing).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^INVALID_REFERENCE: /) as string,
    });
  });
});

describe("timeouts", () => {
  test("say when a silent registry is asked again", async () => {
    await using silent = await startFaultRegistry();
    const target = `${silent.host}/team/model:v1`;
    await push({ source, reference: target });
    silent.blobFaults.push({ stallAfter: 10 });
    const timeouts = { bodyMs: 200 };
    const { path } = await pull({ reference: target, output: place.inside("out"), timeouts });
    expect(await readTree(path)).toEqual(await readTree(source));
  }, 20_000);

  test.each<[string, (options: ConnectionOptions) => Promise<unknown>]>([
    ["push", (options) => push({ source, reference, ...options })],
    ["pull", (options) => pull({ reference, output: place.inside("out"), ...options })],
    ["inspect", (options) => inspect({ reference, ...options })],
    ["diff", (options) => diff({ from: reference, to: reference, ...options })],
    ["verify", (options) => verify({ target: reference, ...options })],
  ])("of %s must be whole milliseconds that a timer can wait", async (_, call) => {
    for (const headersMs of [0, -1, 0.5, Number.NaN, 2 ** 31])
      await expect(call({ timeouts: { headersMs } })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("headersMs") as string,
      });
  });
});

describe("progress", () => {
  test("of each call adds up to the size of every file", async () => {
    const store = place.inside("store");
    await push({ source, reference });
    const calls = {
      "push again": (onProgress: ProgressListener) => push({ source, reference, onProgress }),
      "push elsewhere": (onProgress: ProgressListener) =>
        push({ source, reference: place.ref("other:v1"), onProgress }),
      "dry run": (onProgress: ProgressListener) =>
        push({ source, reference: place.ref("dry:v1"), dryRun: true, onProgress }),
      pull: (onProgress: ProgressListener) => pull({ reference, store, onProgress }),
      "pull again": (onProgress: ProgressListener) => pull({ reference, store, onProgress }),
      "pull a copy": (onProgress: ProgressListener) =>
        pull({ reference, store, output: place.inside("out"), onProgress }),
      verify: (onProgress: ProgressListener) => verify({ target: reference, onProgress }),
      "verify store": (onProgress: ProgressListener) => verifyStore({ store, onProgress }),
    };
    for (const [name, call] of Object.entries(calls)) {
      const counted = countProgress();
      await call(counted.onProgress);
      const missing = [...counted.files].map(
        ([path, { bytes, fileSize }]) => `${name}: ${path} ${bytes - fileSize}`,
      );
      const names = ["config.json", "model.safetensors", "sub/other.bin"];
      expect(new Set(missing)).toEqual(new Set(names.map((path) => `${name}: ${path} 0`)));
    }
  });
});

describe("a call that is stopped", () => {
  const stopped = {
    name: "ModelError",
    code: "CANCELLED",
    hint: expect.stringContaining("same call goes on") as string,
  };

  test.each<[string, (signal: AbortSignal) => Promise<unknown>]>([
    ["push", (signal) => push({ source, reference, signal })],
    ["pull", (signal) => pull({ reference, output: place.inside("out"), signal })],
    ["inspect", (signal) => inspect({ reference, signal })],
    ["diff", (signal) => diff({ from: reference, to: reference, signal })],
    ["verify of a reference", (signal) => verify({ target: reference, signal })],
    ["verify of a folder", (signal) => verify({ target: place.inside("before"), signal })],
  ])("before it began: %s rejects with CANCELLED", async (_, call) => {
    await push({ source, reference });
    await pull({ reference, output: place.inside("before") });
    await expect(call(AbortSignal.abort())).rejects.toMatchObject(stopped);
    await expect(call(AbortSignal.abort(new Error("own reason")))).rejects.toMatchObject(stopped);
  });

  test("a push in the middle leaves no tag, and the next one completes it", async () => {
    const big = await place.write("big", { "a.bin": seededBytes("a", 60_000_000), b: "b" });
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = (event: { type: string }) => {
      if (event.type === "bytes") controller.abort();
    };
    await expect(push({ source: big, reference, signal, onProgress })).rejects.toMatchObject(
      stopped,
    );
    await expect(inspect({ reference })).rejects.toMatchObject({ code: "NOT_FOUND" });
    const uploads = join(place.registryRoot, "team+model", "uploads");
    // The registry hears of the end a moment later.
    await expect.poll(() => readdir(uploads).catch(() => [])).toEqual([]);
    await push({ source: big, reference });
    const { path } = await pull({ reference, output: place.inside("out") });
    expect(await readTree(path)).toEqual(await readTree(big));
  });

  test("a pull in the middle shows nothing, and the next one goes on", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 4 }, (_, at) => [`${at}.bin`, seededBytes(`${at}`, 9_000_000)]),
    );
    const big = await place.write("big", files);
    await push({ source: big, reference });
    for (const target of [{ output: place.inside("out") }, { store: place.inside("store") }]) {
      const controller = new AbortController();
      const { signal } = controller;
      const onProgress = (event: { type: string }) => {
        if (event.type === "bytes") controller.abort();
      };
      const pulling = pull({ reference, ...target, signal, onProgress });
      await expect(pulling).rejects.toMatchObject(stopped);
      if (target.output !== undefined) expect(await readTree(target.output)).toEqual({});
      else expect(await readdir(join(target.store, "trees"))).toEqual([]);
      const { path } = await pull({ reference, ...target });
      expect(await readTree(path)).toEqual(await readTree(big));
    }
  });

  test("a pull from a server that went silent ends at once", async () => {
    await using silent = await startFaultRegistry();
    await using folder = await makeTemporaryFolder();
    const target = `${silent.host}/team/model:v1`;
    await push({ source, reference: target });
    // A reader tells of bytes in large pieces: after fewer it would be stopped by its own timeout.
    const stalls = Array.from({ length: 20 }, () => ({ stallAfter: 300_000 }));
    silent.blobFaults.push({}, ...stalls);
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = (event: { type: string }) => {
      if (event.type === "bytes") controller.abort();
    };
    const pulling = pull({ reference: target, output: folder.path, signal, onProgress });
    await expect(pulling).rejects.toMatchObject(stopped);
    silent.blobFaults.length = 0;
    await pull({ reference: target, output: folder.path });
    expect(await readTree(folder.path)).toEqual(await readTree(source));
  });

  test("a pull that waits for a store stops waiting", async () => {
    await push({ source, reference });
    const store = place.inside("store");
    const controller = new AbortController();
    const inner = Promise.withResolvers<unknown>();
    await pull({
      reference,
      store,
      onProgress: (event) => {
        if (event.type !== "start") return;
        const { signal } = controller;
        const onProgress = () => controller.abort();
        pull({ reference, store, waitForLock: true, signal, onProgress }).then(
          inner.resolve,
          inner.resolve,
        );
      },
    });
    // The first may have ended before the second one asked: then that one simply succeeded.
    const ended = await inner.promise;
    expect(ended).toMatchObject(ended instanceof Error ? stopped : { files: 3 });
  });
});
