import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { renderDeploy } from "../tools/deploy/render.ts";
import { listRendered } from "../tools/deploy/rendered-files.ts";

const repository = join(import.meta.dirname, "../..");
const chart = join(repository, "deploy/helm/ballast");
const command = "node test/tools/render-deploy.ts";

describe.skipIf(toolsMissing("helm"))("what is made of the chart", () => {
  test(`is in the repository as the chart makes it (${command})`, async () => {
    const rendered = await renderDeploy(repository);
    const kustomized = [...rendered.keys()].filter((path) => path.startsWith("deploy/kustomize/"));
    expect(await listRendered(repository)).toEqual(expect.arrayContaining(kustomized));
    expect(await listRendered(repository)).toHaveLength(kustomized.length);
    for (const [path, text] of rendered)
      expect({ path, text: await readFile(join(repository, path), "utf8") }).toEqual({
        path,
        text,
      });
  });

  test("leaves nothing to Helm's lint to say", async () => {
    const { stdout } = await promisify(execFile)(toolPath("helm"), ["lint", "--strict", chart]);
    expect(stdout).toContain("0 chart(s) failed");
    expect(stdout).not.toMatch(/WARNING|ERROR/);
  });

  test("holds no label or annotation of Helm, no hook and no certificate authority", async () => {
    const rendered = await renderDeploy(repository);
    const kustomized = [...rendered].filter(([path]) => path.startsWith("deploy/kustomize/"));
    const marks = kustomized.flatMap(([path, text]) =>
      (text.match(/helm\.sh\/|managed-by|caBundle:/g) ?? []).map((mark) => `${path}: ${mark}`),
    );
    expect(marks).toEqual([]);
  });
});
