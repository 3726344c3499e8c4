import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { listTags, login, logout, push } from "../../src/index.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { runPeer } from "../support/peer-programs.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";

const versions = ["v3", "v2"] as const;
const auths = ["htpasswd", "token"] as const;
const setups = versions.flatMap((version) => auths.map((auth) => ({ version, auth })));
const account = { username: "tester", password: "secret" };

describe.skipIf(toolsMissing("registry", "docker-registry", "crane", "regctl"))("a login", () => {
  let folder: TemporaryFolder;
  let home: string;
  let environment: Record<string, string>;
  const running = new Map<string, Distribution>();

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    for (const setup of setups)
      running.set(
        `${setup.version} ${setup.auth}`,
        await startDistribution({ ...setup, ...account }),
      );
    await writeFile(join(folder.path, "model.bin"), "weights");
  });
  afterAll(async () => {
    for (const registry of running.values()) await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    home = join(folder.path, `home-${Math.random()}`);
    await mkdir(home);
    environment = { HOME: home, DOCKER_CONFIG: home, PATH: process.env["PATH"] ?? "" };
  });

  const hostOf = ({ version, auth }: (typeof setups)[number]): string =>
    running.get(`${version} ${auth}`)?.address ?? "";
  const crane = (...args: string[]) => runPeer("crane", args, { folder: home });
  const pushTo = (host: string) =>
    push({
      source: join(folder.path, "model.bin"),
      reference: `${host}/team/model:v1`,
      environment,
    });

  test.each(setups)("of ours lets crane and regctl in: $version, $auth", async (setup) => {
    const host = hostOf(setup);
    expect(await login({ host, ...account, environment })).toMatchObject({ verified: true });
    const { digest } = await pushTo(host);
    expect(await crane("digest", `${host}/team/model:v1`)).toBe(digest);
    const head = ["manifest", "head", `${host}/team/model:v1`];
    expect(await runPeer("regctl", head, { folder: home, hosts: [host] })).toBe(digest);
    await logout({ host, environment });
    await expect(crane("digest", `${host}/team/model:v1`)).rejects.toThrow(/UNAUTHORIZED|401/);
  });

  test.each(setups)(
    "that crane wrote is ours too, and ours to end: $version, $auth",
    async (setup) => {
      const host = hostOf(setup);
      const { username, password } = account;
      await crane("auth", "login", host, "-u", username, "-p", password);
      await pushTo(host);
      const listed = await listTags({ repository: `${host}/team/model`, environment });
      expect(listed.tags).toMatchObject([{ tag: "v1" }]);
      expect(await logout({ host, environment })).toMatchObject({ removed: true });
      const repository = `${host}/team/model`;
      await expect(listTags({ repository, environment })).rejects.toMatchObject({
        code: "UNAUTHORIZED",
      });
    },
  );

  test.each(setups)("with a wrong password writes nothing: $version, $auth", async (setup) => {
    const host = hostOf(setup);
    const side = setup.auth === "token" ? "its token endpoint" : "the registry";
    const failure = login({ host, ...account, password: "wrong", environment });
    await expect(failure).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringContaining(`${side} `) as string,
    });
    await expect(readFile(join(home, "config.json"))).rejects.toThrow("ENOENT");
  });

  test("of ours and one of crane's stand side by side", async () => {
    const [first, second] = setups.map(hostOf);
    if (first === undefined || second === undefined) throw new Error("two registries are needed");
    await login({ host: first, ...account, environment });
    await crane("auth", "login", second, "-u", account.username, "-p", account.password);
    await login({ host: first, ...account, environment });
    const { auths: kept } = JSON.parse(await readFile(join(home, "config.json"), "utf8"));
    expect(Object.keys(kept).sort()).toEqual([first, second].sort());
  });

  test("that a helper keeps lets crane in, and one that crane has it keep lets us in", async () => {
    const host = hostOf({ version: "v3", auth: "htpasswd" });
    const kept = join(home, "kept");
    const script = `#!/bin/sh\ncase $1 in store) cat > ${kept};; get) cat ${kept};; erase) rm ${kept};; esac\n`;
    const bin = join(home, "bin");
    await mkdir(bin);
    await writeFile(join(bin, "docker-credential-test"), script, { mode: 0o755 });
    await writeFile(join(home, "config.json"), JSON.stringify({ credsStore: "test" }));
    environment["PATH"] = `${bin}:${environment["PATH"]}`;
    await login({ host, ...account, environment });
    const { digest } = await pushTo(host);
    const run = (...args: string[]) =>
      promisify(execFile)(toolPath("crane"), args, { env: environment });
    expect((await run("digest", `${host}/team/model:v1`)).stdout.trim()).toBe(digest);
    await logout({ host, environment });
    await run("auth", "login", host, "-u", account.username, "-p", account.password);
    expect(JSON.parse(await readFile(kept, "utf8"))).toMatchObject({ Username: account.username });
    expect((await listTags({ repository: `${host}/team/model`, environment })).tags).toHaveLength(
      1,
    );
  });
});
