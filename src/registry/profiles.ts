/**
 * What is known of hosted registries and of programs that others host, each with who says it and when
 * that was read. It paces requests and refuses what would fail; nothing here makes a registry work.
 * `docs/registry-profiles.md` shows the same.
 */

/** A value, who states it, and when that was read. */
export interface Fact<T> {
  readonly value: T;
  readonly source: string;
  /** `YYYY-MM-DD`. */
  readonly date: string;
}

export interface RegistryProfile {
  readonly name: string;
  readonly title: string;
  /** Hosts, `*` for one label; none where a host does not tell, so that it must be named. */
  readonly hosts: readonly string[];
  /** Layers of one manifest. */
  readonly maxLayers?: Fact<number> | undefined;
  readonly maxBlobBytes?: Fact<number> | undefined;
  readonly maxManifestBytes?: Fact<number> | undefined;
  /** GET and HEAD requests in any minute. */
  readonly readsPerMinute?: Fact<number> | undefined;
  /** Blobs and manifests put, mounted or removed in any minute. */
  readonly writesPerMinute?: Fact<number> | undefined;
  /** How long one upload may take. */
  readonly uploadMinutes?: Fact<number> | undefined;
  /** Uploads in several requests. Ballast sends each blob in one, so this is for the reader. */
  readonly chunkedUploads?: Fact<string> | undefined;
  /** Ranges of blobs. */
  readonly ranges?: Fact<string> | undefined;
  /** How referrers are listed. */
  readonly referrers?: Fact<"API" | "tag"> | undefined;
}

const [MiB, GiB] = [1_048_576, 1_073_741_824];

const from =
  (source: string, date: string) =>
  <T>(value: T): Fact<T> => ({ value, source, date });

const github = from("docs.github.com, Working with the Container registry", "2026-08-22");
const ecr = from("docs.aws.amazon.com, Amazon ECR service quotas", "2026-11-22");
const olderEcr = from(
  "docs.aws.amazon.com, Amazon ECR service quotas, an older edition",
  "2026-11-22",
);
const ecrApi = from("docs.aws.amazon.com, Amazon ECR API, PutImage", "2026-11-22");
const ecrPublic = from("docs.aws.amazon.com, Amazon ECR Public service quotas", "2026-11-22");
const ecrPublicApi = from("docs.aws.amazon.com, Amazon ECR Public API, PutImage", "2026-11-22");
const ecrLayers = from("users: openai/tart#890, spinframework/spin#1787", "2026-08-22");
const ecrChunks = from("aws/containers-roadmap#2831", "2026-08-22");
const google = from("cloud.google.com, Artifact Registry quotas and limits", "2026-11-22");
const azure = from("learn.microsoft.com, Azure Container Registry SKUs", "2026-11-22");
const docker = from("docs.docker.com, Docker Hub usage and limits", "2026-11-22");
const soci = from("awslabs/soci-snapshotter, list of registries", "2026-08-22");
const kitops = from("kitops-ml/kitops, source and pull requests", "2026-08-22");
const quay = from("quay/quay, default of MAXIMUM_LAYER_SIZE", "2026-08-22");
const harbor = from("goharbor/harbor, source and release notes", "2026-08-22");
const zot = from("project-zot/zot v2.1.20, source", "2026-08-22");
const distribution = from("distribution/distribution v3.1.1, source", "2026-08-22");
const spec = from("OCI distribution-spec 1.1, Pushing Manifests", "2026-08-22");

const acr: Omit<RegistryProfile, "name" | "title" | "hosts" | "readsPerMinute"> = {
  maxBlobBytes: azure(200 * GiB),
  maxManifestBytes: azure(4 * MiB),
  chunkedUploads: kitops("yes"),
  ranges: soci("yes"),
  referrers: soci("API"),
};

/** A registry of which nothing is known. */
export const defaultProfile: RegistryProfile = {
  name: "default",
  title: "any other registry",
  hosts: [],
  maxManifestBytes: spec(4 * MiB),
};

