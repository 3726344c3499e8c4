import * as v from "valibot";
import { parse } from "yaml";
import { ModelError } from "../../../core/errors.ts";
import { createNameMatcher } from "../../../core/name-matcher.ts";
import type { AccessRules, Principal, Right } from "./access-rules.ts";

const names = v.optional(v.array(v.pipe(v.string(), v.nonEmpty())), []);
const schema = v.strictObject({
  groups: v.optional(v.record(v.string(), v.array(v.string())), {}),
  rules: v.array(
    v.strictObject({
      repositories: v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())), v.nonEmpty()),
      read: names,
      write: names,
      delete: names,
    }),
  ),
});

type Document = v.InferOutput<typeof schema>;
type Holds = (principal: Principal) => boolean;

/**
 * Reads the rules of an access file (docs/registry.md specifies it): the first rule with a pattern
 * that fits a repository decides, and what no rule fits is for nobody. Who may write or delete may
 * read. Throws INVALID_ARGUMENT that names what is wrong at `path`.
 */
export function parseAccessFile(text: string, path: string): AccessRules {
  const refuse = (why: string, cause?: unknown) =>
    new ModelError("INVALID_ARGUMENT", `${path}: ${why}`, {
      hint: "docs/registry.md says what is in it",
      cause,
    });
  const { groups, rules } = readDocument(text, refuse);
  const group = (name: string) => {
    const members = Object.hasOwn(groups, name) ? groups[name] : undefined;
    if (members === undefined) throw refuse(`there is no group ${name}`);
    return new Set(members);
  };
  const read = rules.map((rule) => {
    const holders = (list: readonly string[]) => anyOf(list.map((name) => holder(name, group)));
    const [write, remove] = [holders(rule.write), holders(rule.delete)];
    const rights: Record<Right, Holds> = {
      read: anyOf([holders(rule.read), write, remove]),
      write,
      delete: remove,
    };
    return { fits: createNameMatcher(rule.repositories), rights };
  });
  const everybody: Principal = { user: undefined };
  return {
    allows: (principal, right, repository) =>
      read.find(({ fits }) => fits(repository))?.rights[right](principal) === true,
    openToAll: read.some(({ rights }) => rights.read(everybody)),
  };
}

/** `anonymous` is everybody, `users` every account, `@name` a group, anything else an account. */
function holder(name: string, group: (name: string) => ReadonlySet<string>): Holds {
  if (name === "anonymous") return () => true;
  if (name === "users") return ({ user }) => user !== undefined;
  if (!name.startsWith("@")) return ({ user }) => user === name;
  const members = group(name.slice(1));
  return ({ user }) => user !== undefined && members.has(user);
}

function anyOf(holders: readonly Holds[]): Holds {
  return (principal) => holders.some((holds) => holds(principal));
}

function readDocument(
  text: string,
  refuse: (why: string, cause?: unknown) => ModelError,
): Document {
  const parsed = v.safeParse(schema, parseYaml(text, refuse));
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw refuse(`${v.getDotPath(issue) ?? "the document"}: ${issue.message}`);
}

function parseYaml(text: string, refuse: (why: string, cause?: unknown) => ModelError): unknown {
  try {
    return parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw refuse(error instanceof Error ? (error.message.split("\n")[0] ?? "") : "no YAML", error);
  }
}
