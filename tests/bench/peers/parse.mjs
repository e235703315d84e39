// Parse Server with its LiveQuery server on one port, as its documentation starts it. Says "ready" once it listens.
import { ParseServer } from "parse-server";

const { PORT, DATABASE_URI, APPLICATION, MASTER_KEY } = process.env;
await ParseServer.startApp({
  appId: APPLICATION,
  masterKey: MASTER_KEY,
  databaseURI: DATABASE_URI,
  serverURL: `http://127.0.0.1:${PORT}/parse`,
  port: Number(PORT),
  host: "127.0.0.1",
  mountPath: "/parse",
  allowCustomObjectId: true,
  startLiveQueryServer: true,
  liveQuery: { classNames: ["Picture"] },
  logLevel: "error",
});
console.log("ready");
