import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { toolsMissing } from "../support/programs.ts";
import { checkAllRegistries, renderRegistries } from "../support/registry-table.ts";

const path = join(import.meta.dirname, "../../docs/registries.md");

describe.skipIf(toolsMissing("registry", "docker-registry"))("docs/registries.md", () => {
  test("says what the registries do, whichever way in, and nothing of a check stays in them", async () => {
    const written = await readFile(path, "utf8");
    const found = renderRegistries(await checkAllRegistries());
    expect(
      found,
      "docs/registries.md is not what was found: node test/tools/render-registries.ts",
    ).toBe(written);
  });
});
