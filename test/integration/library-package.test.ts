import { execFile } from "node:child_process";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { makeTemporaryFolder } from "../support/models.ts";

const checkout = fileURLToPath(new URL("../..", import.meta.url));

test('a project that installed the checkout imports push, pull and inspect from "ballast"', async () => {
  await using project = await makeTemporaryFolder();
  await mkdir(join(project.path, "node_modules"));
  await symlink(checkout, join(project.path, "node_modules", "ballast"));
  const program = join(project.path, "program.mjs");
  await writeFile(
    program,
    `import { push, pull, inspect } from "ballast";
     const pushed = await push({ source: "model", reference: "oci:layout:v1" });
     const { files } = await inspect({ reference: pushed.name });
     const { path } = await pull({ reference: pushed.name, output: "out" });
     process.stdout.write(files[0].path + " in " + path);`,
  );
  await mkdir(join(project.path, "model"));
  await writeFile(join(project.path, "model", "config.json"), "{}");
  const { stdout } = await promisify(execFile)(process.execPath, [program], { cwd: project.path });
  expect(stdout).toBe(`config.json in ${join(project.path, "out")}`);
});
