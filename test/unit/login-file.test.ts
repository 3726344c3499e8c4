import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  credentialProgramFor,
  removeLogin,
  writeLogin,
} from "../../src/registry/client/auth/login-file.ts";
import { createCredentialSource } from "../../src/registry/client/credentials.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";

const host = "registry.example.com";
const hub = "docker.io";
const login = { username: "me", password: "p:ß w\u{1f511}" };
const auth = Buffer.from(`${login.username}:${login.password}`).toString("base64");
let folder: TemporaryFolder;
let path: string;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  path = join(folder.path, "docker", "config.json");
});
afterEach(async () => folder[Symbol.asyncDispose]());

async function write(text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

async function found(at = host): Promise<unknown> {
  const source = createCredentialSource({ environment: {}, dockerConfigPath: path });
  return source.get(at, "team/model");
}

const read = async (): Promise<unknown> => JSON.parse(await readFile(path, "utf8"));
const mode = async (at: string): Promise<number> => (await stat(at)).mode & 0o777;

describe("a login that is written", () => {
  test("makes folder and file that only their owner can read, and is found again", async () => {
    await writeLogin(path, { host, login });
    expect(await found()).toMatchObject({ kind: "password", ...login });
    expect([await mode(dirname(path)), await mode(path)]).toEqual([0o700, 0o600]);
    expect(await readdir(dirname(path))).toEqual(["config.json"]);
  });

  test("leaves all else in the file as it is, its indentation too", async () => {
    const before = {
      HttpHeaders: { "User-Agent": "x" },
      auths: { "other.example.com": { auth: "eDp5", email: "x@example.com" } },
      credHelpers: { "third.example.com": "third" },
      "something new": [1, { a: null }],
    };
    await write(JSON.stringify(before, undefined, "  "));
    await writeLogin(path, { host, login });
    const after = { ...before, auths: { ...before.auths, [host]: { auth } } };
    expect(await readFile(path, "utf8")).toBe(`${JSON.stringify(after, undefined, "  ")}\n`);
  });

  test("takes rights from a file that others could read", async () => {
    await write("{}");
    expect(await mode(path)).not.toBe(0o600);
    await writeLogin(path, { host, login });
    expect(await mode(path)).toBe(0o600);
  });

  test("takes the place of every spelling of its host, and of no part of it", async () => {
    const old = { auth: Buffer.from("old:old").toString("base64") };
    const team = `${host}/team/other`;
    const auths = {
      [`https://${host}`]: old,
      [`http://${host}/v2/`]: old,
      [host]: old,
      [team]: old,
    };
    await write(JSON.stringify({ auths }));
    await writeLogin(path, { host, login });
    expect(await read()).toEqual({ auths: { [team]: old, [host]: { auth } } });
    expect(await found()).toMatchObject(login);
  });

  test("of Docker Hub has the key that Docker's tools use", async () => {
    await writeLogin(path, { host: hub, login });
    const { auths } = (await read()) as { auths: object };
    expect(Object.keys(auths)).toEqual([expect.stringMatching(/^https:\/\/index\..*\/v1\/$/)]);
    expect(await found(hub)).toMatchObject(login);
  });

  test("follows a link, also one that leads to nothing yet", async () => {
    const target = join(folder.path, "elsewhere.json");
    await mkdir(dirname(path));
    await symlink("../elsewhere.json", path);
    await writeLogin(path, { host, login });
    await writeLogin(path, { host: "other.example.com", login });
    expect((await stat(target)).isFile()).toBe(true);
    expect(Object.keys(JSON.parse(await readFile(target, "utf8")).auths)).toHaveLength(2);
    expect(await readdir(dirname(path))).toEqual(["config.json"]);
  });

  test("loses none of those that are written at the same time", async () => {
    const hosts = Array.from({ length: 30 }, (_, at) => `r${at}.example.com`);
    await Promise.all(hosts.map((each) => writeLogin(path, { host: each, login })));
    const { auths } = (await read()) as { auths: object };
    expect(Object.keys(auths).sort()).toEqual(hosts.sort());
  });

  test.each([
    ["{", "no JSON"],
    ['{"auths":{"a":{"auth":"c2VjcmV0"', "half of it"],
    ["[]", "a list"],
    ['{"auths":[]}', "auths that are a list"],
  ])("refuses a file with %s and leaves it, showing nothing of it", async (text) => {
    await write(text);
    const failure = writeLogin(path, { host, login });
    await expect(failure).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.not.stringContaining("c2VjcmV0") as string,
    });
    expect(await readFile(path, "utf8")).toBe(text);
    expect(await readdir(dirname(path))).toEqual(["config.json"]);
  });

  test("where nothing can be written is STORE_IO that names the file", async () => {
    await write("{}");
    const failure = writeLogin(join(path, "config.json"), { host, login });
    await expect(failure).rejects.toMatchObject({
      code: "STORE_IO",
      message: expect.stringContaining("config.json") as string,
    });
  });
});

describe("a login that is removed", () => {
  test("goes in every spelling, and nothing else does", async () => {
    const entry = { auth };
    const auths = { [`https://${host}/v1/`]: entry, [host]: entry, "other.example.com": entry };
    await write(JSON.stringify({ auths, x: 1 }));
    expect(await removeLogin(path, host)).toBe(true);
    expect(await read()).toEqual({ auths: { "other.example.com": entry }, x: 1 });
    expect(await removeLogin(path, host)).toBe(false);
  });

  test("that is not there changes nothing, and makes no file", async () => {
    expect(await removeLogin(path, host)).toBe(false);
    await expect(stat(dirname(path))).rejects.toThrow("ENOENT");
    await write(' {"x": 1}');
    expect(await removeLogin(path, host)).toBe(false);
    expect(await readFile(path, "utf8")).toBe(' {"x": 1}');
    await rm(path);
  });
});

test("the credential program of a host goes before that of all hosts", async () => {
  expect(await credentialProgramFor(path, host)).toBeUndefined();
  await write(JSON.stringify({ credsStore: "all", credHelpers: { [host]: "one" } }));
  expect(await credentialProgramFor(path, host)).toBe("one");
  expect(await credentialProgramFor(path, "other.example.com")).toBe("all");
});
