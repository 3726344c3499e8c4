import { ModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import { type EventName, eventNames } from "../api/routes.ts";

/** One event of an agent's answer. */
export interface ServerEvent {
  readonly name: EventName;
  readonly content: unknown;
}

const maxEventBytes = 67_108_864;

/**
 * Reads server-sent events (HTML, section 9.2) as the agent writes them: `event:` and `data:` lines,
 * an empty line after each. Names that this side does not know are passed over.
 */
export async function* readEvents(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerEvent, void, undefined> {
  let rest = Buffer.alloc(0);
  for await (const bytes of stream) {
    rest = Buffer.concat([rest, bytes]);
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const event = parseEvent(rest.subarray(0, end).toString("utf8"));
      rest = rest.subarray(end + 2);
      if (event !== undefined) yield event;
    }
    if (rest.byteLength > maxEventBytes)
      throw new ModelError("AGENT_FAILED", `an event exceeds ${maxEventBytes} bytes`);
  }
}

function parseEvent(text: string): ServerEvent | undefined {
  const fields = new Map(
    text.split("\n").map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trimStart()] as const;
    }),
  );
  const name = eventNames.find((each) => each === fields.get("event"));
  if (name === undefined) return undefined;
  const limits = { maxBytes: maxEventBytes, what: "an event of the agent" };
  const content = Buffer.from(fields.get("data") ?? "null");
  return { name, content: parseJson(content, { ...limits, code: "AGENT_FAILED" }) };
}
