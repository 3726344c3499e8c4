import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listTags } from "../../src/index.ts";
import { basic, startFaultRegistry } from "../support/registry-faults.ts";
import { type Step, typeToBallast } from "../support/typed-command.ts";
import { openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(async () => place[Symbol.asyncDispose]());

const type = (args: readonly string[], ...steps: readonly Step[]) =>
  typeToBallast(args, { home: place.path, steps });

describe("a login on a terminal", () => {
  test("asks for name and password, and shows nothing of the password", async () => {
    await using registry = await startFaultRegistry({ auth: "basic" });
    registry.login = "me:hidden word";
    registry.intercept = ({ url, headers }) =>
      url === "/v2/" && headers.authorization === basic("me:hidden word")
        ? { status: 200 }
        : undefined;
    const { code, shown } = await type(
      ["login", registry.host],
      ["User name", "me\r"],
      ["not shown:", "hiddex\u007fn wore\u007fd\r"],
    );
    expect(shown).toContain(`logged in to ${registry.host} as me`);
    expect(code).toBe(0);
    expect(shown).not.toMatch(/hid|wore/);
    const kept = JSON.parse(await readFile(join(place.path, ".docker/config.json"), "utf8"));
    const { auth } = kept.auths[registry.host];
    expect(Buffer.from(auth, "base64").toString()).toBe("me:hidden word");
  });

  test("ends at Ctrl-C, and nothing is sent or kept", async () => {
    await using registry = await startFaultRegistry({ auth: "basic" });
    const args = ["login", registry.host, "--username", "me"];
    const { code, shown } = await type(args, ["not shown:", "half\u0003"]);
    expect(code).not.toBe(0);
    expect(shown).toContain("CANCELLED");
    expect(shown).not.toContain("half");
    expect(registry.seen).toEqual([]);
  });
});

describe("a removal on a terminal", () => {
  const tags = async () =>
    (await listTags({ repository: place.ref("team/model") })).tags.map(({ tag }) => tag);

  test.each([
    ["no", "\r", 1],
    ["no", "n\r", 1],
    ["no", "yo\r", 1],
    ["yes", "y\r", 0],
    ["yes", "Yes\r", 0],
  ])("takes as %s what is typed as %j", async (meaning, typed, exitCode) => {
    await place.push(await place.writeModel(), "team/model:v1");
    const args = ["registry", "rm", place.ref("team/model:v1"), "--quiet"];
    const { code, shown } = await type(args, ["[y/N]", typed]);
    expect(shown.indexOf("its manifest stays")).toBeLessThan(shown.indexOf("[y/N]"));
    expect(shown.includes("nothing was removed")).toBe(meaning === "no");
    expect(code).toBe(exitCode);
    expect(await tags()).toEqual(meaning === "no" ? ["v1"] : []);
  });

  test("ends at Ctrl-C as by a signal, and removes nothing", async () => {
    await place.push(await place.writeModel(), "team/model:v1");
    const args = ["registry", "rm", place.ref("team/model:v1")];
    const { code } = await type(args, ["[y/N]", "\u0003"]);
    expect(code).toBe(130);
    expect(await tags()).toEqual(["v1"]);
  });
});
