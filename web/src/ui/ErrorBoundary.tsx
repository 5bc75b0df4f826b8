// What breaks stays where it broke: a sentence and a way on take its place.

import { Component, type ReactNode } from "react";
import { clearEverything } from "../core/clear";
import { strings } from "../strings";

interface Props {
  children: ReactNode;
  fallback?: ReactNode;
}

export class ErrorBoundary extends Component<Props, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError() {
    return { broken: true };
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    return this.props.fallback ?? <Broken />;
  }
}

/** In place of the whole page: what is kept in the browser may be why, so it can be removed. */
export function Unusable() {
  return (
    <div className="notice" role="alert">
      <p>{strings.notStarted}</p>
      <div className="notice-actions">
        <button type="button" className="primary" onClick={() => location.reload()}>
          {strings.reload}
        </button>
        <button
          type="button"
          className="plain"
          onClick={() => void clearEverything().then(() => location.assign("/new"))}
        >
          {strings.clear}
        </button>
      </div>
    </div>
  );
}

function Broken() {
  return (
    <div className="notice" role="alert">
      <p>{strings.broken}</p>
      <button type="button" className="primary" onClick={() => location.reload()}>
        {strings.reload}
      </button>
    </div>
  );
}
