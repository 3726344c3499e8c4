import { appendFile, chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RegistryServer, startRegistry } from "../../src/registry/server/server.ts";
import { type CommandOptions, type CommandResult, runBallast } from "../support/ballast-command.ts";
import {
  makeSafetensors,
  makeTemporaryFolder,
  type TemporaryFolder,
  writeTree,
} from "../support/models.ts";

let folder: TemporaryFolder;
let registry: RegistryServer;
let model: string;

const named = /^127\.0\.0\.1:\d+\/[a-z/]+@sha256:[0-9a-f]{64}\n$/;

beforeAll(async () => {
  folder = await makeTemporaryFolder();
  registry = await startRegistry({ root: join(folder.path, "registry") });
  model = join(folder.path, "my model");
  const tensor = { name: "a.weight", dtype: "BF16", shape: [1024], bytes: Buffer.alloc(2048, 7) };
  await writeTree(model, {
    "model.safetensors": makeSafetensors([tensor]),
    "config.json": '{"model_type":"llama"}',
    "sub/词.txt": "x",
  });
});

afterAll(async () => {
  await registry.close();
  await folder[Symbol.asyncDispose]();
});

const run = (args: readonly string[], options?: Partial<CommandOptions>): Promise<CommandResult> =>
  runBallast(args, { home: folder.path, ...options });
const reference = (name: string): string => `${registry.address}/${name}`;

describe("push and pull", () => {
  test("print one line each, and their notes elsewhere", async () => {
    const pushed = await run(["push", model, reference("team/plain:v1")]);
    expect(pushed).toMatchObject({ code: 0, out: expect.stringMatching(named) });
    expect(pushed.err).toMatch(/^pushed 3 files, /m);
    const output = join(folder.path, "out");
    const pulled = await run(["pull", reference("team/plain:v1"), "-o", output]);
    expect(pulled).toMatchObject({ code: 0, out: `${output}\n` });
    expect(pulled.err).toMatch(/^pulled 3 files, /m);
    expect(await readFile(join(output, "sub/词.txt"), "utf8")).toBe("x");
  });

  test("say nothing more with --quiet", async () => {
    const pushed = await run(["push", model, reference("team/quiet:v1"), "--quiet"]);
    expect(pushed).toMatchObject({ code: 0, out: expect.stringMatching(named), err: "" });
    const store = join(folder.path, "quiet-store");
    const pulled = await run(["pull", reference("team/quiet:v1"), "-q", "--store", store]);
    expect(pulled).toMatchObject({ code: 0, err: "" });
    expect(pulled.out.startsWith(store)).toBe(true);
  });

  test("print one JSON document with --json", async () => {
    const pushed = await run(["push", model, reference("team/json:v1"), "--json", "--no-base"]);
    const result = JSON.parse(pushed.out);
    expect(result).toMatchObject({ tag: "v1", files: 3, previousDigest: null, base: null });
    const pulled = await run(["pull", reference("team/json:v1"), "--json"]);
    expect(JSON.parse(pulled.out)).toMatchObject({ digest: result.digest, files: 3 });
    const again = await run(["pull", reference("team/json:v1"), "--json"]);
    expect(JSON.parse(again.out)).toMatchObject({ bytes: { moved: 0 } });
  });

  test("tell from where to where a tag moved", async () => {
    const before = (await run(["push", model, reference("team/moved:v1")])).out.trim();
    const changed = join(folder.path, "changed");
    await writeTree(changed, { "config.json": "{}" });
    const pushed = await run(["push", changed, reference("team/moved:v1")]);
    const [old, now] = [before, pushed.out.trim()].map((name) => name.split("@")[1]);
    expect(pushed.err).toContain(`v1 moved: ${old} -> ${now}`);
    const refused = await run(["push", model, reference("team/moved:v1"), "--no-overwrite"]);
    expect(refused).toMatchObject({ code: 9, out: "" });
    expect(refused.err).toMatch(/^ballast: TAG_EXISTS: /m);
  });

  test("dry runs send nothing", async () => {
    const dry = await run(["push", model, reference("team/dry:v1"), "--dry-run"]);
    expect(dry).toMatchObject({ code: 0, out: expect.stringMatching(named) });
    expect(dry.err).toContain("would push 3 files");
    expect((await run(["pull", reference("team/dry:v1")])).code).toBe(3);
  });
});

describe("looking at models", () => {
  test("inspect, diff and store ls print what they found", async () => {
    await run(["push", model, reference("team/look:v1")]);
    const tuned = join(folder.path, "tuned");
    const tensor = { name: "a.weight", dtype: "BF16", shape: [1024], bytes: Buffer.alloc(2048, 8) };
    await writeTree(tuned, { "model.safetensors": makeSafetensors([tensor]) });
    await run(["push", tuned, reference("team/look:v2")]);
    const inspected = await run(["inspect", reference("team/look:v1"), "--tensors"]);
    expect(inspected).toMatchObject({ code: 0, err: "" });
    for (const part of ["model.safetensors", "a.weight", "BF16", "[1024]", "sub/词.txt"])
      expect(inspected.out).toContain(part);
    const compared = await run(["diff", reference("team/look:v1"), reference("team/look:v2")]);
    expect(compared.out).toMatch(/^removed .* config\.json$/m);
    expect(compared.out).toMatch(/^ {2}changed {3}a\.weight$/m);
    const store = join(folder.path, "look-store");
    await run(["pull", reference("team/look:v1"), "--store", store]);
    const listed = await run(["store", "ls", "--store", store]);
    expect(listed.out).toMatch(/ v1 .*team\/look@sha256:/);
  });

  test("verify names what is damaged, with code 6 and one JSON document", async () => {
    await run(["push", model, reference("team/rot:v1")]);
    const output = join(folder.path, "rot");
    await run(["pull", reference("team/rot:v1"), "-o", output]);
    expect(await run(["verify", output, "--quiet"])).toEqual({ code: 0, out: "", err: "" });
    await chmod(join(output, "config.json"), 0o644);
    await appendFile(join(output, "config.json"), "!");
    const found = await run(["verify", output, "--quiet"]);
    expect(found).toMatchObject({ code: 6, out: expect.stringMatching(/^config\.json: .*\n$/) });
    expect(found.err).toMatch(/^ballast: VERIFY_FAILED: .*\n {2}do not use/);
    const json = await run(["verify", output, "--json"]);
    expect(json.code).toBe(6);
    expect(JSON.parse(json.out).problems).toMatchObject([{ path: "config.json" }]);
  });

  test("the store keeps, frees and checks", async () => {
    const store = join(folder.path, "kept");
    await run(["push", model, reference("team/kept:v1")]);
    await run(["pull", reference("team/kept:v1"), "--store", store]);
    const env = { BALLAST_STORE: store };
    expect((await run(["store", "pin", reference("team/kept:v1")], { env })).code).toBe(0);
    expect((await run(["store", "rm", reference("team/kept:v1")], { env })).code).toBe(7);
    expect((await run(["store", "verify"], { env })).code).toBe(0);
    expect((await run(["store", "unpin", reference("team/kept:v1")], { env })).code).toBe(0);
    const freed = await run(["store", "gc", "--max-bytes", "0B", "--json"], { env });
    expect(JSON.parse(freed.out).removed).toHaveLength(1);
    expect(await run(["store", "ls"], { env })).toEqual({ code: 0, out: "", err: "" });
  });
});
