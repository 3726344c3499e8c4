import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { login, logout } from "../../src/index.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { type CommandResult, runBallast } from "../support/ballast-command.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { basic, type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";

const username = "me";
const password = "the secret word";
let folder: TemporaryFolder;
let registry: FaultRegistry;
let environment: Record<string, string>;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  environment = { HOME: folder.path, PATH: `${folder.path}/bin:${process.env["PATH"]}` };
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** A registry with one account, whose API has a root. */
async function start(auth: "basic" | "bearer" | undefined): Promise<void> {
  registry = await startFaultRegistry({ auth });
  registry.login = `${username}:${password}`;
  registry.intercept = ({ url, headers: { authorization = "" } }) => {
    const passes =
      auth === undefined ||
      authorization === basic(registry.login ?? "") ||
      registry.tokens.has(authorization.replace("Bearer ", ""));
    return url === "/v2/" && passes ? { status: 200 } : undefined;
  };
}

const run = (args: readonly string[], input?: string): Promise<CommandResult> =>
  runBallast(args, { home: folder.path, env: environment, ...(input && { input }) });
const config = (): string => join(folder.path, ".docker", "config.json");
const readConfig = async (): Promise<unknown> => JSON.parse(await readFile(config(), "utf8"));

async function writeConfig(content: object): Promise<void> {
  await mkdir(join(folder.path, ".docker"), { recursive: true });
  await writeFile(config(), JSON.stringify(content));
}

/** A credential helper that keeps one login in a file, and its arguments in another. */
async function writeHelper(extra = ""): Promise<void> {
  const kept = join(folder.path, "kept");
  const lines = [
    "#!/bin/sh",
    `echo "$@" >> ${join(folder.path, "arguments")}`,
    extra,
    "case $1 in",
    `store) cat > ${kept} ;;`,
    `get) if test -f ${kept}; then cat ${kept}; else echo credentials not found in native keychain; exit 1; fi ;;`,
    `erase) if test -f ${kept}; then rm ${kept}; else echo credentials not found in native keychain; exit 1; fi ;;`,
    "esac",
  ];
  await mkdir(join(folder.path, "bin"));
  const program = join(folder.path, "bin", "docker-credential-fake");
  await writeFile(program, `${lines.join("\n")}\n`, { mode: 0o755 });
}

describe("a login", () => {
  test.each([["basic"], ["bearer"]] as const)(
    "is tried at a registry with %s, kept and used by the next command",
    async (auth) => {
      await start(auth);
      const { host } = registry;
      const flags = ["--username", username, "--password-stdin"];
      const result = await run(["login", host, ...flags], `${password}\n`);
      expect(result).toMatchObject({ code: 0, out: "" });
      expect(result.err).toContain(`logged in to ${host} as ${username}\n`);
      expect(result.err).not.toContain(password);
      const listed = await run(["tags", `${host}/team/model`]);
      expect(listed.code).toBe(0);
      await run(["logout", host]);
      expect((await run(["tags", `${host}/team/model`])).code).toBe(4);
    },
  );

  test("that the registry refuses names the registry, and nothing is written", async () => {
    await start("basic");
    const flags = ["--username", username, "--password-stdin"];
    const { code, err, out } = await run(["login", registry.host, ...flags], "guessed");
    expect({ code, out }).toEqual({ code: 4, out: "" });
    expect(err).toContain(`UNAUTHORIZED: login at ${registry.host}: the registry`);
    expect(err).not.toContain("guessed");
    expect(await readdir(folder.path)).not.toContain(".docker");
  });

  test("that the token endpoint refuses names the token endpoint", async () => {
    await start("bearer");
    const failure = login({ host: registry.host, username, password: "guessed", environment });
    await expect(failure).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringContaining(`its token endpoint ${registry.host} refused`) as string,
    });
  });

  test("whose token the registry refuses names both", async () => {
    await start("bearer");
    registry.intercept = ({ url }) =>
      url === "/v2/"
        ? {
            status: 401,
            headers: { "www-authenticate": `Bearer realm="${registry.url}/token"` },
          }
        : undefined;
    const failure = login({ host: registry.host, username, password, environment });
    await expect(failure).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringMatching(/gave a token, and the registry .* refused that/) as string,
    });
  });

  test("at what is no registry is REGISTRY_PROTOCOL, and at nothing REGISTRY_UNAVAILABLE", async () => {
    await start(undefined);
    registry.intercept = () => ({ status: 404, body: "<html>" });
    const { host } = registry;
    const wanted = { host, username, password, environment };
    await expect(login(wanted)).rejects.toMatchObject({ code: "REGISTRY_PROTOCOL" });
    const nobody = { ...wanted, host: "127.0.0.1:1" };
    await expect(login(nobody)).rejects.toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    expect(await readdir(folder.path)).toEqual([]);
  }, 30_000);

  test("that a registry does not ask for is kept, and said not to be tried", async () => {
    await start(undefined);
    const { host } = registry;
    const result = await login({ host, username, password, environment });
    expect(result).toMatchObject({ verified: false, file: config(), program: undefined });
  });

  test("that is wrong is refused where everybody may read, too", async () => {
    await start(undefined);
    const auth = { username, password };
    const root = join(folder.path, "registry");
    await using embedded = await startRegistry({ root, auth, anonymousRead: true });
    const wanted = { host: embedded.address, username, environment };
    const wrong = login({ ...wanted, password: "wrong" });
    await expect(wrong).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(await login({ ...wanted, password })).toMatchObject({ verified: false });
  });

  test("of variables goes before the one that is kept, which is said", async () => {
    await start("basic");
    const flags = ["--username", username, "--password-stdin", "--json"];
    environment["BALLAST_USERNAME"] = "other";
    environment["BALLAST_PASSWORD"] = "x";
    const { err, out } = await run(["login", registry.host, ...flags], password);
    expect(err).toContain("BALLAST_USERNAME is set and goes before it");
    expect(JSON.parse(out)).toEqual({
      host: registry.host,
      username,
      verified: true,
      file: config(),
      program: null,
    });
  });

  test.each([
    ["https://registry.example.com", "https://registry.example.com"],
    ["me:hidden@registry.example.com", "this is no registry host"],
    ["registry.example.com/team", "registry.example.com/team"],
    ["--help-me", "unknown option"],
  ])("at %s is refused before anything is sent", async (host, shown) => {
    await start("basic");
    const flags = ["--username", username, "--password-stdin"];
    const { code, err } = await run(["login", host, ...flags], password);
    expect(code).toBe(2);
    expect(err).toContain(shown);
    expect(err).not.toContain("hidden");
  });

  test.each([
    [["-p", "hunter2"]],
    [["--password", "hunter2"]],
    [["--password=hunter2"]],
    [["-phunter2"]],
  ])("is not taken from %j, and the password is not shown", async (flags) => {
    await start("basic");
    const { code, err, out } = await run(["login", registry.host, ...flags, "--json"]);
    expect(code).toBe(2);
    expect(err).toContain("a password is never an argument");
    expect(err + out).not.toContain("hunter2");
  });

  test.each([
    [["--username", "me"], "nobody can be asked"],
    [["--password-stdin"], "needs --username"],
    [["--username", "a:b", "--password-stdin"], "no colon"],
  ])("with %j is refused with what is missing", async (flags, why) => {
    await start("basic");
    const { code, err } = await run(["login", registry.host, ...flags], "x");
    expect(code).toBe(2);
    expect(err).toContain(why);
  });
});

