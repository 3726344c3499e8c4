import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { namedStore, storeRoot } from "../../src/cli/common-flags.ts";
import { readConnection, readLogin } from "../../src/cli/connection-flags.ts";
import {
  parseAnnotations,
  parseDuration,
  parseListen,
  parseWait,
} from "../../src/cli/flag-values.ts";
import { parseSize } from "../../src/core/size.ts";
import { createFakeTerminal } from "../support/fake-terminal.ts";
import { makeTemporaryFolder } from "../support/models.ts";

test.each([
  ["0", 0],
  ["1234", 1234],
  ["10GiB", 10 * 1024 ** 3],
  ["1.5 tib", 1.5 * 1024 ** 4],
  ["500MB", 500_000_000],
  ["3kB", 3000],
])("the size %j is %d bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([[""], ["-1"], ["5G"], ["GiB"], ["1e9"], ["10 GiB extra"], ["99999999TiB"]])(
  "%j is no size",
  (text) => {
    expect(() => parseSize(text)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  },
);

test.each([
  ["0s", 0],
  ["90s", 90_000],
  ["30m", 1_800_000],
  ["24h", 86_400_000],
  ["7d", 604_800_000],
])("the time %j is %d milliseconds", (text, milliseconds) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.each(["", "24", "h", "1.5h", "-1s", "24 h", "1w", "9999999s"])("%j is no time", (text) => {
  expect(() => parseDuration(text)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
});

test.each([
  ["1s", 1000],
  ["24d", 2_073_600_000],
])("%j can be waited for: %d milliseconds", (text, milliseconds) => {
  expect(parseWait(text)).toBe(milliseconds);
});

test.each(["0s", "25d", "999999h", "60"])("%j cannot be waited for", (text) => {
  expect(() => parseWait(text)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
});

test("annotations are pairs whose values may hold anything", () => {
  expect(parseAnnotations(["a=1", "b=x=y", "c="])).toEqual({ a: "1", b: "x=y", c: "" });
  expect(parseAnnotations(["__proto__=1"])).toHaveProperty(["__proto__"], "1");
});

test.each([[["novalue"]], [["=x"]], [["a=1", "a=2"]]])("%j are no annotations", (pairs) => {
  expect(() => parseAnnotations(pairs)).toThrow(
    expect.objectContaining({ code: "INVALID_ARGUMENT" }),
  );
});

test.each([
  ["127.0.0.1:5000", "127.0.0.1", 5000],
  ["localhost:0", "localhost", 0],
  ["[::1]:5000", "::1", 5000],
])("%j listens on %s, port %d", (text, host, port) => {
  expect(parseListen(text)).toEqual({ host, port });
});

test.each([["5000"], [":5000"], ["::1:5000"], ["host:65536"], ["host:"], ["http://host:1"]])(
  "%j is no address to listen on",
  (text) => {
    expect(() => parseListen(text)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  },
);

test.each([
  ["/flag", { BALLAST_STORE: "/variable" }, "/flag"],
  [undefined, { BALLAST_STORE: "/variable", XDG_CACHE_HOME: "/xdg" }, "/variable"],
  [undefined, { XDG_CACHE_HOME: "/xdg", HOME: "/home/me" }, "/xdg/ballast"],
  [undefined, { XDG_CACHE_HOME: "relative", HOME: "/home/me" }, "/home/me/.cache/ballast"],
  [undefined, { BALLAST_STORE: "", HOME: "/home/me" }, "/home/me/.cache/ballast"],
])("the store of --store %s and %j is %s", (flag, environment, root) => {
  expect(storeRoot(flag, environment)).toBe(root);
});

test("a store is named by flag or variable only", () => {
  expect(namedStore(undefined, { XDG_CACHE_HOME: "/xdg" })).toBeUndefined();
  expect(namedStore(undefined, { BALLAST_STORE: "/variable" })).toBe("/variable");
});

describe("a login", () => {
  test("is read from standard input without its last newline", async () => {
    const { terminal } = createFakeTerminal({ input: "s3cret \r\n" });
    expect(await readLogin({ username: "me", passwordStdin: true }, terminal)).toEqual({
      username: "me",
      password: "s3cret ",
    });
  });

  test.each([
    ["a name alone", { username: "me" }, "x"],
    ["a password alone", { passwordStdin: true }, "x"],
    ["an empty password", { username: "me", passwordStdin: true }, "\n"],
    ["a whole file", { username: "me", passwordStdin: true }, "x".repeat(70_000)],
  ])("of %s is refused", async (_, flags, input) => {
    const { terminal } = createFakeTerminal({ input });
    await expect(readLogin(flags, terminal)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("certificate authorities", () => {
  const pem = "-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n";

  test("come from the flag and both variables", async () => {
    await using folder = await makeTemporaryFolder();
    const file = async (name: string) => {
      await writeFile(join(folder.path, name), `${name}\n${pem}`);
      return join(folder.path, name);
    };
    const environment = { BALLAST_CA_FILE: await file("b"), SSL_CERT_FILE: await file("c") };
    const { terminal } = createFakeTerminal({ environment });
    const { ca } = await readConnection({ caFile: [await file("a")] }, terminal);
    expect(ca?.map((text) => text[0])).toEqual(["a", "b", "c"]);
  });

  test("are refused when the file is missing or holds no certificate", async () => {
    const { terminal } = createFakeTerminal();
    for (const path of ["/no/such/file", import.meta.filename.replace("flags", "text")])
      await expect(readConnection({ caFile: [path] }, terminal)).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining(path),
      });
  });

  test("may be missing where only the system's variable names them", async () => {
    const { terminal } = createFakeTerminal({ environment: { SSL_CERT_FILE: "/no/such/file" } });
    expect((await readConnection({}, terminal)).ca).toBeUndefined();
  });
});

test("a registry's profile is what the flag says, else what the environment says", async () => {
  const read = async (value: string, registryProfile?: string) => {
    const environment = { BALLAST_REGISTRY_PROFILE: value };
    const { terminal } = createFakeTerminal({ environment });
    return (await readConnection({ registryProfile }, terminal)).registryProfile;
  };
  expect([await read("ecr"), await read("ecr", "harbor"), await read("")]).toEqual([
    "ecr",
    "harbor",
    undefined,
  ]);
});
