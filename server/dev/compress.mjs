// Writes a .br and a .gz beside every file of a folder that becomes smaller by it.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const TEXTS = new Set([".css", ".html", ".ico", ".js", ".json", ".map", ".mjs", ".svg", ".txt", ".wasm", ".webmanifest", ".xml"]);
const SMALLEST = 256;

const [folder] = process.argv.slice(2);
for (const name of readdirSync(folder, { recursive: true })) {
  const path = join(folder, name);
  if (!TEXTS.has(extname(path)) || !statSync(path).isFile()) continue;
  const content = readFileSync(path);
  if (content.length < SMALLEST) continue;
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  for (const [ending, squeezed] of [
    ["br", brotliCompressSync(content, { params })],
    ["gz", gzipSync(content, { level: 9 })],
  ])
    if (squeezed.length < content.length) writeFileSync(`${path}.${ending}`, squeezed);
}