describe("a credential helper", () => {
  const helped = { credsStore: "fake", auths: {} };

  test("keeps the login, which no argument and no file shows", async () => {
    await start("basic");
    await writeHelper();
    await writeConfig(helped);
    const { host } = registry;
    const flags = ["--username", username, "--password-stdin"];
    const result = await run(["login", host, ...flags], password);
    expect(result.err).toContain("kept by docker-credential-fake");
    expect(await readConfig()).toEqual({ credsStore: "fake", auths: { [host]: {} } });
    expect(JSON.parse(await readFile(join(folder.path, "kept"), "utf8"))).toEqual({
      ServerURL: host,
      Username: username,
      Secret: password,
    });
    expect((await run(["tags", `${host}/team/model`])).code).toBe(0);
    const said = await readFile(join(folder.path, "arguments"), "utf8");
    expect(new Set(said.trim().split("\n"))).toEqual(new Set(["store", "get"]));
    await run(["logout", host]);
    expect(await readConfig()).toEqual(helped);
    expect(await readdir(folder.path)).not.toContain("kept");
  });

  test("that forgets what it does not know lets a logout pass", async () => {
    await start("basic");
    await writeHelper();
    await writeConfig(helped);
    const result = await logout({ host: registry.host, environment });
    expect(result).toMatchObject({ removed: false, program: "docker-credential-fake" });
  });

  test("that fails ends the login, which it may repeat and we do not", async () => {
    await start("basic");
    await writeHelper("cat; exit 1");
    await writeConfig(helped);
    const flags = ["--username", username, "--password-stdin", "--json"];
    environment["BALLAST_DEBUG"] = "1";
    const { code, err, out } = await run(["login", registry.host, ...flags], password);
    expect(code).toBe(4);
    expect(err).toContain("docker-credential-fake");
    expect(err + out).not.toContain(password);
    expect(await readConfig()).toEqual(helped);
  });

  test("that is not installed is named", async () => {
    await start("basic");
    await writeConfig({ credHelpers: { [registry.host]: "absent" } });
    await expect(
      login({ host: registry.host, username, password, environment }),
    ).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringContaining("there is no docker-credential-absent in PATH") as string,
    });
  });
});

describe("a logout", () => {
  test("of what is not there is fine, twice", async () => {
    await start("basic");
    for (const _ of [1, 2]) {
      const result = await run(["logout", registry.host, "--json"]);
      expect(result.code).toBe(0);
      expect(JSON.parse(result.out)).toMatchObject({ removed: false, remaining: null });
    }
    expect(await readdir(folder.path)).not.toContain(".docker");
  });

  test("tells where a login is that it leaves alone", async () => {
    await start("basic");
    const { host } = registry;
    const file = join(folder.path, "podman.json");
    const auth = Buffer.from("a:b").toString("base64");
    await writeFile(file, JSON.stringify({ auths: { [host]: { auth } } }));
    environment["REGISTRY_AUTH_FILE"] = file;
    const { err } = await run(["logout", host]);
    expect(err).toContain(`a login for ${host} is still found from ${file}`);
  });
});
