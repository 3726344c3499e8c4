import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { freePorts } from "../../support/free-ports.ts";
import { startProgram } from "../../support/program-process.ts";
import { toolPath } from "../../support/programs.ts";
import { openRequestLog } from "./request-log.ts";
import { cpuSecondsOf, type RunningServer } from "./running-server.ts";

/** Bytes a second that each connection gets, in nginx's spelling: 50 MiB. */
const rate = "50m";

/** nginx in front of a registry. */
export interface Nginx extends AsyncDisposable {
  /** Each connection gets 50 MiB a second. */
  readonly capped: RunningServer;
  /** The same without the cap, to see what nginx itself can do. */
  readonly uncapped: RunningServer;
}

/** Starts nginx; its files lie in `folder`. */
export async function startNginx(target: RunningServer, folder: string): Promise<Nginx> {
  await mkdir(folder, { recursive: true });
  const hosts = (await freePorts(2)).map((port) => `127.0.0.1:${port}`) as [string, string];
  const config = join(folder, "nginx.conf");
  await writeFile(config, describe(target.host, hosts, folder));
  const { process } = await startProgram([toolPath("nginx"), "-e", "stderr", "-c", config], {
    // It listens before it tells about its system.
    ready: /OS: /,
    timeoutMs: 30_000,
  });
  const serve = (host: string, at: number): RunningServer => ({
    host,
    authorityFile: undefined,
    log: openRequestLog({ file: logFile(folder, at), url: `http://${host}/v2/` }),
    cpuSeconds: () => cpuSecondsOf([process.pid]),
    // It goes with the process.
    [Symbol.asyncDispose]: async () => undefined,
  });
  const [capped, uncapped] = [serve(hosts[0], 0), serve(hosts[1], 1)];
  return { capped, uncapped, [Symbol.asyncDispose]: () => process[Symbol.asyncDispose]() };
}

function logFile(folder: string, server: number): string {
  return join(folder, `access-${server}.log`);
}

function describe(target: string, hosts: readonly string[], folder: string): string {
  const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  const servers = hosts.map((host, at) =>
    [
      `  server { listen ${host};`,
      `    access_log ${logFile(folder, at)} combined;`,
      `    location / { proxy_pass http://registry;${at === 0 ? ` limit_rate ${rate};` : ""} } }`,
    ].join("\n"),
  );
  return `
daemon off;
# One process: the workers of a master that is killed would stay. What it can do is in the row.
master_process off;
error_log stderr notice;
pid ${folder}/nginx.pid;
events { worker_connections 1024; }
http {
${places.map((place) => `  ${place}_temp_path ${folder}/${place};`).join("\n")}
  upstream registry { server ${target}; keepalive 64; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  # Buffers let the cap hold the client's side; a temporary file would be a second disk in the way.
  proxy_buffering on;
  proxy_buffer_size 64k;
  proxy_buffers 16 64k;
  proxy_busy_buffers_size 512k;
  proxy_max_temp_file_size 0;
  client_max_body_size 0;
  keepalive_requests 100000;
${servers.join("\n")}
}
`;
}
