import { Component, type ReactNode } from "react";
import { Button, EmptyState } from "../design";
import { sentence } from "./errors";

type Props = { children: ReactNode; /** A change of this tries again, for instance another path. */ resetOn?: unknown };

/** A part of the page that broke says so and offers to try again; the rest goes on. */
export class ErrorBoundary extends Component<Props, { error: unknown }> {
  override state: { error: unknown } = { error: null };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override componentDidUpdate(before: Props) {
    if (this.state.error !== null && before.resetOn !== this.props.resetOn) this.setState({ error: null });
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <div role="alert">
        <EmptyState title="This page tore">
          <p>{sentence(this.state.error)}</p>
          <Button look="solid" icon="retry" onClick={() => this.setState({ error: null })}>
            Try again
          </Button>
        </EmptyState>
      </div>
    );
  }
}
