import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { push } from "../../src/model/push.ts";
import type { PruneResult } from "../../src/registry/server/prune.ts";
import type { PruneReport } from "../../src/registry/server/pruning.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { type CommandResult, runBallast } from "../support/ballast-command.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";
import { listEmbeddedBlobs } from "../support/registry-disk.ts";

let folder: TemporaryFolder;
let root: string;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  root = join(folder.path, "registry");
  for (const name of ["a", "b"])
    await writeTree(join(folder.path, name), { "model.txt": name.repeat(100_000) });
});
afterEach(() => folder[Symbol.asyncDispose]());

const prune = (...args: string[]): Promise<CommandResult> =>
  runBallast(["registry", "prune", ...args], { home: folder.path });

/** Tag v1 moves from model a to model b, in two repositories that share their files. */
async function pushTwice(address: string): Promise<void> {
  for (const source of ["a", "b"])
    for (const repository of ["team/one", "team/two"])
      await push({
        source: join(folder.path, source),
        reference: `${address}/${repository}:v1`,
        base: false,
      });
}

describe("ballast registry prune", () => {
  test("removes what the tags left behind from a folder that is served", async () => {
    await using registry = await startRegistry({ root });
    await pushTwice(registry.address);
    const before = await listEmbeddedBlobs(root, "team/one");
    const first = await prune("--root", root);
    expect([first.code, first.out]).toEqual([0, ""]);
    expect(first.err).toMatch(
      /^removed 0 blobs, 0 B; out of reach, but not for long enough: \d+ /m,
    );
    expect(await listEmbeddedBlobs(root, "team/one")).toEqual(before);

    const dry = await prune("--root", root, "--grace", "0s", "--dry-run");
    const done = await prune("--root", root, "--grace", "0s");
    expect([dry.code, done.code]).toEqual([0, 0]);
    expect(done.out).toBe(dry.out);
    expect(done.out).toMatch(/^KIND +SIZE +FREES +DIGEST +REPOSITORY\n/);
    expect(done.err.replace("removed", "would remove")).toBe(dry.err);
    const after = await listEmbeddedBlobs(root, "team/one");
    expect(after.size).toBeLessThan(before.size);
    const again = await prune("--root", root, "--grace", "0s", "--json");
    expect(JSON.parse(again.out)).toMatchObject({ freedBytes: 0 });
    await push({
      source: join(folder.path, "b"),
      reference: `${registry.address}/team/one:v2`,
      base: false,
    });
    expect(await listEmbeddedBlobs(root, "team/one")).toEqual(after);
  });

  test("tells a repository that it cannot judge, and prunes the others", async () => {
    {
      await using registry = await startRegistry({ root });
      await pushTwice(registry.address);
    }
    await writeFile(join(root, "team+one", "index.json"), "{");
    await mkdir(join(root, "no-repository"));
    const { code, out, err } = await prune("--root", root, "--grace", "0s", "--json");
    expect(code).toBe(6);
    expect(err).toContain("INVALID_MANIFEST: team/one was left as it is");
    const { repositories } = JSON.parse(out) as PruneResult;
    expect(repositories.map(({ repository }) => repository)).toEqual(["team/one", "team/two"]);
    expect(repositories[0]).toMatchObject({ failure: { code: "INVALID_MANIFEST" } });
    expect(repositories[1]).toMatchObject({ waiting: 0, removed: expect.any(Array) as unknown });
  });

  test("prunes one layout", async () => {
    const layout = join(folder.path, "layout");
    for (const source of ["a", "b"])
      await push({ source: join(folder.path, source), reference: `oci:${layout}:v1`, base: false });
    const { code, out } = await prune(`oci:${layout}`, "--grace", "0s", "--json");
    expect(code).toBe(0);
    const { freedBytes, repositories } = JSON.parse(out) as PruneResult;
    expect(freedBytes).toBeGreaterThan(0);
    expect(repositories).toHaveLength(1);
    expect((await readdir(layout)).toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  test.each([
    [["registry.example.com/team/one"], 2, "use its own collector"],
    [["oci:./x:v1"], 2, "say oci:x"],
    [[], 2, "say --root DIR"],
    [["oci:./x", "--root", "x"], 2, "say --root DIR"],
    [["oci:./x", "--grace", "1"], 2, "such as 90s"],
    [["--root", "/no/such/folder"], 3, "on the host that serves it"],
  ])("%j is refused with what to say", async (args, code, hint) => {
    const refused = await prune(...args);
    expect(refused.code).toBe(code);
    expect(refused.err).toContain(hint);
  });
});

describe("a registry that prunes by itself", () => {
  test("removes what is out of reach, and says so", async () => {
    const reports: PruneReport[] = [];
    const { promise: pruned, resolve } = Promise.withResolvers<void>();
    const layout = join(root, "team+one");
    for (const source of ["a", "b"])
      await push({ source: join(folder.path, source), reference: `oci:${layout}:v1`, base: false });
    await using registry = await startRegistry({
      root,
      pruneEveryMs: 50,
      pruneGraceMs: 0,
      onPrune: (report) => {
        reports.push(report);
        if ("freedBytes" in report && report.freedBytes > 0) resolve();
      },
    });
    await pruned;
    expect(reports.filter((report) => "failure" in report)).toEqual([]);
    await registry.close();
  });
});
