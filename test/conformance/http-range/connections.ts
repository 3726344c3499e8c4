import { expect, test } from "vitest";
import { partial, type RawAnswer } from "../../support/raw-answers.ts";
import { content } from "./stage.ts";
import { type HttpRangeSuite, overBoth } from "./suite.ts";

const once = { attempts: 1 };
const spans = Array.from({ length: 40 }, (_, at) => ({ offset: at * 7000, length: 1_100_000 }));

/** Connections are kept, given up and made anew. */
export function describeConnections(suite: HttpRangeSuite): void {
  overBoth(suite, "a good server", (open) => {
    test("gives every range: all, the first byte, the last, one in the middle", async () => {
      await using stage = await open({ setup: { retry: once } });
      const last = content.byteLength - 1;
      for (const span of [
        { offset: 0, length: content.byteLength },
        { offset: 0, length: 1 },
        { offset: last, length: 1 },
        { offset: 65_535, length: 65_537 },
        { offset: 65_535, length: 1_065_537 },
      ])
        await stage.read(span);
      expect(stage.server.requests.length).toBeLessThanOrEqual(7);
    });

    test("gives many ranges one after the other over few connections", async () => {
      await using stage = await open({ setup: { retry: once } });
      for (const span of spans) await stage.read(span);
      expect(stage.server.connections).toBeLessThanOrEqual(16);
      expect(stage.server.requests.length).toBeLessThanOrEqual(spans.length + 2);
    });

    test("gives many ranges at once", async () => {
      await using stage = await open({ setup: { retry: once } });
      const some = spans.slice(0, 16);
      for (let round = 0; round < 3; round += 1)
        await Promise.all(some.map((span) => stage.read(span)));
      expect(stage.server.connections).toBeLessThanOrEqual(34);
      expect(stage.server.requests.length).toBeLessThanOrEqual(3 * some.length + 2);
    });

    test.each<[string, RawAnswer]>([
      ["and says so", partial({ lines: ["Connection: close"], close: true })],
      ["and says so, but does not", partial({ lines: ["connection: CLOSE"] })],
      ["as HTTP/1.0 does", partial({ line: "HTTP/1.0 206 Partial Content", close: true })],
    ])("that closes after each answer, %s, gets a new connection for each", async (_, answer) => {
      await using stage = await open({ setup: { retry: once } });
      stage.server.otherwise = answer;
      for (const span of spans.slice(0, 8)) await stage.read(span);
      expect(stage.server.connections).toBeGreaterThanOrEqual(8);
      expect(stage.server.requests.length).toBeLessThanOrEqual(18);
    });

    test("that closes idle connections unsaid costs no attempt", async () => {
      await using stage = await open({ setup: { retry: once } });
      stage.server.otherwise = partial({ close: true });
      for (const span of spans.slice(0, 20)) await stage.read(span);
      expect(stage.server.requests.length).toBeLessThanOrEqual(40);
    });

    test.each(["reset", "end"] as const)(
      "whose idle connections are all dead (%s) costs no attempt",
      async (how) => {
        await using stage = await open({ setup: { retry: once } });
        stage.server.otherwise = (reply, request) =>
          request.turn === 1 ? partial()(reply, request) : reply[how]();
        const some = spans.slice(0, 8);
        await Promise.all(some.map((span) => stage.read(span)));
        for (const span of some) await stage.read(span);
        expect(stage.server.requests.length).toBeLessThanOrEqual(4 * some.length);
      },
    );
  });

  test("a server at an IPv6 address is reached", async () => {
    await using stage = await suite.open({ address: "::1" });
    await stage.read();
    await using secured = await suite.openSecured({ address: "::1" });
    await secured.read();
    expect(secured.server.host).toMatch(/^\[::1\]:\d+$/);
  });
}
