import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import type { ToolName } from "../tools/catalog.ts";
import { freePorts } from "./free-ports.ts";
import { describeKubeconfig } from "./kubeconfig.ts";
import { addPlainNode, type PlainNodeOptions } from "./plain-node.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";
import { toolPath } from "./programs.ts";
import { requestToken } from "./service-account-token.ts";

/** What `startControlPlane` runs, for `toolsMissing`. */
export const controlPlaneTools: readonly ToolName[] = [
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "kubectl",
  "helm",
];

/** etcd, kube-apiserver, kube-controller-manager and kube-scheduler on loopback. */
export interface ControlPlane extends AsyncDisposable {
  /** `https://127.0.0.1:port`. */
  readonly server: string;
  /** A kubeconfig of an administrator. */
  readonly kubeconfig: string;
  /** As that administrator. */
  readonly api: ClusterApi;
  /** Runs kubectl as the administrator, or with another kubeconfig; resolves to what it printed. */
  kubectl(
    args: readonly string[],
    options?: { input?: string; kubeconfig?: string },
  ): Promise<string>;
  /** Runs helm as the administrator; resolves to what it printed. */
  helm(args: readonly string[]): Promise<string>;
  /** Creates or replaces the objects of a YAML or JSON text, as `kubectl apply --server-side` does. */
  apply(manifests: string): Promise<void>;
  /** A plain Node that is ready for pods; nothing runs there. Its pods stay where they are bound. */
  addNode(name: string, options?: PlainNodeOptions): Promise<void>;
  /**
   * A kubeconfig of a ServiceAccount. With `node` its token is of a pod there, made for it, and says so,
   * as a DaemonSet's does.
   */
  kubeconfigFor(
    namespace: string,
    serviceAccount: string,
    options?: { readonly node?: string },
  ): Promise<string>;
  /** Ends the API server at once and starts it anew, at the same address. */
  restartApiServer(options?: { readonly downMs?: number }): Promise<void>;
}

export interface ControlPlaneOptions {
  /** For data, logs and kubeconfigs. */
  readonly folder: string;
  /** More flags of the API server. */
  readonly apiServerFlags?: readonly string[];
}

const run = promisify(execFile);
const startMs = 60_000;
const adminToken = "administrator";

