import { type IncomingHttpHeaders, request } from "node:http";

/** What a mirror, or a registry, answered. */
export interface MirrorAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Asks a server at `host:port` once, without any client in between. */
export async function callMirror(
  address: string,
  path: string,
  options: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<MirrorAnswer> {
  const { method = "GET", headers = {} } = options;
  const { promise, resolve, reject } = Promise.withResolvers<MirrorAnswer>();
  const sent = request(`http://${address}`, { path, method, headers, agent: false }, (answer) => {
    const pieces: Buffer[] = [];
    answer.on("data", (piece: Buffer) => pieces.push(piece));
    answer.on("error", reject);
    answer.on("end", () => {
      const body = Buffer.concat(pieces);
      resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body });
    });
  });
  sent.on("error", reject).end();
  return promise;
}

/** The Authorization of a user name and a password. */
export function basicHeader({
  username,
  password,
}: {
  username: string;
  password: string;
}): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** The status and code of an error's answer. */
export function faultOf({ status, body }: MirrorAnswer): string {
  const { errors } = JSON.parse(body.toString()) as { errors: { code: string }[] };
  return `${status} ${errors.map(({ code }) => code).join()}`;
}
