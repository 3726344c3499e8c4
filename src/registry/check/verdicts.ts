import type { Behaviour } from "./run-check.ts";

/** What a registry's behaviours mean for one thing that Ballast does. */
export interface Verdict {
  readonly topic: string;
  readonly answer: "works" | "slow" | "limited" | "fails" | "unknown";
  readonly words: string;
}

/** How one thing depends on behaviours: the first that is not there decides. */
interface Rule {
  readonly topic: string;
  readonly works: string;
  readonly needs: readonly Condition[];
}

interface Condition {
  readonly id: string;
  /** What it means where it is missing. */
  readonly answer: "slow" | "limited" | "fails";
  readonly words: string;
}

const lies = "it says yes and does something else";

const rules: readonly Rule[] = [
  {
    topic: "push",
    works: "models can be pushed",
    needs: [
      { id: "api", answer: "fails", words: "its API does not answer" },
      { id: "upload", answer: "fails", words: "a layer cannot be pushed" },
      {
        id: "upload-again",
        answer: "fails",
        words: "a layer that is there cannot be pushed again",
      },
      { id: "upload-at-once", answer: "fails", words: "several layers at once are not taken" },
      {
        id: "blob-missing",
        answer: "fails",
        words: "what is missing cannot be told from what is there",
      },
      { id: "manifest-missing", answer: "fails", words: "a tag that is not there cannot be told" },
      {
        id: "mount-missing",
        answer: "fails",
        words: "a mount that cannot be is not answered as one",
      },
      { id: "manifest-put", answer: "fails", words: "a model's manifest is not taken" },
    ],
  },
  {
    topic: "pull",
    works: "models can be pulled",
    needs: [
      { id: "api", answer: "fails", words: "its API does not answer" },
      { id: "manifest-get", answer: "fails", words: "manifests cannot be read" },
      { id: "blob-get", answer: "fails", words: "layers cannot be read" },
      {
        id: "blob-place",
        answer: "fails",
        words: "layers cannot be read from where it redirects to",
      },
    ],
  },
  {
    topic: "pull of parts",
    works: "only what is missing is fetched, several ranges at once",
    needs: [
      {
        id: "range",
        answer: "slow",
        words: "no ranges: each part of a layer costs the layer from its start",
      },
      { id: "range-open", answer: "slow", words: "a transfer that broke off begins anew" },
    ],
  },
  {
    topic: "what is there",
    works: "a push sends only what is not there",
    needs: [
      {
        id: "blob-head",
        answer: "slow",
        words: "no HEAD of layers: what is there is asked for by GET",
      },
      {
        id: "manifest-head",
        answer: "slow",
        words: "no HEAD of manifests: tags are resolved by GET",
      },
    ],
  },
  {
    topic: "mounts",
    works: "layers of another repository are mounted, not sent again",
    needs: [
      {
        id: "mount",
        answer: "slow",
        words: "no mounts: layers of a base in another repository are sent again",
      },
    ],
  },
  {
    topic: "signatures",
    works: "signatures and indexes are found by the Referrers API",
    needs: [
      {
        id: "referrers-early",
        answer: "limited",
        words: "a signature must come after what it signs",
      },
      {
        id: "referrers",
        answer: "limited",
        words:
          "no Referrers API: signatures are listed under a tag, which two writers at once may spoil",
      },
    ],
  },
  {
    topic: "tags",
    works: "tags can be listed and moved",
    needs: [
      {
        id: "tags",
        answer: "limited",
        words: "tags cannot be listed: a push finds no base by itself",
      },
      { id: "tag-move", answer: "limited", words: "a tag stays with the first model it got" },
    ],
  },
  {
    topic: "delete",
    works: "tags, models and layers can be deleted",
    needs: [
      { id: "delete-manifest", answer: "limited", words: "models cannot be deleted" },
      { id: "delete-tag", answer: "limited", words: "a tag goes only with its model" },
      {
        id: "delete-blob",
        answer: "limited",
        words: "layers stay until the registry collects them",
      },
    ],
  },
  {
    topic: "copy",
    works: "models can be copied here with all that belongs to them",
    needs: [
      { id: "upload", answer: "fails", words: "layers are not taken" },
      { id: "manifest-digest", answer: "limited", words: "what has no tag cannot be copied" },
      { id: "manifest-index", answer: "limited", words: "image indexes cannot be copied" },
      {
        id: "manifest-sha512",
        answer: "limited",
        words: "what has sha512 digests cannot be copied",
      },
    ],
  },
  {
    topic: "large models",
    works: "manifests may have 600 layers and 4 MiB",
    needs: [
      { id: "limit-layers", answer: "limited", words: "not more than 600 layers in one model" },
      { id: "limit-manifest", answer: "limited", words: "no manifests of 4 MiB" },
    ],
  },
  {
    topic: "other clients",
    works: "uploads in chunks, by one POST, as a stream",
    needs: [
      { id: "chunks", answer: "limited", words: "no uploads in chunks; Ballast sends none" },
      { id: "chunk-large", answer: "limited", words: "no chunks of 5 MiB; Ballast sends none" },
      {
        id: "chunk-stream",
        answer: "limited",
        words: "no uploads as a stream; Ballast sends none",
      },
    ],
  },
];

/** Says what the behaviours mean, topic by topic. A topic whose behaviours were not tried is unknown. */
export function judge(behaviours: readonly Behaviour[]): Verdict[] {
  const found = new Map(behaviours.map((behaviour) => [behaviour.id, behaviour]));
  return rules.map((rule) => judgeOne(rule, found));
}

function judgeOne({ topic, works, needs }: Rule, found: ReadonlyMap<string, Behaviour>): Verdict {
  const seen = needs.flatMap((condition) => {
    const behaviour = found.get(condition.id);
    return behaviour === undefined ? [] : [{ condition, behaviour }];
  });
  const failing = seen.find(({ behaviour }) => ["no", "wrong"].includes(behaviour.result));
  if (failing !== undefined) {
    const { condition, behaviour } = failing;
    const evidence = behaviour.said === undefined ? "" : ` (${behaviour.title}: ${behaviour.said})`;
    return behaviour.result === "wrong" && condition.answer !== "limited"
      ? { topic, answer: "fails", words: `${lies}${evidence}` }
      : { topic, answer: condition.answer, words: `${condition.words}${evidence}` };
  }
  const skipped = seen.find(({ behaviour }) => behaviour.result === "skipped");
  if (seen.length < needs.length || skipped !== undefined)
    return {
      topic,
      answer: "unknown",
      words: `not tried: ${skipped?.behaviour.said ?? "it would write"}`,
    };
  return { topic, answer: "works", words: works };
}
