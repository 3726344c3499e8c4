import { isRecord } from "../../../core/chunk-index.ts";
import { header } from "../../client/http/answer.ts";
import { nextPage } from "../../client/pages.ts";
import { makeManifest, putManifest, tagName } from "../deeds.ts";
import type { Ground } from "../ground.ts";
import { type Probe, Unmet, yes } from "../probe.ts";
import { want } from "../said.ts";

const maxPages = 100;

/** How tags are listed. */
export const tagProbes: readonly Probe[] = [
  {
    id: "tags",
    title: "the list of tags",
    needed: "fast",
    async run(ground) {
      const { tag } = ground.site;
      ground.wantManifest();
      const seen = new Set<string>();
      let at: string | URL | undefined = "tags/list";
      for (let pages = 0; at !== undefined; pages += 1) {
        if (pages === maxPages)
          return { result: "partly", said: `more than ${maxPages} pages, or pages that repeat` };
        const page = await readPage(ground, at);
        if (tag !== undefined && page.tags.includes(tag)) return yes;
        if (seen.has(page.next?.href ?? "")) return { result: "wrong", said: "pages that repeat" };
        at = page.next;
        if (at !== undefined) seen.add(at.href);
      }
      return tag === undefined ? yes : { result: "wrong", said: "200 without a tag that is there" };
    },
  },
  {
    id: "tags-pages",
    title: "tags come page by page: n, last and Link",
    needed: "extra",
    writes: { tags: ["p1", "p2", "p3"] },
    async run(ground) {
      const names = ["p1", "p2", "p3"].map((name) => tagName(ground, name));
      for (const name of names) await putManifest(ground, name, ground.wantManifest());
      const [first = "", second = "", third = ""] = names;
      const page = await readPage(ground, `tags/list?n=1&last=${first}`);
      if (page.tags.length !== 1)
        return { result: "no", said: `200 with ${page.tags.length > 1 ? "more" : "fewer"} than n` };
      if (page.tags[0] !== second)
        return { result: "wrong", said: "200 with another tag than the next" };
      if (page.next === undefined) return { result: "partly", said: "200 without Link" };
      const after = await readPage(ground, page.next);
      return after.tags.includes(third) ? yes : { result: "wrong", said: "Link skips a tag" };
    },
  },
  {
    id: "tags-order",
    title: "tags are in order",
    needed: "extra",
    writes: { manifestBytes: 4500, tags: ["o3", "o1", "o2"] },
    async run(ground) {
      const names = ["o3", "o1", "o2"].map((name) => tagName(ground, name));
      for (const name of names) await putManifest(ground, name, makeManifest(ground));
      const { tags } = await readPage(ground, `tags/list?n=100&last=${tagName(ground, "a")}`);
      if (!names.every((name) => tags.includes(name)))
        return { result: "no", said: "200 without some" };
      // All of ours: few are in order by chance too often.
      const ours = tags.filter((tag) => tag.startsWith(ground.site.name));
      return ours.join() === ours.toSorted().join() ? yes : { result: "no", said: "out of order" };
    },
  },
];

async function readPage(
  ground: Ground,
  at: string | URL,
): Promise<{ readonly tags: readonly string[]; readonly next: URL | undefined }> {
  const { session } = ground.site.way;
  const url = typeof at === "string" ? session.url(at) : at;
  if (url.origin !== session.origin.origin) throw new Unmet("wrong", "Link to another host");
  const said = await ground.ask({ method: "GET", at: url });
  want(said, 200);
  return { tags: listOf(said.body), next: nextPage(header(said, "link"), url) };
}

function listOf(body: Buffer): readonly string[] {
  try {
    const root: unknown = JSON.parse(body.toString("utf8"));
    const tags = isRecord(root) ? root["tags"] : undefined;
    if (Array.isArray(tags)) return tags.filter((tag) => typeof tag === "string");
  } catch {
    // Said below.
  }
  throw new Unmet("wrong", "200 without a list of tags");
}
