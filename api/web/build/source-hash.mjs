// Writes dist/source.sha256: the sum of every file that goes into the build. embed_test.go computes the same sum, so that
// built files which were not made from the source beside them fail a test.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

// Folders are taken whole. Keep in step with embed_test.go.
export const inputs = [
  'build',
  'index.html',
  'package-lock.json',
  'package.json',
  'public',
  'src',
  'tsconfig.json',
  'vite.config.ts',
];

function walk(root, path, out) {
  let entries;
  try {
    entries = readdirSync(join(root, path), { withFileTypes: true });
  } catch (error) {
    if (error.code !== 'ENOTDIR') throw error;
    out.push(path);
    return;
  }
  for (const entry of entries) walk(root, `${path}/${entry.name}`, out);
}

/** One line "path NUL sha256 LF" a file, sorted bytewise by path, and the SHA-256 (hex) of all lines. */
export function hashSource(root) {
  const files = [];
  for (const input of inputs) walk(root, input, files);
  files.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const all = createHash('sha256');
  for (const file of files) {
    const sum = createHash('sha256').update(readFileSync(join(root, file))).digest('hex');
    all.update(`${file}\0${sum}\n`);
  }
  return all.digest('hex');
}

export function sourceHash() {
  let root = '';
  let out = '';
  return {
    name: 'kanvas-source-hash',
    apply: 'build',
    configResolved(config) {
      root = config.root;
      out = join(config.root, config.build.outDir);
    },
    closeBundle() {
      writeFileSync(join(out, 'source.sha256'), `${hashSource(root)}\n`);
    },
  };
}
