import { afterEach, describe, expect, test, vi } from "vitest";
import { mergeScopes } from "../../src/registry/client/auth/scope.ts";
import { parseContentRange } from "../../src/registry/client/content-range.ts";
import { isLoopback, registryOrigin } from "../../src/registry/client/endpoint.ts";
import { oneLine } from "../../src/registry/client/http/answer.ts";
import { readProxies } from "../../src/registry/client/http/proxies.ts";
import { RequestFailure } from "../../src/registry/client/http/request-failure.ts";
import { createBackoff, parseRetryAfter } from "../../src/registry/client/http/retry.ts";
import { nextPage } from "../../src/registry/client/pages.ts";

test.each([
  ["bytes 0-9/10", { first: 0, last: 9, size: 10 }],
  ["bytes 5-9/*", { first: 5, last: 9, size: undefined }],
  ["bytes */10", { first: undefined, last: undefined, size: 10 }],
  [" Bytes 0-0/1 ", { first: 0, last: 0, size: 1 }],
  ["bytes 9-5/10", undefined],
  ["bytes 0-9", undefined],
  ["items 0-9/10", undefined],
  ["bytes 0-99999999999999999999/1", undefined],
  ["bytes 0-9/9", undefined],
  ["bytes 10-10/10", undefined],
  [undefined, undefined],
])("Content-Range %s", (text, expected) => {
  expect(parseContentRange(text)).toEqual(expected);
});

test.each([
  ["0", 0],
  [" 120 ", 120_000],
  ["Thu, 01 Jan 1970 00:01:40 GMT", 40_000],
  ["Thu, 01 Jan 1970 00:00:01 GMT", 0],
  ["-5", undefined],
  ["soon", undefined],
  ["1.5", undefined],
  [undefined, undefined],
])("Retry-After %s", (text, expected) => {
  expect(parseRetryAfter(text, 60_000)).toBe(expected);
});

test.each([
  [["repository:a:pull", "repository:a:push,pull"], ["repository:a:pull,push"]],
  [
    ["repository:b:pull", "repository:a:pull"],
    ["repository:a:pull", "repository:b:pull"],
  ],
  [["repository:host:5000/a:pull", ""], ["repository:host:5000/a:pull"]],
  [["odd", "odd"], ["odd"]],
])("scopes %j are joined", (scopes, expected) => {
  expect(mergeScopes(scopes)).toEqual(expected);
});

test.each([
  ['</v2/a/tags/list?last=b>; rel="next"', "http://r/v2/a/tags/list?last=b"],
  ["<?n=1>;rel=next", "http://r/v2/a/tags/list?n=1"],
  ['<x>; rel="prev", <y>; title="a, b"; rel="last next"', "http://r/v2/a/tags/y"],
  ['<x>; rel="nextish"', undefined],
  ["rubbish", undefined],
  [undefined, undefined],
])("the next page of %s", (link, expected) => {
  expect(nextPage(link, new URL("http://r/v2/a/tags/list"))?.href).toBe(expected);
});

test.each([
  ["localhost", "http://localhost"],
  ["localhost:5000", "http://localhost:5000"],
  ["127.9.8.7:1", "http://127.9.8.7:1"],
  ["[::1]:5000", "http://[::1]:5000"],
  ["registry.example.com", "https://registry.example.com"],
  ["127.0.0.1.example.com", "https://127.0.0.1.example.com"],
  ["localhost.example.com", "https://localhost.example.com"],
])("%s is spoken to as %s", (host, origin) => {
  expect(registryOrigin(host, undefined).origin).toBe(origin);
});

test("plain HTTP can be asked for and ruled out", () => {
  expect(registryOrigin("registry.example.com", true).protocol).toBe("http:");
  expect(registryOrigin("localhost", false).protocol).toBe("https:");
  expect(isLoopback("128.0.0.1")).toBe(false);
});

