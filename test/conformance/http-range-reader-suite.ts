import { readdir, readlink } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, vi } from "vitest";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { describeBodies } from "./http-range/bodies.ts";
import { describeBreaks } from "./http-range/breaks.ts";
import { describeConnections } from "./http-range/connections.ts";
import { describeGuards } from "./http-range/guards.ts";
import { describeHeads } from "./http-range/heads.ts";
import { describeLimits } from "./http-range/limits.ts";
import { describeProxies } from "./http-range/proxies.ts";
import { describeRedirects } from "./http-range/redirects.ts";
import { describeRefusals } from "./http-range/refusals.ts";
import { describeSlowness } from "./http-range/slowness.ts";
import { type HttpReaderFactory, openStage, soon } from "./http-range/stage.ts";
import type { HttpRangeSuite } from "./http-range/suite.ts";
import { describeTls } from "./http-range/tls.ts";

/**
 * What every RangeReader must do that reads over HTTP, however its server answers: right bytes, or
 * an error that says who and what, after few requests, with nothing left open.
 */
export function describeHttpRangeReader(name: string, create: HttpReaderFactory): void {
  describe(`${name}: a range reader over HTTP`, () => {
    const made = new AsyncDisposableStack();
    let certificates: Certificates;
    let folder: string;
    let before: Set<string>;

    beforeAll(async () => {
      folder = made.use(await makeTemporaryFolder()).path;
      certificates = await makeCertificates(folder);
    });
    afterAll(() => made.disposeAsync());
    beforeEach(async () => {
      before = new Set(await openHandles());
    });
    afterEach(() =>
      vi.waitFor(async () => {
        const left = (await openHandles()).filter((handle) => !before.has(handle));
        expect(left).toEqual([]);
      }, soon),
    );

    const suite: HttpRangeSuite = {
      get folder() {
        return folder;
      },
      get certificates() {
        return certificates;
      },
      open: (options = {}) => openStage(create, options),
      openSecured: (options = {}) =>
        openStage(create, { tls: certificates.server, ca: certificates.authority, ...options }),
    };
    for (const part of parts) part(suite);
  });
}

const parts = [
  describeConnections,
  describeHeads,
  describeBodies,
  describeBreaks,
  describeRefusals,
  describeLimits,
  describeSlowness,
  describeRedirects,
  describeGuards,
  describeTls,
  describeProxies,
];

/** Sockets and files of tests that this process has open. */
async function openHandles(): Promise<string[]> {
  const numbers = await readdir("/proc/self/fd");
  const targets = await Promise.all(
    numbers.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  return targets.filter((target) => /^socket:|ballast-test/.test(target));
}
