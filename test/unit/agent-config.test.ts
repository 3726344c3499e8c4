import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { defaultConfig, readConfig } from "../../src/agent/config.ts";
import { makeTemporaryFolder, writeTree } from "../support/models.ts";

async function read(text: string) {
  await using folder = await makeTemporaryFolder();
  await writeTree(folder.path, { "agent.yaml": text });
  return await readConfig(join(folder.path, "agent.yaml"));
}

describe("the configuration of an agent", () => {
  test("is read from YAML, with sizes as people write them", async () => {
    const config = await read(`
registries:
  allow: [registry.example.com]
access:
  graceSeconds: 0
transfer:
  bufferBytes: 32MiB
store:
  highBytes: 2TiB
  lowBytes: 1.5TiB
`);
    expect(config.registries).toEqual({
      allow: ["registry.example.com"],
      plainHttp: [],
      caFiles: [],
    });
    expect(config.access).toEqual({ ...defaultConfig().access, graceSeconds: 0 });
    expect(config.transfer.bufferBytes).toBe(32 * 1024 ** 2);
    expect(config.store).toMatchObject({ highBytes: 2 * 1024 ** 4, lowBytes: 1.5 * 1024 ** 4 });
  });

  test("may be empty: then the defaults hold", async () => {
    expect(await read("")).toEqual(defaultConfig());
    expect(await read("# nothing yet\n")).toEqual(defaultConfig());
    expect(defaultConfig().registries.allow).toBeUndefined();
  });

  test.each([
    ["an unknown key", "registrys: {}", /registrys/],
    ["a misspelt key inside", "access: {grace: 1}", /access\.grace/],
    ["a size that is none", "store: {highBytes: much}", /store\.highBytes.*"much" is no size/],
    ["a negative time", "access: {verdictSeconds: -1}", /access\.verdictSeconds/],
    ["a share above all", "store: {highFreePercent: 101}", /store\.highFreePercent/],
    ["low above high", "store: {highBytes: 1GiB, lowBytes: 2GiB}", /store\.lowBytes is above/],
    ["free low above high", "store: {lowFreePercent: 50}", /store\.lowFreePercent is above/],
    ["no YAML", "a: [", /agent\.yaml/],
    ["aliases", "a: &a [1]\nb: *a", /agent\.yaml/],
    ["a list", "- 1", /agent\.yaml/],
  ])("refuses %s, naming it and the file", async (_, text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(message),
    });
  });

  test("that is not there is refused by name", async () => {
    await expect(readConfig("/nonexistent/agent.yaml")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("/nonexistent/agent.yaml"),
    });
  });
});
