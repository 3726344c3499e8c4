import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConnectionOptions, pull, push } from "../../src/index.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { writeDockerConfig } from "../support/docker-config.ts";
import { hashFiles } from "../support/file-digests.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";

const login = { username: "tester", password: "secret" };
const wrong = { ...login, password: "not the secret" };
const registries = (["v3", "v2"] as const).flatMap((version) =>
  (["htpasswd", "token"] as const).map((auth) => ({ version, auth })),
);
const ways = [
  "docker config auths",
  "docker credHelpers",
  "BALLAST_ variables",
  "options",
] as const;
const cases = registries.flatMap((registry) => ways.map((way) => ({ ...registry, way })));

describe.skipIf(toolsMissing("registry", "docker-registry"))("credentials", () => {
  let folder: TemporaryFolder;
  let certificates: Certificates;
  let model: string;
  const running = new Map<string, Distribution>();

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    certificates = await makeCertificates(folder.path);
    model = join(folder.path, "model");
    await writeTree(model, { "config.json": "{}", "weights.bin": Buffer.alloc(2_000_000, 7) });
    for (const { version, auth } of registries) {
      const registry = await startDistribution({
        version,
        auth,
        tls: certificates.server,
        ...login,
      });
      running.set(`${version} ${auth}`, registry);
    }
  });
  afterAll(async () => {
    for (const registry of running.values()) await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test.each(cases)("$version, $auth: come from $way", async ({ version, auth, way }) => {
    const { address } = registryOf(version, auth);
    const reference = `${address}/team/${way.toLowerCase().replaceAll(/[ _]+/g, "-")}:v1`;
    const access = { ...connection(), ...(await credentialsBy(way, address, login)) };
    await push({ source: model, reference, ...access });
    const output = join(folder.path, `${version} ${auth} ${way}`);
    await pull({ reference, output, ...access });
    expect(await hashFiles(output)).toEqual(await hashFiles(model));
  });

  test.each(cases)(
    "$version, $auth: a wrong password from $way is refused with what to do",
    async ({ version, auth, way }) => {
      const { address } = registryOf(version, auth);
      const access = { ...connection(), ...(await credentialsBy(way, address, wrong)) };
      const failure = push({ source: model, reference: `${address}/team/secret:v1`, ...access });
      const error = await failure.catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        code: "UNAUTHORIZED",
        message: expect.stringContaining(address),
        hint: expect.stringMatching(/./),
      });
      expect(JSON.stringify([error, String(error)])).not.toContain(wrong.password);
    },
  );

  test.each(registries)(
    "$version, $auth: without any the answer says where they are looked for",
    async ({ version, auth }) => {
      const { address } = registryOf(version, auth);
      const failure = push({ source: model, reference: `${address}/a/b:v1`, ...connection() });
      await expect(failure).rejects.toMatchObject({
        code: "UNAUTHORIZED",
        message: expect.stringContaining(address),
        hint: expect.stringMatching(/login|BALLAST_|config\.json/),
      });
    },
  );

  test("for one registry are not sent to another", async () => {
    const { address } = registryOf("v3", "htpasswd");
    const other = registryOf("v2", "htpasswd").address;
    const access = {
      ...connection(),
      ...(await credentialsBy("docker config auths", address, login)),
    };
    const failure = push({ source: model, reference: `${other}/team/model:v1`, ...access });
    await expect(failure).rejects.toMatchObject({ code: "UNAUTHORIZED" });
  });

  function registryOf(version: string, auth: string): Distribution {
    const registry = running.get(`${version} ${auth}`);
    if (registry === undefined) throw new Error(`${version} ${auth} does not run`);
    return registry;
  }

  function connection(): ConnectionOptions {
    return { plainHttp: false, ca: [certificates.authority] };
  }

  async function credentialsBy(
    way: (typeof ways)[number],
    host: string,
    { username, password }: typeof login,
  ): Promise<ConnectionOptions> {
    const home = join(folder.path, `home-${Math.random()}`);
    await mkdir(home);
    const environment = { HOME: home, DOCKER_CONFIG: home, PATH: `${home}:${process.env["PATH"]}` };
    switch (way) {
      case "docker config auths":
        await writeDockerConfig(home, { [host]: { username, password } });
        return { environment };
      case "docker credHelpers": {
        const config = { credHelpers: { [host]: "test" } };
        await writeFile(join(home, "config.json"), JSON.stringify(config));
        const answer = JSON.stringify({ Username: username, Secret: password });
        const lines = ["#!/bin/sh", 'test "$1" = get || exit 1', "read -r host"];
        lines.push(`test "$host" = "${host}" || exit 1`, `echo '${answer}'`);
        const program = join(home, "docker-credential-test");
        await writeFile(program, `${lines.join("\n")}\n`, { mode: 0o755 });
        return { environment };
      }
      case "BALLAST_ variables":
        return {
          environment: { ...environment, BALLAST_USERNAME: username, BALLAST_PASSWORD: password },
        };
      case "options":
        return { credentials: { username, password } };
    }
  }
});