describe("the proxy for a URL", () => {
  const environment = { HTTP_PROXY: "plain:3128", https_proxy: " http://tls:3128 " };

  test.each([
    ["http://a.example.com/x", "http://plain:3128"],
    ["https://a.example.com/x", "http://tls:3128"],
    ["http://127.0.0.1:5000/x", undefined],
    ["https://localhost/x", undefined],
    ["https://[::1]:5000/x", undefined],
  ])("%s is %s", (url, proxy) => {
    expect(readProxies(environment)(new URL(url))).toBe(proxy);
  });

  test("is none where its scheme has none", () => {
    for (const HTTP_PROXY of [undefined, "", " "])
      expect(readProxies({ ...environment, HTTP_PROXY })(new URL("http://a.example"))).toBe(
        undefined,
      );
  });

  test.each([
    ["*", "https://a.example.com", true],
    ["x.example.com, *", "https://a.example.com", true],
    ["*:443", "https://a.example.com", true],
    ["*:443", "http://a.example.com", false],
    ["a.example.com", "https://A.example.com:5000", true],
    ["A.Example.com", "https://a.example.com", true],
    ["example.com", "https://a.example.com", true],
    [".example.com", "https://a.example.com", true],
    ["*.example.com", "https://a.example.com", true],
    [".example.com", "https://example.com", true],
    ["x.example.com\texample.com", "https://a.example.com", true],
    ["example.com.", "https://a.example.com", true],
    ["example.com", "https://a.example.com./", true],
    ["ample.com", "https://example.com", false],
    ["a.example.com", "https://example.com", false],
    ["example.com:5000", "https://a.example.com:5000", true],
    ["example.com:5000", "https://a.example.com", false],
    ["example.com:443", "https://a.example.com", true],
    ["10.0.0.1", "http://10.0.0.1:5000", true],
    ["2001:db8::1", "http://[2001:db8::1]:5000", true],
    ["[2001:db8::1]", "http://[2001:db8::1]:5000", true],
    ["[2001:db8::1]:5000", "http://[2001:db8::1]:5000", true],
    ["[2001:db8::1]:5001", "http://[2001:db8::1]:5000", false],
    ["2001:db8::2", "http://[2001:db8::1]:5000", false],
    [",, .", "https://a.example.com", false],
  ])("with NO_PROXY=%s for %s: left out is %s", (entries, url, isExempt) => {
    const proxyFor = readProxies({ ...environment, NO_PROXY: entries });
    expect(proxyFor(new URL(url)) === undefined).toBe(isExempt);
  });
});

test.each(["", "a/b", "a\\b", "user@registry.example.com", "a b", "a:99999", "a?b"])(
  "%j is no host",
  (host) => {
    expect(() => registryOrigin(host, true)).toThrow(/is no registry host/);
  },
);

test("foreign text becomes one line without secrets", () => {
  const text = "see\r\n\u001b[31m https://user:pw@x.example.com/a?sig=secret\u2028now";
  expect(oneLine(text)).toBe("see [31m https://x.example.com/a now");
  expect(oneLine("a".repeat(5000))).toHaveLength(300);
  expect(oneLine("at https://user:p@ss:w@x.example.com/a")).toBe("at https://x.example.com/a");
});

describe("waiting between attempts", () => {
  afterEach(() => void vi.useRealTimers());
  const temporary = (retryAfterMs?: number) =>
    new RequestFailure("REGISTRY_UNAVAILABLE", "x", { temporary: true, retryAfterMs });

  /** How long the waits before attempts 2, 3, ... were. */
  async function waits(failures: RequestFailure[], random: number): Promise<number[]> {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(random);
    const backoff = createBackoff({ attempts: failures.length + 1 }, undefined);
    const waited = [];
    for (const failure of failures) {
      const start = Date.now();
      const done = backoff.failed(failure);
      await vi.runAllTimersAsync();
      await done;
      waited.push(Date.now() - start);
    }
    vi.restoreAllMocks();
    return waited;
  }

  test("doubles up to a limit, and is shortened at random by up to half", async () => {
    const failures = Array.from({ length: 7 }, () => temporary());
    const longest = [500, 1000, 2000, 4000, 8000, 10_000, 10_000];
    expect(await waits(failures, 1)).toEqual(longest);
    expect(await waits(failures, 0)).toEqual(longest.map((delay) => delay / 2));
  });

  test("obeys Retry-After up to a minute", async () => {
    const failures = [temporary(0), temporary(3000), temporary(86_400_000)];
    expect(await waits(failures, 1)).toEqual([0, 3000, 60_000]);
  });

  test("ends with the failure itself when attempts are used up or it lasts", async () => {
    const once = createBackoff({ attempts: 1 }, undefined);
    const failure = temporary();
    await expect(once.failed(failure)).rejects.toBe(failure);
    const lasting = new RequestFailure("REGISTRY_UNAVAILABLE", "x", { temporary: false });
    await expect(createBackoff({}, undefined).failed(lasting)).rejects.toBe(lasting);
  });

  test("counts anew after progress", async () => {
    const backoff = createBackoff({ attempts: 2, baseDelayMs: 0 }, undefined);
    await backoff.failed(temporary());
    backoff.progressed();
    await backoff.failed(temporary());
    await expect(backoff.failed(temporary())).rejects.toThrow("x");
  });

  test("ends at once, with the caller's reason, when aborted", async () => {
    const controller = new AbortController();
    const backoff = createBackoff({ baseDelayMs: 3_600_000 }, controller.signal);
    const waiting = backoff.failed(temporary());
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
  });
});
