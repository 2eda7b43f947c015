// Starts the Slack emulator with a subscriber for its events, which it has no call for.
// Arguments: the emulator's folder, port, seed as JSON, address that events are sent to ("" : nowhere).
import { pathToFileURL } from "node:url";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [folder, port, seed, events] = process.argv.slice(2);
const dist = join(folder, "dist");
const file = readdirSync(dist).find(
  (name) => name.startsWith("dist-") && name.endsWith(".js") && readFileSync(join(dist, name), "utf8").includes("var slackPlugin ="),
);
const { slackPlugin } = await import(pathToFileURL(join(dist, file)));
const register = slackPlugin.register.bind(slackPlugin);
slackPlugin.register = (app, store, webhooks, baseUrl, tokens) => {
  register(app, store, webhooks, baseUrl, tokens);
  if (events) webhooks.register({ url: events, events: ["*"], active: true, owner: "slack" });
};
const { createEmulator } = await import(pathToFileURL(join(dist, "api.js")));
const baseUrl = `http://127.0.0.1:${port}`;
await createEmulator({ service: "slack", port: Number(port), hostname: "127.0.0.1", baseUrl, seed: JSON.parse(seed) });
