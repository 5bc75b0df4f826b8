// Starts the client: the stores first, then the page over them. A page that does not start says so.

import { createRoot } from "react-dom/client";
import { clearEverything } from "./core/clear";
import { createPage } from "./core/page";
import { strings } from "./strings";
import { App } from "./ui/App";
import "./style.css";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");

start(root).catch((error: unknown) => {
  root.replaceChildren(failure());
  throw error;
});

async function start(root: HTMLElement): Promise<void> {
  const page = createPage();
  const path = await page.start();
  if (path) history.replaceState(null, "", path);
  createRoot(root).render(<App page={page} />);
}

/** Made without React and without any store: either may be what is broken. */
function failure(): HTMLElement {
  const notice = document.createElement("div");
  notice.className = "notice";
  notice.role = "alert";
  const text = document.createElement("p");
  text.textContent = strings.notStarted;
  const reload = button(strings.reload, "primary", () => location.reload());
  const clear = button(strings.clear, "plain", () => void clearEverything().then(() => location.assign("/new")));
  const actions = document.createElement("div");
  actions.className = "notice-actions";
  actions.append(reload, clear);
  notice.append(text, actions);
  return notice;
}

function button(label: string, look: string, act: () => void): HTMLButtonElement {
  const made = document.createElement("button");
  made.type = "button";
  made.className = look;
  made.textContent = label;
  made.addEventListener("click", act);
  return made;
}
