// The turns under way. They live here, outside any page: leaving a chat stops none, and each knows where its words belong.

import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import type { TurnEvent } from "./events";
import type { Chats } from "./store";
import { Lost, listen, type Phase, type Wanted } from "./stream";
import { messageOf } from "./tree";
import type { Message, TurnError } from "./types";

/** The chat a turn's words go to: one of the stored ones, or a new one that is only local yet. */
export interface Home {
  chats: Chats;
  id: string;
}

export interface Running {
  place: string;
  phase: Phase | "stopping" | "saving";
  /** Whether the server has answered: it has the question. */
  answered: boolean;
}

/** Errors after which the server has the question, and what there was of an answer. */
const KEPT = /^(model_|deadline$)/;

export type Complete = Extract<TurnEvent, { type: "complete" }>;

/** What happens to a turn besides its words. One of `onComplete` and `onFailed` ends it; `kept` says whether the server has it. */
export interface TurnListener {
  onCreated: (turnId: string, conversationId: string) => void;
  onComplete: (turnId: string, event: Complete) => void;
  onFailed: (turnId: string, code: string, kept: boolean) => void;
}

interface Turn {
  wanted: Wanted;
  home: Home;
  end: AbortController;
  content: string;
  reasoning: string;
  shown: { content: number; reasoning: number };
  answered: boolean;
}

export type Turns = ReturnType<typeof createTurns>;

