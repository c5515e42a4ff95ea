import { defineConfig } from "vitest/config";

export default defineConfig({
  root: import.meta.dirname,
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    sourcemap: false,
    modulePreload: { polyfill: false },
  },
  worker: { format: "es" },
  server: { proxy: { "/v1": { target: "http://127.0.0.1:8080", ws: true, changeOrigin: true } } },
  test: { include: ["tests/**/*.test.ts", "tests/**/*.test.tsx"], sequence: { shuffle: true } },
});
