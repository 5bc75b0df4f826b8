// What breaks stays where it broke: a sentence and a way on take its place.

import { Component, type ReactNode } from "react";
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
