import type { Element, Participant, Room, ServerMessage } from '../protocol';

type Part = Extract<ServerMessage, { type: 'snapshot' }>;

export interface WholeSnapshot {
  revision: number;
  room: Room | undefined;
  elements: Element[];
  chat: Record<string, unknown>[];
  participants: Participant[];
  reset: boolean;
}

/** Collects the parts of a large snapshot, which are applied together. */
export class SnapshotParts {
  private parts: Part[] = [];

  /** The whole, once its last part is there. */
  add(part: Part): WholeSnapshot | undefined {
    this.parts.push(part);
    if (part.more) return undefined;
    const parts = this.parts;
    this.parts = [];
    return {
      revision: part.revision,
      room: parts.find((p) => p.room)?.room,
      elements: parts.flatMap((p) => p.elements ?? []),
      chat: parts.flatMap((p) => p.chat ?? []),
      participants: parts.flatMap((p) => p.participants ?? []),
      reset: parts.some((p) => p.reset),
    };
  }

  /** The socket is gone: a half received snapshot is worth nothing. */
  clear(): void {
    this.parts = [];
  }
}
