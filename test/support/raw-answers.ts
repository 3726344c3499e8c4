/** A request as it arrived at a raw server. */
export interface RawRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** By lowercase name. */
  readonly headers: ReadonlyMap<string, string>;
  /** First and last byte of its Range; all of the content where it has none. */
  readonly first: number;
  readonly last: number;
  /** What the server holds. */
  readonly content: Buffer;
  /** Which of the server's connections it came on, from 1. */
  readonly connection: number;
  /** Which request of its connection it is, from 1. */
  readonly turn: number;
}

/** The way back to a client, byte by byte. */
export interface RawReply {
  /** Resolves when the kernel has the bytes; false when nobody takes them any more. */
  send(bytes: string | Buffer): Promise<boolean>;
  /** Closes the connection with RST; what the client has not read is lost. */
  reset(): void;
  /** Closes the connection with FIN; over TLS after close_notify, unless it is to be left out. */
  end(options?: { readonly closeNotify?: boolean | undefined }): void;
}

/** Answers one request. */
export type RawAnswer = (reply: RawReply, request: RawRequest) => unknown;

/** Changes to a good answer, byte by byte. */
export interface PartialChanges {
  /** Default `HTTP/1.1 206 Partial Content`. */
  readonly line?: string | undefined;
  /** Content-Range; false leaves it out. */
  readonly range?: string | false | undefined;
  /** Content-Length; false leaves it out. */
  readonly length?: string | number | false | undefined;
  /** Whole header lines besides. */
  readonly lines?: readonly string[] | undefined;
  /** Default: the bytes that were asked for. */
  readonly body?: Buffer | undefined;
  /** What is done to the head before it is sent. */
  readonly edit?: ((head: string) => string) | undefined;
  /** Closes the connection behind the answer. */
  readonly close?: boolean | undefined;
}

/** The bytes of the content that were asked for. */
export function askedFor({ content, first, last }: RawRequest): Buffer {
  return content.subarray(first, last + 1);
}

/** The head of a 206 with what was asked for, and the changes. */
export function partialHead(request: RawRequest, changes: PartialChanges = {}): string {
  const { first, last, content } = request;
  const { line = "HTTP/1.1 206 Partial Content", lines = [], edit = (head) => head } = changes;
  const { range = `bytes ${first}-${last}/${content.byteLength}`, length = last - first + 1 } =
    changes;
  const stated = [
    ...(length === false ? [] : [`Content-Length: ${length}`]),
    ...(range === false ? [] : [`Content-Range: ${range}`]),
  ];
  return edit(`${[line, ...stated, ...lines].join("\r\n")}\r\n\r\n`);
}

/** What a good server answers, but for the changes. In one piece. */
export function partial(changes: PartialChanges = {}): RawAnswer {
  return async (reply, request) => {
    const body = changes.body ?? askedFor(request);
    const head = Buffer.from(partialHead(request, changes), "latin1");
    await reply.send(Buffer.concat([head, body]));
    if (changes.close === true) reply.end();
  };
}

/** What a server answers that knows nothing of ranges: all of the content. */
export function whole(changes: Omit<PartialChanges, "range"> = {}): RawAnswer {
  return (reply, request) => {
    const { content } = request;
    const line = "HTTP/1.1 200 OK";
    const length = content.byteLength;
    return partial({ line, length, body: content, ...changes, range: false })(reply, request);
  };
}

/** The same bytes in chunks of `pieceBytes` (RFC 9112 7.1). */
export function chunked(bytes: Buffer, pieceBytes = 1000): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    pieces.push(Buffer.from(`${piece.byteLength.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
  }
  return Buffer.concat([...pieces, Buffer.from("0\r\n\r\n")]);
}

/** An answer with a status, headers, and a small body or none. */
export function status(
  code: number,
  headers: Readonly<Record<string, string>> = {},
  body = "",
): RawAnswer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = `Content-Length: ${Buffer.byteLength(body)}`;
  return (reply) => reply.send(`HTTP/1.1 ${code} Odd\r\n${length}\r\n${lines.join("")}\r\n${body}`);
}

/** A redirect. */
export function redirect(location: string, code = 307): RawAnswer {
  return status(code, { Location: location });
}

/** How an answer breaks off. */
export type Break = "reset" | "fin" | "stall";

/** A good answer of which only `bytes` (of head and body together) are sent. */
export function cutAt(
  bytes: (headBytes: number, bodyBytes: number) => number,
  how: Break,
): RawAnswer {
  return async (reply, request) => {
    const head = Buffer.from(partialHead(request));
    const body = askedFor(request);
    const length = bytes(head.byteLength, body.byteLength);
    if (length > 0) await reply.send(Buffer.concat([head, body]).subarray(0, length));
    if (how === "reset") reply.reset();
    if (how === "fin") reply.end();
  };
}
