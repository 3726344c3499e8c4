import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { askCredentialProgram } from "../../src/registry/client/auth/credential-program.ts";
import {
  type CredentialSourceOptions,
  createCredentialSource,
} from "../../src/registry/client/credentials.ts";

const host = "registry.example.com";
const auth = (text: string) => Buffer.from(text).toString("base64");
let root: string;
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "ballast-credentials-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** A fresh home folder with files in it, as an environment. */
async function home(files: Record<string, unknown>): Promise<Record<string, string>> {
  const folder = join(root, String((count += 1)));
  await mkdir(folder);
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    const text = typeof content === "string" ? content : JSON.stringify(content);
    await writeFile(join(folder, path), text);
  }
  return { HOME: folder, PATH: `${join(folder, "bin")}:/usr/bin:/bin` };
}

/** A home folder with one credential program. */
async function homeWithProgram(config: unknown, script: string): Promise<Record<string, string>> {
  const environment = await home({
    ".docker/config.json": config,
    "bin/docker-credential-fake": `#!/bin/sh\n${script}\n`,
  });
  await chmod(join(environment["HOME"] ?? "", "bin/docker-credential-fake"), 0o755);
  return environment;
}

async function look(
  options: CredentialSourceOptions,
  repository = "team/model",
  at = host,
): Promise<unknown> {
  const found = await createCredentialSource(options).get(at, repository);
  if (found === undefined) return undefined;
  return found.kind === "password"
    ? `${found.username}:${found.password}`
    : `${found.kind} ${found.token}`;
}

describe("the order", () => {
  const config = { ".docker/config.json": { auths: { [host]: { auth: auth("file:pw") } } } };

  test("is explicit, environment, file", async () => {
    const environment = await home(config);
    const set = { ...environment, BALLAST_USERNAME: "env", BALLAST_PASSWORD: "pw" };
    const explicit = { username: "flag", password: "pw" };
    expect(await look({ environment: set, explicit })).toBe("flag:pw");
    expect(await look({ environment: set, explicit: { token: "t" } })).toBe("registry-token t");
    expect(await look({ environment: set })).toBe("env:pw");
    expect(await look({ environment: { ...environment, BALLAST_TOKEN: "t" } })).toBe(
      "registry-token t",
    );
    expect(await look({ environment })).toBe("file:pw");
  });

  test("refuses half a pair of variables", async () => {
    const one = { environment: { BALLAST_USERNAME: "a" } };
    const other = { environment: { BALLAST_PASSWORD: "a" } };
    expect(() => createCredentialSource(one)).toThrow("BALLAST_USERNAME is set without");
    expect(() => createCredentialSource(other)).toThrow("BALLAST_PASSWORD is set without");
  });

  test("counts empty variables as absent", async () => {
    const environment = {
      ...(await home(config)),
      BALLAST_USERNAME: "",
      BALLAST_PASSWORD: "",
      BALLAST_TOKEN: "",
    };
    expect(await look({ environment })).toBe("file:pw");
  });

  test("goes on to the next file when one has nothing for the host", async () => {
    const entry = (name: string) => ({ auths: { [host]: { auth: auth(`${name}:pw`) } } });
    const environment = await home({
      ".docker/config.json": { auths: {} },
      "auth-file.json": entry("podman"),
      "run/containers/auth.json": entry("runtime"),
      ".config/containers/auth.json": entry("home"),
    });
    const at = (path: string) => join(environment["HOME"] ?? "", path);
    const podman = { REGISTRY_AUTH_FILE: at("auth-file.json") };
    const runtime = { XDG_RUNTIME_DIR: at("run") };
    expect(await look({ environment: { ...environment, ...podman, ...runtime } })).toBe(
      "podman:pw",
    );
    expect(await look({ environment: { ...environment, ...runtime } })).toBe("runtime:pw");
    expect(await look({ environment })).toBe("home:pw");
  });

  test("reads DOCKER_CONFIG, or only the file that was named", async () => {
    const environment = await home({
      "other/config.json": config[".docker/config.json"],
      "c.json": { auths: {} },
    });
    const folder = environment["HOME"] ?? "";
    expect(
      await look({ environment: { ...environment, DOCKER_CONFIG: join(folder, "other") } }),
    ).toBe("file:pw");
    const set = { ...environment, DOCKER_CONFIG: join(folder, "other") };
    expect(
      await look({ environment: set, dockerConfigPath: join(folder, "c.json") }),
    ).toBeUndefined();
  });
});

