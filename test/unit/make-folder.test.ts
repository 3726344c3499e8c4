import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeFolder } from "../../src/core/make-folder.ts";
import { makeTemporaryFolder } from "../support/models.ts";

describe("a folder", () => {
  test("is made with its parents, and may be there already", async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, "a/b/c");
    await makeFolder(path);
    await makeFolder(path);
    expect(await readdir(path)).toEqual([]);
  });

  test.each(["", "below", "far/below"])(
    "that a file is in the way of (%s) names that file",
    async (below) => {
      await using folder = await makeTemporaryFolder();
      const file = join(folder.path, "file");
      await writeFile(file, "mine");
      await expect(makeFolder(join(file, below))).rejects.toMatchObject({
        code: "STORE_IO",
        message: `${file} is no folder`,
        hint: expect.stringContaining("another place"),
      });
      expect(await readFile(file, "utf8")).toBe("mine");
    },
  );

  test("whose name is too long is refused by the system's own reason", async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, "x".repeat(300), "below");
    await expect(makeFolder(path)).rejects.toMatchObject({ code: "ENAMETOOLONG" });
  });
});
