import { ProtocolError } from "./errors.ts";
import { answerJson, type Exchange } from "./exchange.ts";
import { requireRepository } from "./repositories.ts";

/** GET of the tags, in ASCII order; `n` and `last` page through them, `Link` names the next page. */
export async function listTags(exchange: Exchange): Promise<void> {
  const { state, repository, query } = exchange;
  const limit = pageSize(query.get("n"));
  const layout = await requireRepository(state.repositories, repository);
  const last = query.get("last");
  const all = await layout.listTags();
  const rest = (last === null ? all : all.filter((tag) => tag > last)).sort();
  const tags = limit === undefined ? rest : rest.slice(0, limit);
  const end = tags.at(-1);
  const more = limit !== undefined && end !== undefined && tags.length < rest.length;
  const next = `</v2/${repository}/tags/list?n=${limit}&last=${end}>; rel="next"`;
  answerJson(exchange, { name: repository, tags }, more ? { Link: next } : {});
}

function pageSize(text: string | null): number | undefined {
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new ProtocolError(400, { code: "UNSUPPORTED", message: "n is not a number of tags" });
}
