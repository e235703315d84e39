import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// The development server passes on what the Python server answers; `SERVER` says where that listens.
declare const process: { env: Record<string, string | undefined> };

const server = process.env["SERVER"] ?? "http://127.0.0.1:8000";
const passedOn = ["/api", "/dev/token", "/dev/checkout", "/dev/.well-known", "/config.json", "/version"];

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "dist",
    assetsDir: "assets",
    // Fonts and pictures stay files of their own: the page's policy allows no other address for fonts.
    assetsInlineLimit: 0,
    // `light-dark()` has to reach the browser as it is: rewritten, a dark part of a light page would stay light.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [{ name: "vendor", test: /node_modules\/(react|react-dom|scheduler|convex)\// }],
        },
      },
    },
  },
  server: {
    proxy: Object.fromEntries(passedOn.map((path) => [path, { target: server, ws: true, changeOrigin: false }])),
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
