import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runBallast, startBallast } from "../support/ballast-command.ts";
import { listContent } from "../support/distribution-content.ts";
import { startLyingRegistry } from "../support/lying-registry.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";
import { startDistribution } from "../support/real-registries.ts";

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await makeTemporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

describe.skipIf(toolsMissing("registry", "docker-registry"))("ballast registry check", () => {
  test.each([2, 9, 30, 61, 100, 140, 190])(
    "stopped by SIGINT at request %i leaves nothing in the registry",
    async (at) => {
      const root = join(folder.path, "root");
      await using registry = await startDistribution({ version: "v3", root });
      await using liar = await startLyingRegistry(registry.address);
      const args = [
        "registry",
        "check",
        "--mount-from",
        "team/base",
        `${liar.address}/team/models`,
      ];
      const { child, result } = startBallast(args, { home: folder.path });
      liar.lie = ({ count }) => {
        if (count === at) child.kill("SIGINT");
        return undefined;
      };
      const { code, out, err } = await result;
      expect([code, out]).toEqual([130, ""]);
      expect(err).toContain("stopped by SIGINT");
      expect(await listContent(root)).toEqual([]);
      expect(liar.count).toBeGreaterThanOrEqual(at);
    },
  );

  test("tells people what works, programs all of it, and the shell whether models can be kept there", async () => {
    const root = join(folder.path, "root");
    await using registry = await startDistribution({ version: "v2", root, auth: "htpasswd" });
    const env = { BALLAST_USERNAME: "tester", BALLAST_PASSWORD: "secret" };
    const reference = `${registry.address}/team/models`;
    const told = await runBallast(["registry", "check", reference], { home: folder.path, env });
    expect([told.code, told.out.includes("secret"), told.err.includes("secret")]).toEqual([
      0,
      false,
      false,
    ]);
    expect(told.out).toMatch(/^push +works +models can be pushed$/m);
    expect(told.out).toMatch(/^signatures +limited +no Referrers API: /m);
    expect(told.out).toMatch(/^no +push of a blob by one POST +202: wants a PUT besides$/m);
    expect(told.err).toMatch(/writes at most \d+ bytes under 12 tags of its own/);
    const document = await runBallast(["registry", "check", "--json", reference], {
      home: folder.path,
      env,
    });
    expect(JSON.parse(document.out)).toMatchObject({
      pushes: true,
      pulls: true,
      left: { tags: [] },
    });
    expect(await listContent(root)).toEqual([]);
  });

  test("fails for a registry that says that it stores and does not", async () => {
    await using registry = await startDistribution({ version: "v3" });
    await using liar = await startLyingRegistry(registry.address);
    liar.lie = ({ method }) => (method === "PUT" ? { instead: { status: 201 } } : undefined);
    const { code, out, err } = await runBallast(
      ["registry", "check", `${liar.address}/team/models`],
      { home: folder.path },
    );
    expect(code).toBe(9);
    expect(out).toMatch(/^push +fails +it says yes and does something else/m);
    expect(err).toContain("REGISTRY_UNSUPPORTED");
  });
});
