// The sign-in library, loaded only where the server asks for sign-in: authorization code flow with PKCE.

import { UserManager, WebStorageStateStore } from "oidc-client-ts";
import type { AuthConfig } from "./types";

export function createManager(config: AuthConfig, callback: string): UserManager {
  return new UserManager({
    authority: config.issuer,
    client_id: config.clientId,
    redirect_uri: callback,
    scope: config.scopes.join(" "),
    response_type: "code",
    automaticSilentRenew: true,
    // A tab's own: a token that lies in localStorage outlives the visit it was made for.
    userStore: new WebStorageStateStore({ store: sessionStorage }),
  });
}
