import { describe, expect, test } from "vitest";
import { makeSelfSigned } from "../../support/certificates.ts";
import { askedFor, cutAt, partial, partialHead, whole } from "../../support/raw-answers.ts";
import type { HttpRangeSuite } from "./suite.ts";

/** More connections than a server that is not trusted may get for one range. */
const mostConnections = 4;

/** What can be wrong with the other end of a TLS connection. */
export function describeTls(suite: HttpRangeSuite): void {
  describe("a server over TLS", () => {
    test("that is not trusted gets no request", async () => {
      await using stage = await suite.openSecured({ ca: undefined });
      expect(await stage.refused()).toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        retryable: false,
        message: expect.stringContaining("not trusted"),
        hint: expect.stringContaining("--ca-file"),
      });
      expect(stage.server.requests).toHaveLength(0);
      expect(stage.server.connections).toBeLessThanOrEqual(mostConnections);
    });

    test("whose certificate is for another name gets no request", async () => {
      const tls = await makeSelfSigned(suite.folder, "nameless");
      await using stage = await suite.openSecured({ tls, ca: tls.certificate });
      expect(await stage.refused()).toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        retryable: false,
        message: expect.stringContaining("another name"),
      });
      expect(stage.server.requests).toHaveLength(0);
      expect(stage.server.connections).toBeLessThanOrEqual(mostConnections);
    });

    test("whose certificate becomes another, not trusted, gets no further request", async () => {
      await using stage = await suite.openSecured();
      stage.server.otherwise = partial({ lines: ["Connection: close"], close: true });
      await stage.read({ offset: 0, length: 1_100_000 });
      const served = stage.server.requests.length;
      stage.server.become(await makeSelfSigned(suite.folder, "other"));
      expect(await stage.refused()).toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        retryable: false,
      });
      expect(stage.server.requests).toHaveLength(served);
    });

    test("whose certificate becomes another in the middle of a range loses nothing that came", async () => {
      const other = await makeSelfSigned(suite.folder, "other");
      await using stage = await suite.openSecured();
      const { server } = stage;
      server.answers.push(async (reply, request) => {
        await cutAt((head, body) => head + Math.floor(body / 2), "stall")(reply, request);
        server.become(other);
      });
      expect((await stage.refused()).retryable).toBe(false);
      expect(server.requests.length).toBeLessThanOrEqual(2); // The range, and where it lies.
    });

    test("whose certificate becomes another that is trusted is read on", async () => {
      const other = await makeSelfSigned(suite.folder, "renewed", ["IP:127.0.0.1"]);
      const ca = [suite.certificates.authority, other.certificate];
      await using stage = await suite.openSecured({ ca });
      const { server } = stage;
      server.answers.push(async (reply, request) => {
        await cutAt((head, body) => head + Math.floor(body / 2), "stall")(reply, request);
        server.become(other);
      });
      await stage.read();
      expect(server.requests.length).toBeLessThanOrEqual(3);
    });

    test("that ends without close_notify in the middle of a body is asked for the rest", async () => {
      await using stage = await suite.openSecured();
      stage.server.answers.push(async (reply, request) => {
        await reply.send(partialHead(request));
        await reply.send(askedFor(request).subarray(0, 100_000));
        reply.end({ closeNotify: false });
      });
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(3);
    });

    test("that cuts a body without a length, with and without close_notify, is asked for the rest", async () => {
      await using stage = await suite.openSecured();
      for (const closeNotify of [true, false])
        stage.server.answers.push(async (reply, request) => {
          const body = request.content.subarray(0, 100_000 + (closeNotify ? 0 : 50_000));
          await whole({ length: false, body })(reply, request);
          reply.end({ closeNotify });
        });
      await stage.read();
      expect(stage.server.requests.length).toBeLessThanOrEqual(4);
    });

    test("that speaks plain HTTP is named with what to do", async () => {
      await using stage = await suite.openSecured({ tls: undefined, setup: { plainHttp: false } });
      expect(await stage.refused()).toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        retryable: false,
        hint: expect.stringContaining("--plain-http"),
      });
      expect(stage.server.connections).toBeLessThanOrEqual(mostConnections);
    });

    test("that is spoken to in plain HTTP is refused", async () => {
      const { server: tls } = suite.certificates;
      await using stage = await suite.open({ tls, setup: { plainHttp: true } });
      expect((await stage.refused()).code).toBe("REGISTRY_UNAVAILABLE");
      expect(stage.server.requests).toHaveLength(0);
    });
  });
}
