import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cutAt, partial, type RawAnswer, redirect, status } from "../../support/raw-answers.ts";
import { type RawRangeServer, startRawRangeServer } from "../../support/raw-range-server.ts";
import { content, credential, mostRequests, type Stage, signature } from "./stage.ts";
import type { HttpRangeSuite } from "./suite.ts";

const credentials = { get: async () => credential };
const spans = [0, 1, 2, 3, 4].map((at) => ({ offset: at * 90_000, length: 1_100_000 }));
const expired = status(
  403,
  { "Content-Type": "application/xml" },
  "<Error>Request has expired</Error>",
);

/** Asks who it is first, then answers. */
function asking(answer: RawAnswer): RawAnswer {
  return (reply, request) =>
    request.headers.has("authorization")
      ? answer(reply, request)
      : status(401, { "WWW-Authenticate": 'Basic realm="x"' })(reply, request);
}

/** Registries that send their clients elsewhere for the bytes. */
export function describeRedirects(suite: HttpRangeSuite): void {
  describe("a registry that redirects to storage", () => {
    let storage: RawRangeServer;
    let stage: Stage;
    let signed: number;

    const target = () => `${storage.url}/bucket/x?sig=${signature}&n=${(signed += 1)}`;
    const toStorage: RawAnswer = (reply, request) => redirect(target())(reply, request);

    beforeEach(async () => {
      signed = 0;
      storage = await startRawRangeServer({ content });
      stage = await suite.open({ setup: { credentials } });
      stage.server.otherwise = asking(toStorage);
    });
    afterEach(async () => {
      await stage[Symbol.asyncDispose]();
      await storage[Symbol.asyncDispose]();
    });

    test("is asked once for many ranges, and storage sees no credentials", async () => {
      for (const span of spans) await stage.read(span);
      expect(stage.server.requests.length).toBeLessThanOrEqual(4);
      expect(storage.requests.length).toBeLessThanOrEqual(spans.length + 2);
      expect(storage.requests.every(({ headers }) => !headers.has("authorization"))).toBe(true);
      expect(storage.requests.at(-1)?.headers.get("range")).toBe("bytes=360000-1459999");
      const { registry, redirected } = stage.under.requests;
      expect(registry).toBeGreaterThanOrEqual(1);
      expect(redirected).toBeLessThanOrEqual(storage.requests.length);
    });

    test.each([301, 302, 303, 307, 308])("with %d is followed", async (code) => {
      stage.server.otherwise = asking((reply, request) => redirect(target(), code)(reply, request));
      await stage.read();
      expect(storage.requests.length).toBeLessThanOrEqual(2);
    });

    test.each([403, 401, 400, 404, 410])(
      "is asked again when the place has expired: %d",
      async (code) => {
        await stage.read();
        storage.otherwise = (reply, request) =>
          (request.target.endsWith("n=1") ? status(code, {}, "<Error>expired</Error>") : partial())(
            reply,
            request,
          );
        await stage.read();
        expect(storage.requests.at(-1)?.target).toMatch(/n=2$/);
        expect(signed).toBe(2);
        expect(storage.requests.length).toBeLessThanOrEqual(6);
      },
    );

    test("is asked again when the place expires in the middle of a range", async () => {
      storage.answers.push(
        cutAt((head, body) => head + Math.floor(body / 2), "fin"),
        expired,
      );
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(5);
      expect(storage.requests.length).toBeLessThanOrEqual(5);
    });

    test("to places that have always expired is refused after few requests", async () => {
      storage.otherwise = expired;
      expect((await stage.refused()).code).toBe("FORBIDDEN");
      expect(storage.requests.length).toBeLessThanOrEqual(4);
      await stage.refused();
      expect(storage.requests.length).toBeLessThanOrEqual(8);
    });

    test("is asked again when the place is gone", async () => {
      await stage.read();
      await storage[Symbol.asyncDispose]();
      storage = await startRawRangeServer({ content });
      await stage.read();
      expect(storage.requests.length).toBeGreaterThanOrEqual(1);
    });

    test("to storage with a moment's trouble is read in the end", async () => {
      storage.answers.push(
        status(503, { "Retry-After": "0" }),
        cutAt(() => 0, "reset"),
      );
      await stage.read();
      storage.answers.push(
        status(503, { "Retry-After": "0" }),
        cutAt(() => 0, "reset"),
      );
      await stage.read();
      expect(storage.requests.length).toBeLessThanOrEqual(10);
    });

    test.each([
      ["gzip", partial({ lines: ["Content-Encoding: gzip"] })],
      ["another range", partial({ range: "bytes 0-9/1500000" })],
    ])("to storage that sends %s is refused", async (_, answer) => {
      storage.otherwise = answer;
      const failure = await suiteRefused(stage, storage);
      expect(failure).toBe("REGISTRY_PROTOCOL");
    });

    test("to storage that sends it back gets no credentials there", async () => {
      storage.otherwise = redirect(`${stage.server.url}/elsewhere`);
      stage.server.otherwise = (reply, request) =>
        request.target === "/elsewhere"
          ? partial()(reply, request)
          : asking(toStorage)(reply, request);
      await stage.read();
      const back = stage.server.requests.filter(({ target: path }) => path === "/elsewhere");
      expect(back.length).toBeGreaterThan(0);
      expect(back.every(({ headers }) => !headers.has("authorization"))).toBe(true);
    });
  });

  describe("a registry that redirects", () => {
    test.each(["/elsewhere/x?sig=presigned", "elsewhere", "//HOST/elsewhere", "?x=elsewhere"])(
      "within itself (%s) is followed with credentials",
      async (location) => {
        await using stage = await suite.open({ setup: { credentials } });
        const { host } = stage.server;
        stage.server.otherwise = asking((reply, request) =>
          request.target.includes("elsewhere")
            ? partial()(reply, request)
            : redirect(location.replace("HOST", host))(reply, request),
        );
        await stage.read();
        await stage.read();
        expect(stage.server.requests.length).toBeLessThanOrEqual(8);
      },
    );

    test.each([
      [1, true],
      [5, true],
      [6, false],
    ])("%d times in a row", async (hops, isRead) => {
      await using stage = await suite.open();
      stage.server.otherwise = (reply, request) => {
        const at = Number(/hop=(\d+)/.exec(request.target)?.[1] ?? 0);
        return (at < hops ? redirect(`/x?hop=${at + 1}`) : partial())(reply, request);
      };
      if (isRead) await stage.read();
      else expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
      expect(stage.server.requests.length).toBeLessThanOrEqual(14);
    });

    test("in a circle is refused", async () => {
      await using stage = await suite.open();
      stage.server.otherwise = redirect("/again");
      expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
      expect(stage.server.requests.length).toBeLessThanOrEqual(2 * mostRequests);
    });

    test.each(["", "http://[bad", "ftp://127.0.0.1/x", "file:///etc/passwd", "data:,x", "unix:/x"])(
      "to %j is refused",
      async (location) => {
        await using stage = await suite.open();
        stage.server.otherwise = redirect(location);
        expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
        expect(stage.server.requests.length).toBeLessThanOrEqual(3);
      },
    );

    test("without saying where is refused", async () => {
      await using stage = await suite.open();
      stage.server.otherwise = status(307);
      expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
    });

    test.each([300, 304, 305, 306])(
      "in no way that anybody follows (%d) is refused",
      async (code) => {
        await using stage = await suite.open();
        stage.server.otherwise = redirect("/elsewhere", code);
        expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
        expect(stage.server.requests.length).toBeLessThanOrEqual(3);
      },
    );

    test("from TLS to plain HTTP is refused, and nobody is asked there", async () => {
      await using storage = await startRawRangeServer({ content });
      await using stage = await suite.openSecured();
      stage.server.otherwise = redirect(`${storage.url}/x`);
      expect((await stage.refused()).code).toBe("REGISTRY_PROTOCOL");
      expect(storage.connections).toBe(0);
    });

    test("from plain HTTP to TLS is followed", async () => {
      const { server: tls, authority: ca } = suite.certificates;
      await using storage = await startRawRangeServer({ content, tls });
      await using stage = await suite.open({ setup: { ca } });
      stage.server.otherwise = redirect(`${storage.url}/x`);
      await stage.read();
      await stage.read();
      expect(storage.requests.length).toBeGreaterThanOrEqual(2);
    });
  });
}

/** The code of a failure whose message names the storage, for the bytes come from there. */
async function suiteRefused(stage: Stage, storage: RawRangeServer): Promise<string> {
  const failure = await stage.refused();
  expect(failure.message).toContain(storage.host);
  return failure.code;
}
