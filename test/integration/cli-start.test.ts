import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { ballastProgram, runBallast, startBallast } from "../support/ballast-command.ts";
import { makeTemporaryFolder } from "../support/models.ts";

const version = /^ballast \d+\.\d+\.\d+\S*\n$/;

test("tells its version", async () => {
  await using home = await makeTemporaryFolder();
  for (const flag of ["--version", "-V"]) {
    const { code, out, err } = await runBallast([flag], { home: home.path });
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(version);
  }
});

test("finds its checkout through links, from any folder and without Node on PATH", async () => {
  await using home = await makeTemporaryFolder();
  const bin = join(home.path, "a b");
  await mkdir(bin);
  await symlink(ballastProgram, join(bin, "first"));
  await symlink("first", join(bin, "second"));
  const program = join(bin, "second");
  const env = { PATH: "/usr/bin:/bin" };
  const { code, out } = await runBallast(["--version"], { home: home.path, program, env });
  expect({ code, matches: version.test(out) }).toEqual({ code: 0, matches: true });
});

test("says what it needs where there is no Node that is new enough", async () => {
  await using home = await makeTemporaryFolder();
  const program = join(home.path, "bin/ballast");
  const tools = join(home.path, "tools");
  await cp(ballastProgram, program, { recursive: true });
  await mkdir(tools);
  for (const tool of ["sh", "dirname", "readlink", "head"])
    await symlink(`/bin/${tool}`, join(tools, tool));
  const env = { PATH: tools };
  const without = await runBallast(["--version"], { home: home.path, program, env });
  expect(without).toMatchObject({ code: 1, out: "" });
  expect(without.err).toContain("needs Node.js 24.8");
  expect(without.err).toContain("npm ci");
  await cp(join(import.meta.dirname, "../support/old-node.sh"), join(tools, "node"));
  const old = await runBallast(["--version"], { home: home.path, program, env });
  expect(old).toMatchObject({ code: 1, out: "" });
  expect(old.err).toContain("v22.1.0");
});

test("ends quietly when nobody reads its output", async () => {
  await using home = await makeTemporaryFolder();
  const { child, result } = startBallast(["help", "references"], { home: home.path });
  child.stdout?.destroy();
  const { code, err } = await result.catch(() => ({ code: child.exitCode, err: "" }));
  await (child.exitCode === null ? once(child, "close") : undefined);
  expect({ code: code ?? child.exitCode, err }).toEqual({ code: 0, err: "" });
});

test("a second signal ends it at once, while the first is still being obeyed", async () => {
  const module = join(import.meta.dirname, "../../src/cli/stop-signals.ts");
  const script = `import { catchStopSignals } from ${JSON.stringify(module)};
    const stop = catchStopSignals();
    stop.signal.addEventListener("abort", () => console.log("stopping"));
    setInterval(() => undefined, 1000);
    console.log("ready");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const output = text(child.stdout);
  await once(child.stdout, "readable");
  child.kill("SIGINT");
  await once(child.stdout, "readable");
  child.kill("SIGINT");
  await once(child, "close");
  expect(child.signalCode).toBe("SIGINT");
  expect(await output).toBe("ready\nstopping\n");
});
