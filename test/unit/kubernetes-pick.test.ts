import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/kubernetes/api/api-error.ts";
import type { ApiRequest, ClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { pickAll } from "../../src/kubernetes/api/list.ts";
import type { ApiObject } from "../../src/kubernetes/api/objects.ts";

type Page = { readonly names: readonly string[]; readonly next?: string } | ApiError | null;

/** An API that answers with these pages, one after another. */
function apiOf(pages: readonly Page[]): { api: ClusterApi; asked: ApiRequest[] } {
  const asked: ApiRequest[] = [];
  const left = [...pages];
  const call = async (request: ApiRequest) => {
    asked.push(request);
    const page = left.shift();
    if (page instanceof ApiError) throw page;
    const items = page?.names.map((name) => ({ metadata: { name } })) ?? null;
    return { metadata: { continue: page?.next }, items };
  };
  return { api: { call, server: "", namespace: undefined } as unknown as ClusterApi, asked };
}

const unlessB = ({ metadata: { name } }: ApiObject) => (name === "b" ? undefined : name);
const forgotten = new ApiError(410, "too old", { reason: "Expired" });

describe("picking from a collection", () => {
  test("goes through all pages and keeps what was chosen", async () => {
    const { api, asked } = apiOf([{ names: ["a", "b"], next: "1" }, { names: ["c"] }]);
    expect(await pickAll(api, { path: "/x" }, unlessB)).toEqual(["a", "c"]);
    expect(asked.map(({ query }) => query?.["continue"])).toEqual([undefined, "1"]);
  });

  test("begins anew when the server forgot where it was, and keeps nothing twice", async () => {
    const first = { names: ["a"], next: "1" };
    const { api, asked } = apiOf([first, forgotten, first, { names: ["c"] }]);
    expect(await pickAll(api, { path: "/x" }, unlessB)).toEqual(["a", "c"]);
    expect(asked).toHaveLength(4);
  });

  test("passes on what is no gap", async () => {
    await expect(pickAll(apiOf([forgotten]).api, { path: "/x" }, unlessB)).rejects.toBe(forgotten);
  });

  test("takes null, as lists of metadata say it, for no objects", async () => {
    const { api, asked } = apiOf([null]);
    expect(await pickAll(api, { path: "/x", metadataOnly: true }, unlessB)).toEqual([]);
    expect(asked[0]?.accept).toContain("as=PartialObjectMetadataList");
  });
});