/** Starts a control plane of its own for a test; takes about five seconds and 500 MiB. */
export async function startControlPlane({
  folder,
  apiServerFlags = [],
}: ControlPlaneOptions): Promise<ControlPlane> {
  await mkdir(folder, { recursive: true });
  await using started = new AsyncDisposableStack();
  const [etcdPort = 0, peerPort = 0, apiPort = 0, managerPort = 0, schedulerPort = 0] =
    await freePorts(5);
  const etcdUrl = `http://127.0.0.1:${etcdPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  started.use(
    await start(
      [
        toolPath("etcd"),
        `--data-dir=${join(folder, "etcd")}`,
        "--unsafe-no-fsync",
        `--listen-client-urls=${etcdUrl}`,
        `--advertise-client-urls=${etcdUrl}`,
        `--listen-peer-urls=${peerUrl}`,
        `--initial-advertise-peer-urls=${peerUrl}`,
        `--initial-cluster=default=${peerUrl}`,
      ],
      /ready to serve client requests/,
    ),
  );
  const keyFile = join(folder, "service-accounts.key");
  await run("openssl", ["genrsa", "-out", keyFile, "2048"]);
  const tokens = join(folder, "tokens.csv");
  await writeFile(tokens, `${adminToken},admin,1,"system:masters"\n`);
  const server = `https://127.0.0.1:${apiPort}`;
  const certificates = join(folder, "certificates");
  const startApiServer = () =>
    start(
      [
        toolPath("kube-apiserver"),
        `--etcd-servers=${etcdUrl}`,
        `--cert-dir=${certificates}`,
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        `--secure-port=${apiPort}`,
        `--service-cluster-ip-range=${serviceRange}`,
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        "--authorization-mode=RBAC",
        `--token-auth-file=${tokens}`,
        `--service-account-issuer=${server}`,
        `--service-account-key-file=${keyFile}`,
        `--service-account-signing-key-file=${keyFile}`,
        ...apiServerFlags,
      ],
      /Serving securely on/,
    );
  let apiServer = await startApiServer();
  started.defer(() => apiServer.kill());
  const authority = join(certificates, "apiserver.crt");
  const writeKubeconfig = async (name: string, token: string) => {
    const file = join(folder, `${name}.kubeconfig`);
    await writeFile(
      file,
      describeKubeconfig({
        cluster: { server, "certificate-authority": authority },
        user: { token },
      }),
      { mode: 0o600 },
    );
    return file;
  };
  const kubeconfig = await writeKubeconfig("admin", adminToken);
  const api = started.use(createClusterApi({ kubeconfig, userAgent: "ballast-test" }));
  await untilReady(api);
  const shared = [`--kubeconfig=${kubeconfig}`, "--leader-elect=false", "--bind-address=127.0.0.1"];
  const delegated = [
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
  ];
  const [manager, scheduler] = await Promise.all([
    start(
      [
        toolPath("kube-controller-manager"),
        ...shared,
        ...delegated,
        `--secure-port=${managerPort}`,
        `--root-ca-file=${authority}`,
        `--service-account-private-key-file=${keyFile}`,
        // Nothing sends signs of life for plain nodes.
        "--controllers=*,-node-lifecycle-controller",
      ],
      /Serving securely on/,
    ),
    start(
      [toolPath("kube-scheduler"), ...shared, ...delegated, `--secure-port=${schedulerPort}`],
      /Serving securely on/,
    ),
  ]);
  started.use(manager);
  started.use(scheduler);
  await untilServiceAccounts(api);

  const kubectl: ControlPlane["kubectl"] = (args, options = {}) =>
    runWithInput(
      toolPath("kubectl"),
      [`--kubeconfig=${options.kubeconfig ?? kubeconfig}`, ...args],
      {
        input: options.input,
        home: folder,
      },
    );
  const owned = started.move();
  return {
    server,
    kubeconfig,
    api,
    kubectl,
    helm: (args) =>
      runWithInput(toolPath("helm"), [`--kubeconfig=${kubeconfig}`, ...args], { home: folder }),
    apply: async (manifests) => {
      await kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], {
        input: manifests,
      });
    },
    addNode: (name, options) => addPlainNode(api, name, options),
    kubeconfigFor: async (namespace, serviceAccount, { node } = {}) => {
      const token = await requestToken(api, { namespace, serviceAccount, node });
      return writeKubeconfig(`${namespace}.${serviceAccount}.${node ?? "any"}`, token);
    },
    restartApiServer: async ({ downMs = 0 } = {}) => {
      await apiServer.kill();
      if (downMs > 0) await new Promise((resolve) => setTimeout(resolve, downMs));
      apiServer = await startApiServer();
      await untilReady(api);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Where Services get their addresses: nothing routes there. */
const serviceRange = "10.254.77.0/24";

async function start(
  command: readonly [string, ...string[]],
  ready: RegExp,
): Promise<ProgramProcess> {
  return (await startProgram(command, { ready, timeoutMs: startMs })).process;
}

async function untilReady(api: ClusterApi): Promise<void> {
  await until("the API server is ready", async () => {
    await api.call({ method: "GET", path: "/api/v1/namespaces/default" });
    return true;
  });
}

async function untilServiceAccounts(api: ClusterApi): Promise<void> {
  const path = "/api/v1/namespaces/default/serviceaccounts/default";
  await until("there are service accounts", async () => {
    await api.call({ method: "GET", path });
    return true;
  });
}

/** Waits until `check` resolves to true; what it rejects with is told when that takes too long. */
async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + startMs;
  for (let last: unknown; ; ) {
    try {
      if (await check()) return;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function runWithInput(
  program: string,
  args: readonly string[],
  { input, home }: { input?: string | undefined; home: string },
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { env: { ...process.env, HOME: home }, maxBuffer: 67_108_864 };
  const child = execFile(program, args, options, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(new Error(`${program} ${args.join(" ")}: ${stderr || error.message}`));
  });
  child.stdin?.end(input ?? "");
  return promise;
}
