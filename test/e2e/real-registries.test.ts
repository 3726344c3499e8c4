import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { type Credentials, writeDockerConfig } from "../support/docker-config.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";

const run = promisify(execFile);
const versions = ["v3", "v2"] as const;
const setups = versions.flatMap((version) =>
  [false, true].flatMap((tls) =>
    (["none", "htpasswd", "token"] as const).map((auth) => ({ version, tls, auth })),
  ),
);
const login = { username: "tester", password: "secret" };

let folder: string;
let certificates: Certificates;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-e2e-"));
  certificates = await makeCertificates(folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.skipIf(toolsMissing("crane", "registry", "docker-registry"))("a real registry", () => {
  test.each(setups)(
    "$version, tls $tls, auth $auth: crane gets back what it pushed",
    async ({ version, tls, auth }) => {
      await using registry = await start({ version, tls, auth });
      const reference = await pushSmall(registry);
      const manifest = JSON.parse(await crane(registry, login, "manifest", reference));
      expect(manifest.layers).toHaveLength(1);
      const exported = join(folder, "exported.tar");
      await crane(registry, login, "export", reference, exported);
      await run("tar", ["-xf", exported, "-C", folder, "--transform", "s/hello/back/"]);
      expect(await readFile(join(folder, "back.txt"), "utf8")).toBe("hello\n");
      expect(registry.tokens === undefined || registry.tokens.issued.length > 0).toBe(true);
    },
  );

  test.each(setups.filter(({ auth, tls }) => auth !== "none" && !tls))(
    "$version, auth $auth: a wrong password is refused",
    async (setup) => {
      await using registry = await start(setup);
      const wrong = { ...login, password: "wrong" };
      const listing = crane(registry, wrong, "ls", `${registry.address}/team/small`);
      await expect(listing).rejects.toThrow(/UNAUTHORIZED|401/);
      expect(registry.tokens === undefined || registry.tokens.refused > 0).toBe(true);
    },
  );

  test.each(versions)(
    "%s: a token past its time is refused, the next one accepted",
    async (version) => {
      await using registry = await start({ version, tls: false, auth: "token" });
      const { tokens } = registry;
      if (tokens === undefined) throw new Error("a registry with token auth has a token endpoint");
      tokens.expiresInSeconds = 0;
      expect(await statusWithToken(registry)).toBe(401);
      tokens.expiresInSeconds = 300;
      expect(await statusWithToken(registry)).toBe(200);
      expect(tokens.issued).toHaveLength(2);
    },
  );

  test.each(versions)(
    "%s: what was pushed before a kill is there after a restart",
    async (version) => {
      const root = join(folder, `root-${version}`);
      const before = await startDistribution({ version, root });
      await pushSmall(before);
      await before.process.kill();
      await expect(fetch(`http://${before.address}/v2/`)).rejects.toThrow("fetch failed");
      await before[Symbol.asyncDispose]();
      await using after = await startDistribution({ version, root });
      expect(await crane(after, login, "ls", `${after.address}/team/small`)).toBe("v1\n");
    },
  );
});

function start(setup: (typeof setups)[number]): Promise<Distribution> {
  const { version, tls, auth } = setup;
  return startDistribution({ version, auth, tls: tls ? certificates.server : undefined });
}

/** Pushes an image of one small file and returns its reference. */
async function pushSmall(registry: Distribution): Promise<string> {
  const reference = `${registry.address}/team/small:v1`;
  const layer = join(folder, "hello.tar");
  await writeFile(join(folder, "hello.txt"), "hello\n");
  await run("tar", ["-cf", layer, "-C", folder, "hello.txt"]);
  await crane(registry, login, "append", "--oci-empty-base", "-f", layer, "-t", reference);
  return reference;
}

async function crane(
  registry: Distribution,
  credentials: Credentials,
  ...args: string[]
): Promise<string> {
  await writeDockerConfig(folder, { [registry.address]: credentials });
  const trust = { DOCKER_CONFIG: folder, SSL_CERT_FILE: certificates.authorityFile };
  const { stdout } = await run(toolPath("crane"), args, { env: { ...process.env, ...trust } });
  return stdout;
}

/** Asks the token endpoint for a token and the registry for its root with it. */
async function statusWithToken(registry: Distribution): Promise<number> {
  const { username, password } = login;
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  const realm = `${registry.tokens?.realm}?service=registry.example.com`;
  const answer: unknown = await (await fetch(realm, { headers: { authorization } })).json();
  const token = (answer as { token: string }).token;
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`http://${registry.address}/v2/`, { headers })).status;
}
