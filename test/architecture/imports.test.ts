import { describe, expect, test } from "vitest";
import { checkImports } from "./check-imports.ts";
import { packages, parts } from "./import-rules.ts";
import { findImports } from "./source-text.ts";
import { readDocument, readTree } from "./tree.ts";

const check = (path: string, source: string) => checkImports(new Map([[path, source]]));

describe("the source tree", () => {
  test("imports only what the layers and the package table allow", async () => {
    const files = await readTree("src/**/*.ts", "csi/**/*.ts");
    expect(files.size).toBeGreaterThan(0);
    expect(checkImports(files)).toEqual([]);
  });

  test("has no import statement that the checker overlooks", async () => {
    const files = await readTree("src/**/*.ts", "csi/**/*.ts");
    const overlooked = [...files].filter(([, source]) => {
      const statements = source.match(/^import\b|^(?:export\b|\}).*\bfrom "/gm) ?? [];
      const multiline = source.match(/^import\b[^"]*\n\} from "/gm) ?? [];
      return findImports(source).length < statements.length - multiline.length;
    });
    expect(overlooked.map(([path]) => path)).toEqual([]);
  });

  test("has a place for every dependency of package.json", async () => {
    const { dependencies } = JSON.parse(await readDocument("package.json"));
    expect(Object.keys(packages).sort()).toEqual(Object.keys(dependencies).sort());
  });

  test("has parts that only use parts listed before them", () => {
    const names = Object.keys(parts);
    const upwards = names.filter((name, at) =>
      parts[name]?.uses.some((used) => !names.slice(0, at).includes(used)),
    );
    expect(upwards).toEqual([]);
  });
});

describe("a violation", () => {
  test.each([
    ["an import upwards", "src/core/a.ts", `import { b } from "../oci/b.ts";`],
    ["a type import upwards", "src/oci/a.ts", `import type { B } from "../store/b.ts";`],
    ["a re-export upwards", "src/oci/a.ts", `export { b } from "../model/b.ts";`],
    ["a star re-export upwards", "src/oci/a.ts", `export * from "../model/b.ts";`],
    ["a named star re-export", "src/oci/a.ts", `export * as b from "../model/b.ts";`],
    ["a side-effect import upwards", "src/oci/a.ts", `import "../model/b.ts";`],
    ["a dynamic import upwards", "src/oci/a.ts", `const b = await import("../model/b.ts");`],
    ["a type written as import()", "src/oci/a.ts", `let b: import("../model/b.ts").B;`],
    ["a worker from above", "src/oci/a.ts", `new URL("../transfer/b-worker.ts", import.meta.url);`],
    [
      "an import over several lines",
      "src/oci/a.ts",
      `import {\n  a,\n  type B,\n} from "../model/b.ts";`,
    ],
    ["a sibling", "src/store/a.ts", `import { b } from "../registry/client/b.ts";`],
    ["a sibling verb", "src/pack/a.ts", `import { b } from "../transfer/b.ts";`],
    ["a sibling process", "csi/a.ts", `import { b } from "../src/kubernetes/b.ts";`],
    ["the client in the server", "src/registry/server/a.ts", `import { b } from "../client/b.ts";`],
    ["the server in the client", "src/registry/client/a.ts", `import { b } from "../server/b.ts";`],
    [
      "the client in the command line",
      "src/cli/a.ts",
      `import { b } from "../registry/client/b.ts";`,
    ],
    ["a verb in the command line", "src/cli/a.ts", `import { b } from "../pack/b.ts";`],
    ["the inside of the agent", "csi/a.ts", `import { b } from "../src/agent/pulls.ts";`],
    [
      "the inside of the library in the demo",
      "src/demo/a.ts",
      `import { b } from "../store/b.ts";`,
    ],
    ["the command line in the library", "src/index.ts", `export { b } from "./cli/b.ts";`],
    ["tests in the source", "src/core/a.ts", `import { b } from "../../test/support/b.ts";`],
    ["an unknown folder", "src/helpers/a.ts", "export const a = 1;"],
    ["a package in the wrong place", "src/model/a.ts", `import { request } from "undici";`],
    [
      "an inline type of it, which still loads it",
      "src/model/a.ts",
      `import { type Agent } from "undici";`,
    ],
    ["a part of a package", "src/oci/a.ts", `import x from "@aws-sdk/client-s3/dist/x.js";`],
    ["a package nobody chose", "src/core/a.ts", `import isOdd from "is-odd";`],
    ["require", "src/core/a.ts", `createRequire(import.meta.url)("x"); require("is-odd");`],
    ["a builtin without node:", "src/core/a.ts", `import { join } from "path";`],
    ["a computed import", "src/core/a.ts", "await import(name);"],
    ["an environment variable", "src/store/a.ts", "const home = process.env.HOME;"],
    ["a quoted environment variable", "src/store/a.ts", `const home = process.env["HOME"];`],
    ["one in a template", "src/store/a.ts", "const home = `${process.env.HOME}/x`;"],
    ["the environment by its quoted name", "src/store/a.ts", `const all = process["env"];`],
    ["the environment by name", "src/store/a.ts", `import { env } from "node:process";`],
    ["the environment taken apart", "src/store/a.ts", "const { env } = process;"],
    ["arguments", "src/model/a.ts", "const [, , verb] = process.argv;"],
    ["the console", "src/pack/a.ts", `console.error("no");`],
    ["the terminal", "src/pack/a.ts", `process.stderr.write("no");`],
    ["an exit", "src/model/a.ts", "process.exit(1);"],
  ])("is found: %s", (_, path, source) => {
    expect(check(path, source)).toHaveLength(1);
  });

  test("names the file, the rule and the reason", () => {
    expect(check("src/model/a.ts", `import { request } from "undici";`)).toEqual([
      "src/model/a.ts: may not load undici: HTTP, its retries and its secrets stay there",
    ]);
  });
});

describe("no violation", () => {
  test.each([
    ["an import downwards", "src/model/a.ts", `import { b } from "../core/b.ts";`],
    ["an import beside", "src/store/a.ts", `import { b } from "./b.ts";`],
    ["a builtin", "src/core/a.ts", `import { join } from "node:path";`],
    ["a package in its place", "src/registry/client/a.ts", `import { request } from "undici";`],
    ["a package's types", "src/transfer/a.ts", `import type { Dispatcher } from "undici";`],
    ["the agent's client", "csi/a.ts", `import { b } from "../src/agent/client/b.ts";`],
    [
      "the embedded registry in the command line",
      "src/cli/a.ts",
      `import { b } from "../registry/server/b.ts";`,
    ],
    ["the terminal at the edge", "src/cli/a.ts", "process.stderr.write(String(process.argv));"],
    [
      "a comment",
      "src/core/a.ts",
      `// import { b } from "../oci/b.ts"; console.log(process.env)\n/* await import("x") */`,
    ],
    ["text that speaks of it", "src/core/a.ts", `const hint = "see process.env and console.log";`],
    ["another thing of process", "src/store/a.ts", "process.pid; process.kill(1, 0);"],
  ])("in %s", (_, path, source) => {
    expect(check(path, source)).toEqual([]);
  });
});
