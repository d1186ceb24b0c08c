import { defineConfig } from 'vitest/config';
import { sourceHash } from './build/source-hash.mjs';

// The server that `npm run dev` passes API calls on to.
const backend = process.env.KANVAS_BACKEND ?? 'http://127.0.0.1:1999';

export default defineConfig({
  plugins: [sourceHash()],
  build: {
    target: 'es2022',
    // Inlined assets would need more of the Content-Security-Policy than the server grants.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { '/v1': { target: backend, ws: true } } },
  test: { include: ['test/unit/**/*.test.ts'], environment: 'node' },
});
