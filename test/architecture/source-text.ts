/** One import in a source file. */
export interface Import {
  /** The module as written; undefined where it is computed. */
  readonly module: string | undefined;
  /** `import type` or `export type`: nothing is loaded. */
  readonly typeOnly: boolean;
}

const token = /"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|\/\*[\s\S]*?\*\/|\/\/.*/g;
const statement = /^(?:import|export)\s+(type\s)?[^"'`;()]*?\bfrom\s*["']([^"'\n]+)["']/gm;
const bare = /^import\s*["']([^"'\n]+)["']/gm;
const dynamic = /\bimport\(\s*(?:["'`]([^"'`\n]+)["'`]\s*[,)])?/g;
const required = /\b(?:require|require\.resolve|import\.meta\.resolve)\(\s*["'`]([^"'`\n]+)["'`]/g;
const worker = /\bnew URL\(\s*["'`](\.[^"'`\n]+)["'`]/g;

/** Every module a file names: static, dynamic and type imports, re-exports, and worker files. */
export function findImports(source: string): Import[] {
  const text = withoutComments(source);
  const values = [bare, required, worker].flatMap((pattern) => [...text.matchAll(pattern)]);
  return [
    ...[...text.matchAll(statement)].map(([, type, module]) => ({
      module,
      typeOnly: type !== undefined,
    })),
    ...[...text.matchAll(dynamic)].map(([, module]) => ({ module, typeOnly: false })),
    ...values.map(([, module]) => ({ module, typeOnly: false })),
  ];
}

/** The source without its comments; strings stay. */
function withoutComments(source: string): string {
  return source.replace(token, (found) => (found.startsWith("/") ? " " : found));
}

/** The source without comments and without the text of plain strings. */
export function codeOnly(source: string): string {
  return source.replace(token, (found) => {
    if (found.startsWith("/")) return " ";
    return found.startsWith("`") ? found : '""';
  });
}
