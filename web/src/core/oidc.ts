// The sign-in library, loaded only where the server asks for sign-in: authorization code flow with PKCE.

import {
  ErrorResponse,
  InMemoryWebStorage,
  OidcClient,
  type OidcMetadata,
  type StateStore,
  User,
  UserManager,
  WebStorageStateStore,
} from "oidc-client-ts";
import type { AuthConfig } from "./types";

const LEAVING_MS = 5_000; // so long may each request of a sign-out take
const DISCOVERY = "/.well-known/openid-configuration";

/** `userStore` has the tokens, `stateStore` the proof of a sign-in under way. */
export interface Stores {
  userStore: StateStore;
  stateStore: StateStore;
}

const settings = (config: AuthConfig, callback: string) => ({
  authority: config.issuer,
  client_id: config.clientId,
  redirect_uri: callback,
  scope: config.scopes.join(" "),
  response_type: "code",
});

export function createManager(config: AuthConfig, callback: string, stores: Stores): UserManager {
  return new UserManager({ ...settings(config, callback), automaticSilentRenew: true, ...stores });
}

// RFC 6749 section 5.2, RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6
const REFUSALS = new Set(
  (
    "invalid_grant invalid_client unauthorized_client unsupported_grant_type invalid_request invalid_scope access_denied " +
    "login_required interaction_required consent_required account_selection_required"
  ).split(" "),
);

/** Whether the issuer said no. Anything else (no network, a time-out, a server in trouble) says nothing about the session. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ErrorResponse && REFUSALS.has(error.error ?? "");
}

/**
 * Ends a session at its issuer, by tokens that the page itself has let go of already: revokes the refresh token where the issuer
 * takes it back. Returns the address that ends the issuer's own session; null where it has none.
 */
export async function leave(config: AuthConfig, tokens: string, home: string): Promise<string | null> {
  const user = User.fromStorageString(tokens);
  // Asked for anew: a copy from the browser's cache would lead to a page that is not there.
  const found = await fetch(config.issuer.replace(/\/$/, "") + DISCOVERY, {
    cache: "no-store",
    signal: AbortSignal.timeout(LEAVING_MS),
  });
  if (!found.ok) throw new Error(`the issuer's discovery document: ${found.status}`);
  const metadata = (await found.json()) as Partial<OidcMetadata>;
  const client = new OidcClient({
    ...settings(config, home),
    metadata,
    requestTimeoutInSeconds: LEAVING_MS / 1_000,
    stateStore: new WebStorageStateStore({ store: new InMemoryWebStorage() }),
  });
  if (user.refresh_token && metadata.revocation_endpoint)
    // One that is refused here may be unknown there already; the issuer's own page ends what it belongs to.
    await client.revokeToken(user.refresh_token, "refresh_token").catch(() => {});
  if (config.logout) {
    const address = new URL(config.logout.url);
    address.searchParams.set(config.logout.clientIdParam, config.clientId);
    address.searchParams.set(config.logout.returnToParam, home);
    return address.href;
  }
  if (!metadata.end_session_endpoint) return null;
  const hint = user.id_token ? { id_token_hint: user.id_token } : {};
  const request = await client.createSignoutRequest({
    post_logout_redirect_uri: home,
    client_id: config.clientId,
    ...hint,
  });
  return request.url;
}