export function createTurns(api: Api, listener: TurnListener, isCut?: () => boolean) {
  const running = createStore<Record<string, Running>>()(() => ({}));
  const turns = new Map<string, Turn>();

  const mark = (turnId: string, phase: Running["phase"]) => {
    const turn = turns.get(turnId);
    if (turn) running.setState({ [turnId]: { place: turn.home.id, phase, answered: turn.answered } });
  };

  function show(turnId: string, turn: Turn): void {
    const { chats, id } = turn.home;
    const { appendStream, appendReasoning } = chats.getState();
    // A replay begins with what is on screen already: only what goes beyond it is shown.
    const content = turn.content.slice(turn.shown.content);
    const reasoning = turn.reasoning.slice(turn.shown.reasoning);
    turn.shown = {
      content: Math.max(turn.shown.content, turn.content.length),
      reasoning: Math.max(turn.shown.reasoning, turn.reasoning.length),
    };
    if (reasoning) appendReasoning(id, turnId, reasoning);
    if (content) appendStream(id, turnId, content);
  }

  function onEvent(turnId: string, turn: Turn, event: TurnEvent): void {
    switch (event.type) {
      case "token":
        turn.content += event.content;
        break;
      case "reasoning":
        turn.reasoning += event.content;
        break;
      case "conversationCreated":
        listener.onCreated(turnId, event.conversationId);
        break;
      case "complete":
        finish(turnId, turn, {
          status: event.status,
          ...(event.finishReason ? { finishReason: event.finishReason } : {}),
          ...(event.usage ? { usage: event.usage } : {}),
        });
        listener.onComplete(turnId, event);
        break;
      case "error":
        // What ends a replay whose run was killed: all that had come is kept.
        if (event.code === "internal" && event.partial) interrupt(turnId, turn, true);
        else {
          const { code, message, retryable } = event;
          fail(turnId, turn, { code, message, retryable }, KEPT.test(code));
        }
        break;
    }
  }

  function finish(turnId: string, turn: Turn, outcome: Partial<Message>): void {
    const { chats, id } = turn.home;
    const before = messageOf(chats.getState().conversations[id]?.messages ?? [], turnId);
    const longer = (mine: string, theirs = "") => (mine.length >= theirs.length ? mine : theirs);
    const reasoning = longer(turn.reasoning, before?.reasoning);
    turns.delete(turnId);
    chats.getState().finishStreaming(id, turnId, longer(turn.content, before?.content), {
      ...outcome,
      ...(reasoning ? { reasoning } : {}),
    });
    const { [turnId]: _, ...others } = running.getState();
    running.setState(others, true);
  }

  function fail(turnId: string, turn: Turn, error: TurnError, kept: boolean): void {
    finish(turnId, turn, { status: "failed", error });
    listener.onFailed(turnId, error.code, kept);
  }

  function interrupt(turnId: string, turn: Turn, kept: boolean): void {
    finish(turnId, turn, { status: "interrupted" });
    listener.onFailed(turnId, "interrupted", kept);
  }

  /** Whether the answer is one that the server has shown, and not only this browser. */
  const isStored = (turnId: string, { home: { chats, id } }: Turn) =>
    messageOf(chats.getState().conversations[id]?.messages ?? [], turnId)?.unsaved !== true;

  return {
    running,
    has: (turnId: string) => turns.has(turnId),
    homeOf: (turnId: string) => turns.get(turnId)?.home,

    /** Begins or follows a turn whose answer's message, of the same id, is in `home` already. */
    run(wanted: Wanted, home: Home): void {
      if (turns.has(wanted.turnId)) return;
      const { turnId } = wanted;
      const known = messageOf(home.chats.getState().conversations[home.id]?.messages ?? [], turnId);
      const turn: Turn = {
        wanted,
        home,
        end: new AbortController(),
        content: "",
        reasoning: "",
        shown: { content: known?.content.length ?? 0, reasoning: known?.reasoning?.length ?? 0 },
        answered: false,
      };
      turns.set(turnId, turn);
      home.chats.getState().startStreaming(home.id, turnId);
      mark(turnId, "sending");
      // Other tabs that start while this one runs the turn leave it alone. What is asked for comes first.
      setTimeout(() => {
        navigator.locks?.request(`turn:${turnId}`, () => untilOver(turns, turnId, running)).catch(() => {});
      });
      const ear = {
        onEvent: (event: TurnEvent) => onEvent(turnId, turn, event),
        onRead: () => show(turnId, turn),
        onPhase: (phase: Phase) => {
          turn.answered ||= phase === "streaming";
          if (turns.has(turnId) && running.getState()[turnId]?.phase !== "stopping") mark(turnId, phase);
        },
      };
      listen(api, wanted, ear, turn.end.signal, isCut).catch((error: unknown) => {
        if (!turns.has(turnId)) return;
        const said = error instanceof Lost ? error.error : null;
        // The server knows nothing of the turn: what is here may be the only copy of it.
        if (error instanceof Lost && !said) interrupt(turnId, turn, isStored(turnId, turn));
        else fail(turnId, turn, said?.asTurnError() ?? { code: "internal", message: "", retryable: true }, false);
      });
    },

    /** The chat has moved: what comes from here on belongs there. */
    move(turnId: string, home: Home): void {
      const turn = turns.get(turnId);
      if (!turn) return;
      turn.home = home;
      mark(turnId, running.getState()[turnId]?.phase ?? "streaming");
    },

    /** Marks a turn that was asked to stop, or could not be. */
    stopping: (turnId: string, is: boolean) => mark(turnId, is ? "stopping" : "streaming"),

    /** Ends a turn that has not reached the server; false when it has, and only the server can end it. */
    withdraw(turnId: string): boolean {
      const turn = turns.get(turnId);
      if (!turn || turn.answered || turn.wanted.follow) return false;
      turn.end.abort();
      finish(turnId, turn, { status: "stopped" });
      return true;
    },

    /** Resolves once the server has each turn, or has refused it. */
    answered: (): Promise<void> =>
      new Promise((resolve) => {
        const look = () => {
          if (Object.values(running.getState()).some((turn) => !turn.answered)) return;
          leave();
          resolve();
        };
        const leave = running.subscribe(look);
        look();
      }),

    /** Lets go of every turn, and tells nobody; they go on on the server. */
    end(): void {
      for (const { end } of turns.values()) end.abort();
      turns.clear();
      running.setState({}, true);
    },

    /** Forgets a turn of a chat that is gone; it goes on on the server. */
    forget(turnId: string): void {
      const turn = turns.get(turnId);
      if (!turn) return;
      turn.end.abort();
      finish(turnId, turn, {});
    },
  };
}

function untilOver(
  turns: ReadonlyMap<string, unknown>,
  turnId: string,
  running: { subscribe: (look: () => void) => () => void },
): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (turns.has(turnId)) return;
      leave();
      resolve();
    };
    const leave = running.subscribe(look);
    look();
  });
}
