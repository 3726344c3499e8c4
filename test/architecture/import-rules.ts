/** What one part of the tree may import, by name of the part. */
export interface Part {
  /** Parts below it that it may use. */
  readonly uses: readonly string[];
}

const domain = ["core", "oci"];
const contents = [...domain, "registry", "s3", "source", "store"];
const trusted = [...contents, "trust"];
const verbs = [...trusted, "pack", "transfer", "mount"];
const models = [...verbs, "model"];

/**
 * The parts of `src` (and `csi`) from the bottom up. Imports go down only; parts of one height do
 * not know each other. A folder that is not here may not exist.
 */
export const parts: Readonly<Record<string, Part>> = {
  core: { uses: [] },
  oci: { uses: ["core"] },
  registry: { uses: domain },
  s3: { uses: domain },
  source: { uses: domain },
  store: { uses: domain },
  trust: { uses: contents },
  pack: { uses: trusted },
  transfer: { uses: trusted },
  mount: { uses: ["core"] },
  model: { uses: verbs },
  agent: { uses: models },
  kubernetes: { uses: [...models, "agent"] },
  csi: { uses: ["core", "mount", "agent"] },
  cli: { uses: [...domain, "store", "registry", "mount", "model", "agent", "kubernetes"] },
  index: { uses: [...domain, "model"] },
  demo: { uses: ["index", "registry", "cli"] },
};

/** Files of a part that others may import, where it is not all of them. */
export const doors: readonly {
  readonly of: string;
  readonly from: readonly string[];
  readonly only: RegExp;
  readonly because: string;
}[] = [
  {
    of: "registry",
    from: ["cli", "demo"],
    only: /^src\/registry\/server\//,
    because: "they serve a registry; they reach one through model",
  },
  {
    of: "agent",
    from: ["kubernetes", "csi"],
    only: /^src\/agent\/(?:api|client)\//,
    because: "they run beside the agent and talk to it over its socket",
  },
  {
    of: "agent",
    from: ["cli"],
    only: /^src\/agent\/(?:(?:api|client)\/|agent\.ts$|config\.ts$)/,
    because: "it starts an agent, or talks to one over its socket",
  },
  {
    of: "kubernetes",
    from: ["cli"],
    only: /^src\/kubernetes\/(?:api\/cluster-api|names|reporter\/reporter|controller\/controller|webhook\/webhook|cluster\/[a-z-]+)\.ts$/,
    because: "it starts a role, or asks the cluster for one person",
  },
];

/** Folders of one part that do not import each other. */
export const strangers: readonly (readonly [string, string])[] = [
  ["src/registry/client/", "src/registry/server/"],
  ["src/registry/check/", "src/registry/server/"],
];

/** Which npm package may be loaded from where, and why only there. */
export const packages: Readonly<
  Record<string, { readonly from: readonly string[]; readonly because: string }>
> = {
  "@aws-sdk/client-s3": { from: ["src/s3/"], because: "70 ms and 32 MB to load" },
  "@grpc/grpc-js": { from: ["csi/"], because: "only a kubelet speaks gRPC with us" },
  "@kubernetes/client-node": { from: ["src/kubernetes/"], because: "340 ms and 88 MB to load" },
  "@peculiar/x509": {
    from: ["src/kubernetes/webhook/"],
    because: "only the webhook makes certificates",
  },
  bcryptjs: {
    from: ["src/registry/server/accounts/"],
    because: "only the embedded registry keeps passwords",
  },
  commander: {
    from: ["src/cli/", "csi/flags.ts"],
    because: "only the command line has flags",
  },
  koffi: { from: ["src/mount/"], because: "a native module, and calls that only Linux has" },
  "p-limit": {
    from: ["src/pack/", "src/transfer/", "src/model/"],
    because: "copies are bounded where they are started",
  },
  picomatch: { from: ["src/core/"], because: "globs mean the same everywhere" },
  protobufjs: { from: ["csi/rpc/"], because: "only gRPC messages are protobuf" },
  "tar-stream": { from: [], because: "only layers of our own image are tar: deploy/package" },
  undici: {
    from: ["src/registry/client/"],
    because: "HTTP, its retries and its secrets stay there",
  },
  valibot: {
    from: [
      "src/oci/",
      "src/registry/",
      "src/source/",
      "src/store/",
      "src/model/",
      "src/agent/",
      "src/kubernetes/",
      "csi/",
    ],
    because: "documents are checked where they come in",
  },
  "prom-client": {
    from: ["src/agent/", "src/kubernetes/", "src/registry/server/"],
    because: "only what runs for long has metrics",
  },
  yaml: {
    from: ["src/pack/", "src/model/reach-config.ts", "src/registry/server/accounts/access-file.ts"],
    because: "a model card's front matter and an operator's configuration are YAML",
  },
};

/** Who may read the environment and arguments, and write to the terminal. */
export const edges: readonly string[] = ["src/cli/", "src/demo/", "csi/main.ts"];
