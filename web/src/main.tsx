// Starts the client: the stores first, then the page over them.

import { createRoot } from "react-dom/client";
import { createClient } from "./core/client";
import { App } from "./ui/App";
import "./style.css";

const client = createClient();
const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
void client.start().then((path) => {
  if (path) history.replaceState(null, "", path);
  createRoot(root).render(<App client={client} />);
});
