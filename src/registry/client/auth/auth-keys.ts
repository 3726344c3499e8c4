import { isDockerHub } from "../endpoint.ts";

/**
 * Finds what a section of a Docker config, keyed by registries, holds for a repository: the value of
 * the key that names most of it. Undefined when none does.
 */
export type FindEntry = (
  entries: Readonly<Record<string, unknown>>,
  host: string,
  repository: string | undefined,
) => unknown;

/**
 * As Docker and podman read their files: a key is a host, or with podman a host and some of the
 * repository's components. A key that is a URL means its host, whatever its path is.
 */
export const findAsDocker: FindEntry = (entries, host, repository) => {
  const wanted = `${canonicalHost(host)}/${repository ?? ""}`.replace(/\/$/, "");
  return Object.entries(entries)
    .map(([key, value]) => ({ name: dockerName(key), value }))
    .filter(({ name }) => wanted === name || wanted.startsWith(`${name}/`))
    .toSorted((a, b) => b.name.length - a.name.length)[0]?.value;
};

/**
 * As a kubelet reads a pull secret: `*` stands for anything within one label of the host, the port must
 * be the same, and the path, a URL's too, is a prefix of the repository, not always of whole components.
 * A host that is spelled out goes before one with `*`, and a longer path before a shorter one. A kubelet
 * tries all that match in this order; here the first counts.
 * https://kubernetes.io/docs/concepts/containers/images/#config-json
 */
export const findAsKubelet: FindEntry = (entries, host, repository) => {
  const path = repository === undefined ? "" : `/${repository}`;
  return Object.entries(entries)
    .map(([key, value]) => ({ ...kubeletName(key), value }))
    .filter((key) => matchesHost(key.host, canonicalHost(host)) && path.startsWith(key.path))
    .toSorted(mostSpecificFirst)[0]?.value;
};

/** Tells whether a key of Docker's means all of a host, however it spells that. */
export function isKeyOfHost(key: string, host: string): boolean {
  return dockerName(key) === canonicalHost(host);
}

function dockerName(key: string): string {
  const bare = key.replace(/^https?:\/\//i, "");
  const [host = "", ...path] = bare.replace(/\/+$/, "").split("/");
  const isUrl = bare !== key || /^v[12]$/.test(path.join("/"));
  return [canonicalHost(host), ...(isUrl ? [] : path)].join("/");
}

interface KubeletName {
  readonly host: string;
  /** Empty, or begins with a slash. */
  readonly path: string;
}

function kubeletName(key: string): KubeletName {
  const [, host = "", path = ""] = /^(?:https?:\/\/)?([^/?#]*)([^?#]*)/i.exec(key) ?? [];
  // The path of the registry's own interface, which Docker's keys may have.
  const prefix = path.replace(/^\/v[12](?=\/)/, "");
  return { host: canonicalHost(host), path: prefix === "/" ? "" : prefix };
}

function matchesHost(glob: string, host: string): boolean {
  const [wanted, there] = [splitHost(glob), splitHost(host)];
  return (
    wanted.port === there.port &&
    wanted.labels.length === there.labels.length &&
    wanted.labels.every((label, at) => matchesLabel(label, there.labels[at] ?? ""))
  );
}

function splitHost(host: string): { readonly labels: readonly string[]; readonly port: string } {
  const [, name = "", port = ""] = /^(.*?)(?::([^:\]]*))?$/.exec(host) ?? [];
  return { labels: name.split("."), port };
}

/** Without a regular expression: a pod's author writes the glob, and it must not take long. */
function matchesLabel(glob: string, label: string): boolean {
  const [first = "", ...pieces] = glob.split("*");
  const last = pieces.pop();
  if (last === undefined) return glob === label;
  const end = label.length - last.length;
  if (!label.startsWith(first) || !label.endsWith(last)) return false;
  let at = first.length;
  for (const piece of pieces) {
    const found = label.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= end;
}

/** A kubelet's order: a host before a glob, since `*` comes before all else, and a longer path first. */
function mostSpecificFirst(one: KubeletName, other: KubeletName): number {
  const [first, second] = [one.host + one.path, other.host + other.path];
  if (first === second) return 0;
  return first > second ? -1 : 1;
}

function canonicalHost(host: string): string {
  return isDockerHub(host) ? "docker.io" : host.toLowerCase();
}
