import { type Fact, profiles, type RegistryProfile } from "../../src/registry/profiles.ts";

const columns: readonly (readonly [string, (profile: RegistryProfile) => string])[] = [
  ["profile", ({ name }) => `\`${name}\``],
  ["layers", ({ maxLayers }) => show(maxLayers)],
  ["a blob", ({ maxBlobBytes }) => size(maxBlobBytes)],
  ["a manifest", ({ maxManifestBytes }) => size(maxManifestBytes)],
  ["reads a minute", ({ readsPerMinute }) => show(readsPerMinute)],
  ["writes a minute", ({ writesPerMinute }) => show(writesPerMinute)],
  ["minutes for an upload", ({ uploadMinutes }) => show(uploadMinutes)],
  ["uploads in parts", ({ chunkedUploads }) => show(chunkedUploads)],
  ["ranges", ({ ranges }) => show(ranges)],
  ["referrers by", ({ referrers }) => show(referrers)],
];

/** What profiles say, as `docs/registry-profiles.md` shows it. */
export function profileTable(): string {
  return table(
    columns.map(([title]) => title),
    profiles.map((profile) => columns.map(([, cell]) => cell(profile))),
  );
}

/** Which hosts profiles are for, and who says what they say. */
export function sourceTable(): string {
  return table(
    ["profile", "registry", "hosts", "sources (read on)"],
    profiles.map((profile) => [
      `\`${profile.name}\``,
      profile.title,
      profile.hosts.map((host) => `\`${host}\``).join(", ") || "-",
      sourcesOf(profile),
    ]),
  );
}

function sourcesOf(profile: RegistryProfile): string {
  const facts = Object.values(profile).filter(
    (value): value is Fact<unknown> => typeof value === "object" && "source" in value,
  );
  return [...new Set(facts.map(({ source, date }) => `${source} (${date})`))].join("; ");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function show(fact: Fact<number | string> | undefined): string {
  if (fact === undefined) return "-";
  return typeof fact.value === "number" ? fact.value.toLocaleString("en") : fact.value;
}

function size(fact: Fact<number> | undefined): string {
  if (fact === undefined) return "-";
  const { value } = fact;
  if (value % 1_073_741_824 === 0) return `${value / 1_073_741_824} GiB`;
  if (value % 1_048_576 === 0) return `${(value / 1_048_576).toLocaleString("en")} MiB`;
  return `${value / 1_000_000_000} GB`;
}
