import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RegistryServer, startRegistry } from "../../src/registry/server/server.ts";
import { writeHtpasswd } from "../support/htpasswd.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";

const run = promisify(execFile);
const rules = `
rules:
  - repositories: ["public/**"]
    read: [anonymous]
    write: [ann]
  - repositories: ["**"]
    read: [users]
    write: [ann]
`;

describe.skipIf(toolsMissing("crane", "regctl"))("accounts of the embedded registry", () => {
  let folder: TemporaryFolder;
  let registry: RegistryServer;
  let layer: string;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    const inside = (name: string) => join(folder.path, name);
    await writeHtpasswd(inside("htpasswd"), { ann: "ann's", bob: "bob's" });
    await writeFile(inside("access.yaml"), rules);
    await writeFile(inside("file.txt"), "content");
    layer = inside("layer.tar");
    await run("tar", ["-cf", layer, "-C", folder.path, "file.txt"]);
    registry = await startRegistry({
      root: inside("root"),
      htpasswdFile: inside("htpasswd"),
      accessFile: inside("access.yaml"),
    });
  });
  afterAll(async () => {
    await registry.close();
    await folder[Symbol.asyncDispose]();
  });

  /** Runs a program in the home of a user; of nobody without one. */
  async function as(user: string, program: "crane" | "regctl", ...args: string[]) {
    const home = join(folder.path, `home-${user}`);
    await mkdir(home, { recursive: true });
    const env = { PATH: process.env["PATH"] ?? "", HOME: home, DOCKER_CONFIG: home };
    const settings = program === "regctl" ? ["--host", `reg=${registry.address},tls=disabled`] : [];
    return run(toolPath(program), [...settings, ...args], { env });
  }

  const login = (user: string, password = `${user}'s`) =>
    as(user, "crane", "auth", "login", registry.address, "-u", user, "-p", password);
  const push = (user: string, repository: string) =>
    as(user, "crane", "append", "-f", layer, "-t", `${registry.address}/${repository}:v1`);

  test("crane pushes and pulls with a login, and nobody but who may", async () => {
    await login("ann");
    await push("ann", "public/model");
    await push("ann", "team/model");
    await login("bob");
    const manifest = (user: string, repository: string) =>
      as(user, "crane", "manifest", `${registry.address}/${repository}:v1`);
    expect((await manifest("nobody", "public/model")).stdout).toContain("layers");
    await expect(manifest("nobody", "team/model")).rejects.toThrow(/UNAUTHORIZED|401/);
    expect((await manifest("bob", "team/model")).stdout).toContain("layers");
    await expect(push("bob", "team/other")).rejects.toThrow(/DENIED|403/);
    await expect(push("nobody", "public/other")).rejects.toThrow(/UNAUTHORIZED|401/);
  });

  test("regctl logs in, is refused with a wrong password, and copies between repositories", async () => {
    await push("ann", "team/source");
    const regctl = (user: string, ...args: string[]) => as(user, "regctl", ...args);
    const signIn = (password: string) =>
      regctl("ann", "registry", "login", registry.address, "-u", "ann", "-p", password);
    const list = (user: string, repository: string) =>
      regctl(user, "tag", "ls", `${registry.address}/${repository}`);
    // Where somebody may read without one, the login itself asks for nothing that needs it.
    await signIn("wrong");
    await expect(list("ann", "team/source")).rejects.toThrow(/unauthorized|401/i);
    await signIn("ann's");
    expect((await list("ann", "team/source")).stdout).toBe("v1\n");
    const [from, to] = ["team/source", "public/copy"].map(
      (name) => `${registry.address}/${name}:v1`,
    );
    await regctl("ann", "image", "copy", from ?? "", to ?? "");
    expect((await list("nobody", "public/copy")).stdout).toBe("v1\n");
    await expect(list("nobody", "team/source")).rejects.toThrow(/unauthorized|401/i);
  });
});