export const profiles: readonly RegistryProfile[] = [
  {
    name: "ghcr",
    title: "GitHub Container Registry",
    hosts: ["ghcr.io"],
    maxBlobBytes: github(10_000_000_000),
    uploadMinutes: github(10),
    writesPerMinute: from("users: crust-gather#461", "2026-08-22")(2000),
    chunkedUploads: from("users: rust-oci-client#35", "2026-08-22")("of at most 4 MiB, else 416"),
    ranges: soci("yes"),
    referrers: soci("tag"),
  },
  {
    name: "ecr",
    title: "Amazon ECR, private",
    hosts: [
      "*.dkr.ecr.*.amazonaws.com",
      "*.dkr.ecr.*.amazonaws.com.cn",
      "*.dkr.ecr-fips.*.amazonaws.com",
      "*.dkr-ecr.*.on.aws",
    ],
    maxLayers: ecrLayers(500),
    maxBlobBytes: ecr(52_000 * MiB),
    maxManifestBytes: ecrApi(4 * MiB),
    readsPerMinute: ecr(60_000),
    writesPerMinute: olderEcr(600),
    chunkedUploads: ecrChunks("broken: later parts are lost"),
    ranges: soci("yes"),
    referrers: soci("API"),
  },
  {
    name: "ecr-public",
    title: "Amazon ECR, public",
    hosts: ["public.ecr.aws"],
    maxLayers: ecrLayers(500),
    maxBlobBytes: ecrPublic(10_000 * MiB),
    maxManifestBytes: ecrPublicApi(4 * MiB),
    readsPerMinute: ecrPublic(12_000),
    writesPerMinute: ecrPublic(600),
    chunkedUploads: ecrChunks("broken: later parts are lost"),
    ranges: soci("yes"),
    referrers: soci("API"),
  },
  {
    name: "artifact-registry",
    title: "Google Artifact Registry",
    hosts: ["*.pkg.dev", "gcr.io", "*.gcr.io"],
    maxManifestBytes: spec(4 * MiB),
    readsPerMinute: google(60_000),
    writesPerMinute: google(18_000),
    chunkedUploads: kitops("no"),
    ranges: from("users: stargz-snapshotter#81, #350", "2026-08-22")("one at a time"),
    referrers: soci("API"),
  },
  {
    name: "acr",
    title: "Azure Container Registry, Basic",
    hosts: ["*.azurecr.io", "*.azurecr.cn", "*.azurecr.us"],
    ...acr,
    readsPerMinute: azure(1000),
    writesPerMinute: azure(100),
  },
  {
    name: "acr-standard",
    title: "Azure Container Registry, Standard",
    hosts: [],
    ...acr,
    readsPerMinute: azure(3000),
    writesPerMinute: azure(500),
  },
  {
    name: "acr-premium",
    title: "Azure Container Registry, Premium",
    hosts: [],
    ...acr,
    readsPerMinute: azure(10_000),
    writesPerMinute: azure(2000),
  },
  {
    name: "docker-hub",
    title: "Docker Hub",
    hosts: ["docker.io", "index.docker.io", "registry-1.docker.io"],
    maxManifestBytes: spec(4 * MiB),
    // "In the order of thousands of requests per minute", for each address, of any kind.
    readsPerMinute: docker(2000),
    chunkedUploads: kitops("yes"),
    ranges: from("users: bottlerocket-core-kit#645", "2026-08-22")("yes"),
    referrers: soci("API"),
  },
  {
    name: "quay",
    title: "Quay",
    hosts: ["quay.io"],
    maxBlobBytes: quay(20_000_000_000),
    maxManifestBytes: spec(4 * MiB),
    chunkedUploads: from("users: oras-py#137", "2026-08-22")("yes"),
    ranges: from("users: zstd:chunked images work there", "2026-08-22")("yes"),
  },
  {
    name: "harbor",
    title: "Harbor",
    hosts: [],
    maxManifestBytes: harbor(4 * MiB),
    chunkedUploads: harbor("yes"),
    ranges: harbor("yes"),
    referrers: harbor("API"),
  },
  {
    name: "zot",
    title: "zot",
    hosts: [],
    maxManifestBytes: zot(4 * MiB),
    chunkedUploads: zot("yes"),
    ranges: zot("yes"),
    referrers: zot("API"),
  },
  {
    name: "distribution",
    title: "distribution",
    hosts: [],
    maxManifestBytes: distribution(4 * MiB),
    chunkedUploads: distribution("yes"),
    ranges: distribution("yes"),
    referrers: distribution("tag"),
  },
  defaultProfile,
];
