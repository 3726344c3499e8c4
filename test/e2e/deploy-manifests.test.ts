import { readFile, realpath, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { readConfig } from "../../src/agent/config.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { judge } from "../support/judge.ts";
import {
  containersOf,
  findObject,
  flagOf,
  type Manifest,
  mountOf,
  parseManifests,
  podOf,
  render,
  renderWith,
  volumeOf,
} from "../support/manifests.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";

const missing = toolsMissing("kustomize", ...controlPlaneTools);
const repository = join(import.meta.dirname, "../..");
const base = "deploy/kustomize/base";

describe.skipIf(missing)("deploy/kustomize/base", () => {
  const stack = new AsyncDisposableStack();
  let plane: ControlPlane;
  let yaml: string;
  let objects: Manifest[];
  let agent: Manifest;
  let plugin: Manifest;

  beforeAll(async () => {
    const { path } = stack.use(await makeTemporaryFolder());
    plane = stack.use(await startControlPlane({ folder: path }));
    yaml = await render(base);
    objects = parseManifests(yaml);
    agent = podOf(findObject(objects, "DaemonSet", "ballast-agent"));
    plugin = podOf(findObject(objects, "DaemonSet", "ballast-csi"));
  });
  afterAll(() => stack.disposeAsync());

  test("is what an API server takes without a word", async () => {
    expect(await judge(plane, yaml)).toEqual([]);
  });

  test.each([
    [
      "a container that is not privileged",
      "privileged: true",
      "privileged: false",
      /Bidirectional/,
    ],
    ["a field that is not there", "attachRequired:", "attachRequierd:", /unknown field/],
    ["a word that is none", "fsGroupPolicy: None", "fsGroupPolicy: Never", /fsGroupPolicy/],
    [
      "a type",
      "automountServiceAccountToken: false",
      'automountServiceAccountToken: "false"',
      /bool/,
    ],
    [
      "other labels",
      "matchLabels:\n      app.kubernetes.io/component: csi",
      "matchLabels:\n      app.kubernetes.io/component: x",
      /selector/,
    ],
    ["a name without a volume", "name: pods\n", "name: pots\n", /not found/i],
    [
      "a stricter namespace",
      "enforce: privileged",
      "enforce: baseline",
      /violates PodSecurity "baseline/,
    ],
  ])("would not be taken with %s", async (_, from, to, why) => {
    expect(yaml).toContain(from);
    expect((await judge(plane, yaml.replace(from, to))).join("\n")).toMatch(why);
  });

  test("gives no pod a Kubernetes token, a network of the node or its processes", () => {
    for (const pod of [agent, plugin]) {
      expect(pod["automountServiceAccountToken"]).toBe(false);
      const shared = Object.keys(pod).filter((key) => /^host[A-Z]/.test(key));
      expect(shared).toEqual([]);
      const projected = pod["volumes"].filter((volume: Manifest) => "projected" in volume);
      expect(projected).toEqual([]);
      expect(pod["securityContext"].seccompProfile).toEqual({ type: "RuntimeDefault" });
    }
  });

  test("runs all of the agent's pod as 64646, without capabilities, on a read-only root", () => {
    expect(agent["securityContext"]).toMatchObject({
      runAsUser: 64646,
      runAsGroup: 64646,
      runAsNonRoot: true,
    });
    for (const { securityContext } of containersOf(agent))
      expect(securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
  });

  test("shows the agent two folders of the node, writable, and nothing else of it", () => {
    expect(hostPaths(agent)).toEqual(["/run/ballast", "/var/lib/ballast"]);
  });

  test("gives privileges to the plugin's one container only, in the agent's group", () => {
    expect(plugin["securityContext"]).toMatchObject({ runAsUser: 0, runAsGroup: 64646 });
    const privileged = [...containersOf(agent), ...containersOf(plugin)].filter(
      ({ securityContext }) => securityContext.privileged === true,
    );
    expect(privileged.map(({ name }) => name)).toEqual(["csi"]);
    const [init] = plugin["initContainers"];
    expect(init.securityContext.capabilities).toEqual({ drop: ["ALL"], add: ["CHOWN", "FOWNER"] });
  });

  test("propagates mounts of the plugin below the kubelet's pods only", () => {
    const propagating = containersOf(plugin).flatMap(({ volumeMounts }) =>
      volumeMounts.filter(({ mountPropagation }: Manifest) => mountPropagation !== undefined),
    );
    expect(propagating).toEqual([
      { name: "pods", mountPath: "/var/lib/kubelet/pods", mountPropagation: "Bidirectional" },
    ]);
  });

  test("runs no privileged container with the component for that, and is taken by the same server", async () => {
    const text = await renderWith(base, "deploy/kustomize/capabilities");
    expect(await judge(plane, text)).toEqual([]);
    expect(text).not.toMatch(/privileged: true|Bidirectional|hostPID|kubelet\/pods/);
    const pod = podOf(findObject(parseManifests(text), "DaemonSet", "ballast-csi"));
    const [container] = pod["containers"];
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"], add: ["SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE"] },
      appArmorProfile: { type: "Unconfined" },
    });
    const mount = mountOf(container, flagOf(container, "--mount-namespace"));
    expect(mount).toMatchObject({ readOnly: true });
    expect(volumeOf(pod, mount["name"])["hostPath"].path).toBe("/proc/1/ns");
    // All else is as with privilege.
    const words = container.command.filter((word: string) => !word.startsWith("--mount-namespace"));
    expect(words).toEqual(plugin["containers"][0].command);
  });

  test("cuts the plugin off from the network", () => {
    const { spec } = findObject(objects, "NetworkPolicy", "ballast-csi");
    const { labels } = findObject(objects, "DaemonSet", "ballast-csi")["spec"].template.metadata;
    expect(spec).toEqual({
      podSelector: { matchLabels: expect.any(Object) },
      policyTypes: ["Ingress", "Egress"],
    });
    expect(labels).toMatchObject(spec.podSelector.matchLabels);
    const others = findObject(objects, "DaemonSet", "ballast-agent")["spec"].template.metadata
      .labels;
    expect(others).not.toMatchObject(spec.podSelector.matchLabels);
  });

  test.each([
    ["agent", ["--root", "--run", "--config"]],
    ["plugin", ["--endpoint", "--agent-socket", "--kubelet-root", "--store", "--health"]],
  ])("mounts every path that the %s's flags name, at the node's own path", (which, flags) => {
    const pod = which === "agent" ? agent : plugin;
    const [container] = pod["containers"];
    const mounts = flags.map((flag) => {
      const path = flagOf(container, flag).replace("unix://", "");
      return mountOf(container, flag === "--kubelet-root" ? join(path, "pods") : path);
    });
    const places = mounts.map(({ name, mountPath }) => {
      const { hostPath } = volumeOf(pod, name);
      // The configuration is no folder of the node.
      return [hostPath?.path ?? mountPath, mountPath];
    });
    expect(places).toEqual(places.map(([, inside]) => [inside, inside]));
  });

  test("has both parts mean the same folders", () => {
    const [one] = agent["containers"];
    const [other] = plugin["containers"];
    expect(flagOf(other, "--store")).toBe(flagOf(one, "--root"));
    expect(flagOf(other, "--agent-socket")).toBe(`${flagOf(one, "--run")}/mount/agent.sock`);
    // Of the agent's sockets the plugin sees the one that is for it.
    expect(mountOf(other, flagOf(other, "--agent-socket"))["mountPath"]).toBe(
      `${flagOf(one, "--run")}/mount`,
    );
    expect(flagOf(other, "--endpoint")).toBe(
      `unix://${flagOf(other, "--kubelet-root")}/plugins/csi.ballast.dev/csi.sock`,
    );
  });

  test("has every probe give up before the kubelet does, and limits of memory everywhere", () => {
    for (const container of [...containersOf(agent), ...containersOf(plugin)])
      expect(container["resources"].limits).toHaveProperty("memory");
    for (const container of [...agent["containers"], ...plugin["containers"]])
      for (const probe of ["startupProbe", "livenessProbe"])
        expect(container[probe].timeoutSeconds).toBeGreaterThan(4);
  });

  test("declares the driver as the plugin expects it", () => {
    expect(findObject(objects, "CSIDriver", "csi.ballast.dev")["spec"]).toEqual({
      attachRequired: false,
      podInfoOnMount: true,
      volumeLifecycleModes: ["Ephemeral", "Persistent"],
      fsGroupPolicy: "None",
      seLinuxMount: false,
      storageCapacity: false,
      requiresRepublish: false,
    });
  });

  test.each([base, "deploy/kustomize/default"])(
    "names one image everywhere, which a kustomization of the operator's replaces: %s",
    async (folder) => {
      const objects = parseManifests(await render(folder));
      expect(imagesOf(objects)).toEqual(["ballast:dev"]);
      await using own = await makeTemporaryFolder();
      const path = await realpath(own.path);
      const [, kustomization = ""] =
        /```yaml\n([^`]*)```/.exec(
          await readFile(join(repository, "docs/operations.md"), "utf8"),
        ) ?? [];
      const written = parse(kustomization);
      written.resources = [relative(path, join(await realpath(repository), folder))];
      await writeFile(join(path, "kustomization.yaml"), JSON.stringify(written));
      await writeFile(join(path, "agent.yaml"), "registries: {allow: [models.example.com]}\n");
      const yaml = await render(path);
      const changed = parseManifests(yaml);
      expect(await judge(plane, yaml)).toEqual([]);
      expect(imagesOf(changed)).toEqual(["registry.example.com/infra/ballast:v0.1.0"]);
      const { name, text } = configOf(changed);
      expect(text).toContain("models.example.com");
      expect(name).not.toBe(configOf(objects).name);
    },
  );

  test("holds an agent.yaml that an agent takes", async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, "agent.yaml");
    await writeFile(path, configOf(objects).text);
    expect((await readConfig(path)).registries.allow).toHaveLength(1);
  });
});

/** The folders of the node that a pod sees. */
function hostPaths(pod: Manifest): string[] {
  const paths = pod["volumes"].flatMap(({ hostPath }: Manifest) => hostPath?.path ?? []);
  return paths.toSorted();
}

function imagesOf(objects: readonly Manifest[]): string[] {
  const sets = objects.filter(({ kind }) => kind === "DaemonSet" || kind === "Deployment");
  const images = sets.flatMap((set) => containersOf(podOf(set)).map(({ image }) => image));
  return [...new Set(images)];
}

/** The agents' configuration, by the name that their pods ask for. */
function configOf(objects: readonly Manifest[]): { name: string; text: string } {
  const { name } = volumeOf(podOf(findObject(objects, "DaemonSet", "ballast-agent")), "config")[
    "configMap"
  ];
  return { name, text: findObject(objects, "ConfigMap", name)["data"]["agent.yaml"] };
}
