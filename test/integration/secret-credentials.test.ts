import { access, chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseReference } from "../../src/core/reference.ts";
import type { ConnectionOptions } from "../../src/index.ts";
import { checkAccess } from "../../src/model/access.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { type RegistryServer, startRegistry } from "../../src/registry/server/server.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";
import { readTree } from "../support/workplace.ts";

const account = { username: "team", password: "hunter2" };
const login = Buffer.from(`${account.username}:${account.password}`).toString("base64");

let folder: TemporaryFolder;
let registry: RegistryServer;
let reference: string;
let digest: Awaited<ReturnType<typeof push>>["digest"];

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  registry = await startRegistry({ root: join(folder.path, "registry"), auth: account });
  reference = `${registry.address}/team/model:v1`;
  await writeTree(join(folder.path, "model"), { "config.json": "{}", "model.bin": "weights" });
  const source = join(folder.path, "model");
  digest = (await push({ source, reference, credentials: account })).digest;
});
afterEach(async () => {
  await registry[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** The text of a Kubernetes secret of the type kubernetes.io/dockerconfigjson. */
function secret(auths: Readonly<Record<string, unknown>>, more: object = {}): ConnectionOptions {
  return { credentials: { dockerConfigJson: JSON.stringify({ auths, ...more }) } };
}

const asks = (options: ConnectionOptions) =>
  checkAccess(parseReference(reference), digest, options);

describe("the docker config of a secret", () => {
  test.each(["", "/team", "/team/model"])(
    "lets its owner read what it names: host%s",
    async (path) => {
      const options = secret({ [`${registry.address}${path}`]: { auth: login } });
      expect(await asks(options)).toEqual({ digest });
      const output = join(folder.path, "out");
      await pull({ reference, output, ...options });
      expect(await readTree(output)).toEqual(await readTree(join(folder.path, "model")));
    },
  );

  test("with a wrong password is refused, and says where it came from", async () => {
    const auth = Buffer.from("team:wrong").toString("base64");
    await expect(asks(secret({ [registry.address]: { auth } }))).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      hint: expect.stringContaining("from the docker config of the secret"),
    });
  });

  test("without an entry for the host is anonymous, whatever the surroundings hold", async () => {
    const environment = { BALLAST_USERNAME: account.username, BALLAST_PASSWORD: account.password };
    expect(await asks({ environment })).toEqual({ digest });
    const options = secret({ "other.example.com": { auth: login } });
    await expect(asks({ ...options, environment })).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      hint: expect.stringContaining("no credentials found"),
    });
  });

  test.each(["credsStore", "credHelpers"])("runs no program that its %s names", async (section) => {
    const bin = join(folder.path, "bin");
    const ran = join(folder.path, "ran");
    await mkdir(bin);
    const program = join(bin, "docker-credential-fake");
    const answer = JSON.stringify({ Username: account.username, Secret: account.password });
    await writeFile(program, `#!/bin/sh\ntouch '${ran}'\necho '${answer}'\n`);
    await chmod(program, 0o755);
    const named = section === "credsStore" ? "fake" : { [registry.address]: "fake" };
    const environment = { PATH: `${bin}:/usr/bin:/bin` };
    await expect(asks({ ...secret({}, { [section]: named }), environment })).rejects.toMatchObject({
      code: "UNAUTHORIZED",
    });
    await expect(access(ran)).rejects.toThrow("ENOENT");
    const mixed = secret({ [registry.address]: { auth: login } }, { [section]: named });
    expect(await asks({ ...mixed, environment })).toEqual({ digest });
    await expect(access(ran)).rejects.toThrow("ENOENT");
  });

  test.each([
    ["is no JSON", "hunter2 {"],
    ["ends early", '{"auths":{"registry.example.com":{"auth":"hunter2'],
    ["is empty", ""],
    ["is a list", '["hunter2"]'],
    ["has a list for auths", '{"auths":["hunter2"]}'],
    ["has an auth without a colon", '{"auths":{"HOST":{"auth":"aHVudGVyMg=="}}}'],
    ["has an auth that is not base64", '{"auths":{"HOST":{"auth":"hunter2!"}}}'],
  ])("that %s is INVALID_ARGUMENT and shows nothing of it", async (_, text) => {
    const dockerConfigJson = text.replace("HOST", registry.address);
    const outcome = await asks({ credentials: { dockerConfigJson } }).catch((error) => error);
    expect(outcome).toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(outcome.message).toMatch(/^the docker config of the secret/);
    for (let error = outcome; error instanceof Error; error = error.cause as Error)
      expect(`${error.stack}`).not.toMatch(/hunter2|aHVudGVyMg/);
  });
});