describe("an auths entry", () => {
  const of = async (entry: unknown, key = host) =>
    look({ environment: await home({ ".docker/config.json": { auths: { [key]: entry } } }) });

  test.each([
    [{ auth: auth("user:pa:ss") }, "user:pa:ss"],
    [{ auth: auth("user:pw\0\0") }, "user:pw"],
    [{ username: "user", password: "pw" }, "user:pw"],
    [{ auth: auth("user:"), identitytoken: "id" }, "identity-token id"],
    [{ registrytoken: "rt" }, "registry-token rt"],
    [{}, undefined],
    [{ username: "user" }, undefined],
    ["text", undefined],
  ])("%j", async (entry, expected) => {
    expect(await of(entry)).toBe(expected);
  });

  test.each([
    host,
    `https://${host}`,
    `http://${host}/`,
    `https://${host}/v1/`,
    `https://${host}/any/path`,
    `${host}/v2/`,
    host.toUpperCase(),
    `${host}/team`,
    `${host}/team/model`,
  ])("is found under the key %s", async (key) => {
    expect(await of({ auth: auth("u:p") }, key)).toBe("u:p");
  });

  test.each([
    `${host}:5000`,
    `x.${host}`,
    `${host}.evil.example.com`,
    `${host}/tea`,
    `${host}/team/model/x`,
  ])("is not found under the key %s", async (key) => {
    expect(await of({ auth: auth("u:p") }, key)).toBeUndefined();
  });

  test("with the longer key goes first", async () => {
    const auths = { [host]: { auth: auth("all:p") }, [`${host}/team`]: { auth: auth("team:p") } };
    const environment = await home({ ".docker/config.json": { auths } });
    expect(await look({ environment })).toBe("team:p");
    expect(await look({ environment }, "other/model")).toBe("all:p");
  });

  test("of Docker Hub is found under its legacy key by each of its names", async () => {
    const hub = ["docker", "io"].join(".");
    const auths = { [`https://index.${hub}/v1/`]: { auth: auth("hub:p") } };
    const environment = await home({ ".docker/config.json": { auths } });
    for (const name of [hub, `index.${hub}`, `registry-1.${hub}`])
      expect(await look({ environment }, "team/model", name)).toBe("hub:p");
    expect(await look({ environment })).toBeUndefined();
  });
});

test.each([
  ["no JSON", "{"],
  ["a list", "[]"],
  ["auths that is a list", { auths: [] }],
  ["an auth without a colon", { auths: { [host]: { auth: auth("nocolon") } } }],
  ["an auth that is not base64", { auths: { [host]: { auth: "%%%:" } } }],
  ["a program's name with a path in it", { credsStore: "../../evil" }],
])("a file with %s is refused, and the message shows no secret", async (_, content) => {
  const environment = await home({ ".docker/config.json": content });
  const looking = look({ environment });
  await expect(looking).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  await expect(looking).rejects.not.toThrow(/nocolon|bm9jb2xvbg/);
});

test("a malformed file is named", async () => {
  const environment = await home({ ".docker/config.json": "nonsense" });
  const path = join(environment["HOME"] ?? "", ".docker/config.json");
  await expect(look({ environment })).rejects.toThrow(path);
});

describe("a credential program", () => {
  const store = { credsStore: "fake", auths: { [host]: { auth: auth("file:pw") } } };

  test("is asked for the host on its input", async () => {
    const script = 'read -r server; echo "{\\"Username\\":\\"$1\\",\\"Secret\\":\\"$server\\"}"';
    expect(await look({ environment: await homeWithProgram(store, script) })).toBe(`get:${host}`);
  });

  test("of the host goes before the one for all", async () => {
    const script = 'echo "{\\"Username\\":\\"u\\",\\"Secret\\":\\"s\\"}"';
    const config = { credsStore: "absent", credHelpers: { [host]: "fake" } };
    expect(await look({ environment: await homeWithProgram(config, script) })).toBe("u:s");
  });

  test("gives an identity token under the name <token>", async () => {
    const script = 'echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"id\\"}"';
    expect(await look({ environment: await homeWithProgram(store, script) })).toBe(
      "identity-token id",
    );
  });

  test("that has nothing leaves it to auths", async () => {
    const script = 'echo "credentials not found in native keychain"; exit 1';
    expect(await look({ environment: await homeWithProgram(store, script) })).toBe("file:pw");
  });

  test.each([
    [
      "fails",
      'echo "keychain is locked"; exit 3',
      /docker-credential-fake.*exit code 3.*keychain is locked/,
    ],
    ["answers nonsense", "echo secret-nonsense", /docker-credential-fake.*not JSON/],
    [
      "answers half",
      'echo "{\\"Username\\":\\"u\\"}"',
      /docker-credential-fake.*no Username and Secret/,
    ],
  ])("that %s is an error that names it", async (_, script, message) => {
    const looking = look({ environment: await homeWithProgram(store, script) });
    await expect(looking).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    await expect(looking).rejects.toThrow(message);
    await expect(looking).rejects.not.toThrow("secret-nonsense");
  });

  test("that is not there is an error that names it", async () => {
    const environment = await home({ ".docker/config.json": { credsStore: "absent" } });
    await expect(look({ environment })).rejects.toThrow("no docker-credential-absent in PATH");
  });

  test("that hangs is stopped", async () => {
    const environment = await homeWithProgram({}, "exec sleep 600");
    const asking = askCredentialProgram("fake", host, { environment, timeoutMs: 100 });
    await expect(asking).rejects.toThrow("stopped by SIGKILL");
  });
});
