import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type CommandOptions,
  type CommandResult,
  runBallast,
  startBallast,
} from "../support/ballast-command.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";

let folder: TemporaryFolder;
let model: string;

beforeAll(async () => {
  folder = await makeTemporaryFolder();
  model = join(folder.path, "model");
  await writeTree(model, { "config.json": "{}" });
});

afterAll(() => folder[Symbol.asyncDispose]());

const run = (args: readonly string[], options?: Partial<CommandOptions>): Promise<CommandResult> =>
  runBallast(args, { home: folder.path, ...options });

describe("what goes wrong", () => {
  test.each([
    ["a source that is not there", ["push", "./missing", "127.0.0.1:1/a:v1"], 8],
    ["a registry that is down", ["push", import.meta.dirname, "127.0.0.1:1/a:v1"], 5],
    [
      "a registry profile that is none",
      ["push", import.meta.dirname, "127.0.0.1:1/a:v1", "--registry-profile", "none"],
      2,
    ],
    ["a layout folder that is not there", ["pull", "oci:./missing:v1"], 3],
    ["a store that is not there", ["store", "gc", "--store", "/nonexistent/store"], 3],
  ])("is told for %s", async (_, args, code) => {
    const result = await run([...args, "--json"]);
    expect(result.code).toBe(code);
    expect(result.err).toMatch(/^ballast: [A-Z_]+: /m);
    expect(JSON.parse(result.out).error).toMatchObject({ message: expect.any(String) });
  });

  test("Ctrl-C stops a pull that waits, and says how to go on", async () => {
    const asked = Promise.withResolvers<void>();
    const silent = createServer(() => asked.resolve()).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const { child, result } = startBallast(["pull", `127.0.0.1:${port}/a/b:v1`], {
      home: folder.path,
    });
    await asked.promise;
    child.kill("SIGINT");
    const { code, out, err } = await result;
    silent.closeAllConnections();
    silent.close();
    expect({ code, out }).toEqual({ code: 130, out: "" });
    expect(err).toContain("run the same command again: it continues where it stopped");
  });
});

describe("registry serve", () => {
  test("prints its URL, serves one account, logs requests and ends with 0", async () => {
    const root = join(folder.path, "served");
    const args = ["registry", "serve", "--root", root, "--listen", "127.0.0.1:0"];
    const login = ["--username", "me", "--password-stdin"];
    const options = { home: folder.path, input: "pw\n" };
    const { child, result } = startBallast([...args, ...login], options);
    let url = "";
    child.stdout?.on("data", (piece: Buffer) => void (url += piece.toString()));
    await once(child.stdout ?? child, "data");
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\n$/);
    const target = `${url.trim().slice("http://".length)}/a/b:v1`;
    expect((await run(["push", model, target])).code).toBe(4);
    expect((await run(["push", model, target, ...login], { input: "pw" })).code).toBe(0);
    child.kill("SIGTERM");
    const { code, err } = await result;
    expect(code).toBe(0);
    expect(err).toMatch(/ me PUT \/v2\/a\/b\/manifests\/v1 201 \d+ \d+ \d+ ms \S+$/m);
    expect(err).not.toContain("pw");
  });

  test("refuses half a certificate", async () => {
    const certificate = join(folder.path, "cert.pem");
    await writeFile(certificate, "x");
    const args = ["registry", "serve", "--root", folder.path, "--listen", "127.0.0.1:0"];
    const result = await run([...args, "--tls-cert", certificate]);
    expect(result).toMatchObject({ code: 2, out: "" });
  });
});
