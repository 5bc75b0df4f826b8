// Fails the build when the JavaScript of the first load weighs more than the budget. Counts what index.html names, and all
// that those files import statically: what a browser fetches before anyone has done anything.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGET_KB = 120;
const dist = new URL("../dist/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));

const first = new Set();
function add(name) {
  const chunk = manifest[name];
  if (first.has(chunk.file)) return;
  first.add(chunk.file);
  for (const dependency of chunk.imports ?? []) add(dependency);
}
for (const [name, chunk] of Object.entries(manifest)) if (chunk.isEntry) add(name);

const kilobytes = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length / 1024;
const scripts = readdirSync(new URL("assets/", dist))
  .filter((file) => file.endsWith(".js"))
  .map((file) => `assets/${file}`); // a worker's is not in the manifest
for (const file of [...first, ...scripts.filter((name) => !first.has(name))]) {
  console.log(
    `${kilobytes(file).toFixed(1).padStart(7)} KB gzip  ${first.has(file) ? "first load" : "on demand "}  ${file}`,
  );
}
const total = [...first].reduce((sum, file) => sum + kilobytes(file), 0);
console.log(`${total.toFixed(1).padStart(7)} KB gzip  JavaScript of the first load, of ${BUDGET_KB} KB allowed`);
if (total > BUDGET_KB) {
  console.error(
    `The first load is ${(total - BUDGET_KB).toFixed(1)} KB over its budget: load something on demand, or do without it.`,
  );
  process.exit(1);
}
