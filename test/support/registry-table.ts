import { join } from "node:path";
import { type CheckRegistryResult, checkRegistry } from "../../src/index.ts";
import { tools } from "../tools/catalog.ts";
import { login, type RegistryKind, startAnyRegistry } from "./any-registry.ts";
import { makeCertificates } from "./certificates.ts";
import { listContent } from "./distribution-content.ts";
import { makeTemporaryFolder } from "./models.ts";

type Behaviour = CheckRegistryResult["behaviours"][number];

/** What registries of one kind were found to do, however they let in. */
interface Column {
  readonly kind: RegistryKind;
  readonly results: readonly CheckRegistryResult[];
}

const kinds: readonly RegistryKind[] = ["v3", "v2", "embedded"];
const accesses = [
  { auth: "none", tls: false },
  { auth: "none", tls: true },
  { auth: "htpasswd", tls: false },
  { auth: "htpasswd", tls: true },
  { auth: "token", tls: true },
] as const;

const titles: Readonly<Record<RegistryKind, string>> = {
  v3: `distribution ${tools.registry.version}`,
  v2: `docker-registry ${tools["docker-registry"].version}`,
  embedded: "`ballast registry serve`",
};

/** Checks each kind of registry with each way in. Rejects where anything of a check stays behind. */
export async function checkAllRegistries(): Promise<readonly Column[]> {
  await using folder = await makeTemporaryFolder();
  const certificates = await makeCertificates(folder.path);
  const columns: Column[] = [];
  for (const kind of kinds) {
    const results: CheckRegistryResult[] = [];
    for (const { auth, tls } of accesses) {
      if (kind === "embedded" && auth === "token") continue;
      const root = join(folder.path, `${kind}-${auth}-${tls}`);
      await using registry = await startAnyRegistry({
        kind,
        root,
        auth,
        tls: tls ? certificates.server : undefined,
      });
      const result = await checkRegistry({
        reference: `${registry.address}/team/models`,
        mountFrom: "team/base",
        plainHttp: !tls,
        ca: [certificates.authority],
        ...(auth === "none" ? {} : { credentials: login }),
      });
      await expectNothingLeft(root, result);
      results.push(result);
    }
    columns.push({ kind, results });
  }
  return columns;
}

/** By what the check says, and by the files of distribution, which is not ours. */
async function expectNothingLeft(root: string, { left }: CheckRegistryResult): Promise<void> {
  const { tags, manifests, blobs, uploads } = left;
  if (tags.length + manifests.length + blobs.length + uploads > 0)
    throw new Error(`a check left ${JSON.stringify(left)}`);
  const kept = await listContent(root);
  if (kept.length > 0) throw new Error(`a check left ${kept.join(", ")}`);
}

/** docs/registries.md, from what was found. Throws where the way in makes a difference. */
export function renderRegistries(columns: readonly Column[]): string {
  const named = columns.map(({ kind, results }) => ({ title: titles[kind], ...merge(results) }));
  const [first] = named;
  if (first === undefined) throw new Error("no registry was checked");
  const subjects = [...new Set([...first.behaviours.values()].map(({ subject }) => subject))];
  const head = (...cells: readonly string[]) => [
    row([...cells, ...named.map(({ title }) => title)]),
    row([...cells, ...named].map(() => "---")),
  ];
  const sections = subjects.flatMap((subject) => [
    "",
    `### ${subject}`,
    "",
    ...head("behaviour", "for"),
    ...[...first.behaviours.values()]
      .filter((behaviour) => behaviour.subject === subject)
      .map(({ id, title, needed }) =>
        row([title, needed, ...named.map(({ behaviours }) => cellOf(behaviours.get(id)))]),
      ),
  ]);
  const meanings = first.verdicts.map(({ topic }, at) =>
    row([topic, ...named.map(({ verdicts }) => meaningOf(verdicts[at]))]),
  );
  return `${[...intro, "", ...head("for"), ...meanings, "", ...legend, ...sections].join("\n")}\n`;
}

const intro = [
  "# Registries",
  "",
  "What registries do, found out by asking them: `ballast registry check` on each of these, without a login,",
  "with htpasswd and with tokens, over HTTP and HTTPS. `node test/tools/render-registries.ts` writes this page,",
  "and a test fails when it is not what the registries do. Limits of hosted registries:",
  "[registry-profiles.md](registry-profiles.md). For one that is not here:",
  "",
  "```",
  "ballast registry check registry.example.com/team/models",
  "```",
  "",
  "It pushes up to 14 MB of its own random content under tags `ballast-check-...`, and deletes all of it again,",
  "also when it is stopped. A killed one (SIGKILL) leaves its tags: `ballast registry rm` takes them away. A",
  "repository that did not exist may stay as an empty name. Where a registry does not delete, the check says",
  "which tags and how many bytes would stay before it writes anything, and goes on only with `--yes`, without",
  "the behaviours that take more than 64 KiB. `--read-only REF` writes nothing.",
  "",
  "## What it means for Ballast",
];

const legend = [
  "## Behaviours",
  "",
  "`push` and `pull` cannot do without what is marked so; what is marked `fast` makes them cheap; `extra` is for",
  "removal, signatures, copies and other clients. `wrong` is a registry that says that it does and does something",
  "else; `-` was not tried.",
];

/** One answer for each behaviour; what one way in could not try, another may have. */
function merge(results: readonly CheckRegistryResult[]): {
  readonly behaviours: ReadonlyMap<string, Behaviour>;
  readonly verdicts: CheckRegistryResult["verdicts"];
} {
  const behaviours = new Map<string, Behaviour>();
  for (const behaviour of results.flatMap((result) => result.behaviours)) {
    const known = behaviours.get(behaviour.id);
    if (known === undefined || known.result === "skipped") behaviours.set(behaviour.id, behaviour);
    else if (behaviour.result !== "skipped" && cellOf(known) !== cellOf(behaviour))
      throw new Error(
        `${behaviour.title}: ${cellOf(known)} with one way in, ${cellOf(behaviour)} with another`,
      );
  }
  return { behaviours, verdicts: results[0]?.verdicts ?? [] };
}

function cellOf(behaviour: Behaviour | undefined): string {
  if (behaviour === undefined || behaviour.result === "skipped") return "-";
  const { result, said } = behaviour;
  return said === undefined ? result : `${result} (${said})`;
}

function meaningOf(verdict: CheckRegistryResult["verdicts"][number] | undefined): string {
  if (verdict === undefined || verdict.answer === "unknown") return "-";
  const words = verdict.words.replace(/ \([^()]*\)$/, "");
  return verdict.answer === "works" ? "works" : `${verdict.answer}: ${words}`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}
